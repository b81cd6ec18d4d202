//! The marketplace in a box: a product part that behaves like the real marketplace, bad days
//! included, for `bellhop sandbox`, for the demo and for tests. It is written from the
//! contract alone and shares no code with the client, so that the two can disagree.
//!
//! # What it serves
//!
//! * The marketplace's API on both path layouts, `/marketplace/…` and
//!   `/api/v1/marketplace/…`, and `/api/v1/…` for webhook settings, telephony and
//!   dictionaries (contract 6).
//! * The control API under `/_sandbox` (below).
//! * `POST /inbox/{name}`: records outgoing webhooks of the backend that is tried.
//! * `/telegram` and `/slack/{name}`: the Bot API of Telegram and incoming webhooks of Slack, as far as messages go.
//! * A mailbox, if asked for: an SMTP server that keeps every mail.
//!
//! Everything it sends (callbacks, entity events) goes to the URLs of its applications, once
//! or with retries as the real one does; redirects are not followed.
//!
//! # Time is ageing
//!
//! The clock is the real one, because the backend under trial lives on it too. Time "passes"
//! by ageing: [`Sandbox::advance`](crate::sandbox::Sandbox::advance) moves every stored date of the marketplace into the past
//! and then does what became due. Pending links run out and are cleaned up, trials and paid
//! periods end in a freeze with its callback, refunds of running periods disable, delayed
//! events leave. The log of each link is dated when the change was due. A tick of 250 ms does
//! the same for time that passes by itself. The notes the sandbox takes for its user (calls,
//! deliveries, mails, inbox) keep the real time.
//!
//! # The control API
//!
//! `GET /_sandbox` lists the verbs; each is the method of the same name on `Sandbox`, with
//! the same fields as JSON. It has no password: keep the listener on loopback.
//!
//! | verb | |
//! |---|---|
//! | `POST applications`, `POST locations` | set the scene |
//! | `POST connect`, `open`, `disconnect`, `pay`, `freeze`, `refund` | what owners do |
//! | `POST change` | an entity changed |
//! | `POST callback` | a forged or odd callback |
//! | `POST advance` `{seconds, hours, days}` | time passes |
//! | `POST settle` | answers when nothing is under way |
//! | `POST`, `GET`, `DELETE faults` | bad days on demand |
//! | `GET truth`, `calls`, `deliveries`, `mails`, `inbox`, `chats`; `POST reset-calls` | what happened |
//!
//! A verb that makes no sense is answered 400 with `{"error": …}`.

mod ask;
mod callbacks;
mod calls;
mod chats;
/// A run of the marketplace against any backend.
pub mod conformance;
mod connect;
mod control;
mod dates;
mod dictionaries;
mod entities;
mod envelope;
mod events;
mod faults;
mod forged;
mod gate;
mod hooks;
mod inbox;
mod install_api;
mod lifecycle;
mod limits;
mod links;
mod locations;
mod mailbox;
mod marketplace_api;
mod mime;
mod options;
mod payments;
mod redirect;
mod sender;
mod state;
mod truth;
mod verbs;
mod voip_api;
mod webhooks_api;

use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::{self, Data, PayloadConfig};
use actix_web::{App, HttpServer};
use anyhow::{Context, Result};
use chrono::Utc;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

pub use calls::{CallRecord, Calls};
pub use chats::Said;
pub use connect::{Connect, Connected, Connection, Followed};
pub use events::Change;
pub use faults::{Fault, FaultKind};
pub use forged::{Forged, ForgedToken};
pub use hooks::Hook;
pub use inbox::Received;
pub use links::{Link, LogLine, Origin, Payment, PaymentLink, Source, Status};
pub use locations::Location;
pub use mailbox::Mail;
pub use options::{Application, Brand, DateZone, Delivery, Limits, Options, Tariff, TariffOption, Terms};
pub use payments::{Paid, Pay};
pub use redirect::{Owner, Shape};
pub use sender::{Attempt, Class, Sent, SentOutcome};
pub use truth::{LinkTruth, LocationTruth, Truth};
pub use verbs::Place;
pub use voip_api::{PhoneCall, PhoneRing};

