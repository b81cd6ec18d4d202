//! Events as rules see them.

use std::time::Duration;

use serde_json::Value;

use crate::{
    domain::event::Fact,
    rules::{EventView, Subject},
    store::inbox::Waiting,
};

/// An event as rules see it.
pub fn view(event: &Waiting) -> EventView {
    let subject = match &event.fact {
        Some(Fact::PaymentReceived { payment, .. } | Fact::PaymentRefunded { payment, .. }) => {
            Subject::Payment(payment.clone())
        }
        Some(Fact::MomentCame { before_seconds, .. }) => Subject::Moment {
            due_at: event.occurred_at,
            before: Duration::from_secs(u64::try_from(*before_seconds).unwrap_or(0)),
        },
        Some(_) => Subject::Status,
        None => Subject::Entity {
            resource_id: event.resource_id,
            data: event.body.as_deref().and_then(data),
            digest: event.digest.as_deref().map(hex::encode).unwrap_or_default(),
        },
    };
    EventView {
        id: event.id,
        kind: event.kind.clone(),
        source: event.source,
        at: event.occurred_at,
        subject,
    }
}

/// How long before its date a moment came; it tells moments of one kind apart.
pub fn moment_before(event: &Waiting) -> Option<Duration> {
    match event.fact {
        Some(Fact::MomentCame { before_seconds, .. }) => u64::try_from(before_seconds).ok().map(Duration::from_secs),
        _ => None,
    }
}

/// The `data` of an entity event. Bodies with broken Unicode are read as well as they can be.
fn data(body: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(body);
    let whole: Option<Value> = serde_json::from_str(&text).ok().or_else(|| {
        let readable = lone_surrogates_replaced(&text);
        serde_json::from_str(&readable).ok()
    });
    whole.and_then(|mut whole| whole.get_mut("data").map(Value::take))
}

/// Replaces escaped surrogates, which JSON cannot hold alone; pairs are lost with them.
fn lone_surrogates_replaced(text: &str) -> String {
    let mut parts = text.split("\\u");
    let mut readable = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let surrogate = part.len() >= 4 && part.as_bytes()[0].eq_ignore_ascii_case(&b'd') && part.as_bytes()[1] >= b'8';
        readable.push_str("\\u");
        if surrogate && part.is_char_boundary(4) {
            readable.push_str("fffd");
            readable.push_str(&part[4..]);
        } else {
            readable.push_str(part);
        }
    }
    readable
}
