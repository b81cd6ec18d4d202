//! The two listening sockets: handed to us by systemd or by the process before us, or opened here.
//!
//! A socket that several processes hold has one queue of waiting connections. So nobody is refused while
//! one process takes over from another: whoever accepts next takes what waits. (Two sockets on one
//! address, `SO_REUSEPORT`, have a queue each, and closing one resets what waits in it.)

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
};

use listenfd::ListenFd;
use tokio::net::TcpSocket;

/// The names of the sockets, in their order: what `FileDescriptorName=` of a systemd socket says.
pub const NAMES: [&str; 2] = ["public", "operator"];

/// Connections that may wait to be accepted; the system's own limit (`net.core.somaxconn`) may be lower.
const WAITING: u32 = 4096;

/// The sockets that were handed to this process.
#[derive(Default)]
pub struct Inherited {
    pub(super) public: Option<TcpListener>,
    pub(super) operator: Option<TcpListener>,
}

/// Copies of the two sockets, for a successor, in the order of [`NAMES`].
pub type Copies = [OwnedFd; 2];

/// Why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum CannotListen {
    /// The address is taken or not ours.
    #[error("{key} = \"{address}\": {source}. Remedy: end what listens there, or choose another address")]
    Address {
        /// The key of the configuration.
        key: &'static str,
        /// What it says.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// What was handed to us is no listening socket.
    #[error("the socket \"{name}\" that was handed to this process: {source}. Remedy: ListenStream= with an IP port")]
    Handed {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The operator's socket is reachable from elsewhere, and nothing protects it.
    #[error(
        "the socket \"operator\" that was handed to this process listens on {0}, reachable from elsewhere, and \
         operator.token is not set. Remedy: set operator.token_file, or let it listen on 127.0.0.1"
    )]
    Open(SocketAddr),
    /// The system allows fewer open files than connections need.
    #[error(
        "server.connections = {connections} needs {needed} open files, and this process may have {allowed}. Remedy: \
         raise that limit (LimitNOFILE= of systemd, --ulimit nofile= of containers, `ulimit -n`), or lower \
         server.connections"
    )]
    Files {
        /// What is configured.
        connections: usize,
        /// Files for them and for everything else.
        needed: u64,
        /// The hard limit of the process.
        allowed: u64,
    },
}

impl Inherited {
    /// Takes what was handed to this process, by the names it came with, else by order. Call it before
    /// anything else runs: it edits the environment, so that programs we start inherit nothing.
    ///
    /// # Errors
    /// When that is no listening socket.
    pub fn take(names: &[String]) -> Result<Self, CannotListen> {
        let mut handed = ListenFd::from_env();
        let named = names.iter().any(|name| NAMES.contains(&name.as_str()));
        let mut one = |order: usize| {
            let name = NAMES[order];
            let index = if named {
                names.iter().position(|other| other == name)
            } else {
                Some(order)
            };
            let taken = index.map(|index| handed.take_tcp_listener(index)).transpose();
            taken
                .map(Option::flatten)
                .map_err(|source| CannotListen::Handed { name, source })
        };
        Ok(Self {
            public: one(0)?,
            operator: one(1)?,
        })
    }
}

/// Opens a listening socket.
pub(super) fn open(key: &'static str, address: SocketAddr) -> Result<TcpListener, CannotListen> {
    let opened = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        // A new start need not wait until the connections of the last are forgotten.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(WAITING)?.into_std()
    };
    opened().map_err(|source| CannotListen::Address { key, address, source })
}
