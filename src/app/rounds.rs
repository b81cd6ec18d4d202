//! How long rounds of comparing take: what they need, and what they may use of a request budget.

use std::{collections::BTreeMap, time::Duration};

use super::{App, served::Served};
use crate::{
    domain::ids::ApplicationId,
    store::{self, PgPool, reconciliations},
};

/// Locations on one page of the list of connected ones; the most it takes.
pub const PAGE: u32 = 1000;

/// What rounds need and what they may use, for all applications that share one request budget.
#[derive(Debug, Clone, Copy)]
pub struct Demand {
    /// Places whose status is read in each round.
    pub places: u64,
    /// Those that are read first.
    pub urgent: u64,
    /// Places whose webhook settings are read, each once in `hooks_interval`.
    pub hooks: u64,
    /// The marketplace's limit for the address.
    pub requests_per_minute: u32,
    /// `reconcile.share`.
    pub share: f64,
    /// `reconcile.interval`.
    pub interval: Duration,
    /// `reconcile.hooks_interval`.
    pub hooks_interval: Duration,
}

/// How rounds go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Requests a minute that comparing may use while others need theirs.
    pub requests_per_minute: f64,
    /// Requests of a round.
    pub requests: u64,
    /// How long a round takes with them.
    pub round: Duration,
    /// How long it takes until the urgent places were read.
    pub urgent: Duration,
    /// How long something that nobody told may stay unseen.
    pub unseen: Duration,
}

/// What the rounds of these applications need, with the applications, for each request budget that some of them share;
/// with so many `locations` each instead of those that are known.
///
/// # Errors
/// When the database does not answer.
pub async fn demands<'a>(
    app: &'a App,
    pool: &PgPool,
    served: impl Iterator<Item = &'a Served>,
    locations: Option<u64>,
) -> store::Result<BTreeMap<&'a str, (Demand, Vec<ApplicationId>)>> {
    let settings = &app.config.reconcile;
    let mut demands = BTreeMap::new();
    for served in served {
        let known = reconciliations::extent(pool, served.id).await?;
        let number = |count: i64| u64::try_from(count).unwrap_or(0);
        let places = locations.unwrap_or(number(known.places));
        let hooks = locations.unwrap_or(number(known.active));
        let (demand, applications) = demands.entry(&*served.budget_scope).or_insert_with(|| {
            let nothing = Demand {
                places: 0,
                urgent: 0,
                hooks: 0,
                requests_per_minute: served.limits.per_minute,
                share: settings.share,
                interval: settings.interval,
                hooks_interval: settings.hooks_interval,
            };
            (nothing, Vec::new())
        });
        demand.places += places;
        demand.urgent += number(known.urgent);
        demand.hooks += served.config.user_token.as_ref().map_or(0, |_| hooks);
        applications.push(served.id);
    }
    Ok(demands)
}

impl Demand {
    /// Plans it.
    pub fn plan(self) -> Plan {
        let per_minute = (f64::from(self.requests_per_minute) * self.share).max(1.0);
        let takes = |requests: u64| Duration::from_secs_f64(requests as f64 / per_minute * 60.0);
        let pages = self.places / u64::from(PAGE) + 1;
        let first = pages + self.places;
        // Rounds that take longer than the interval follow each other without a pause.
        let period = takes(first).max(self.interval);
        let hooks = self.hooks as f64 * (period.as_secs_f64() / self.hooks_interval.as_secs_f64()).min(1.0);
        let requests = first + hooks.ceil() as u64;
        let round = takes(requests);
        Plan {
            requests_per_minute: per_minute,
            requests,
            round,
            urgent: takes(pages + self.urgent),
            unseen: round.max(self.interval),
        }
    }
}

impl Plan {
    /// When the last complete round began longer ago than this, comparing is behind its plan. Until a round is over the
    /// one before is the last, so that half as much again as both take together is too long.
    pub fn too_long(&self) -> Duration {
        (self.unseen + self.round).mul_f64(1.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(places: u64) -> Demand {
        Demand {
            places,
            urgent: places / 100,
            hooks: 0,
            requests_per_minute: 200,
            share: 0.3,
            interval: Duration::from_secs(600),
            hooks_interval: Duration::from_secs(86_400),
        }
    }

    #[test]
    fn few_places_are_read_within_the_interval_and_many_take_as_long_as_the_share_allows() {
        let few = demand(300).plan();
        assert_eq!(
            (few.requests, few.round.as_secs(), few.unseen.as_secs()),
            (301, 301, 600)
        );
        let many = demand(10_000).plan();
        assert_eq!((many.requests, many.round.as_secs() / 60), (10_011, 166));
        assert_eq!(many.unseen, many.round);
        assert_eq!((few.too_long().as_secs(), many.too_long()), (1_351, many.round * 3));
        assert_eq!(many.urgent.as_secs(), 111, "what is urgent does not wait for the rest");
    }

    #[test]
    fn webhook_settings_are_read_in_their_own_time() {
        let plan = Demand {
            hooks: 10_000,
            ..demand(10_000)
        }
        .plan();
        assert_eq!(
            plan.requests - demand(10_000).plan().requests,
            1_159,
            "a day's rounds read them all once"
        );
    }
}
