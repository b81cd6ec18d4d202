//! What the driver knows for sure: what was sent, how often, and what was acknowledged.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bellhop::domain::signature::sha256_of;
use chrono::{DateTime, Utc};

use super::plan::Request;

/// What makes two deliveries one: where they came in, how the sender named them, and what they say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    pub(crate) application: i64,
    /// 0: none.
    pub(crate) location: i64,
    pub(crate) hook_id: Option<String>,
    pub(crate) digest: [u8; 32],
}

/// How a delivery fared.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fate {
    pub(crate) attempts: u64,
    /// Answered with 200, or for a page with the redirect to its progress.
    pub(crate) acknowledged: u64,
}

/// What somebody was told who is entitled to know: application, location and words. Unlike a delivery it is the same
/// in whatever request it came.
pub(crate) type Word = (i64, i64, String);

/// Somebody asked for a release.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Released {
    /// Before the request was sent.
    pub(crate) asked_at: DateTime<Utc>,
    pub(crate) application: i64,
    /// How many it was answered; nothing when there was no answer.
    pub(crate) count: Option<i64>,
}

/// The memory of the sender, and of those who release what is held.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    events: Mutex<BTreeMap<Word, bool>>,
    calls: Mutex<BTreeMap<Word, bool>>,
    releases: Mutex<Vec<Released>>,
    deliveries: Mutex<BTreeMap<Identity, Fate>>,
    visits: Mutex<BTreeMap<(i64, i64), Fate>>,
    refusals: Mutex<Vec<String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Oracle {
    /// A request was sent. Noted before its answer is known.
    pub(crate) fn sent(&self, request: &Request) {
        self.each(request, |fate| fate.attempts += 1);
        self.hear(request, false);
    }

    /// It was answered with 200.
    pub(crate) fn acknowledged(&self, request: &Request) {
        self.each(request, |fate| fate.acknowledged += 1);
        self.hear(request, true);
    }

    fn hear(&self, request: &Request, acknowledged: bool) {
        if !request.is_genuine() {
            return;
        }
        let of_kind = if request.is_call() { &self.calls } else { &self.events };
        let mut words = locked(of_kind);
        for element in &request.elements {
            let word = (request.application, element.location, element.text.clone());
            *words.entry(word).or_default() |= acknowledged;
        }
    }

    /// What was said through genuine addresses of the marketplace, and whether that was acknowledged.
    pub(crate) fn events(&self) -> BTreeMap<Word, bool> {
        locked(&self.events).clone()
    }

    /// The same for telephony systems.
    pub(crate) fn calls(&self) -> BTreeMap<Word, bool> {
        locked(&self.calls).clone()
    }

    /// Somebody asked for a release, and was answered or not.
    pub(crate) fn released(&self, release: Released) {
        locked(&self.releases).push(release);
    }

    /// All releases that were asked for.
    pub(crate) fn releases(&self) -> Vec<Released> {
        locked(&self.releases).clone()
    }

    /// It was answered in a way after which a sender does not come back.
    pub(crate) fn refused(&self, request: &Request, status: u16) {
        locked(&self.refusals).push(format!("{status} for {}", request.path));
    }

    fn each(&self, request: &Request, change: impl Fn(&mut Fate)) {
        let mut deliveries = locked(&self.deliveries);
        for element in &request.elements {
            let identity = Identity {
                application: request.application,
                location: if request.list {
                    element.location
                } else {
                    request.location.unwrap_or(0)
                },
                hook_id: request.hook_id.clone(),
                digest: sha256_of(element.text.as_bytes()),
            };
            change(deliveries.entry(identity).or_default());
        }
    }

    /// A browser asked for the page of a place.
    pub(crate) fn visited(&self, place: (i64, i64)) {
        locked(&self.visits).entry(place).or_default().attempts += 1;
    }

    /// And was let in.
    pub(crate) fn let_in(&self, place: (i64, i64)) {
        locked(&self.visits).entry(place).or_default().acknowledged += 1;
    }

    /// All refusals.
    pub(crate) fn refusals(&self) -> Vec<String> {
        locked(&self.refusals).clone()
    }

    /// All deliveries.
    pub(crate) fn deliveries(&self) -> BTreeMap<Identity, Fate> {
        locked(&self.deliveries).clone()
    }

    /// All visits, by application and location.
    pub(crate) fn visits(&self) -> BTreeMap<(i64, i64), Fate> {
        locked(&self.visits).clone()
    }
}
