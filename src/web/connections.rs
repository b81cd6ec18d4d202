//! Who is connected. The server under us closes connections that are idle, or slow with their first
//! request; here is what it lacks: no connection may be slow with a later one, idle ones go early when
//! it gets crowded, and at the end nobody is cut off who has just begun to ask.

use std::{
    any::Any,
    collections::HashMap,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::dev::Extensions;
use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    socket::{MsgFlags, Shutdown, recv, shutdown},
};
use tokio::net::TcpStream;

use super::sockets::CannotListen;
use crate::config::Config;

/// In a crowd, who says nothing for so long makes room.
const IDLE_IN_A_CROWD: Duration = Duration::from_secs(5);

/// How often connections are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// How often they are looked at while we wait for their end.
const OFTEN: Duration = Duration::from_millis(25);

/// A request is under way.
const BUSY: u64 = u64::MAX;

/// The connections of one listener.
pub(super) struct Connections {
    limit: usize,
    /// Nobody is silent for longer.
    idle_limit: Duration,
    began: Instant,
    closing: AtomicBool,
    open: AtomicUsize,
    next: AtomicU64,
    guests: Mutex<HashMap<u64, Arc<Guest>>>,
}

/// One connection.
struct Guest {
    /// A second handle to its socket; `None` when there was none to be had.
    socket: Option<OwnedFd>,
    /// When it fell silent, in milliseconds since `Connections::began`; or [`BUSY`].
    silent_since: AtomicU64,
}

/// Lives as long as the connection, in its data.
pub(super) struct Ticket {
    number: u64,
    guest: Arc<Guest>,
    connections: Arc<Connections>,
}

/// Lives as long as a request.
pub(super) struct Request {
    guest: Arc<Guest>,
    connections: Arc<Connections>,
}

impl Connections {
    pub(super) fn new(limit: usize, idle_limit: Duration) -> Arc<Self> {
        Arc::new(Self {
            limit,
            idle_limit,
            began: Instant::now(),
            closing: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            next: AtomicU64::new(0),
            guests: Mutex::default(),
        })
    }

    /// Somebody connected.
    pub(super) fn enter(self: &Arc<Self>, connection: &dyn Any, data: &mut Extensions) {
        let stream = connection.downcast_ref::<TcpStream>();
        let guest = Arc::new(Guest {
            socket: stream.and_then(|stream| stream.as_fd().try_clone_to_owned().ok()),
            silent_since: AtomicU64::new(self.now()),
        });
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.guests().insert(number, Arc::clone(&guest));
        self.open.fetch_add(1, Ordering::Relaxed);
        data.insert(Ticket {
            number,
            guest,
            connections: Arc::clone(self),
        });
    }

    /// From now on every answer ends its connection.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Whether the service is about to end.
    pub(super) fn closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// Looks after the connections, for ever.
    pub(super) async fn look_after(self: Arc<Self>) {
        loop {
            tokio::time::sleep(EVERY).await;
            self.let_go(self.idle_limit, true);
            if self.crowded() {
                self.let_go(IDLE_IN_A_CROWD, false);
            }
        }
    }

    /// Waits until nobody is connected, at most for so long.
    pub(super) async fn emptied(&self, patience: Duration) -> bool {
        let began = Instant::now();
        // What was accepted a moment ago may not have arrived here: only twice in a row counts.
        let mut empty = 0;
        loop {
            empty = if self.open.load(Ordering::Relaxed) == 0 {
                empty + 1
            } else {
                0
            };
            if empty == 2 {
                return true;
            }
            if began.elapsed() >= patience {
                return false;
            }
            tokio::time::sleep(OFTEN).await;
        }
    }

    /// The same, and lets go who asks for nothing.
    pub(super) async fn emptied_of_idle(&self, patience: Duration) {
        let began = Instant::now();
        while began.elapsed() < patience {
            self.let_go(OFTEN, false);
            if self.emptied(OFTEN * 2).await {
                return;
            }
        }
    }

    fn crowded(&self) -> bool {
        self.open.load(Ordering::Relaxed) >= self.limit - self.limit / 4
    }

    /// Ends the connections that have been silent for so long. Who has sent something that was not read
    /// yet is spared, unless `all`.
    fn let_go(&self, silent: Duration, all: bool) {
        let now = self.now();
        let silent = u64::try_from(silent.as_millis()).unwrap_or(BUSY);
        for guest in self.guests().values() {
            let since = guest.silent_since.load(Ordering::Relaxed);
            if since != BUSY && now.saturating_sub(since) >= silent && (all || !guest.has_sent()) {
                guest.end();
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(BUSY - 1)
    }

    fn guests(&self) -> MutexGuard<'_, HashMap<u64, Arc<Guest>>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest {
    /// Whether there is something to read.
    fn has_sent(&self) -> bool {
        let peek = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        let socket = self.socket.as_ref();
        socket.is_some_and(|socket| recv(socket.as_raw_fd(), &mut [0], peek).is_ok_and(|length| length > 0))
    }

    fn end(&self) {
        if let Some(socket) = &self.socket {
            // It fails when the other side was faster.
            let _ = shutdown(socket.as_raw_fd(), Shutdown::Both);
        }
    }
}

impl Ticket {
    /// A request begins.
    pub(super) fn request(&self) -> Request {
        self.guest.silent_since.store(BUSY, Ordering::Relaxed);
        Request {
            guest: Arc::clone(&self.guest),
            connections: Arc::clone(&self.connections),
        }
    }

    /// Whether the service is about to end.
    pub(super) fn closing(&self) -> bool {
        self.connections.closing()
    }
}

impl Request {
    /// Whether the connection is to end with this answer.
    pub(super) fn is_last(&self) -> bool {
        self.connections.closing() || self.connections.crowded()
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.guest.silent_since.store(self.connections.now(), Ordering::Relaxed);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.connections.guests().remove(&self.number);
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Files that are neither connections of the listeners nor of the database: logs, the spool, what is
/// called by the workers.
const OTHER_FILES: u64 = 256;

/// Lets this process open as many files as its configuration needs, when the system allows it.
///
/// # Errors
/// When it does not.
pub fn make_room_for_connections(config: &Config) -> Result<(), CannotListen> {
    let connections = config.server.connections;
    // A connection has a second handle here.
    let listeners = u64::try_from(connections + super::OPERATOR_CONNECTIONS).unwrap_or(u64::MAX / 4) * 2;
    let needed = listeners + u64::from(config.database.connections) + OTHER_FILES;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return Ok(());
    };
    let raised = soft >= needed || (hard >= needed && setrlimit(Resource::RLIMIT_NOFILE, needed, hard).is_ok());
    if raised {
        return Ok(());
    }
    Err(CannotListen::Files {
        connections,
        needed,
        allowed: hard,
    })
}
