use std::{sync::Arc, time::Duration};

use tokio::sync::Mutex;
use tracing::{error, warn};

use crate::{
    domain::event::State,
    intake::Settings,
    metrics::Metrics,
    store::{
        self, PgConnection, PgPool,
        events::{self, Delivery, Stored},
        partitions,
    },
};

/// The way into the database. One writes at a time.
pub(in crate::intake) struct Statement {
    pub(super) settings: Arc<Settings>,
    pub(super) metrics: Metrics,
    pen: Mutex<Pen>,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// It is in the database.
    Stored(Stored),
    /// The database answers, and takes it in no form.
    Refused,
    /// The database did not take it, for no reason of its own. It may be there all the same: when only
    /// the answer was lost.
    Not,
}

enum Failed {
    Refused(store::Error),
    Away(String),
}

impl Statement {
    pub(in crate::intake) fn new(pool: PgPool, settings: Arc<Settings>, metrics: Metrics) -> Self {
        Self {
            settings,
            metrics,
            pen: Mutex::new(Pen { pool, connection: None }),
        }
    }

    /// Writes deliveries whose keys differ. With the reason when the database is away; from where that
    /// was noticed on, they are not written.
    pub(super) async fn write(&self, deliveries: &[Delivery], patience: Duration) -> (Vec<Written>, Option<String>) {
        let mut written = vec![Written::Not; deliveries.len()];
        let mut away = None;
        // One bad row must not fail its neighbours: halves are tried until it stands alone. They are
        // taken from the end, so that the order stays.
        let mut parts = Vec::new();
        parts.push(0..deliveries.len());
        while let Some(part) = parts.pop() {
            match self.once(&deliveries[part.clone()], patience).await {
                Ok(stored) => {
                    for (n, stored) in part.zip(stored) {
                        written[n] = Written::Stored(stored);
                    }
                }
                Err(Failed::Refused(error)) if part.len() > 1 => {
                    warn!(%error, deliveries = part.len(), "A batch of deliveries was refused; trying its halves");
                    let middle = part.start + part.len() / 2;
                    parts.extend([middle..part.end, part.start..middle]);
                }
                Err(Failed::Refused(error)) => match self.bare(&deliveries[part.start], &error, patience).await {
                    Ok(outcome) => written[part.start] = outcome,
                    Err(why) => {
                        away = Some(why);
                        break;
                    }
                },
                Err(Failed::Away(why)) => {
                    away = Some(why);
                    break;
                }
            }
        }
        self.count(deliveries, &written);
        (written, away)
    }

    /// What the database refuses for itself is kept without what can be wrong with it, for people.
    async fn bare(&self, delivery: &Delivery, refusal: &store::Error, patience: Duration) -> Result<Written, String> {
        error!(error = %refusal, kind = %delivery.kind, "The database refuses a delivery; it is kept as quarantined");
        let code = refusal
            .as_database_error()
            .and_then(|error| error.code().map(|code| code.into_owned()));
        let code = code.unwrap_or_else(|| "no code".to_owned());
        let bare = Delivery {
            verdict: State::Quarantined,
            reason: Some(format!("the database refused it as it was ({code})").into()),
            fact: None,
            resource_id: None,
            headers: serde_json::Value::Null,
            ..delivery.clone()
        };
        match self.once(std::slice::from_ref(&bare), patience).await {
            Ok(stored) => Ok(stored.first().copied().map_or(Written::Refused, Written::Stored)),
            Err(Failed::Refused(error)) => {
                error!(%error, kind = %delivery.kind, "A delivery could not be stored in any form");
                Ok(Written::Refused)
            }
            Err(Failed::Away(why)) => Err(why),
        }
    }

    async fn once(&self, deliveries: &[Delivery], patience: Duration) -> Result<Vec<Stored>, Failed> {
        let window = i64::try_from(self.settings.duplicate_window.as_secs()).unwrap_or(i64::MAX);
        let mut pen = self.pen.lock().await;
        match tokio::time::timeout(patience, pen.store(deliveries, window)).await {
            Ok(Ok(stored)) => Ok(stored),
            Ok(Err(error)) if store::refuses_data(&error) => Err(Failed::Refused(error)),
            Ok(Err(error)) => Err(Failed::Away(error.to_string())),
            Err(_) => Err(Failed::Away(format!("no answer within {patience:?}"))),
        }
    }

    fn count(&self, deliveries: &[Delivery], written: &[Written]) {
        for (delivery, written) in deliveries.iter().zip(written) {
            if *written == Written::Stored(Stored::Fresh) {
                let labels = [
                    &self.settings.label(delivery.application_id),
                    &delivery.kind.label(),
                    delivery.source.as_str(),
                ];
                self.metrics.events_total.with_label_values(&labels).inc();
            }
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
    async fn store(&mut self, deliveries: &[Delivery], window: i64) -> store::Result<Vec<Stored>> {
        let kept = self.connection.is_some();
        match self.once(deliveries, window).await {
            // The clock jumped, or nobody made the days of a week.
            Err(error) if partitions::is_missing(&error) => {
                partitions::ensure(&self.pool, partitions::DAYS_AHEAD).await?;
            }
            // The server may just have been started again; then a new connection works.
            Err(error) if kept && store::is_transient(&error) => {}
            result => return result,
        }
        self.once(deliveries, window).await
    }

    /// A connection that has failed, or whose answer nobody waited for, is not used again.
    async fn once(&mut self, deliveries: &[Delivery], window: i64) -> store::Result<Vec<Stored>> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => store::connect_alone(&self.pool).await?,
        };
        let stored = events::store(&mut connection, deliveries, window).await?;
        self.connection = Some(connection);
        Ok(stored)
    }
}
