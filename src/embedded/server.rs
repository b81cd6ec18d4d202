//! The server process: made, found running, started, stopped.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use tokio::process::Child;
use tokio::time::sleep;

use super::binaries::Binaries;
use super::error::Error;
use super::folder::Folder;
use super::handshake::{self, CANNOT_CONNECT_NOW, DUPLICATE_DATABASE, Failure, NO_SUCH_DATABASE};
use super::{DATABASE, Options, PORT, SUPERUSER};

/// Recovery of a large cluster after a crash is what takes longest; a server that fails ends at once.
const START_LIMIT: Duration = Duration::from_mins(5);
const STOP_LIMIT_SECONDS: &str = "60";
/// A start takes about 60 ms, so waiting longer between looks would show.
const POLL: Duration = Duration::from_millis(5);
/// There from `initdb` on, whatever happens to ours.
const MAINTENANCE_DATABASE: &str = "postgres";
/// macOS knows no C.UTF-8.
const LOCALE: &str = if cfg!(target_os = "macos") { "C" } else { "C.UTF-8" };
/// No process has this number: the kernel's limit is 2^22.
const NO_PROCESS: &str = "2147483647";
const TAIL_LINES: usize = 12;

/// Makes the cluster. It is complete when this returns, or not there.
pub(super) async fn create_cluster(folder: &Folder, binaries: &Binaries, durable: bool) -> Result<(), Error> {
    let half_made = folder.begin_cluster()?;
    let initdb = binaries.tool("initdb");
    let mut command = folder.account().command(&initdb);
    command
        .arg("-D")
        .arg(&half_made)
        .args(["-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--data-checksums"]);
    command.arg(format!("--locale={LOCALE}"));
    if !durable {
        command.arg("--no-sync");
    }
    command
        .current_dir(folder.root())
        .process_group(0)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command.output().await.map_err(Error::io("run", &initdb))?;
    succeeded("initdb", &output)?;
    folder.finish_cluster(&half_made)
}

/// Whether a server runs on this cluster, left behind by a Bellhop that was killed. Proven by a login; one that is
/// recovering or shutting down is waited for.
pub(super) async fn adopt(folder: &Folder) -> Result<bool, Error> {
    let begun = Instant::now();
    loop {
        match handshake::login(&folder.socket(), MAINTENANCE_DATABASE).await {
            Ok(()) => return Ok(true),
            Err(Failure::Server { code, .. }) if code != CANNOT_CONNECT_NOW => return Ok(true),
            Err(Failure::Io(_)) if !postmaster_lives(folder) => return Ok(false),
            Err(_) => wait(begun, folder).await?,
        }
    }
}

/// Starts the server and waits until it takes a login.
pub(super) async fn spawn(folder: &Folder, binaries: &Binaries, options: &Options) -> Result<Child, Error> {
    disarm_stale_files(folder)?;
    let log = open_log(folder)?;
    let errors = log.try_clone().map_err(Error::io("open", &folder.log()))?;
    let postgres = binaries.tool("postgres");
    let mut command = folder.account().command(&postgres);
    command.arg("-D").arg(folder.cluster());
    for (name, value) in settings(folder, options) {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    // A group of its own, so that Ctrl-C in the terminal stops Bellhop, and Bellhop the server.
    command
        .current_dir(folder.root())
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors);
    let mut child = command.spawn().map_err(Error::io("run", &postgres))?;
    let begun = Instant::now();
    while handshake::login(&folder.socket(), MAINTENANCE_DATABASE).await.is_err() {
        if child.try_wait().map_err(Error::io("wait for", &postgres))?.is_some() {
            let text = fs::read(folder.log()).unwrap_or_default();
            return Err(Error::ServerEnded {
                log: folder.log(),
                tail: tail(&text),
            });
        }
        wait(begun, folder).await?;
    }
    Ok(child)
}

/// Makes Bellhop's database where it is missing.
pub(super) async fn ensure_database(folder: &Folder) -> Result<(), Error> {
    let socket = folder.socket();
    let failure = match handshake::login(&socket, DATABASE).await {
        Ok(()) => return Ok(()),
        Err(Failure::Server { code, .. }) if code == NO_SUCH_DATABASE => {
            let create = format!("CREATE DATABASE {DATABASE}");
            match handshake::execute(&socket, MAINTENANCE_DATABASE, &create).await {
                Ok(()) => return Ok(()),
                Err(Failure::Server { code, .. }) if code == DUPLICATE_DATABASE => return Ok(()),
                Err(failure) => failure,
            }
        }
        Err(failure) => failure,
    };
    Err(match failure {
        Failure::Server { code, message } => Error::Refused {
            code,
            message,
            log: folder.log(),
        },
        Failure::Io(source) => Error::io("talk to the server at", &socket)(source),
    })
}

