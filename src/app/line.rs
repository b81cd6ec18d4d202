//! The line to the marketplace that one job holds: each request waits for its turn in the shared
//! budget, is counted, and is noted for the operator.

use std::{
    fmt,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{App, circuit::Leave, served::Served};
use crate::{
    domain::action::Priority,
    marketplace::{
        call::Call,
        calls,
        client::{Client, Exchange, Permit},
        error::Error,
    },
    store::budget::{self, Claim, Turn},
};

/// A job that got no turn for this long comes again later.
const PATIENCE: Duration = Duration::from_secs(60);

/// A turn may be used so long after its moment; the budget's windows have room for that. Whoever slept over his
/// turns, because the process or the machine stood still, must not use all of them at once.
const LATE: Duration = Duration::from_millis(250);

/// So many late turns are given up in a row: when they go on coming late, the database is slow, nobody slept.
const GIVEN_UP: u32 = 3;

/// One job's line.
pub struct Line<'a> {
    app: &'a App,
    served: &'a Served,
    priority: Priority,
    exchanges: Vec<Exchange>,
    /// In whose name, when not in the application's.
    client: Option<Client>,
}

/// Why there is no result.
#[derive(Debug)]
pub enum Failure {
    /// The marketplace, or the way to it.
    Call(Error),
    /// The shared budget had no turn.
    NoTurn,
    /// The account's circuit is open: it does not answer, and is left alone for this long.
    Shut(Duration),
    /// This process is about to stop, and it was not this job's turn yet.
    Stopping,
    /// What must be done once is not ours to do any more. Nothing was sent.
    Overtaken,
    /// The database.
    Store(crate::store::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => error.fmt(f),
            Self::NoTurn => f.write_str("the request budget of this address is used up"),
            Self::Shut(_) => f.write_str("the marketplace does not answer, so it is left alone for a while"),
            Self::Stopping => f.write_str("the service stopped before it was this job's turn"),
            Self::Overtaken => f.write_str("another worker has taken over this job"),
            Self::Store(error) => write!(f, "the database: {error}"),
        }
    }
}

impl From<crate::store::Error> for Failure {
    fn from(error: crate::store::Error) -> Self {
        Self::Store(error)
    }
}

/// Who compares waits so long for his share; then he may take a turn as rules do, so that he never starves.
const STARVED: Duration = Duration::from_secs(15);

/// The part of a minute's requests after which connections that nobody signed, and bulk actions, have to wait.
pub const UNPROVEN_SHARE: f64 = 0.5;

/// The urgent may take the whole minute and turns further ahead; the others leave room for them.
fn claim(priority: Priority, reconciling: f64) -> Claim {
    let (share, horizon) = match priority {
        Priority::Activation => (1.0, 10),
        Priority::Rule => (0.9, 3),
        Priority::Unproven => (UNPROVEN_SHARE, 1),
        Priority::Reconciliation => (reconciling, 1),
        // It asks for nothing.
        Priority::Forwarding => (0.5, 1),
    };
    Claim {
        share,
        horizon: Duration::from_secs(horizon),
    }
}

impl<'a> Line<'a> {
    /// A line for a job of this urgency.
    pub fn new(app: &'a App, served: &'a Served, priority: Priority) -> Self {
        Self {
            app,
            served,
            priority,
            exchanges: Vec::new(),
            client: None,
        }
    }

    /// The same line, by another client of the same marketplace.
    #[must_use]
    pub fn by(self, client: Client) -> Self {
        Self {
            client: Some(client),
            ..self
        }
    }

    /// Sends one request when it is its turn. While the marketplace does not answer nothing is sent;
    /// after a while one request finds out whether it does again, and that is one that only reads.
    ///
    /// # Errors
    /// When there was no turn, or no usable answer.
    pub async fn send<T>(&mut self, call: &Call<T>) -> Result<T, Failure> {
        self.send_once(call, async || Ok(true)).await
    }

