//! Where somebody sits who types commands: a folder with a configuration, and the program.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::{io::AsyncReadExt, process::Command};

pub(super) const PROGRAM: &str = env!("CARGO_BIN_EXE_bellhop");
pub(super) const HOOK_SECRET: &str = "secret-of-the-hooks-0001";
pub(super) const PARTNER_TOKEN: &str = "secret-partner-token-0001";
pub(super) const OPERATOR_TOKEN: &str = "secret-operator-token-0001";
pub(super) const RULE: &str = "[[rule]]\nname = \"welcome\"\non = \"installation.activated\"\nonce_per = \"location\"\n\
                               [[rule.then]]\naction = \"set_discount\"\npercent = 20\n";

/// What a person may have to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Desk {
    pub(super) folder: TempDir,
}

/// How a command ended.
pub(super) struct Ran {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

/// A command without a configuration.
pub(super) async fn ran(args: &[&str]) -> Ran {
    finished(command(args)).await
}

/// Nothing of the surroundings reaches the program, and it would show a stack trace if it had one.
fn command(args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if let Some(folder) = std::env::var_os("PG_BIN") {
        command.env("PG_BIN", folder);
    }
    command
}

async fn finished(mut command: Command) -> Ran {
    let began = Instant::now();
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .expect("it ends within ten seconds")
        .expect("it starts");
    let ran = Ran {
        code: output.status.code().expect("it was not killed"),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    };
    for odd in [
        "panicked",
        "stack backtrace",
        "RUST_BACKTRACE",
        "Os {",
        "Error(",
        "Some(",
    ] {
        assert!(!ran.err.contains(odd), "after {:?}: {}", began.elapsed(), ran.err);
    }
    ran
}

impl Desk {
    /// A desk with a configuration that has no mistakes; its database is not there.
    pub(super) fn new() -> Self {
        let desk = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        desk.write("bellhop.toml", &configuration("postgres://bellhop@127.0.0.1:1/none"));
        desk
    }

    pub(super) fn with_database(url: &str) -> Self {
        let desk = Self::new();
        desk.write("bellhop.toml", &configuration(url));
        desk
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("in the folder")).expect("a folder");
        std::fs::write(path, text).expect("written");
    }

    /// Changes the configuration.
    pub(super) fn change(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path("bellhop.toml")).expect("a configuration");
        assert!(text.contains(from), "{from}");
        self.write("bellhop.toml", &text.replace(from, to));
    }

    /// A command that is run in the folder, where `bellhop.toml` is found by itself.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = command(args);
        command.current_dir(self.folder.path());
        command
    }

    pub(super) async fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, &[]).await
    }

    pub(super) async fn run_with(&self, args: &[&str], environment: &[(&str, &str)]) -> Ran {
        let mut command = self.command(args);
        command.envs(environment.iter().copied());
        finished(command).await
    }

    /// What a command says that is refused: exit code 2, nothing on the standard output.
    pub(super) async fn refused(&self, args: &[&str]) -> String {
        let ran = self.run(args).await;
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}: {}", ran.err);
        ran.err
    }

    /// Runs a command whose output nobody reads.
    pub(super) async fn with_closed_pipe(&self, args: &[&str]) -> (i32, String) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = self.command(args);
        let mut child = command
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        // The command keeps a copy of the pipe's end; nobody reads it any more in any case.
        drop(command);
        let mut err = String::new();
        let mut stderr = child.stderr.take().expect("piped");
        stderr.read_to_string(&mut err).await.expect("text");
        let status = tokio::time::timeout(PATIENCE, child.wait())
            .await
            .expect("in time")
            .expect("it ran");
        (status.code().expect("it was not killed"), err)
    }
}

fn configuration(database: &str) -> String {
    format!(
        r#"[server]
listen = "127.0.0.1:0"
public_url = "https://hooks.example.com"

[operator]
listen = "127.0.0.1:0"
token = "{OPERATOR_TOKEN}"

[database]
url = "{database}"

[security]
hook_secret = "{HOOK_SECRET}"

[[account]]
name = "main"
partner_token = "{PARTNER_TOKEN}"

[[application]]
id = 18289
account = "main"
name = "Example app"
"#
    )
}

/// A client of the program's listeners.
pub(super) fn client() -> reqwest::Client {
    // Nothing of the service runs in this process that would have chosen it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}
