//! HTTP in. Two listeners: the public one for the marketplace and the owners' browsers, and the
//! operator's, which is never exposed to the internet.

mod operator;
mod public;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{
    App as Service, Error, HttpServer,
    body::MessageBody,
    dev::{ServerHandle, ServiceRequest, ServiceResponse},
    middleware::{Next, from_fn},
    web,
};
use tokio::task::JoinHandle;
use tracing::debug;

use crate::app::App;

/// A sender that has not finished its headers by then is let go.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);

/// Connections of each thread; more wait in the system's queue.
const CONNECTIONS: usize = 4096;

/// The two running listeners.
pub struct Listeners {
    /// Where the public one listens.
    pub public: SocketAddr,
    /// Where the operator's listens.
    pub operator: SocketAddr,
    servers: Vec<(ServerHandle, JoinHandle<io::Result<()>>)>,
}

/// Why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{key} = \"{address}\": {source}. Remedy: end what listens there, or choose another address")]
pub struct CannotListen {
    key: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// Opens both listeners.
///
/// # Errors
/// When an address is taken or not ours.
pub fn listen(app: &Arc<App>) -> Result<Listeners, CannotListen> {
    let config = &app.config;
    let (public, public_server) = open(
        app,
        "server.listen",
        config.server.listen,
        config.server.threads,
        public::routes,
    )?;
    let (operator, operator_server) = open(app, "operator.listen", config.operator.listen, 1, operator::routes)?;
    Ok(Listeners {
        public,
        operator,
        servers: vec![public_server, operator_server],
    })
}

impl Listeners {
    /// Takes no new connections, finishes the requests under way.
    pub async fn stop(self) {
        for (handle, task) in self.servers {
            handle.stop(true).await;
            // The server has ended; how is of no interest any more.
            let _ = task.await;
        }
    }
}

type Opened = (SocketAddr, (ServerHandle, JoinHandle<io::Result<()>>));

fn open(
    app: &Arc<App>,
    key: &'static str,
    address: SocketAddr,
    threads: usize,
    routes: fn(&mut web::ServiceConfig),
) -> Result<Opened, CannotListen> {
    let shared = web::Data::from(Arc::clone(app));
    let grace = app.config.server.shutdown_grace.as_secs();
    let service = move || {
        Service::new()
            .wrap(from_fn(note))
            .app_data(shared.clone())
            .configure(routes)
    };
    let server = HttpServer::new(service)
        .workers(threads)
        .max_connections(CONNECTIONS)
        .client_request_timeout(HEADERS_WITHIN)
        .shutdown_timeout(grace)
        .disable_signals()
        .bind(address)
        .map_err(|source| CannotListen { key, address, source })?;
    let bound = server.addrs().first().copied().unwrap_or(address);
    let running = server.run();
    let handle = running.handle();
    Ok((bound, (handle, tokio::spawn(running))))
}

/// Tells about a request by its route: the address itself may hold a key.
async fn note(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = std::time::Instant::now();
    let route = request.match_pattern().unwrap_or_else(|| "no route".to_owned());
    let method = request.method().clone();
    let response = next.call(request).await?;
    let (status, seconds) = (response.status().as_u16(), started.elapsed().as_secs_f64());
    debug!(%method, route, status, duration_seconds = seconds, "A request was answered");
    Ok(response)
}
