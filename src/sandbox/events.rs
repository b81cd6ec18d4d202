//! Entity events: an entity changed, and every address that subscribed is told
//! (contract 7.3).

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::entities;
use super::links::Status;
use super::locations::Location;
use super::sender::{Class, Outgoing};
use super::state::State;

/// The largest number of events in one array.
const ARRAY_CHUNK: usize = 100;

/// A change of an entity at a location.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Where.
    pub location_id: i64,
    /// What: a word of contract 6.2, or any other.
    pub resource: String,
    /// Id of the entity; default an invented one.
    #[serde(default)]
    pub resource_id: Option<i64>,
    /// `create`, `update` (default), `delete`, or any other word.
    #[serde(default = "update")]
    pub status: String,
    /// The entity; default a realistic one.
    #[serde(default)]
    pub data: Option<Value>,
    /// Sent literally in place of everything above, which then only chooses the receivers.
    #[serde(default)]
    pub raw_body: Option<String>,
    /// How often every delivery is sent, each with its own `X-Hook-Id`; default 1.
    #[serde(default)]
    pub copies: Option<u32>,
    /// Wrapped in an array or not; default as the sandbox was started.
    #[serde(default)]
    pub array: Option<bool>,
    /// This many entities with ids in a row change at once; default 1.
    #[serde(default)]
    pub burst: Option<u32>,
    /// Sends the deliveries of a burst in random order.
    #[serde(default)]
    pub shuffle: bool,
    /// The application whose own call caused the change: it is told only if its address
    /// asks for that.
    #[serde(default)]
    pub by_application: Option<i64>,
}

fn update() -> String {
    "update".to_owned()
}

impl Change {
    /// A change with realistic data.
    pub fn new(location_id: i64, resource: impl Into<String>, status: impl Into<String>) -> Self {
        Self {
            location_id,
            resource: resource.into(),
            resource_id: None,
            status: status.into(),
            data: None,
            raw_body: None,
            copies: None,
            array: None,
            burst: None,
            shuffle: false,
            by_application: None,
        }
    }

    fn bodies(&self, location: &Location, array: bool, now: DateTime<Utc>) -> Vec<String> {
        if let Some(raw) = &self.raw_body {
            return vec![raw.clone()];
        }
        let first = self.resource_id.unwrap_or_else(|| match self.resource.as_str() {
            "salon" | "company" => location.id,
            _ => fastrand::i64(1_000_000_000..2_000_000_000),
        });
        let burst = i64::from(self.burst.unwrap_or(1));
        let events: Vec<Value> = (first..first + burst)
            .map(|id| {
                let data = self.data.clone();
                json!({
                    "company_id": location.id,
                    "resource": self.resource,
                    "resource_id": id,
                    "status": self.status,
                    "data": data.unwrap_or_else(|| {
                        entities::sample(&self.resource, id, &self.status, location, now)
                    }),
                })
            })
            .collect();
        if array {
            let chunks = events.chunks(ARRAY_CHUNK);
            return chunks.map(|chunk| json!(chunk).to_string()).collect();
        }
        events.iter().map(Value::to_string).collect()
    }
}

/// How the deliveries of a change are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub(super) delay: TimeDelta,
    pub(super) hook_id: bool,
    pub(super) array: bool,
}

impl State {
    /// Queues the deliveries of a change and answers how many there are.
    pub(super) fn change(&mut self, change: &Change, manner: Manner, now: DateTime<Utc>) -> usize {
        let location = self.location(change.location_id).clone();
        let array = change.array.unwrap_or(manner.array);
        let bodies = change.bodies(&location, array, now);
        let mut made: Vec<Outgoing> = Vec::new();
        for hook in self.hooks.get(&location.id).into_iter().flatten() {
            let Some(application) = hook.application_id else {
                continue;
            };
            let key = (application, location.id);
            let active = self.links.get(&key).is_some_and(|link| link.status == Status::Active);
            let own = change.by_application == Some(application);
            if !active || !hook.wants(&change.resource) || (own && !hook.self_sending) {
                continue;
            }
            for body in &bodies {
                for _ in 0..change.copies.unwrap_or(1) {
                    made.push(Outgoing {
                        class: Class::Event,
                        detail: change.resource.clone(),
                        key,
                        url: hook.url.clone(),
                        body: body.clone(),
                        hook_id: manner.hook_id.then(uuid),
                        due_at: now + manner.delay,
                    });
                }
            }
        }
        if change.shuffle {
            fastrand::shuffle(&mut made);
        }
        let count = made.len();
        self.events.extend(made);
        count
    }
}

/// A random UUID (version 4).
fn uuid() -> String {
    let random = fastrand::u128(..);
    let versioned = (random & !(0xf_u128 << 76)) | (0x4_u128 << 76);
    let marked = (versioned & !(0b11_u128 << 62)) | (0b10_u128 << 62);
    let hex = format!("{marked:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn hook_ids_look_like_uuids_of_version_4() {
        let id = super::uuid();
        let groups: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert_eq!(&id[14..15], "4");
        assert!("89ab".contains(&id[19..20]), "{id}");
    }
}
