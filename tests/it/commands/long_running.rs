//! Commands that run until they are asked to stop.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    process::Stdio,
    time::{Duration, Instant},
};

use bellhop::domain::{
    ids::{ApplicationId, LocationId, Place},
    signature::hook_key,
};
use sqlx::PgPool;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
};

use super::{
    database::url,
    desk::{self, Desk, Ran},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A command that runs.
struct Running {
    child: Child,
    said: String,
}

impl Running {
    fn start(mut command: Command) -> Child {
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts")
    }

    /// A service, once it is open.
    async fn serve(desk: &Desk) -> (Self, String) {
        Self::serve_as(desk, &["serve"]).await
    }

    /// The same with options.
    async fn serve_as(desk: &Desk, args: &[&str]) -> (Self, String) {
        let mut child = Self::start(desk.command(args));
        let stream = child.stderr.take().expect("piped");
        let said = read_until(stream, "Bellhop is open").await;
        let public = word_after(&said, "public=");
        (Self { child, said }, public)
    }

    /// Asks it to stop; how it ended.
    async fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill");
        assert!(sent.success());
        let status = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("it does not stop: {}", self.said))
            .expect("it ran");
        status.code()
    }
}

/// Reads lines up to one that contains these words, and goes on reading so that the pipe never fills.
async fn read_until(stream: impl AsyncRead + Unpin + Send + 'static, words: &str) -> String {
    let mut lines = BufReader::new(stream).lines();
    let mut said = String::new();
    let found = tokio::time::timeout(PATIENCE, async {
        while let Some(line) = lines.next_line().await.expect("text") {
            said.push_str(&line);
            said.push('\n');
            if line.contains(words) {
                return true;
            }
        }
        false
    });
    let found = found.await.expect("in time");
    assert!(found, "`{words}` was not said: {said}");
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    said
}

fn word_after(text: &str, mark: &str) -> String {
    let (_, rest) = text.rsplit_once(mark).unwrap_or_else(|| panic!("no {mark} in {text}"));
    rest.split_whitespace().next().unwrap_or("").to_owned()
}

async fn get(url: &str) -> (u16, String) {
    let client = desk::client();
    let answer = client.get(url).send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("a body"))
}

/// Takes a private PostgreSQL away when the test fails before the program does.
pub(super) struct Cleaner(pub(super) String);

impl Drop for Cleaner {
    fn drop(&mut self) {
        let Ok(text) = fs::read_to_string(&self.0) else { return };
        let pid = text.lines().next().unwrap_or("");
        let _ = std::process::Command::new("kill").args(["-QUIT", pid]).status();
    }
}

