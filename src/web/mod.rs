//! HTTP in. Two listeners: the public one for the marketplace and the owners' browsers, and the
//! operator's, which is never exposed to the internet.

mod connections;
mod operator;
mod public;
mod sockets;

use std::{io, net::SocketAddr, net::TcpListener, sync::Arc, time::Duration};

use actix_web::{
    App as Service, Error, HttpServer,
    body::MessageBody,
    dev::{ServerHandle, ServiceRequest, ServiceResponse},
    http::ConnectionType,
    middleware::{Next, from_fn},
    web,
};
use tokio::task::JoinHandle;
use tracing::{debug, warn};

use self::connections::{Connections, Ticket};
pub use self::{
    connections::make_room_for_connections,
    operator::openapi,
    sockets::{CannotListen, Copies, Inherited, NAMES as SOCKET_NAMES},
};
use crate::app::App;

/// A sender that has not finished its headers by then is let go.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);

/// Connections of the operator's listener.
const OPERATOR_CONNECTIONS: usize = 128;

/// How long a successor that has not started yet may be kept waiting by connections that ask for nothing.
const FAREWELL: Duration = Duration::from_secs(1);

/// The two running listeners.
pub struct Listeners {
    /// Where the public one listens.
    pub public: SocketAddr,
    /// Where the operator's listens.
    pub operator: SocketAddr,
    servers: [Running; 2],
    /// Somebody else holds the public socket too, and whoever comes after us will accept what waits there.
    outlives_us: bool,
}

/// One listener.
struct Running {
    handle: ServerHandle,
    task: JoinHandle<io::Result<()>>,
    connections: Arc<Connections>,
    keeper: JoinHandle<()>,
    socket: TcpListener,
}

/// Why a service ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was asked to.
    Asked,
    /// A successor has the same sockets and is ready.
    Succeeded,
}

/// Opens both listeners, or takes those that were handed to us.
///
/// # Errors
/// When an address is taken or not ours.
pub fn listen(app: &Arc<App>, inherited: Inherited) -> Result<Listeners, CannotListen> {
    let (server, operator) = (&app.config.server, &app.config.operator);
    let outlives_us = inherited.public.is_some();
    let public_socket = match inherited.public {
        Some(socket) => socket,
        None => sockets::open("server.listen", server.listen)?,
    };
    let operator_socket = match inherited.operator {
        Some(socket) => socket,
        None => sockets::open("operator.listen", operator.listen)?,
    };
    let addresses = (addressed(&public_socket, 0)?, addressed(&operator_socket, 1)?);
    if !addresses.1.ip().is_loopback() && operator.token.is_none() {
        return Err(CannotListen::Open(addresses.1));
    }
    for (key, configured, address) in [
        ("server.listen", server.listen, addresses.0),
        ("operator.listen", operator.listen, addresses.1),
    ] {
        if configured.port() != 0 && configured != address {
            warn!(
                "The socket that was handed to this process listens on {address}; {key} = \"{configured}\" does not count"
            );
        }
    }
    let limit = server.connections;
    let public = run(app, public_socket, (limit, server.threads), public::routes);
    let operator = run(app, operator_socket, (OPERATOR_CONNECTIONS, 1), operator::routes);
    Ok(Listeners {
        public: addresses.0,
        operator: addresses.1,
        servers: [
            public.map_err(|source| CannotListen::Handed {
                name: SOCKET_NAMES[0],
                source,
            })?,
            operator.map_err(|source| CannotListen::Handed {
                name: SOCKET_NAMES[1],
                source,
            })?,
        ],
        outlives_us,
    })
}

fn addressed(socket: &TcpListener, order: usize) -> Result<SocketAddr, CannotListen> {
    let name = SOCKET_NAMES[order];
    socket
        .local_addr()
        .map_err(|source| CannotListen::Handed { name, source })
}

impl Listeners {
    /// Copies of the two sockets, for a successor.
    ///
    /// # Errors
    /// When this process has too many open files.
    pub fn copies(&self) -> io::Result<Copies> {
        let [public, operator] = &self.servers;
        Ok([public.socket.try_clone()?.into(), operator.socket.try_clone()?.into()])
    }

    /// Tells balancers and clients that this process is about to end: probes fail, and every answer ends
    /// its connection. Requests are still taken.
    pub fn announce_end(&self) {
        for server in &self.servers {
            server.connections.close();
        }
    }

    /// Takes no new connections, finishes the requests under way, and waits for connections that ask for
    /// nothing as long as that helps somebody, within `patience`.
    ///
    /// A connection that waits for its next request is the difficult one: if we close it while that
    /// request is on its way, the request is lost. So it is left alone as long as possible, its next
    /// answer ends it, and it is closed only when nothing has arrived.
    pub async fn stop(self, end: End, patience: Duration) {
        self.announce_end();
        let others_accept = self.outlives_us || end == End::Succeeded;
        if others_accept {
            for server in &self.servers {
                server.handle.pause().await;
            }
        }
        let public = &self.servers[0].connections;
        let left = match end {
            End::Succeeded => patience / 4 * 3,
            End::Asked if others_accept => FAREWELL.min(patience / 4),
            End::Asked => Duration::ZERO,
        };
        public.emptied(left).await;
        // Nobody else accepts what waits in a socket of our own: then there is no time to lose.
        let rest = if others_accept { patience - left } else { FAREWELL / 10 };
        public.emptied_of_idle(rest).await;
        let stops = self.servers.into_iter().map(Running::stop);
        futures_util::future::join_all(stops).await;
    }
}

impl Running {
    async fn stop(self) {
        self.keeper.abort();
        drop(self.socket);
        self.handle.stop(true).await;
        // The server has ended; how is of no interest any more.
        let _ = self.task.await;
    }
}

fn run(
    app: &Arc<App>,
    socket: TcpListener,
    (connections, threads): (usize, usize),
    routes: fn(&mut web::ServiceConfig),
) -> io::Result<Running> {
    let shared = web::Data::from(Arc::clone(app));
    let room = web::Data::new(public::Room::default());
    let server = &app.config.server;
    let service = move || {
        Service::new()
            .wrap(from_fn(note))
            .app_data(shared.clone())
            .app_data(room.clone())
            .configure(routes)
    };
    let guests = Connections::new(connections, server.keep_alive + HEADERS_WITHIN);
    let door = Arc::clone(&guests);
    let running = HttpServer::new(service)
        .on_connect(move |connection, data| door.enter(connection, data))
        .workers(threads)
        .max_connections(connections.div_ceil(threads))
        .keep_alive(server.keep_alive)
        .client_request_timeout(HEADERS_WITHIN)
        .shutdown_timeout(server.shutdown_grace.as_secs())
        .disable_signals()
        .listen(socket.try_clone()?)?
        .run();
    Ok(Running {
        handle: running.handle(),
        task: tokio::spawn(running),
        keeper: tokio::spawn(Arc::clone(&guests).look_after()),
        connections: guests,
        socket,
    })
}

/// Tells about a request by its route: the address itself may hold a key.
async fn note(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = std::time::Instant::now();
    let visit = request.request().conn_data::<Ticket>().map(Ticket::request);
    let route = request.match_pattern().unwrap_or_else(|| "no route".to_owned());
    let method = request.method().clone();
    let mut response = next.call(request).await?;
    if visit.is_some_and(|visit| visit.is_last()) {
        let head = response.response_mut().head_mut();
        head.set_connection_type(ConnectionType::Close);
    }
    let (status, seconds) = (response.status().as_u16(), started.elapsed().as_secs_f64());
    debug!(%method, route, status, duration_seconds = seconds, "A request was answered");
    Ok(response)
}
