//! The deliveries of the load: whole HTTP requests, made once and changed in place, so that the generator takes little
//! of the machine it measures on.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::domain::{
    ids::{ApplicationId, LocationId, Place},
    signature::hook_key,
};

/// The application all deliveries are for.
pub(super) const APPLICATION: ApplicationId = ApplicationId(18_289);
/// How many locations they come from.
pub(super) const LOCATIONS: u64 = 1000;
/// The first of them; all numbers have six digits.
pub(super) const FIRST_LOCATION: u64 = 100_001;
/// The key of the addresses.
pub(super) const HOOK_SECRET: &str = "a secret of the bench and of nobody else";

/// Each so-manieth delivery tells of a new appointment, the others of changes.
const CREATED_EVERY: u64 = 10;
/// One changed appointment, in the form and size in which the marketplace sends them.
const APPOINTMENT: &str = include_str!("appointment.json");
const LOCATION_MARK: &str = "@@@@@@";
const NUMBER_MARK: &str = "############";
/// Twelve digits, and never the same number twice in one process.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(100_000_000_000);

/// A request that is about another appointment each time.
pub(super) struct Delivery {
    bytes: Vec<u8>,
    /// Where the location stands, in the address and in the body.
    locations: Vec<usize>,
    /// Where the number of the appointment stands.
    numbers: Vec<usize>,
    key: usize,
    change: usize,
    keys: Arc<[String]>,
}

impl Delivery {
    /// The first one comes with [`Delivery::next`].
    pub(super) fn new(keys: Arc<[String]>) -> Self {
        let body = APPOINTMENT.trim_end();
        let key = keys.first().map_or("", String::as_str);
        let head = format!(
            "POST /apps/{APPLICATION}/hooks/{LOCATION_MARK}/{key} HTTP/1.1\r\nHost: 127.0.0.1\r\n\
             User-Agent: bellhop-bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let text = format!("{head}{body}");
        let places = |mark: &str| text.match_indices(mark).map(|(at, _)| at).collect::<Vec<_>>();
        let change = "\"status\":\"";
        Self {
            locations: places(LOCATION_MARK),
            numbers: places(NUMBER_MARK),
            key: text.find(key).unwrap_or(0),
            change: places(change).first().map_or(0, |at| at + change.len()),
            bytes: text.into_bytes(),
            keys,
        }
    }

    /// The next request.
    pub(super) fn next(&mut self) -> &[u8] {
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        // Consecutive numbers are far apart among the locations, so that a batch is about many.
        let location = number.wrapping_mul(7919) % LOCATIONS;
        let word = match number.is_multiple_of(CREATED_EVERY) {
            true => "create",
            false => "update",
        };
        self.write(self.change, word);
        if let Some(key) = self.keys.get(usize::try_from(location).unwrap_or(0)) {
            self.bytes[self.key..self.key + key.len()].copy_from_slice(key.as_bytes());
        }
        let (location, number) = ((FIRST_LOCATION + location).to_string(), number.to_string());
        for at in 0..self.locations.len() {
            self.write(self.locations[at], &location);
        }
        for at in 0..self.numbers.len() {
            self.write(self.numbers[at], &number);
        }
        &self.bytes
    }

    fn write(&mut self, at: usize, text: &str) {
        self.bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
}

/// The keys of the addresses of all locations.
pub(super) fn keys() -> Arc<[String]> {
    let place = |location: u64| Place {
        application_id: APPLICATION,
        location_id: LocationId(i64::try_from(location).unwrap_or(0)),
    };
    (FIRST_LOCATION..FIRST_LOCATION + LOCATIONS)
        .map(|location| hook_key(HOOK_SECRET, place(location)))
        .collect()
}

/// The body alone, of one appointment, for pgbench.
pub(super) fn body() -> String {
    APPOINTMENT
        .trim_end()
        .replace(LOCATION_MARK, &FIRST_LOCATION.to_string())
        .replace(NUMBER_MARK, "100000000000")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(request: &[u8]) -> (String, serde_json::Value) {
        let text = std::str::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        let address = head.split(' ').nth(1).unwrap().to_owned();
        (address, serde_json::from_str(body).unwrap())
    }

    #[test]
    fn every_delivery_is_a_genuine_one_about_another_appointment() {
        let mut delivery = Delivery::new(keys());
        let (address, first) = parts(delivery.next());
        let (_, second) = parts(delivery.next());
        assert_ne!(first["resource_id"], second["resource_id"]);
        assert_eq!(first["resource_id"], first["data"]["documents"][0]["record_id"]);
        let location = first["company_id"].as_i64().unwrap();
        let place = Place {
            application_id: APPLICATION,
            location_id: LocationId(location),
        };
        let key = hook_key(HOOK_SECRET, place);
        assert_eq!(address, format!("/apps/{APPLICATION}/hooks/{location}/{key}"));
        let created = (0..100)
            .filter(|_| parts(delivery.next()).1["status"] == "create")
            .count();
        assert_eq!(created, 10);
        assert!(body().len() > 2500 && serde_json::from_str::<serde_json::Value>(&body()).is_ok());
    }
}