#[tokio::test]
async fn serve_brings_its_own_database_shares_it_with_lookers_and_takes_it_away_again() {
    let desk = Desk::new();
    // When we are root the server runs as somebody else, who has to get through.
    fs::set_permissions(desk.folder.path(), fs::Permissions::from_mode(0o755)).expect("opened");
    desk.change("url = \"postgres://bellhop@127.0.0.1:1/none\"\n", "data_dir = \"pg\"\n");
    let said = desk.refused(&["locations", "list"]).await;
    assert!(said.starts_with("there is no private database in "), "{said}");
    assert!(!fs::exists(desk.path("pg")).expect("known"), "looking makes none");

    let pid_file = desk.path("pg/cluster/postmaster.pid");
    let _cleaner = Cleaner(pid_file.clone());
    let (service, public) = Running::serve(&desk).await;
    assert_eq!(get(&format!("http://{public}/healthz")).await.0, 200);
    let beside = desk.run(&["locations", "list"]).await;
    assert_eq!((beside.code, beside.err.as_str()), (0, "Nothing to show.\n"));
    let postgres = fs::read_to_string(&pid_file).expect("PostgreSQL runs");
    let postgres = postgres.lines().next().expect("its process").to_owned();
    assert!(fs::exists(format!("/proc/{postgres}")).expect("known"));

    // A second service is told who has the folder.
    let said = desk.refused(&["serve"]).await;
    let pid = service.child.id().expect("it runs");
    assert!(
        said.contains(&format!(
            "in use by another running Bellhop (process {pid}): stop it, or choose another data folder"
        )),
        "{said}"
    );

    assert_eq!(service.stop().await, Some(0));
    assert!(!fs::exists(&pid_file).expect("known"), "PostgreSQL has ended");
    assert!(!fs::exists(format!("/proc/{postgres}")).expect("known"));

    // A command that looks brings the database up and takes it down again.
    let alone = desk.run(&["events", "list"]).await;
    assert_eq!((alone.code, alone.err.as_str()), (0, "Nothing to show.\n"));
    assert!(!fs::exists(&pid_file).expect("known"), "PostgreSQL has ended");
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn serve_opens_stops_when_asked_and_logs_no_secret(pool: PgPool) {
    let desk = Desk::with_database(&url(&pool));
    desk.change("[database]", "[log]\nfilter = \"debug\"\n[database]");
    let (service, public) = Running::serve(&desk).await;
    assert_eq!(get(&format!("http://{public}/healthz")).await.0, 200);
    assert!(!service.said.contains("secret-"), "{}", service.said);
    assert!(
        !service.said.contains('\u{1b}'),
        "no colours in a pipe: {}",
        service.said
    );
    let began = Instant::now();
    assert_eq!(service.stop().await, Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "an idle service stops at once"
    );
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_port_in_use_is_told_with_its_key(pool: PgPool) {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    for key in ["server", "operator"] {
        let desk = Desk::with_database(&url(&pool));
        desk.change(
            &format!("[{key}]\nlisten = \"127.0.0.1:0\""),
            &format!("[{key}]\nlisten = \"{address}\""),
        );
        let said = desk.refused(&["serve"]).await;
        let last = said.lines().last().unwrap_or("");
        assert_eq!(
            last,
            format!(
                "{key}.listen = \"{address}\": Address already in use (os error 98). Remedy: end what listens there, or \
                 choose another address"
            )
        );
    }
    let desk = Desk::new();
    let Ran { code, err, .. } = desk.run(&["sandbox", "--listen", &address.to_string()]).await;
    assert_eq!(
        (code, err.as_str()),
        (
            2,
            format!(
                "the sandbox cannot listen on {address}: Address already in use (os error 98). Remedy: choose another \
                 --listen or --mailbox\n"
            )
            .as_str()
        )
    );
}

#[tokio::test]
async fn the_sandbox_says_what_to_enter_lists_its_verbs_and_stops_when_asked() {
    let desk = Desk::new();
    let args = [
        "sandbox",
        "--listen",
        "127.0.0.1:0",
        "--mailbox",
        "127.0.0.1:0",
        "--application",
        "7",
    ];
    let mut child = Running::start(desk.command(&args));
    let stream = child.stdout.take().expect("piped");
    let said = read_until(stream, "Ctrl-C ends it.").await;
    let url = word_after(&said, "listens on ");
    for line in [
        "    partner_token = \"sandbox-partner-token\"\n".to_owned(),
        format!("    partner_base = \"{url}/marketplace\"\n"),
        format!("    api_base = \"{url}/api/v1\"\n"),
        "'{\"application_id\": 7, \"location_ids\": [100001], \"follow\": true}'\n".to_owned(),
    ] {
        assert!(said.contains(&line), "{line} in {said}");
    }
    let (status, verbs) = get(&format!("{url}/_sandbox")).await;
    assert_eq!(status, 200);
    for verb in ["connect", "advance", "faults", "truth"] {
        assert!(verbs.contains(verb), "{verb} in {verbs}");
    }
    let (_, truth) = get(&format!("{url}/_sandbox/truth")).await;
    assert!(truth.starts_with('{'), "{truth}");
    let sandbox = Running { child, said };
    assert_eq!(sandbox.stop().await, Some(0));
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_process_that_only_takes_deliveries_leaves_the_judging_to_others(pool: PgPool) {
    let desk = Desk::with_database(&url(&pool));
    let (service, public) = Running::serve_as(&desk, &["serve", "--only", "intake"]).await;
    let place = Place {
        application_id: ApplicationId(18289),
        location_id: LocationId(100_001),
    };
    let key = hook_key(desk::HOOK_SECRET, place);
    let client = desk::client();
    let sent = client
        .post(format!("http://{public}/apps/18289/hooks/100001/{key}"))
        .body(r#"{"company_id": 100001, "resource": "record", "resource_id": 5, "status": "create", "data": {}}"#);
    assert_eq!(sent.send().await.expect("an answer").status().as_u16(), 200);
    let operator = word_after(&service.said, "operator=");
    assert_eq!(get(&format!("http://{operator}/readyz")).await.0, 200);
    let (_, metrics) = get(&format!("http://{operator}/metrics")).await;
    assert!(metrics.contains("\nbellhop_events_unprocessed 1\n"), "{metrics}");
    assert!(metrics.contains("\nbellhop_workers 0\n"), "{metrics}");
    assert!(
        !metrics.contains("bellhop_worker_last_step_timestamp_seconds"),
        "{metrics}"
    );
    assert_eq!(service.stop().await, Some(0));
}
