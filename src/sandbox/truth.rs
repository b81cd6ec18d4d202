//! Everything the sandbox knows, for comparison with what a backend believes.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::hooks::Hook;
use super::links::{Link, Origin, Status};
use super::state::State;
use super::voip_api::{PhoneCall, PhoneRing};

/// What is true, in a stable order.
#[derive(Debug, Clone, Serialize)]
pub struct Truth {
    /// Every application at every location where it was ever connected.
    pub links: Vec<LinkTruth>,
    /// Every location.
    pub locations: Vec<LocationTruth>,
    /// Telephone lines, enabled or not; tokens masked.
    pub phone_lines: Vec<bool>,
    /// Calls that were told of when they were over.
    pub phone_calls: Vec<PhoneCall>,
    /// Calls that were told of while the phone rang.
    pub phone_rings: Vec<PhoneRing>,
}

/// One application at one location.
#[derive(Debug, Clone, Serialize)]
pub struct LinkTruth {
    /// Application.
    pub application_id: i64,
    /// Location.
    pub location_id: i64,
    /// What the link remembers.
    #[serde(flatten)]
    pub link: Link,
    /// End of the last trial.
    pub trial_to: Option<DateTime<Utc>>,
    /// End of the last period that was not refunded.
    pub paid_until: Option<DateTime<Utc>>,
    /// Addresses that receive events now.
    pub webhook_urls: Vec<String>,
}

/// One location.
#[derive(Debug, Clone, Serialize)]
pub struct LocationTruth {
    /// Location.
    pub id: i64,
    /// Title.
    pub title: String,
    /// All its webhook addresses.
    pub hooks: Vec<Hook>,
    /// Addresses of somebody else that a careless replacement removed.
    pub lost_hooks: Vec<Hook>,
}

impl State {
    pub(super) fn truth(&self) -> Truth {
        let none = Vec::new();
        let of = |hooks: &BTreeMap<i64, Vec<Hook>>, id: i64| hooks.get(&id).unwrap_or(&none).clone();
        Truth {
            links: self.links.keys().filter_map(|key| self.link_truth(*key)).collect(),
            locations: self
                .locations
                .values()
                .map(|location| LocationTruth {
                    id: location.id,
                    title: location.title.clone(),
                    hooks: of(&self.hooks, location.id),
                    lost_hooks: of(&self.lost_hooks, location.id),
                })
                .collect(),
            phone_lines: self.phone_lines.values().copied().collect(),
            phone_calls: self.phone_calls.clone(),
            phone_rings: self.phone_rings.clone(),
        }
    }

    pub(super) fn link_truth(&self, key: (i64, i64)) -> Option<LinkTruth> {
        let link = self.links.get(&key)?;
        let hooks = self.hooks.get(&key.1).into_iter().flatten();
        let own = hooks.filter(|hook| hook.application_id == Some(key.0) && hook.active);
        let trials = link.payments.iter().filter(|paid| paid.origin == Origin::Trial);
        Some(LinkTruth {
            application_id: key.0,
            location_id: key.1,
            trial_to: trials.map(|paid| paid.period_to).next_back(),
            paid_until: link.paid_until(),
            webhook_urls: own.map(|hook| hook.url.clone()).collect(),
            link: link.clone(),
        })
    }
}

impl Truth {
    /// The status of an application at a location.
    pub fn status(&self, application_id: i64, location_id: i64) -> Option<Status> {
        let mut links = self.links.iter();
        let found = links.find(|one| one.application_id == application_id && one.location_id == location_id);
        found.map(|one| one.link.status)
    }
}
