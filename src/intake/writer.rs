//! Group commit: one task writes whatever is waiting in one statement, and while that commit is under
//! way the next batch gathers. There is no timer; the flush in progress is the timer.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::{Notify, mpsc};
use tracing::{error, warn};

use super::{Settings, Unavailable, Waiting};
use crate::{
    metrics::Metrics,
    store::{
        self, PgConnection, PgPool,
        events::{self, Delivery, Stored},
        partitions,
    },
};

/// Deliveries in one statement.
const BATCH: usize = 256;

pub(super) async fn run(
    pool: PgPool,
    settings: Arc<Settings>,
    metrics: Metrics,
    wake: Arc<Notify>,
    mut queue: mpsc::Receiver<Waiting>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut pen = Pen { pool, connection: None };
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        metrics.intake_queued.sub(i64::try_from(batch.len()).unwrap_or(0));
        metrics.group_commit_deliveries.observe(batch.len() as f64);
        flush(&mut pen, &settings, &metrics, std::mem::take(&mut batch)).await;
        wake.notify_one();
    }
}

async fn flush(pen: &mut Pen, settings: &Settings, metrics: &Metrics, batch: Vec<Waiting>) {
    let (firsts, repeats) = split_repeats(batch);
    let (deliveries, waiters): (Vec<Delivery>, Vec<_>) = firsts.into_iter().map(|w| (w.delivery, w.answer)).unzip();
    let results = store(pen, settings, &deliveries).await;
    for (delivery, result) in deliveries.iter().zip(&results) {
        if *result == Ok(Stored::Fresh) {
            let labels = [
                &settings.label(delivery.application_id),
                &delivery.kind.label(),
                delivery.source.as_str(),
            ];
            metrics.events_total.with_label_values(&labels).inc();
        }
    }
    // A waiter that is gone has been told "unavailable"; its event is stored all the same, and its
    // repetition will be a duplicate.
    for (of, waiting) in repeats {
        let _ = waiting.answer.send(
            results
                .get(of)
                .copied()
                .unwrap_or(Err(Unavailable))
                .map(|_| Stored::Duplicate),
        );
    }
    for (answer, result) in waiters.into_iter().zip(results) {
        let _ = answer.send(result);
    }
}

/// Deliveries of one batch that say the same: the first is stored, the others get its answer.
fn split_repeats(batch: Vec<Waiting>) -> (Vec<Waiting>, Vec<(usize, Waiting)>) {
    let mut firsts: Vec<Waiting> = Vec::with_capacity(batch.len());
    let mut repeats = Vec::new();
    let mut seen: HashMap<[u8; 32], usize> = HashMap::new();
    for waiting in batch {
        match waiting.delivery.key.map(|key| *seen.entry(key).or_insert(firsts.len())) {
            Some(of) if of < firsts.len() => repeats.push((of, waiting)),
            Some(_) | None => firsts.push(waiting),
        }
    }
    (firsts, repeats)
}

async fn store(pen: &mut Pen, settings: &Settings, deliveries: &[Delivery]) -> Vec<Result<Stored, Unavailable>> {
    match store_once(pen, settings, deliveries).await {
        Ok(stored) => stored.into_iter().map(Ok).collect(),
        Err(Failed::Refused(error)) => {
            // One bad row must not fail its neighbours.
            warn!(%error, deliveries = deliveries.len(), "A batch of deliveries was refused; trying them one by one");
            let mut results = Vec::with_capacity(deliveries.len());
            for delivery in deliveries {
                results.push(match store_once(pen, settings, std::slice::from_ref(delivery)).await {
                    Ok(stored) => stored.first().copied().ok_or(Unavailable),
                    Err(Failed::Refused(error) | Failed::Away(error)) => {
                        error!(%error, kind = %delivery.kind, "A delivery could not be stored");
                        Err(Unavailable)
                    }
                });
            }
            results
        }
        Err(Failed::Away(error)) => {
            error!(%error, deliveries = deliveries.len(), "The database is away; deliveries are answered with 503");
            vec![Err(Unavailable); deliveries.len()]
        }
    }
}

/// The connection deliveries are written on. It is kept, so that no flush pays for asking whether it
/// still works, and it is not of the pool, so that no worker can keep it from us.
struct Pen {
    pool: PgPool,
    connection: Option<PgConnection>,
}

impl Pen {
    /// A connection that has failed, or whose answer nobody waited for, is not used again.
    async fn store(&mut self, deliveries: &[Delivery], window: i64) -> store::Result<Vec<Stored>> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => store::connect_alone(&self.pool).await?,
        };
        let stored = match events::store(&mut connection, deliveries, window).await {
            // The clock jumped, or nobody made the days of a week.
            Err(error) if partitions::is_missing(&error) => {
                partitions::ensure(&self.pool, partitions::DAYS_AHEAD).await?;
                events::store(&mut connection, deliveries, window).await?
            }
            stored => stored?,
        };
        self.connection = Some(connection);
        Ok(stored)
    }
}

enum Failed {
    Refused(String),
    Away(String),
}

async fn store_once(pen: &mut Pen, settings: &Settings, deliveries: &[Delivery]) -> Result<Vec<Stored>, Failed> {
    let window = i64::try_from(settings.duplicate_window.as_secs()).unwrap_or(i64::MAX);
    match tokio::time::timeout(settings.deadline, pen.store(deliveries, window)).await {
        Ok(Ok(stored)) => Ok(stored),
        Ok(Err(store::Error::Database(error))) => Err(Failed::Refused(error.to_string())),
        Ok(Err(error)) => Err(Failed::Away(error.to_string())),
        Err(_) => Err(Failed::Away(format!("no answer within {:?}", settings.deadline))),
    }
}