use state::State;

/// How often things that became due by themselves are done.
const TICK: Duration = Duration::from_millis(250);

/// How many requests are sent at a time.
const SLOTS: usize = 32;

/// The largest body that is read.
const MOST_BYTES: usize = 8 << 20;

/// A running marketplace. Clones are handles to the same one.
#[derive(Clone)]
pub struct Sandbox {
    world: Arc<World>,
}

/// What the parts of a sandbox share.
struct World {
    state: Mutex<State>,
    delivery: Delivery,
    http: reqwest::Client,
    /// Where requests are sent from, whichever thread caused them.
    runtime: Handle,
    slots: Semaphore,
    in_flight: AtomicUsize,
    address: SocketAddr,
    mailbox: OnceLock<SocketAddr>,
    server: OnceLock<ServerHandle>,
    stopped: watch::Sender<bool>,
}

impl World {
    /// The state. Never held across an await. A panic elsewhere does not lock everybody out.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sandbox {
    /// Binds the listeners and starts to serve. Must be called on a Tokio runtime, which also
    /// sends the callbacks and events.
    pub async fn start(options: Options) -> Result<Self> {
        let listener = std::net::TcpListener::bind(options.listen)
            .with_context(|| format!("the sandbox cannot listen on {}", options.listen))?;
        let (stopped, stop) = watch::channel(false);
        let sandbox = Self {
            world: Arc::new(World {
                state: Mutex::new(State::new(&options)),
                delivery: options.delivery,
                http: sender::client()?,
                runtime: Handle::current(),
                slots: Semaphore::new(SLOTS),
                in_flight: AtomicUsize::new(0),
                address: listener.local_addr()?,
                mailbox: OnceLock::new(),
                server: OnceLock::new(),
                stopped,
            }),
        };
        if let Some(listen) = options.mailbox {
            let address = mailbox::start(listen, Arc::clone(&sandbox.world), stop.clone())?;
            sandbox.world.mailbox.get_or_init(|| address);
        }
        sandbox.serve(listener)?;
        tokio::spawn(sandbox.clone().tick(stop));
        Ok(sandbox)
    }

    fn serve(&self, listener: std::net::TcpListener) -> Result<()> {
        let shared = Data::new(self.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(Data::clone(&shared))
                .app_data(PayloadConfig::new(MOST_BYTES))
                .configure(control::routes)
                .route("/inbox/{name}", web::post().to(inbox::receive))
                .route("/telegram/bot{token}/{method}", web::post().to(chats::telegram))
                .route("/slack/{name}", web::post().to(chats::slack))
                .configure(gate::routes)
        })
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .listen(listener)?
        .run();
        self.world.server.get_or_init(|| server.handle());
        tokio::spawn(server);
        Ok(())
    }

    /// Does what becomes due by itself, until the sandbox is stopped.
    async fn tick(self, mut stop: watch::Receiver<bool>) {
        let mut interval = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                _ = stop.changed() => return,
            }
            self.lock().sweep(Utc::now());
            self.send_callbacks();
            self.send_due_events();
        }
    }

    /// Where it listens, without a slash at the end: `http://127.0.0.1:41234`.
    pub fn url(&self) -> String {
        format!("http://{}", self.world.address)
    }

    /// Where the mailbox listens, if there is one.
    pub fn smtp_addr(&self) -> Option<SocketAddr> {
        self.world.mailbox.get().copied()
    }

    /// Stops serving and sending. Requests that hang are cut off.
    pub async fn stop(self) {
        self.world.stopped.send_replace(true);
        self.world.slots.close();
        if let Some(server) = self.world.server.get() {
            server.stop(false).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.world.lock()
    }
}
