//! The real program on a database of its own, and requests as bytes: nothing retries, nothing is hidden.

use std::{
    io,
    os::fd::OwnedFd,
    path::Path,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use bellhop::domain::signature::hook_key;
use command_fds::{CommandFdExt as _, FdMapping};
use sqlx::{ConnectOptions, PgPool};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixDatagram},
    process::{Child, Command},
};

use super::stage::{APP, HOOK_SECRET, OPERATOR_TOKEN, TOKEN, place};
use crate::ports::free_port;

/// Nothing in a test takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What outlives a process: configuration, database, addresses, and a supervisor that listens.
pub(crate) struct Program {
    pub(crate) pool: PgPool,
    pub(crate) public: u16,
    pub(crate) operator: u16,
    folder: tempfile::TempDir,
    supervisor: UnixDatagram,
}

impl Program {
    /// Writes a configuration with these lines in `[server]`, and these sections.
    pub(crate) fn new(pool: PgPool, server: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (public, operator) = (free_port(), free_port());
        let database = pool.connect_options().to_url_lossy();
        let config = format!(
            r#"
            [server]
            listen = "127.0.0.1:{public}"
            public_url = "http://127.0.0.1:{public}"
            {server}
            [operator]
            listen = "127.0.0.1:{operator}"
            token = "{OPERATOR_TOKEN}"
            [database]
            url = "{database}"
            connections = 6
            [security]
            hook_secret = "{HOOK_SECRET}"
            [jobs]
            poll = "50ms"
            [[account]]
            name = "main"
            partner_token = "{TOKEN}"
            partner_base = "http://127.0.0.1:1/marketplace"
            api_base = "http://127.0.0.1:1/api/v1"
            [[application]]
            id = {APP}
            account = "main"
            name = "Example app"
            {more}
            "#
        );
        std::fs::write(folder.path().join("bellhop.toml"), config).expect("written");
        let supervisor = UnixDatagram::bind(folder.path().join("notify")).expect("a socket");
        Self {
            pool,
            public,
            operator,
            folder,
            supervisor,
        }
    }

    /// The next start looks for its database there.
    pub(crate) fn database_at(&self, url: &str) {
        let now = format!("url = \"{}\"", self.pool.connect_options().to_url_lossy());
        self.change(&now, &format!("url = \"{url}\""));
    }

    /// The next start has this in its configuration instead of that.
    pub(crate) fn change(&self, that: &str, this: &str) {
        let text = std::fs::read_to_string(self.path("bellhop.toml")).expect("a configuration");
        assert!(text.contains(that), "{text}");
        std::fs::write(self.path("bellhop.toml"), text.replace(that, this)).expect("written");
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Starts it as a supervisor does, perhaps with sockets that the supervisor has opened.
    pub(crate) async fn start(&self, sockets: Vec<(&str, OwnedFd)>) -> Child {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_bellhop"));
        command
            .args(["serve", "--config"])
            .arg(self.path("bellhop.toml"))
            .env("NOTIFY_SOCKET", self.path("notify"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a file"))
            .kill_on_drop(true);
        if !sockets.is_empty() {
            let names: Vec<&str> = sockets.iter().map(|(name, _)| *name).collect();
            command.env("LISTEN_FDS", names.len().to_string());
            command.env("LISTEN_FDNAMES", names.join(":"));
            let mappings = (3..)
                .zip(sockets)
                .map(|(child_fd, (_, parent_fd))| FdMapping { parent_fd, child_fd });
            command.fd_mappings(mappings.collect()).expect("handed");
        }
        let child = command.spawn().expect("started");
        assert_eq!(self.told().await, "READY=1");
        child
    }

    /// What the supervisor is told next.
    pub(crate) async fn told(&self) -> String {
        let mut word = [0; 100];
        let told = tokio::time::timeout(PATIENCE, self.supervisor.recv(&mut word)).await;
        let length = told
            .unwrap_or_else(|_| panic!("nothing said: {}", self.log()))
            .expect("a word");
        String::from_utf8_lossy(&word[..length]).trim().to_owned()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// A delivery to location 1, in full.
    pub(crate) fn delivery(&self, id: usize, connection: &str) -> Vec<u8> {
        let body = format!(
            r#"{{"company_id":1,"resource":"record","resource_id":{id},"status":"update","data":{{"id":{id}}}}}"#
        );
        self.request(
            "POST",
            &self.hook(),
            &format!("Connection: {connection}\r\n"),
            body.as_bytes(),
        )
    }

    pub(crate) fn hook(&self) -> String {
        format!("/apps/{APP}/hooks/1/{}", hook_key(HOOK_SECRET, place(1)))
    }

    /// A request with its length declared.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
        let length = body.len();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n{headers}\r\n"
        )
        .into_bytes();
        request.extend_from_slice(body);
        request
    }

    pub(crate) async fn connect(&self) -> io::Result<TcpStream> {
        TcpStream::connect(("127.0.0.1", self.public)).await
    }

    /// Status of a path of the operator's listener; 0 when nobody answers.
    pub(crate) async fn operator_status(&self, path: &str) -> u16 {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.operator)).await else {
            return 0;
        };
        let request = self.request("GET", &format!("/{path}"), "", b"");
        ask(&mut stream, &request).await.map_or(0, |(status, _)| status)
    }