    /// The same for a call that must not be made twice: `begin` says and writes down, as the last
    /// thing before it leaves, whether it may.
    ///
    /// # Errors
    /// As [`Line::send`]. Only with [`Failure::Call`] something may have been sent.
    pub async fn send_once<T>(
        &mut self,
        call: &Call<T>,
        begin: impl AsyncFnOnce() -> Result<bool, Failure>,
    ) -> Result<T, Failure> {
        match self.served.circuit.ask(Instant::now()) {
            Leave::Granted => {}
            Leave::Probe if call.name().changes_state() => {
                let harmless = calls::inventory::tariffs(self.served.id);
                self.exchange(&harmless, async || Ok(true)).await?;
            }
            Leave::Probe => {}
            Leave::Refused(wait) => return Err(Failure::Shut(wait)),
        }
        self.exchange(call, begin).await
    }

    async fn exchange<T>(
        &mut self,
        call: &Call<T>,
        begin: impl AsyncFnOnce() -> Result<bool, Failure>,
    ) -> Result<T, Failure> {
        self.turn().await?;
        if !begin().await? {
            return Err(Failure::Overtaken);
        }
        let client = self.client.as_ref().unwrap_or(&self.served.client);
        let (exchange, result) = client.send(Permit::granted(), call).await;
        let name = call.name().as_str();
        let status = match (exchange.status, &result) {
            (Some(status), _) => status.to_string(),
            (None, Err(Error::Unavailable { .. })) => "unreachable".to_owned(),
            (None, _) => "no_answer".to_owned(),
        };
        let metrics = &self.app.metrics;
        metrics
            .marketplace_requests_total
            .with_label_values(&[name, &status])
            .inc();
        metrics
            .marketplace_request_seconds
            .with_label_values(&[name])
            .observe(exchange.duration_seconds);
        let is_open = self
            .served
            .circuit
            .heard(Instant::now(), answered(exchange.status, &result));
        metrics
            .circuit_state
            .with_label_values(&[&self.served.account.name])
            .set(i64::from(is_open));
        self.exchanges.push(exchange);
        result.map_err(Failure::Call)
    }

    async fn turn(&self) -> Result<(), Failure> {
        let mut stopping = self.app.stopping.subscribe();
        let mut waited = Duration::ZERO;
        let mut given_up = 0;
        loop {
            let asked = Instant::now();
            let priority = match self.priority {
                Priority::Reconciliation if waited > STARVED => Priority::Rule,
                priority => priority,
            };
            let turn = budget::take(
                &self.app.pool,
                &self.served.budget_scope,
                self.served.limits,
                claim(priority, self.app.config.reconcile.share),
            )
            .await?;
            let (wait, granted) = match turn {
                Turn::In(wait) => (wait, true),
                Turn::AskAgainIn(wait) => (wait.clamp(Duration::from_millis(50), Duration::from_secs(5)), false),
            };
            // A turn that was granted is waited for, even when we stop.
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stopping.wait_for(|stopping| *stopping), if !granted => return Err(Failure::Stopping),
            }
            waited += wait;
            if granted {
                let labels = [self.served.account.name.as_str(), self.priority.as_str()];
                let spent = &self.app.metrics.marketplace_budget_spent_total;
                spent.with_label_values(&labels).inc();
            }
            if granted && asked.elapsed() > wait + LATE && given_up < GIVEN_UP {
                given_up += 1;
            } else if granted {
                self.app
                    .metrics
                    .marketplace_budget_wait_seconds
                    .observe(waited.as_secs_f64());
                return Ok(());
            } else if waited > PATIENCE {
                return Err(Failure::NoTurn);
            }
        }
    }

    /// What was said, for the job's attempt.
    pub fn exchanges(self) -> Value {
        serde_json::to_value(self.exchanges).unwrap_or_default()
    }
}

/// Whether somebody at the other end did what it is there for, be it to refuse.
fn answered<T>(status: Option<u16>, result: &Result<T, Error>) -> bool {
    match result {
        Ok(_) => true,
        // Reads and writes tell it in different words.
        Err(Error::Fault { .. } | Error::Unknown { .. }) => status.is_some_and(|status| status < 500),
        Err(Error::Unavailable { .. }) => false,
        Err(
            Error::Throttled { .. }
            | Error::Unauthorized { .. }
            | Error::Forbidden { .. }
            | Error::NotFound { .. }
            | Error::Invalid { .. }
            | Error::Rejected { .. },
        ) => true,
    }
}
