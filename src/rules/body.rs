use serde::Serialize;
use serde_json::{Map, Value, json, value::RawValue};

use super::facts::Facts;
use crate::domain::event::Kind;

/// The body of a webhook whose rule gives none: what happened, and all that is known about it.
pub fn default_webhook_body(facts: &Facts<'_>, results: &Map<String, Value>) -> Value {
    let mut known = facts.json();
    let mut take = |root: &str| known.remove(root).unwrap_or_default();
    let (event, now) = (take("event"), take("now"));
    json!({
        "type": facts.event.kind,
        "timestamp": now,
        "data": {
            "event": event,
            "installation": take("installation"),
            "location": take("location"),
            "application": take("application"),
            "results": results,
        },
    })
}

#[derive(Serialize)]
struct Forwarded<'a> {
    #[serde(rename = "type")]
    kind: &'a Kind,
    timestamp: Value,
    data: Around<'a>,
}

#[derive(Serialize)]
struct Around<'a> {
    event: Event<'a>,
    installation: Value,
    location: Value,
    application: Value,
}

#[derive(Serialize)]
struct Event<'a> {
    #[serde(flatten)]
    known: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
}

/// The body of a forwarded event. `sent` is the data of an entity as it was sent, to the last digit; without it the
/// data stands there as rules see it.
pub fn forwarded_body(facts: &Facts<'_>, sent: Option<&RawValue>) -> String {
    let mut known = facts.json();
    let mut take = |root: &str| known.remove(root).unwrap_or_default();
    let mut event = match take("event") {
        Value::Object(event) => event,
        _ => Map::new(),
    };
    if sent.is_some() {
        event.remove("data");
    }
    let timestamp = event.get("at").cloned().unwrap_or_default();
    let body = Forwarded {
        kind: &facts.event.kind,
        timestamp,
        data: Around {
            event: Event {
                known: event,
                data: sent,
            },
            installation: take("installation"),
            location: take("location"),
            application: take("application"),
        },
    };
    serde_json::to_string(&body).expect("facts are plain data")
}
