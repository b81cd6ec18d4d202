//! As much HTTP/1.1 as the load needs: a request is bytes, an answer has a status and a length.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::timeout,
};

/// Nothing here takes longer unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that is kept.
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(4096),
        })
    }

    /// Sends a request and reads its answer to the end. Returns the status.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the connection was closed before the answer was whole");
            }
            if let Some((status, whole)) = answer(&self.buffer)?
                && self.buffer.len() >= whole
            {
                return Ok(status);
            }
        }
    }

    /// What the last answer carried.
    fn body(&self) -> &[u8] {
        let head = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
        head.map_or(&[], |at| &self.buffer[at + 4..])
    }
}

/// The status, and how long the answer is once it is whole; `None` while the head is not.
fn answer(bytes: &[u8]) -> Result<Option<(u16, usize)>> {
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..head]).context("an answer that is no text")?;
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    match (status, length(text)) {
        (Some(status), Some(length)) => Ok(Some((status, head + 4 + length))),
        _ => bail!("an answer without status or length: {text}"),
    }
}

/// What a head says of the length of its body.
fn length(head: &str) -> Option<usize> {
    head.split("\r\n").skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        match name.eq_ignore_ascii_case("content-length") {
            true => value.trim().parse().ok(),
            false => None,
        }
    })
}

/// Somebody who takes every webhook and says yes. Gone when this is dropped.
pub(super) struct Sink {
    pub(super) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Sink {
    pub(super) async fn open() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        Ok(Self {
            address: listener.local_addr()?,
            task: tokio::spawn(async move {
                let mut senders = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    senders.spawn(say_yes(stream));
                }
            }),
        })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers whatever comes over a connection until it ends.
async fn say_yes(mut stream: TcpStream) -> Result<()> {
    let mut bytes = Vec::with_capacity(4096);
    while stream.read_buf(&mut bytes).await? > 0 {
        let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let length = length(&String::from_utf8_lossy(&bytes[..head])).unwrap_or(0);
        if bytes.len() >= head + 4 + length {
            bytes.clear();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                .await?;
        }
    }
    Ok(())
}

/// One GET on a connection of its own: the status and the body.
pub(super) async fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let ask = async {
        let mut connection = Connection::open(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        let status = connection.exchange(request.as_bytes()).await?;
        Ok((status, String::from_utf8_lossy(connection.body()).into_owned()))
    };
    timeout(PATIENCE, ask).await.context("no answer")?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_length_is_there() {
        assert_eq!(answer(b"HTTP/1.1 200 OK\r\nContent-").unwrap(), None);
        let whole = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno";
        assert_eq!(answer(whole).unwrap(), Some((503, whole.len())));
        assert!(answer(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
