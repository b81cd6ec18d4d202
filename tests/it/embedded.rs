//! The embedded server, with a real PostgreSQL: works as root (the server then runs as another user) and as anyone else.

use std::fs;
use std::ops::Deref;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bellhop::embedded::{self, Embedded, Error, Options};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// A folder that takes its server with it, however the test ends.
struct Place {
    folder: TempDir,
    options: Options,
}

impl Place {
    fn new() -> Self {
        // The server's user has to get through, which the default of 0700 does not allow when we are root.
        let open = fs::Permissions::from_mode(0o755);
        let folder = tempfile::Builder::new()
            .prefix("bellhop-it")
            .permissions(open)
            .tempdir()
            .unwrap();
        let options = Options {
            data_dir: folder.path().join("pg"),
            bin_dir: environment("PG_BIN").map(PathBuf::from),
            search_path: environment("PATH"),
            durable: false,
            settings: vec![("shared_buffers".into(), "16MB".into())],
        };
        Self { folder, options }
    }

    async fn start(&self) -> Embedded {
        embedded::start(&self.options).await.unwrap()
    }

    async fn refused(&self) -> String {
        embedded::start(&self.options).await.unwrap_err().to_string()
    }

    fn pid(&self) -> Option<String> {
        let text = fs::read_to_string(self.data_dir.join("cluster/postmaster.pid")).ok()?;
        Some(text.lines().next()?.to_owned())
    }

