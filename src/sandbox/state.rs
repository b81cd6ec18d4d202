//! Everything a sandbox knows, in one struct behind one mutex.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use super::calls::CallLog;
use super::chats::Said;
use super::faults::Faults;
use super::hooks::Hook;
use super::inbox::Received;
use super::limits::Windows;
use super::links::Link;
use super::locations::Location;
use super::mailbox::Mail;
use super::options::{Application, Brand, Options, Terms};
use super::sender::{Outgoing, Sent};
use super::voip_api::{PhoneCall, PhoneRing};

/// How many lines each of the logs keeps.
const LOG_LIMIT: usize = 20_000;

/// A link's key: application, location.
pub(super) type Key = (i64, i64);

/// The marketplace's memory. Only plain data: no clock, no IO.
#[derive(Debug)]
pub(super) struct State {
    pub(super) brand: Brand,
    pub(super) partner_token: String,
    pub(super) terms: Terms,
    pub(super) applications: BTreeMap<i64, Application>,
    pub(super) foreign: BTreeSet<i64>,
    pub(super) locations: BTreeMap<i64, Location>,
    pub(super) links: BTreeMap<Key, Link>,
    /// Webhook addresses by location.
    pub(super) hooks: BTreeMap<i64, Vec<Hook>>,
    /// Addresses of somebody else that a location-wide replacement removed.
    pub(super) lost_hooks: BTreeMap<i64, Vec<Hook>>,
    pub(super) phone_lines: BTreeMap<String, bool>,
    pub(super) phone_calls: Vec<PhoneCall>,
    pub(super) phone_rings: Vec<PhoneRing>,
    pub(super) next_payment_id: i64,
    pub(super) faults: Faults,
    pub(super) windows: Windows,
    pub(super) calls: CallLog,
    /// Callbacks that have to leave now.
    pub(super) callbacks: Vec<Outgoing>,
    /// Entity events that wait for their time.
    pub(super) events: Vec<Outgoing>,
    pub(super) sent: Log<Sent>,
    pub(super) mails: Log<Mail>,
    pub(super) inbox: Log<Received>,
    pub(super) chats: Log<Said>,
}

impl State {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            brand: options.brand,
            partner_token: options.partner_token.clone(),
            terms: options.terms.clone(),
            applications: options
                .applications
                .iter()
                .map(|application| (application.id, application.clone()))
                .collect(),
            foreign: options.foreign_applications.iter().copied().collect(),
            locations: BTreeMap::new(),
            links: BTreeMap::new(),
            hooks: BTreeMap::new(),
            lost_hooks: BTreeMap::new(),
            phone_lines: BTreeMap::new(),
            phone_calls: Vec::new(),
            phone_rings: Vec::new(),
            next_payment_id: 1001,
            faults: Faults::default(),
            windows: Windows::new(options.limits),
            calls: CallLog::default(),
            callbacks: Vec::new(),
            events: Vec::new(),
            sent: Log::default(),
            mails: Log::default(),
            inbox: Log::default(),
            chats: Log::default(),
        }
    }

    /// The location, invented when nobody described it.
    pub(super) fn location(&mut self, id: i64) -> &Location {
        self.locations.entry(id).or_insert_with(|| Location::new(id))
    }

    /// The link, made when there was none.
    pub(super) fn link(&mut self, key: Key, now: DateTime<Utc>) -> &mut Link {
        self.links.entry(key).or_insert_with(|| Link::new(now))
    }

    /// Adds or replaces a location, with the addresses other developers have there.
    pub(super) fn put_location(&mut self, location: Location) {
        let location = location.completed();
        let hooks = self.hooks.entry(location.id).or_default();
        for url in &location.other_webhook_urls {
            if !hooks.iter().any(|hook| hook.url == *url) {
                hooks.push(Hook::subscribed(url.clone(), None));
            }
        }
        self.locations.insert(location.id, location);
    }

    /// Moves every stored date into the past: that is how time passes here.
    pub(super) fn age(&mut self, by: TimeDelta) {
        for link in self.links.values_mut() {
            link.age(by);
        }
        for event in &mut self.events {
            event.due_at -= by;
        }
        for call in &mut self.phone_calls {
            call.call_date -= by;
        }
    }
}

/// A log that forgets its oldest lines.
#[derive(Debug)]
pub(super) struct Log<T>(VecDeque<T>);

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: Clone> Log<T> {
    pub(super) fn push(&mut self, line: T) {
        if self.0.len() == LOG_LIMIT {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }

    pub(super) fn to_vec(&self) -> Vec<T> {
        self.0.iter().cloned().collect()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