/// Stops the server, ours or an adopted one: open transactions are rolled back, connections closed, data flushed.
pub(super) async fn stop(folder: &Folder, binaries: &Binaries) -> Result<(), Error> {
    if !pid_file_of(folder).exists() {
        return Ok(());
    }
    let pg_ctl = binaries.tool("pg_ctl");
    let mut command = folder.account().command(&pg_ctl);
    command
        .args(["stop", "-s", "-w", "-m", "fast", "-t", STOP_LIMIT_SECONDS, "-D"])
        .arg(folder.cluster());
    command.current_dir(folder.root()).process_group(0).stdin(Stdio::null());
    let output = command.output().await.map_err(Error::io("run", &pg_ctl))?;
    succeeded("pg_ctl stop", &output)
}

fn settings(folder: &Folder, options: &Options) -> Vec<(String, String)> {
    // The setting is a list; quoted, a comma in the path stays part of it.
    let sockets = format!(
        "\"{}\"",
        folder.socket_folder().display().to_string().replace('"', "\"\"")
    );
    let mut settings = vec![
        ("listen_addresses", ""),
        ("unix_socket_directories", &sockets),
        ("logging_collector", "off"),
    ];
    if !options.durable {
        settings.extend([
            ("fsync", "off"),
            ("synchronous_commit", "off"),
            ("full_page_writes", "off"),
        ]);
    }
    let mut settings: Vec<_> = settings
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    settings.extend(options.settings.iter().cloned());
    // Last, because the socket is named after it.
    settings.push(("port".into(), PORT.to_string()));
    settings
}

async fn wait(begun: Instant, folder: &Folder) -> Result<(), Error> {
    if begun.elapsed() > START_LIMIT {
        return Err(Error::Silent {
            seconds: START_LIMIT.as_secs(),
            log: folder.log(),
        });
    }
    sleep(POLL).await;
    Ok(())
}

fn pid_file_of(folder: &Folder) -> std::path::PathBuf {
    folder.cluster().join("postmaster.pid")
}

/// Whether the process named in the pid file is a server. Where the system has no `/proc`, PostgreSQL judges itself
/// when it is started.
fn postmaster_lives(folder: &Folder) -> bool {
    let Ok(text) = fs::read_to_string(pid_file_of(folder)) else {
        return false;
    };
    let number = text.lines().next().unwrap_or_default().trim();
    let Ok(stat) = fs::read_to_string(format!("/proc/{number}/stat")) else {
        return false;
    };
    is_live_postgres(&stat)
}

/// `17 (postgres) S …`; Z and X are dead processes whose parent has not looked yet.
fn is_live_postgres(stat: &str) -> bool {
    stat.split_once(" (postgres) ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// After a crash of everything, the number in the pid file may belong to someone else by now (in a container even to
/// one of our own threads), and PostgreSQL would take that for a running server. The number is replaced, not the file
/// removed: PostgreSQL still finds in it the shared memory by which it recognises orphaned backends.
fn disarm_stale_files(folder: &Folder) -> Result<(), Error> {
    let path = pid_file_of(folder);
    let text = match fs::read_to_string(&path) {
        Ok(text) if Path::new("/proc/self/stat").exists() => text,
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
    fs::write(&path, format!("{NO_PROCESS}\n{rest}")).map_err(Error::io("write", &path))?;
    let socket_lock = folder.socket_folder().join(format!(".s.PGSQL.{PORT}.lock"));
    match fs::remove_file(&socket_lock) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &socket_lock)(error)),
        _ => Ok(()),
    }
}

/// A new log for every start; the one before stays, because it tells why a start was needed.
fn open_log(folder: &Folder) -> Result<File, Error> {
    let log = folder.log();
    if log.exists() {
        let previous = log.with_extension("log.1");
        fs::rename(&log, &previous).map_err(Error::io("rename", &log))?;
    }
    File::create(&log).map_err(Error::io("create", &log))
}

fn succeeded(tool: &'static str, output: &Output) -> Result<(), Error> {
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    Err(Error::ToolFailed {
        tool,
        output: tail(&text),
    })
}

fn tail(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_living_postgres_is_one() {
        assert!(is_live_postgres("17 (postgres) S 1 17 17 0"));
        assert!(!is_live_postgres("17 (postgres) Z 1 17 17 0"));
        assert!(!is_live_postgres("17 (bellhop) S 1 17 17 0"));
    }

    #[test]
    fn a_long_output_is_cut_to_its_end() {
        let text: String = (1..=20).map(|number| format!("line {number}\n")).collect();
        let end = tail(text.as_bytes());
        assert!(end.starts_with("line 9\n") && end.ends_with("line 20"), "{end}");
        assert_eq!(tail(b""), "");
    }
}