    fn signal_server(&self, signal: &str) {
        let pid = self.pid().expect("a server runs");
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Deref for Place {
    type Target = Options;
    fn deref(&self) -> &Options {
        &self.options
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(pid) = self.pid() else { return };
        let _ = Command::new("kill").args(["-QUIT", &pid]).status();
        let begun = Instant::now();
        while self.pid().is_some() && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the tests are told by the environment where the binaries are"
)]
fn environment(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name)
}

async fn connect(server: &Embedded) -> PgConnection {
    PgConnection::connect(&server.url()).await.unwrap()
}

async fn keep_a_row(server: &Embedded) {
    let mut connection = connect(server).await;
    sqlx::raw_sql("CREATE TABLE kept (word text); INSERT INTO kept VALUES ('still here')")
        .execute(&mut connection)
        .await
        .unwrap();
}

async fn kept_row(server: &Embedded) -> String {
    let mut connection = connect(server).await;
    sqlx::query_scalar("SELECT word FROM kept")
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_first_start_makes_a_database_and_a_later_one_keeps_it_and_is_quicker() {
    let place = Place::new();
    let begun = Instant::now();
    let server = place.start().await;
    let first = begun.elapsed();
    assert!(!server.adopted());
    let mut connection = connect(&server).await;
    let (user, database, checksums): (String, String, String) =
        sqlx::query_as("SELECT current_user::text, current_database()::text, current_setting('data_checksums')")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(
        (user.as_str(), database.as_str(), checksums.as_str()),
        ("bellhop", "bellhop", "on")
    );
    keep_a_row(&server).await;
    // An open connection does not hold the stop up.
    server.stop().await.unwrap();
    assert_eq!(place.pid(), None, "the server is gone");

    let begun = Instant::now();
    let server = place.start().await;
    let later = begun.elapsed();
    assert!(!server.adopted());
    assert_eq!(kept_row(&server).await, "still here");
    assert!(later < first, "the first start took {first:?}, a later one {later:?}");
    server.stop().await.unwrap();
    assert_eq!(
        names_in(&place.data_dir),
        ["cluster", "lock", "server.log", "server.log.1", "socket"]
    );
}

#[tokio::test]
async fn the_server_has_no_tcp_port_and_a_socket_closed_to_others() {
    let place = Place::new();
    let server = place.start().await;
    let listen: String = sqlx::query_scalar("SHOW listen_addresses")
        .fetch_one(&mut connect(&server).await)
        .await
        .unwrap();
    assert_eq!(listen, "");
    let mode = fs::metadata(place.data_dir.join("socket"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn settings_reach_the_server() {
    let mut place = Place::new();
    place.options.settings.push(("max_connections".into(), "33".into()));
    let server = place.start().await;
    let setting: String = sqlx::query_scalar("SHOW max_connections")
        .fetch_one(&mut connect(&server).await)
        .await
        .unwrap();
    assert_eq!(setting, "33");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_owner_is_refused_and_told_who_has_it() {
    let place = Place::new();
    let server = place.start().await;
    let message = place.refused().await;
    assert!(message.contains("in use by another running Bellhop"), "{message}");
    assert!(
        message.contains(&format!("(process {})", std::process::id())),
        "{message}"
    );
    assert!(message.contains("stop it, or choose another data folder"), "{message}");
    // The refused start has done the first one no harm.
    connect(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_outlived_its_bellhop_is_adopted_with_its_data() {
    let place = Place::new();
    let server = place.start().await;
    keep_a_row(&server).await;
    // What SIGKILL does: the lock goes with the process, the server stays.
    drop(server);
    let pid = place.pid().expect("the server stays");

    let server = place.start().await;
    assert!(server.adopted());
    assert_eq!(place.pid(), Some(pid));
    assert_eq!(kept_row(&server).await, "still here");
    server.stop().await.unwrap();
    assert_eq!(place.pid(), None, "an adopted server is stopped like an own one");
}

#[tokio::test]
async fn a_server_on_its_way_down_is_waited_for_and_started_again() {
    let place = Place::new();
    let server = place.start().await;
    keep_a_row(&server).await;
    drop(server);
    place.signal_server("-INT");
    let server = place.start().await;
    assert_eq!(kept_row(&server).await, "still here");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn after_a_kill_of_everything_the_data_is_recovered() {
    let mut place = Place::new();
    place.options.durable = true;
    let server = place.start().await;
    keep_a_row(&server).await;
    drop(server);
    place.signal_server("-KILL");
    let server = place.start().await;
    assert!(!server.adopted());
    assert_eq!(kept_row(&server).await, "still here");
    server.stop().await.unwrap();
}

#[tokio::test]
#[cfg_attr(
    not(target_os = "linux"),
    ignore = "elsewhere PostgreSQL decides, there is no /proc to ask"
)]
async fn a_stale_pid_file_that_names_a_living_stranger_does_not_stop_the_start() {
    let place = Place::new();
    let server = place.start().await;
    keep_a_row(&server).await;
    server.stop().await.unwrap();
    // PostgreSQL itself falls for any process that its user may signal, except its parent.
    let owner = fs::metadata(place.data_dir.join("cluster")).unwrap();
    let mut stranger = Command::new("sleep")
        .arg("60")
        .uid(owner.uid())
        .gid(owner.gid())
        .spawn()
        .unwrap();
    let pid_file = place.data_dir.join("cluster/postmaster.pid");
    fs::write(&pid_file, format!("{}\n{}\n", stranger.id(), place.data_dir.display())).unwrap();
    let started = embedded::start(&place.options).await;
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    let server = started.unwrap();
    assert_eq!(kept_row(&server).await, "still here");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_cluster_that_a_crash_left_half_made_is_made_anew() {
    let place = Place::new();
    let half_made = place.data_dir.join("initdb-4194305");
    fs::create_dir_all(half_made.join("base")).unwrap();
    fs::write(half_made.join("PG_VERSION"), "15\n").unwrap();
    open_to_all(&place.data_dir);
    let server = place.start().await;
    connect(&server).await;
    server.stop().await.unwrap();
    assert!(!half_made.exists(), "{:?}", names_in(&place.data_dir));
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_refused_before_anything_is_made() {
    let mut place = Place::new();
    place.options.data_dir = place.folder.path().join("a-rather-long-name".repeat(6));
    let error = embedded::start(&place.options).await.unwrap_err();
    assert!(matches!(error, Error::PathTooLong { limit: 103..=107, .. }), "{error}");
    assert!(
        error.to_string().contains("choose a data folder with a shorter path"),
        "{error}"
    );
    assert_eq!(names_in(place.folder.path()), [""; 0]);
}

#[tokio::test]
async fn a_path_with_spaces_and_signs_works() {
    let mut place = Place::new();
    place.options.data_dir = place.folder.path().join("pg, \"+&é %41");
    let server = place.start().await;
    connect(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn data_of_another_version_is_refused_with_the_way_out() {
    let place = Place::new();
    fs::create_dir_all(place.data_dir.join("cluster")).unwrap();
    fs::write(place.data_dir.join("cluster/PG_VERSION"), "9\n").unwrap();
    open_to_all(&place.data_dir);
    let message = place.refused().await;
    assert!(
        message.contains("was written by PostgreSQL 9") && message.contains("pg_upgrade"),
        "{message}"
    );
}

#[tokio::test]
async fn a_setting_the_server_refuses_is_told_with_its_last_words() {
    let mut place = Place::new();
    place.options.settings.push(("no_such_setting".into(), "1".into()));
    let message = place.refused().await;
    assert!(message.contains("no_such_setting"), "{message}");
}

#[tokio::test]
async fn without_binaries_the_message_says_how_to_get_them() {
    let mut place = Place::new();
    let empty = place.folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    place.options.bin_dir = Some(empty);
    let message = place.refused().await;
    assert!(
        message.contains("does not hold postgres") && message.contains("PG_BIN"),
        "{message}"
    );
    let message = Error::BinariesNotFound.to_string();
    assert!(
        message.contains("postgresql package") && message.contains("PG_BIN"),
        "{message}"
    );
}

fn open_to_all(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
}
