//! Whom every event is relayed to: a small receiver with bad days of its own, that remembers all it was told.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};

use super::world::SECRET;

/// How it treats a request on a bad day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadDay {
    /// It refuses with this status.
    Status(u16),
    /// 429, with a second of `Retry-After`.
    Busy,
    /// The connection is cut, before or after it has taken the event.
    Cut { after: bool },
    /// It says nothing for a while and goes away, having taken the event or not.
    Silence { after: bool, time: Duration },
}

/// A request it read.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    /// Whether its signature was good when it came.
    pub(crate) is_signed: bool,
    /// Whether it kept the event, whatever it said about it.
    pub(crate) taken: bool,
}

impl Heard {
    /// The name of the message, by which a receiver knows a repetition.
    pub(crate) fn id(&self) -> &str {
        self.headers.get("webhook-id").map_or("", String::as_str)
    }
}

/// Whether another implementation accepts the signature, which holds for some minutes.
fn verifies(headers: &BTreeMap<String, String>, body: &str) -> bool {
    let header = |(name, value): (&String, &String)| {
        let name: HeaderName = name.parse().ok()?;
        Some((name, HeaderValue::from_str(value).ok()?))
    };
    let headers: HeaderMap = headers.iter().filter_map(header).collect();
    let other = standardwebhooks::Webhook::new(SECRET).expect("a secret");
    other.verify(body.as_bytes(), &headers).is_ok()
}

#[derive(Default)]
struct State {
    heard: Vec<Heard>,
    bad_days: VecDeque<BadDay>,
}

/// The receiver.
pub(crate) struct Receiver {
    port: u16,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiver {
    /// Opens it at an address of its own.
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(Mutex::new(State::default()));
        let of_all = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&of_all);
                // How a connection ends is the business of whoever made it.
                tokio::spawn(async move { drop(serve(stream, &state).await) });
            }
        });
        Self { port, state, task }
    }

    /// Its address, without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next requests meet bad days.
    pub(crate) fn fail(&self, day: BadDay, times: u32) {
        locked(&self.state).bad_days.extend((0..times).map(|_| day));
    }

    /// From now on all days are good. Returns the bad ones that nobody met.
    pub(crate) fn recover(&self) -> Vec<BadDay> {
        locked(&self.state).bad_days.drain(..).collect()
    }

    /// What it was told, in the order in which it was told.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        locked(&self.state).heard.clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request after another, until a bad day or the other side ends it.
async fn serve(mut stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let mut read = Vec::new();
    while let Some((headers, body)) = request(&mut stream, &mut read).await? {
        let is_signed = verifies(&headers, &body);
        let day = {
            let mut state = locked(state);
            let day = state.bad_days.pop_front();
            let taken = matches!(
                day,
                None | Some(BadDay::Cut { after: true } | BadDay::Silence { after: true, .. })
            );
            state.heard.push(Heard {
                headers,
                body,
                is_signed,
                taken,
            });
            day
        };
        let head = match day {
            None => "200 OK\r\n".to_owned(),
            Some(BadDay::Status(status)) => format!("{status} Not Now\r\n"),
            Some(BadDay::Busy) => "429 Too Many Requests\r\nretry-after: 1\r\n".to_owned(),
            Some(BadDay::Cut { .. }) => return Ok(()),
            Some(BadDay::Silence { time, .. }) => {
                sleep(time).await;
                return Ok(());
            }
        };
        let answer = format!("HTTP/1.1 {head}content-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

/// Reads a request whose length is told; none when the other side has no more. `read` holds what came of the next.
async fn request(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<Option<(BTreeMap<String, String>, String)>> {
    loop {
        if let Some(head) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&read[..head]).into_owned();
            let lines = text.lines().skip(1).filter_map(|line| line.split_once(':'));
            let headers: BTreeMap<String, String> = lines
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect();
            let length = headers.get("content-length").and_then(|length| length.parse().ok());
            let end = head + 4 + length.unwrap_or(0);
            if read.len() >= end {
                let body = String::from_utf8_lossy(&read[head + 4..end]).into_owned();
                read.drain(..end);
                return Ok(Some((headers, body)));
            }
        }
        let mut some = [0; 8192];
        match stream.read(&mut some).await? {
            0 => return Ok(None),
            count => read.extend_from_slice(&some[..count]),
        }
    }
}
