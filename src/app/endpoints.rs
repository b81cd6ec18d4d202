//! Receivers of forwarded events, each known by the origin of its address. What is known of them stays in this process:
//! another one finds out by itself.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use url::Url;

use super::circuit::Circuit;

/// The receivers that rules forward to.
#[derive(Debug)]
pub struct Endpoints {
    first_wait: Duration,
    circuits: Mutex<BTreeMap<String, Arc<Circuit>>>,
}

impl Endpoints {
    /// None so far. A receiver that does not answer is tried again after this wait, which doubles.
    pub fn new(first_wait: Duration) -> Self {
        Self {
            first_wait,
            circuits: Mutex::default(),
        }
    }

    /// Whether the receiver behind an address answers. Addresses are those of rules, so there are few.
    pub fn of(&self, url: &str) -> Arc<Circuit> {
        let mut circuits = self.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        let circuit = circuits.entry(origin(url));
        Arc::clone(circuit.or_insert_with(|| Arc::new(Circuit::new(self.first_wait))))
    }
}

/// Scheme, host and port of an address: what is down together.
pub fn origin(url: &str) -> String {
    Url::parse(url).map_or_else(|_| url.to_owned(), |url| url.origin().ascii_serialization())
}
