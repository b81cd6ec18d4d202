//! A receiver under test: a process of its own, so that its time and memory are its own.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

use super::{
    ground::{Cluster, Ground},
    http,
    payload::{APPLICATION, HOOK_SECRET},
    rules::RuleSet,
};

/// A receiver that is not ready by then will not be.
const READY_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(1);

/// Who receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Bellhop, taking deliveries only.
    Intake,
    /// The whole of Bellhop, with rules.
    Whole(RuleSet),
    /// The receiver with one INSERT for each request.
    OneInsert,
}

/// A running receiver; it is ended when this is dropped.
pub(super) struct Receiver {
    child: Child,
    pub(super) pid: u32,
    pub(super) public: SocketAddr,
    /// Where the metrics are.
    pub(super) operator: SocketAddr,
    /// From the start of the process until it was ready.
    pub(super) ready_after: Duration,
}

impl Receiver {
    /// Starts it and waits until it is ready.
    pub(super) async fn start(who: Who, ground: &Ground, cluster: &Cluster) -> Result<Self> {
        let corner = ground.corner("receiver")?;
        let (public, operator) = (free_address()?, free_address()?);
        let log = corner.join("log");
        let mut command = Command::new(std::env::current_exe()?);
        match who {
            Who::Intake | Who::Whole(_) => {
                let config = corner.join("bellhop.toml");
                let mut text = configuration(public, operator, &cluster.url);
                command.arg("serve").arg("--config").arg(&config);
                match who {
                    Who::Whole(set) => {
                        fs::write(corner.join("rules.toml"), set.text())?;
                        text.push_str("rules = [\"rules.toml\"]\n");
                    }
                    _ => {
                        command.args(["--only", "intake"]);
                    }
                }
                fs::write(&config, text)?;
            }
            Who::OneInsert => {
                command.args(["bench-reference", "--database", &cluster.url]);
                command.args(["--listen", &public.to_string()]);
            }
        }
        let output = File::create(&log)?;
        command
            .env_clear()
            .current_dir(&corner)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true);
        let begun = Instant::now();
        let child = command.spawn().context("starting a receiver")?;
        let mut receiver = Self {
            pid: child.id().context("a receiver that runs")?,
            child,
            public,
            operator,
            ready_after: Duration::ZERO,
        };
        let probe = if who == Who::OneInsert { public } else { operator };
        receiver.wait(probe, begun, &log).await?;
        Ok(receiver)
    }

    async fn wait(&mut self, probe: SocketAddr, begun: Instant, log: &Path) -> Result<()> {
        while !matches!(http::get(probe, "/readyz").await, Ok((200, _))) {
            if self.child.try_wait()?.is_some() || begun.elapsed() > READY_WITHIN {
                let said = fs::read_to_string(log).unwrap_or_default();
                bail!("a receiver does not get ready: {}", said.trim());
            }
            tokio::time::sleep(POLL).await;
        }
        self.ready_after = begun.elapsed();
        Ok(())
    }

    /// Ends it. What it was told is on disk, so it need not say good-bye.
    pub(super) async fn end(mut self) -> Result<()> {
        self.child.kill().await.context("ending a receiver")
    }
}

/// An address on this machine that nobody listens on.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port is free")?;
    Ok(listener.local_addr()?)
}

/// Everything as it comes, but for what has to be said. No marketplace is reached: nothing listens on port 9.
fn configuration(public: SocketAddr, operator: SocketAddr, database: &str) -> String {
    format!(
        r#"
        [server]
        listen = "{public}"
        public_url = "http://{public}"
        [operator]
        listen = "{operator}"
        [database]
        url = "{database}"
        [security]
        hook_secret = "{HOOK_SECRET}"
        [log]
        filter = "warn"
        [[account]]
        name = "bench"
        partner_token = "a partner token of the bench"
        partner_base = "http://127.0.0.1:9"
        api_base = "http://127.0.0.1:9"
        [[application]]
        id = {APPLICATION}
        account = "bench"
        name = "Bench"
        "#
    )
}
