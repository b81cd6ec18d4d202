//! Events as rules see them.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    domain::event::{Fact, Source},
    rules::{EventView, Subject},
    store::inbox::Waiting,
};

/// An event as rules see it.
pub fn view(event: &Waiting) -> EventView {
    let subject = match &event.fact {
        Some(Fact::PaymentReceived { payment, .. } | Fact::PaymentRefunded { payment, .. }) => {
            Subject::Payment(payment.clone())
        }
        Some(Fact::ActivationExpired { pending_since, .. }) => Subject::Expired {
            pending_since: *pending_since,
        },
        Some(fact) => fact.came(event.occurred_at).map_or(Subject::Status, Subject::Moment),
        None => Subject::Entity {
            resource_id: event.resource_id,
            data: event.body.as_deref().and_then(|body| data(body, event.source)),
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

/// The `data` of an entity event as it was sent, with every digit and in its order.
pub fn sent(event: &Waiting) -> Option<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Whole {
        data: Option<Box<RawValue>>,
    }
    if event.fact.is_some() {
        return None;
    }
    let text = String::from_utf8_lossy(event.body.as_deref()?);
    match event.source {
        Source::Telephony => serde_json::from_str(&text).ok(),
        _ => serde_json::from_str::<Whole>(&text).ok()?.data,
    }
}

/// The `data` of an entity event; what a telephony system tells is nothing else. Bodies with broken Unicode are read as
/// well as they can be.
fn data(body: &[u8], source: Source) -> Option<Value> {
    let text = String::from_utf8_lossy(body);
    let whole: Option<Value> = serde_json::from_str(&text).ok().or_else(|| {
        let readable = lone_surrogates_replaced(&text);
        serde_json::from_str(&readable).ok()
    });
    match source {
        Source::Telephony => whole,
        _ => whole.and_then(|mut whole| whole.get_mut("data").map(Value::take)),
    }
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
