//! Deliveries that were rejected or quarantined, recognised once more.

use serde_json::Value;

use crate::{
    app::App,
    domain::event::{Kind, Source, State},
    intake::wire::{self, Door, Key},
    store::{events::Delivery, inbox::Waiting},
};

/// What was not kept with a delivery that was refused.
const NOT_KEPT: &str = "what would prove it was not kept; --trust takes it as genuine";

/// Reads the raw bytes of a delivery that was refused, by the configuration of today. `trust` says that a person takes
/// it as genuine: its token was cut out and the key of its address was not kept, so nothing can prove it any more.
///
/// # Errors
/// With the reason why it is still refused.
pub(super) fn recognise(
    app: &App,
    event: &Waiting,
    (body, headers): (&[u8], Option<Value>),
    (reason, trust): (Option<&str>, bool),
) -> Result<Delivery, String> {
    if event.source == Source::Telephony {
        return Err("calls are not taken later; have the telephony system send it again".to_owned());
    }
    let served = app.served(event.place.application_id);
    let unverified = reason.is_some_and(|reason| reason.starts_with("unverified"));
    let key = match (trust, unverified) {
        (true, _) => Key::Right,
        (false, true) => Key::Absent,
        (false, false) => Key::Wrong,
    };
    let door = Door {
        application_id: event.place.application_id,
        location_id: None,
        key,
        ours: served.is_some(),
        partner_tokens: served.iter().flat_map(|served| served.partner_tokens()).collect(),
        tokens: app.all_served().flat_map(|served| served.partner_tokens()).collect(),
        signature_keys: served.iter().flat_map(|served| served.signature_keys()).collect(),
        accept_unverified: served.is_some_and(|served| served.config.accept_unverified),
        headers: headers.unwrap_or_default(),
        hook_id: None,
        vouched: trust,
    };
    let (genuine, other): (Vec<Delivery>, Vec<Delivery>) = wire::recognise(&door, body)
        .into_iter()
        .partition(|delivery| delivery.verdict == State::Received);
    if let Some(delivery) = genuine.into_iter().next() {
        return Ok(Delivery {
            source: Source::Operator,
            arrived_at: Some(event.occurred_at),
            ..delivery
        });
    }
    let Some(delivery) = other.into_iter().next() else {
        return Err("it is empty".to_owned());
    };
    let still = delivery.reason.unwrap_or_default().into_owned();
    let provable = !trust && served.is_some() && delivery.kind != Kind::Unknown;
    Err(if provable {
        format!("{still}; {NOT_KEPT}")
    } else {
        still
    })
}