    /// Different appointments stored.
    pub(crate) async fn stored(&self) -> (i64, i64) {
        sqlx::query_as("select count(*), count(distinct resource_id) from events where kind = 'record.updated'")
            .fetch_one(&self.pool)
            .await
            .expect("counted")
    }
}

impl Drop for Program {
    /// Successors are nobody's children here: whoever runs with our configuration goes.
    fn drop(&mut self) {
        for id in running_with(&self.path("bellhop.toml")) {
            signal(id, "KILL");
        }
    }
}

/// The processes that have this path among their arguments.
fn running_with(path: &Path) -> Vec<u32> {
    let path = path.display().to_string();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|id| std::fs::read_to_string(format!("/proc/{id}/cmdline")).is_ok_and(|line| line.contains(&path)))
        .collect()
}

pub(crate) fn signal(id: u32, name: &str) {
    let sent = std::process::Command::new("kill")
        .args([&format!("-{name}"), &id.to_string()])
        .stderr(Stdio::null())
        .status();
    assert!(sent.is_ok(), "kill runs");
}

pub(crate) async fn ended(child: &mut Child) -> ExitStatus {
    tokio::time::timeout(PATIENCE, child.wait())
        .await
        .expect("it ends")
        .expect("a status")
}

/// Sends a request and reads one answer: its status, and whether the connection ends with it.
pub(crate) async fn ask(stream: &mut TcpStream, request: &[u8]) -> io::Result<(u16, bool)> {
    stream.write_all(request).await?;
    answer(stream).await
}

/// Reads one answer.
pub(crate) async fn answer(stream: &mut TcpStream) -> io::Result<(u16, bool)> {
    let mut read = Vec::new();
    let broken = |what: &str| io::Error::new(io::ErrorKind::UnexpectedEof, what.to_owned());
    loop {
        let text = String::from_utf8_lossy(&read).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split_once("content-length: ").map_or("0", |(_, rest)| rest);
            let length = length.split_whitespace().next().and_then(|length| length.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                let status = head.get(9..12).and_then(|status| status.parse().ok());
                let last = head.contains("connection: close");
                return Ok((status.ok_or_else(|| broken("no status"))?, last));
            }
        }
        let mut more = [0; 4096];
        let read_now = tokio::time::timeout(PATIENCE, stream.read(&mut more)).await;
        match read_now.map_err(|_| broken("no answer in time"))?? {
            0 => return Err(broken("the connection ended before the answer")),
            length => read.extend_from_slice(&more[..length]),
        }
    }
}

/// Tries until it is so.
pub(crate) async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !so().await {
        assert!(began.elapsed() < PATIENCE, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
