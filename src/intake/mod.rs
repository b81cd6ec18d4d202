//! From a recognised delivery to a durable one. When `Intake::accept` says that a delivery is
//! stored, it survives the loss of the process and of the machine; until then the sender is not told
//! that it arrived. Durable means committed by the database, or, while that is away, flushed to this
//! machine's disk.

mod quarantine;
/// Secrets are cut out of bodies before anything is stored.
pub mod redact;
mod shelf;
/// Where deliveries wait for a database that is away.
pub mod spool;
/// What a delivery is, read from its bytes.
pub mod wire;
mod writer;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::warn;

use self::{
    quarantine::Daily,
    shelf::Shelf,
    spool::{Content, Spool},
    writer::{Statement, Writer},
};
use crate::{
    domain::{event::State, ids::ApplicationId},
    metrics::Metrics,
    store::{
        PgPool,
        events::{Delivery, Stored},
        quarantine::Share,
    },
};

/// A delivery in the queue, with the one who waits for it.
struct Waiting {
    delivery: Delivery,
    arrived_at: DateTime<Utc>,
    answer: oneshot::Sender<Result<Stored, Unavailable>>,
}

/// It could not be made durable in time. The sender has to be told so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailable;

/// What accepting came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// Durable now.
    Fresh,
    /// Durable before.
    Duplicate,
    /// Neither genuine nor worth keeping any more today.
    Dropped,
}

/// How deliveries are written.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Deliveries that may wait.
    pub queue: usize,
    /// A waiter is told "unavailable" after this long.
    pub deadline: Duration,
    /// Two deliveries that say the same within this time are one.
    pub duplicate_window: Duration,
    /// Rejected and quarantined deliveries kept in a day, by all processes together.
    pub quarantine_per_day: Share,
    /// The applications that are configured; others share one label in the metrics.
    pub applications: BTreeSet<ApplicationId>,
}

impl Settings {
    /// An application as a label: numbers that strangers invent do not become labels.
    fn label(&self, application: ApplicationId) -> String {
        if self.applications.contains(&application) {
            application.to_string()
        } else {
            "other".to_owned()
        }
    }
}

/// The way in. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    queue: mpsc::Sender<Waiting>,
    settings: Arc<Settings>,
    metrics: Metrics,
    pool: PgPool,
    quarantine: Arc<Daily>,
    spool: Option<Shelf>,
}

impl Intake {
    /// Starts the writer. It stops when the last `Intake` is dropped and everything in the queue is
    /// written. `wake` is notified after every commit.
    pub fn start(pool: PgPool, spool: Option<Spool>, settings: Settings, metrics: Metrics, wake: Arc<Notify>) -> Self {
        let settings = Arc::new(settings);
        let spool = spool.map(Shelf::new);
        let (queue, deliveries) = mpsc::channel(settings.queue);
        let statement = Statement::new(pool.clone(), Arc::clone(&settings), metrics.clone());
        tokio::spawn(Writer::new(statement, spool.clone(), wake).run(deliveries));
        Self {
            queue,
            quarantine: Arc::new(Daily::new(settings.quarantine_per_day)),
            settings,
            metrics,
            pool,
            spool,
        }
    }

    /// Makes deliveries durable; all of them or, for the sender, none.
    ///
    /// # Errors
    /// When that could not be done in time.
    pub async fn accept(&self, deliveries: Vec<Delivery>) -> Result<Vec<Accepted>, Unavailable> {
        let started = std::time::Instant::now();
        let labels: Vec<_> = deliveries
            .iter()
            .map(|d| (self.settings.label(d.application_id), d.kind.label(), d.verdict))
            .collect();
        let result = tokio::time::timeout(self.settings.deadline, self.store_all(deliveries)).await;
        let result = result.unwrap_or(Err(Unavailable));
        for (n, (application, kind, verdict)) in labels.iter().enumerate() {
            let accepted = result.as_ref().ok().and_then(|accepted| accepted.get(n));
            let word = match (accepted, verdict) {
                (None, _) => "unavailable",
                (Some(Accepted::Dropped), _) => "dropped",
                (Some(Accepted::Duplicate), _) => "duplicate",
                (Some(Accepted::Fresh), State::Rejected) => "rejected",
                (Some(Accepted::Fresh), State::Quarantined) => "quarantined",
                (Some(Accepted::Fresh), State::Received | State::Processed | State::Failed) => "accepted",
            };
            self.metrics
                .deliveries_total
                .with_label_values(&[application, kind, word])
                .inc();
        }
        self.metrics
            .delivery_ack_seconds
            .observe(started.elapsed().as_secs_f64());
        result
    }

    /// Counts a delivery whose body could not be read, so that nobody knows what it was.
    pub fn count_unread(&self, application: ApplicationId, result: &str) {
        let labels = [
            self.settings.label(application),
            "unknown".to_owned(),
            result.to_owned(),
        ];
        self.metrics.deliveries_total.with_label_values(&labels).inc();
    }

    /// Whether a delivery that is not believed is kept, nevertheless.
    async fn keeps(&self, delivery: &Delivery) -> Result<bool, Unavailable> {
        let admitted = self.quarantine.admits(&self.pool, delivery.body.len()).await;
        admitted.map_err(|error| {
            warn!(%error, "Nobody knows what of today's refused deliveries may be kept; they are answered with 503");
            Unavailable
        })
    }

    /// What waits in the spool; `None` when there is none.
    pub fn spooled(&self) -> Option<Content> {
        self.spool.as_ref().map(Shelf::content)
    }

    /// Why the spool takes no deliveries.
    pub fn spool_trouble(&self) -> Option<String> {
        self.spool.as_ref().and_then(Shelf::trouble)
    }

    async fn store_all(&self, deliveries: Vec<Delivery>) -> Result<Vec<Accepted>, Unavailable> {
        let mut answers: Vec<Option<oneshot::Receiver<_>>> = Vec::with_capacity(deliveries.len());
        let arrived_at = Utc::now();
        for mut delivery in deliveries {
            // Also where every arrival counts, this one counts once, when it is written again because
            // nobody knows whether it was.
            delivery.key.get_or_insert_with(arrival_key);
            let genuine = delivery.verdict == State::Received;
            if !genuine && !self.keeps(&delivery).await? {
                answers.push(None);
                continue;
            }
            let (answer, answered) = oneshot::channel();
            let waiting = Waiting {
                delivery,
                arrived_at,
                answer,
            };
            // A full queue turns a request away at once, but not half of it: a long list waits for
            // room, so that one that is longer than the queue can be taken at all.
            if answers.iter().any(Option::is_some) {
                self.queue.send(waiting).await.map_err(|_| Unavailable)?;
            } else {
                self.queue.try_send(waiting).map_err(|_| Unavailable)?;
            }
            self.metrics.intake_queued.inc();
            answers.push(Some(answered));
        }
        let mut accepted = Vec::with_capacity(answers.len());
        for answer in answers {
            accepted.push(match answer {
                None => Accepted::Dropped,
                Some(answered) => match answered.await.unwrap_or(Err(Unavailable))? {
                    Stored::Fresh => Accepted::Fresh,
                    Stored::Duplicate => Accepted::Duplicate,
                },
            });
        }
        Ok(accepted)
    }
}

/// A key that no other delivery has.
fn arrival_key() -> [u8; 32] {
    let mut key = [0; 32];
    fastrand::fill(&mut key);
    key
}
