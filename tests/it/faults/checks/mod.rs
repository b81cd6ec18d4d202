//! What has to be true after a round. Each check is a comparison of things that Bellhop did not make from each other:
//! the sender's memory, the marketplace's, and the tables.

mod capping;
mod deliveries;
mod installations;
mod marketplace;
mod money;
mod relaying;
mod rules;
mod tables;
mod telephony;
mod waiting;

pub(crate) use marketplace::twice;
use std::{collections::BTreeSet, fmt, path::Path};

use bellhop::sandbox::Limits;
use sqlx::PgConnection;

use super::{
    oracle::Oracle,
    scene::{Memory, spooled},
    world::TRIAL,
};

/// A promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Check {
    Stored,
    Installations,
    FiredOnce,
    Decided,
    Effects,
    Relayed,
    Waited,
    Capped,
    Calls,
    Ledger,
    Budget,
    NothingLeft,
    Sums,
}

impl Check {
    pub(crate) const ALL: [Self; 13] = [
        Self::Stored,
        Self::Installations,
        Self::FiredOnce,
        Self::Decided,
        Self::Effects,
        Self::Relayed,
        Self::Waited,
        Self::Capped,
        Self::Calls,
        Self::Ledger,
        Self::Budget,
        Self::NothingLeft,
        Self::Sums,
    ];
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Stored => "what was acknowledged is stored exactly once",
            Self::Installations => "installations are what callbacks and calls imply",
            Self::FiredOnce => "a rule fires once for an occurrence",
            Self::Decided => "every event is judged, every decision written",
            Self::Effects => "what is called done was done, nothing else was",
            Self::Relayed => "every event is relayed, signed and in order",
            Self::Waited => "steps that wait run once, and not too early",
            Self::Capped => "a cap holds; what is released is done once",
            Self::Calls => "telephone calls stand in the history",
            Self::Ledger => "no second activation, payment or refund",
            Self::Budget => "the marketplace's limits hold",
            Self::NothingLeft => "nothing is stuck, leased or waiting",
            Self::Sums => "counts add up",
        })
    }
}

/// A promise that was not kept, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) check: Check,
    pub(crate) what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NOT {}: {}", self.check, self.what)
    }
}

/// What the tables are compared with.
pub(crate) struct Case<'a> {
    pub(crate) oracle: &'a Oracle,
    pub(crate) memory: &'a Memory,
    pub(crate) limits: Limits,
    /// Where the spools are.
    pub(crate) folder: &'a Path,
    /// Whether a job may have been taken from a worker that lived.
    pub(crate) leases_lost: bool,
}

type Places = BTreeSet<(i64, i64)>;

impl Case<'_> {
    /// Places where a callback was not acknowledged: Bellhop may have heard it or not.
    pub(crate) fn unsure(&self) -> Places {
        installations::unsure(&self.memory.sent)
    }

    /// Where the places of which everything was heard do not stand as the marketplace says.
    pub(crate) async fn certain_places(&self, connection: &mut PgConnection, unsure: &Places) -> Vec<Breach> {
        let mut found = installations::against_truth(connection, &self.memory.truth, unsure).await;
        found.extend(installations::against_events(connection).await);
        named(Check::Installations, found)
    }

    /// Every check.
    pub(crate) async fn all(&self, connection: &mut PgConnection) -> Vec<Breach> {
        let mut breaches = Vec::new();
        for check in Check::ALL {
            let found = match check {
                Check::Stored => deliveries::all(connection, self.oracle, &self.memory.sent).await,
                Check::Installations => {
                    installations::against_truth(connection, &self.memory.truth, &Places::new()).await
                }
                Check::FiredOnce => rules::fired_once(connection).await,
                Check::Decided => rules::decided(connection).await,
                Check::Effects => rules::effects(connection, self.memory).await,
                Check::Relayed => relaying::all(connection, self.oracle, &self.memory.relayed).await,
                Check::Waited => waiting::all(connection, self.oracle, &self.memory.inbox).await,
                Check::Capped => capping::all(connection, self.oracle, &self.memory.inbox).await,
                Check::Calls => telephony::all(connection, self.oracle, &self.memory.truth).await,
                Check::Ledger => {
                    let mut twice = marketplace::twice(self.memory, self.leases_lost);
                    twice.extend(money::books(connection, &self.memory.truth).await);
                    twice
                }
                Check::Budget => marketplace::budget(&self.memory.calls, self.limits),
                Check::NothingLeft => {
                    let mut left = spooled(self.folder);
                    left.extend(tables::nothing_left(connection).await);
                    left
                }
                Check::Sums => tables::sums(connection).await,
            };
            breaches.extend(named(check, found));
        }
        breaches
    }
}

/// The first few tell as much as all.
fn named(check: Check, found: Vec<String>) -> Vec<Breach> {
    let more = found.len().saturating_sub(6);
    let mut breaches: Vec<Breach> = found.into_iter().take(6).map(|what| Breach { check, what }).collect();
    if more > 0 {
        breaches.push(Breach {
            check,
            what: format!("… and {more} more"),
        });
    }
    breaches
}

/// The rows of a question whose every answer is a complaint.
async fn complaints(connection: &mut PgConnection, question: &'static str) -> Vec<String> {
    sqlx::query_scalar(question)
        .fetch_all(connection)
        .await
        .unwrap_or_else(|error| vec![error.to_string()])
}
