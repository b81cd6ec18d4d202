//! A PostgreSQL of the suite's own, and what can be done to it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use bellhop::embedded::{self, Embedded, Options};
use sqlx::{Connection, Executor, PgConnection, PgPool};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    sync::Mutex,
    time::sleep,
};

/// Sends everything that has the folder in its command line home, when the suite is gone, however it went: its
/// standard input ends then. A stopped process has to go on before it can end.
const GUARD: &str = r#"
read -r _
for process in /proc/[0-9]*; do
  pid=${process#/proc/}
  [ "$pid" = $$ ] && continue
  if tr '\0' ' ' <"$process/cmdline" 2>/dev/null | grep -qF -- "$0/"; then
    kill -CONT "$pid" 2>/dev/null
    kill -QUIT "$pid" 2>/dev/null
  fi
done
[ -e "$0/keep" ] || rm -rf "$0"
"#;

/// How a server is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As by a crash: nothing is finished, the next start recovers.
    Immediate,
    /// Sessions are cut off, everything is written.
    Fast,
    /// It waits for sessions to end by themselves; nobody does, and after half a second it is cut short.
    Smart,
    /// SIGKILL for the postmaster; its children notice by themselves.
    Killed,
}

/// The server. Whoever hurts it, hurts it alone.
pub(crate) struct Cluster {
    folder: PathBuf,
    options: Options,
    running: Mutex<Option<Embedded>>,
    /// Its standard input is what holds it back.
    _guard: Child,
}

