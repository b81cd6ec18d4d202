//! Just enough of the server's protocol to know that it lives: log in over the socket, run one statement.
//!
//! A process id or a socket file can outlive their server; only an answered login proves it. `pg_isready` and `psql`
//! would do, but they belong to the client package, cost a process each, and `pg_isready` cannot tell a missing database.
//! The service's own connections are made by the store, not here.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// A stopped server accepts in the kernel and never answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Nothing the server says here comes near this.
const MESSAGE_LIMIT: usize = 1 << 20;
/// Version 3.0 of the protocol.
const PROTOCOL: i32 = 3 << 16;

/// SQLSTATE: starting up, recovering or shutting down.
pub(super) const CANNOT_CONNECT_NOW: &str = "57P03";
/// SQLSTATE: there is no such database.
pub(super) const NO_SUCH_DATABASE: &str = "3D000";
/// SQLSTATE: there is such a database already.
pub(super) const DUPLICATE_DATABASE: &str = "42P04";

/// Why a login or a statement did not work.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody listens, or not for long enough.
    Io(io::Error),
    /// The server said no.
    Server { code: String, message: String },
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Logs in as the cluster's superuser.
pub(super) async fn login(socket: &Path, database: &str) -> Result<(), Failure> {
    within(async { Session::open(socket, database).await.map(|_| ()) }).await
}

/// Logs in and runs one statement whose rows nobody wants.
pub(super) async fn execute(socket: &Path, database: &str, sql: &str) -> Result<(), Failure> {
    let mut session = within(Session::open(socket, database)).await?;
    session.execute(sql).await
}

async fn within<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match tokio::time::timeout(ANSWER_TIMEOUT, work).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    }
}

struct Session(UnixStream);

impl Session {
    async fn open(socket: &Path, database: &str) -> Result<Self, Failure> {
        let mut session = Self(UnixStream::connect(socket).await?);
        let mut startup = PROTOCOL.to_be_bytes().to_vec();
        for word in [
            "user",
            super::SUPERUSER,
            "database",
            database,
            "application_name",
            "bellhop start",
        ] {
            startup.extend_from_slice(word.as_bytes());
            startup.push(0);
        }
        startup.push(0);
        session.send(None, &startup).await?;
        session.until_ready().await?;
        Ok(session)
    }

    async fn execute(&mut self, sql: &str) -> Result<(), Failure> {
        let mut body = sql.as_bytes().to_vec();
        body.push(0);
        self.send(Some(b'Q'), &body).await?;
        self.until_ready().await
    }

    /// The first message of a session has no type byte; the length counts itself.
    async fn send(&mut self, kind: Option<u8>, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len() + 4).map_err(io::Error::other)?;
        let mut message: Vec<u8> = kind.into_iter().collect();
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(body);
        self.0.write_all(&message).await
    }

    /// Reads to `ReadyForQuery`. A refused login is followed by the end of the stream, so an error is returned at once.
    async fn until_ready(&mut self) -> Result<(), Failure> {
        loop {
            let kind = self.0.read_u8().await?;
            let length = self.0.read_u32().await? as usize;
            if !(4..MESSAGE_LIMIT).contains(&length) {
                return Err(unexpected("a message of impossible length").into());
            }
            let mut body = vec![0; length - 4];
            self.0.read_exact(&mut body).await?;
            match kind {
                b'Z' => return Ok(()),
                b'E' => return Err(refusal(&body)),
                b'R' if body != [0; 4] => return Err(unexpected("a question for a password").into()),
                _ => {}
            }
        }
    }
}

fn unexpected(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the server sent {what}"))
}

/// An error message is a list of fields: a letter, text, a zero byte.
fn refusal(body: &[u8]) -> Failure {
    let field = |letter: u8| {
        let text = body
            .split(|byte| *byte == 0)
            .find_map(|field| field.strip_prefix(&[letter]));
        String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
    };
    Failure::Server {
        code: field(b'C'),
        message: field(b'M'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_code_and_message() {
        let body = b"SFATAL\0VFATAL\0C3D000\0Mdatabase \"x\" does not exist\0\0";
        match refusal(body) {
            Failure::Server { code, message } => {
                assert_eq!(code, NO_SUCH_DATABASE);
                assert_eq!(message, "database \"x\" does not exist");
            }
            Failure::Io(error) => panic!("{error}"),
        }
    }

    #[tokio::test]
    async fn nobody_listening_is_an_io_failure() {
        let failure = login(Path::new("/nonexistent/socket"), "bellhop").await.unwrap_err();
        assert!(matches!(failure, Failure::Io(_)));
    }
}
