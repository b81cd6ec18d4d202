//! The mailbox: an SMTP server that keeps every mail and delivers none.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use mailin::{Action, Handler, Response, Session, SessionBuilder, response};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::World;
use super::mime;

/// The longest line and mail that are read.
const MOST_BYTES: usize = 25 << 20;

/// A mail as it came.
#[derive(Debug, Clone, Serialize)]
pub struct Mail {
    /// When, on the real clock.
    pub at: DateTime<Utc>,
    /// Envelope sender.
    pub from: String,
    /// Envelope recipients.
    pub to: Vec<String>,
    /// Subject, decoded.
    pub subject: String,
    /// The plain text, decoded.
    pub text: String,
    /// Everything as received.
    pub raw: String,
}

/// Binds the mailbox and serves it on a thread of its own, because the SMTP state machine
/// cannot move between threads. Ends when `stop` turns true.
pub(super) fn start(listen: SocketAddr, world: Arc<World>, stop: watch::Receiver<bool>) -> Result<SocketAddr> {
    let listener =
        std::net::TcpListener::bind(listen).with_context(|| format!("the mailbox cannot listen on {listen}"))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name("sandbox-mailbox".to_owned())
        .spawn(move || {
            let local = tokio::task::LocalSet::new();
            let served = local.block_on(&runtime, serve(listener, world, stop));
            if let Err(error) = served {
                tracing::warn!(%error, "the sandbox's mailbox stopped");
            }
        })?;
    Ok(address)
}

async fn serve(listener: std::net::TcpListener, world: Arc<World>, mut stop: watch::Receiver<bool>) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let builder = Rc::new(SessionBuilder::new("sandbox"));
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => accepted?,
            // An error means the sandbox is gone, which is a stop too.
            _ = stop.changed() => return Ok(()),
        };
        let session = builder.build(peer.ip(), Desk::new(Arc::clone(&world)));
        tokio::task::spawn_local(async move {
            if let Err(error) = converse(stream, session).await {
                tracing::debug!(%error, "an SMTP conversation broke off");
            }
        });
    }
}

async fn converse(stream: TcpStream, mut session: Session<Desk>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(&session.greeting().buffer()?).await?;
    let mut line = Vec::new();
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        if line.len() > MOST_BYTES {
            return Err(std::io::Error::other("a line is too long"));
        }
        let answer = session.process(&line);
        match answer.action {
            Action::NoReply => {}
            Action::Reply | Action::UpgradeTls => stream.write_all(&answer.buffer()?).await?,
            Action::Close => return stream.write_all(&answer.buffer()?).await,
        }
    }
}

/// Takes the mails of one connection.
struct Desk {
    world: Arc<World>,
    from: String,
    to: Vec<String>,
    raw: Vec<u8>,
}

impl Desk {
    fn new(world: Arc<World>) -> Self {
        Self {
            world,
            from: String::new(),
            to: Vec::new(),
            raw: Vec::new(),
        }
    }
}

impl Handler for Desk {
    fn mail(&mut self, _ip: IpAddr, _domain: &str, from: &str) -> Response {
        self.from = from.to_owned();
        self.to.clear();
        self.raw.clear();
        response::OK
    }

    fn rcpt(&mut self, to: &str) -> Response {
        self.to.push(to.to_owned());
        response::OK
    }

    fn data(&mut self, line: &[u8]) -> std::io::Result<()> {
        if self.raw.len() + line.len() > MOST_BYTES {
            return Err(std::io::Error::other("the mail is too large"));
        }
        self.raw.extend_from_slice(line);
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        let raw = std::mem::take(&mut self.raw);
        let read = mime::read(&raw);
        self.world.lock().mails.push(Mail {
            at: Utc::now(),
            from: self.from.clone(),
            to: self.to.clone(),
            subject: read.subject,
            text: read.text,
            raw: String::from_utf8_lossy(&raw).into_owned(),
        });
        response::OK
    }
}