/// A connection, as soon as there is one: a blow just before this one may have sent the server into recovery.
async fn connected(url: &str) -> PgConnection {
    let mut last = None;
    for _ in 0..500 {
        match PgConnection::connect(url).await {
            Ok(connection) => return connection,
            Err(error) => last = Some(error),
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("no connection: {last:?}");
}

impl Cluster {
    /// Durable: with every flush, as in production. Without, commits survive the server but not the machine.
    pub(crate) async fn start(durable: bool) -> Self {
        let folder = TempDir::with_prefix("bellhop-faults-").expect("a folder").keep();
        // The server has another user when we are root.
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).expect("opened");
        let guard = Command::new("sh")
            .args(["-c", GUARD])
            .arg(&folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a guard");
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut settings = vec![set("max_connections", "40"), set("shared_buffers", "32MB")];
        if !durable {
            settings.extend([set("synchronous_commit", "on"), set("full_page_writes", "on")]);
        }
        let options = Options {
            data_dir: folder.join("pg"),
            bin_dir: std::env::var_os("PG_BIN").map(PathBuf::from),
            search_path: std::env::var_os("PATH"),
            durable,
            settings,
        };
        let running = embedded::start(&options).await.expect("a server");
        Self {
            folder,
            options,
            running: Mutex::new(Some(running)),
            _guard: guard,
        }
    }

    /// Where everything of the suite lies; gone when the suite is, unless it has a file `keep`.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    async fn url(&self) -> String {
        let running = self.running.lock().await;
        running.as_ref().expect("it runs between two faults").url()
    }

    /// Makes a database and answers its address.
    pub(crate) async fn database(&self, name: &str) -> String {
        let url = self.url().await;
        let mut connection = PgConnection::connect(&url).await.expect("a connection");
        let create = format!("create database {name}");
        connection
            .execute(sqlx::AssertSqlSafe(create))
            .await
            .expect("a database");
        connection.close().await.expect("closed");
        url.replacen("/bellhop?", &format!("/{name}?"), 1)
    }

    fn postmaster(&self) -> Option<u32> {
        let text = fs::read_to_string(self.options.data_dir.join("cluster/postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    /// Stops the server, and starts it again after a while.
    pub(crate) async fn restart(&self, manner: Manner, away: Duration) {
        let mut running = self.running.lock().await;
        *running = None;
        let pid = self.postmaster().expect("it runs");
        signal(pid, if_manner(manner)).await;
        let began = Instant::now();
        while alive(pid) {
            if manner == Manner::Smart && began.elapsed() > Duration::from_millis(500) {
                signal(pid, "-INT").await;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "PostgreSQL does not stop");
            sleep(Duration::from_millis(20)).await;
        }
        sleep(away).await;
        let began = Instant::now();
        *running = loop {
            match embedded::start(&self.options).await {
                Ok(server) => break Some(server),
                // Children of a killed postmaster may still hold its memory.
                Err(error) => assert!(began.elapsed() < Duration::from_secs(30), "it does not start: {error}"),
            }
            sleep(Duration::from_millis(100)).await;
        };
    }

    /// Stops every process of the server without a word, and lets them go on after a while.
    pub(crate) async fn hang(&self, time: Duration) {
        let running = self.running.lock().await;
        let pid = self.postmaster().expect("it runs");
        signal(pid, "-STOP").await;
        for child in children(pid) {
            signal(child, "-STOP").await;
        }
        sleep(time).await;
        for child in children(pid) {
            signal(child, "-CONT").await;
        }
        signal(pid, "-CONT").await;
        drop(running);
    }

    /// Kills one process that serves a client: the server throws all others out and recovers.
    pub(crate) async fn crash_a_backend(&self) {
        let running = self.running.lock().await;
        let Some(server) = running.as_ref() else { return };
        let Ok(mut connection) = PgConnection::connect(&server.url()).await else {
            return;
        };
        let pids: Vec<i32> = sqlx::query_scalar("select pid from pg_stat_activity where application_name = 'bellhop'")
            .fetch_all(&mut connection)
            .await
            .unwrap_or_default();
        if let Some(pid) = pids.first() {
            signal(u32::try_from(*pid).expect("a process"), "-KILL").await;
        }
    }

    /// Takes every connection there is, and lets go of them after a while.
    pub(crate) async fn exhaust(&self, time: Duration) {
        let url = format!("{}&application_name=hoarder", self.url().await);
        let running = self.running.lock().await;
        let mut hoard: Vec<PgConnection> = Vec::new();
        let began = Instant::now();
        while began.elapsed() < time {
            match tokio::time::timeout(Duration::from_secs(1), PgConnection::connect(&url)).await {
                Ok(Ok(connection)) => hoard.push(connection),
                Ok(Err(_)) | Err(_) => {
                    let others = "select pg_terminate_backend(pid) from pg_stat_activity
                        where backend_type = 'client backend' and application_name <> 'hoarder'";
                    if let Some(connection) = hoard.first_mut() {
                        let _ = connection.execute(others).await;
                    }
                    sleep(Duration::from_millis(20)).await;
                }
            }
        }
        drop(running);
    }

    /// New transactions may not write, until the time is over.
    pub(crate) async fn read_only(&self, time: Duration) {
        let running = self.running.lock().await;
        let url = running.as_ref().expect("it runs between two faults").url();
        for set in [
            "set default_transaction_read_only = on",
            "reset default_transaction_read_only",
        ] {
            let mut connection = connected(&url).await;
            let alter = sqlx::AssertSqlSafe(format!("alter system {set}"));
            connection.execute(alter).await.expect("altered");
            connection.execute("select pg_reload_conf()").await.expect("told");
            if set.ends_with("on") {
                sleep(time).await;
            }
        }
    }

    /// Nothing can be stored, as when the disk is full, until the time is over. Old rows can still be changed.
    pub(crate) async fn disk_full(&self, pool: &PgPool, time: Duration) {
        let running = self.running.lock().await;
        let tables = [
            "events",
            "firings",
            "jobs",
            "attempts",
            "finished_jobs",
            "outcomes",
            "inbox",
        ];
        let full = "create or replace function full_disk() returns trigger language plpgsql as $$ begin
            raise exception 'could not extend file: No space left on device' using errcode = 'disk_full'; end $$;";
        let on =
            |table: &str| format!("create trigger full_disk before insert on {table} execute function full_disk();");
        let mut fill = full.to_owned();
        fill.extend(tables.map(on));
        let mended = "drop function full_disk cascade";
        insist(pool, &fill).await;
        sleep(time).await;
        insist(pool, mended).await;
        drop(running);
    }

    /// Ends every session of Bellhop once.
    pub(crate) async fn cut_connections(&self) {
        let running = self.running.lock().await;
        let Some(server) = running.as_ref() else { return };
        if let Ok(mut connection) = PgConnection::connect(&server.url()).await {
            let all = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'bellhop'";
            let _ = connection.execute(all).await;
        }
    }
}

/// Whoever is at work on the tables may be in the way.
async fn insist(pool: &PgPool, statements: &str) {
    let began = Instant::now();
    while let Err(error) = pool.execute(sqlx::AssertSqlSafe(statements.to_owned())).await {
        assert!(began.elapsed() < Duration::from_secs(20), "{error}");
        sleep(Duration::from_millis(50)).await;
    }
}

fn if_manner(manner: Manner) -> &'static str {
    match manner {
        Manner::Immediate => "-QUIT",
        Manner::Fast => "-INT",
        Manner::Smart => "-TERM",
        Manner::Killed => "-KILL",
    }
}

/// Sends a signal; a process that is gone is no mistake here.
pub(crate) async fn signal(pid: u32, signal: &str) {
    let mut kill = Command::new("kill");
    kill.args([signal, &pid.to_string()]).stderr(Stdio::null());
    let _ = kill.status().await;
}

fn stat(pid: &str) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut rest = text.rsplit_once(") ")?.1.split(' ');
    Some((rest.next()?.chars().next()?, rest.next()?.parse().ok()?))
}

fn alive(pid: u32) -> bool {
    stat(&pid.to_string()).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

fn children(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("processes").flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| stat(name).is_some_and(|(_, parent)| parent == pid))
        .filter_map(|name| name.parse().ok())
        .collect()
}
