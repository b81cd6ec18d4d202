//! Reading a body, bounded in time and in memory, whoever sends it.

use std::{sync::Arc, time::Duration};

use actix_web::{
    HttpRequest,
    http::header::{CONTENT_ENCODING, CONTENT_LENGTH},
    web::{Bytes, BytesMut, Payload},
};
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A body that has not arrived by then will not: the sender has given up (contract 7.3).
const WITHIN: Duration = Duration::from_secs(20);

/// So much of a body needs nobody's leave: a delivery of one event is smaller. With `server.connections`
/// it bounds what small bodies hold.
const SMALL: usize = 16 * 1024;

/// What exceeds it is taken from the room in such steps.
const STEP: u32 = 64 * 1024;

/// Bytes that all large bodies under way may hold together, when their sender has shown our key.
const ROOM: usize = 32 * 1024 * 1024;

/// The same for those who have not. They cannot take the room of the others.
const ROOM_OF_STRANGERS: usize = 8 * 1024 * 1024;

/// Codings of a body that would have to be undone (RFC 9110). Other words there are mistakes, such as
/// the name of a character set, and change nothing.
const COMPRESSED: [&str; 6] = ["gzip", "x-gzip", "deflate", "compress", "br", "zstd"];

/// The room for large bodies of a process.
pub(in crate::web) struct Room {
    known: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            known: Arc::new(Semaphore::new(ROOM)),
            strangers: Arc::new(Semaphore::new(ROOM_OF_STRANGERS)),
        }
    }
}

/// A body; it holds its room until it is dropped.
pub(super) struct Body {
    pub(super) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    TooLarge,
    /// Nothing here undoes it: neither is a bomb let off, nor kept what may hold a token.
    Compressed,
    BrokeOff,
    Late,
    NoRoom,
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn read(
    room: &Room,
    request: &HttpRequest,
    payload: Payload,
    limit: usize,
    stranger: bool,
) -> Result<Body, Unread> {
    let header = |name| request.headers().get(name)?.to_str().ok();
    let coding = header(CONTENT_ENCODING).unwrap_or_default();
    let mut codings = coding.split(',').map(str::trim);
    if codings.any(|coding| COMPRESSED.iter().any(|other| coding.eq_ignore_ascii_case(other))) {
        return Err(Unread::Compressed);
    }
    let declared = header(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit as u64) {
        return Err(Unread::TooLarge);
    }
    let room = if stranger { &room.strangers } else { &room.known };
    tokio::time::timeout(WITHIN, gather(room, payload, limit))
        .await
        .unwrap_or(Err(Unread::Late))
}

async fn gather(room: &Arc<Semaphore>, mut payload: Payload, limit: usize) -> Result<Body, Unread> {
    let mut bytes = BytesMut::new();
    let mut held: Option<OwnedSemaphorePermit> = None;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Unread::BrokeOff)?;
        let length = bytes.len() + chunk.len();
        if length > limit {
            return Err(Unread::TooLarge);
        }
        while length > SMALL + held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) {
            let more = Arc::clone(room).try_acquire_many_owned(STEP);
            let more = more.map_err(|_| Unread::NoRoom)?;
            match &mut held {
                Some(held) => held.merge(more),
                None => held = Some(more),
            }
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Body {
        bytes: bytes.freeze(),
        _room: held,
    })
}
