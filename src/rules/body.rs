use serde_json::{Map, Value, json};

use super::facts::Facts;

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
