//! What a delivery is, read from its bytes. Pure: bytes and what is known of the door in, deliveries
//! ready to be stored out. Nothing that arrives can make this fail; what is not understood is
//! quarantined.
//!
//! Kinds are told apart by content, not by door (contract 7.2): `event` with `salon_id` is a lifecycle
//! callback, `resource` with `company_id` an entity event.

use std::borrow::Cow;

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::redact::redacted;
use crate::{
    domain::{
        event::{Fact, Kind, Source, State},
        ids::{ApplicationId, LocationId},
        payment::Payment,
        signature::{is_hex_hmac, same_secret, sha256},
    },
    store::events::Delivery,
};

/// What the address of a delivery proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The address has no key: the callback door.
    Absent,
    /// It was made by us for this location, or for the application.
    Right,
    /// It was not.
    Wrong,
}

/// What is known before the body is read.
pub struct Door<'a> {
    /// The application of the address.
    pub application_id: ApplicationId,
    /// The location of the address, when it names one.
    pub location_id: Option<LocationId>,
    /// What the address proves.
    pub key: Key,
    /// The application is configured here.
    pub ours: bool,
    /// The credentials that callbacks may carry.
    pub partner_tokens: Vec<&'a str>,
    /// All credentials we have: none of them is kept, whosever door it came through.
    pub tokens: Vec<&'a str>,
    /// The keys that `sign` may be made with.
    pub signature_keys: Vec<&'a str>,
    /// Believe entity events without a key.
    pub accept_unverified: bool,
    /// The headers that are kept.
    pub headers: Value,
    /// `X-Hook-Id`, when present and not blank.
    pub hook_id: Option<&'a str>,
    /// A person says that it is genuine: it came before, and what would prove it was not kept.
    pub vouched: bool,
}

/// The fields that decide; everything else is skipped without being understood.
#[derive(Default, Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    event_type: Option<&'a RawValue>,
    #[serde(borrow)]
    salon_id: Option<&'a RawValue>,
    #[serde(borrow)]
    application_id: Option<&'a RawValue>,
    #[serde(borrow)]
    partner_token: Option<&'a RawValue>,
    #[serde(borrow)]
    company_id: Option<&'a RawValue>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow)]
    resource_id: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    payment_id: Option<&'a RawValue>,
    #[serde(borrow)]
    amount: Option<&'a RawValue>,
    #[serde(borrow)]
    currency_iso: Option<&'a RawValue>,
    #[serde(borrow)]
    discount: Option<&'a RawValue>,
    #[serde(borrow)]
    sign: Option<&'a RawValue>,
}

/// What an element turned out to be.
struct Reading {
    location_id: Option<LocationId>,
    kind: Kind,
    source: Source,
    verdict: Result<Option<Fact>, (State, &'static str)>,
    resource_id: Option<i64>,
    same_each_time: bool,
}

/// Elements of one body that are kept although nobody knows what they are.
const MOST_UNKNOWN: usize = 100;

/// Reads a body: one element, or a list of them, each for itself.
pub fn recognise(door: &Door<'_>, body: &[u8]) -> Vec<Delivery> {
    // Nearly every body is valid, and to find that out is cheaper than to repair it.
    let text = std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed);
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Vec::new();
    }
    if let Some(envelope) = envelope(text) {
        return vec![recognise_one(door, text, &envelope)];
    }
    let elements: Result<Vec<&RawValue>, _> = if text.starts_with('[') {
        serde_json::from_str(text)
    } else {
        serde_json::from_str(text).map(|one| vec![one])
    };
    let Ok(elements) = elements else {
        return vec![delivery(door, quarantined("not JSON"), redacted(body, &door.tokens))];
    };
    let mut unknown = 0;
    let elements = elements.into_iter().map(RawValue::get).filter_map(|element| {
        let delivery = match envelope(element) {
            Some(envelope) => recognise_one(door, element, &envelope),
            None => {
                let kept = redacted(element.as_bytes(), &door.tokens);
                delivery(door, quarantined("unknown shape"), kept)
            }
        };
        unknown += usize::from(delivery.kind == Kind::Unknown);
        (delivery.kind != Kind::Unknown || unknown <= MOST_UNKNOWN).then_some(delivery)
    });
    elements.collect()
}

/// The fields of an object. A list would be read field by field in the order of the struct.
fn envelope(element: &str) -> Option<Envelope<'_>> {
    let object = element.starts_with('{').then(|| serde_json::from_str(element));
    object?.ok()
}

fn recognise_one(door: &Door<'_>, element: &str, envelope: &Envelope<'_>) -> Delivery {
    let reading = match (envelope.event.or(envelope.event_type), envelope.resource) {
        _ if !door.ours => quarantined("no application of this number is configured here"),
        (Some(event), _) if envelope.salon_id.is_some() => lifecycle(door, envelope, &literal(event)),
        (_, Some(resource)) if envelope.company_id.is_some() => entity(door, envelope, &literal(resource)),
        _ => quarantined("unknown shape"),
    };
    let body = without_token(element, envelope.partner_token);
    delivery(door, reading, redacted(body.as_bytes(), &door.tokens))
}

fn quarantined(reason: &'static str) -> Reading {
    Reading {
        location_id: None,
        kind: Kind::Unknown,
        source: Source::Webhook,
        verdict: Err((State::Quarantined, reason)),
        resource_id: None,
        same_each_time: true,
    }
}

/// Uninstall, freeze, payment (contract 7.2).
fn lifecycle(door: &Door<'_>, envelope: &Envelope<'_>, event: &str) -> Reading {
    let location_id = envelope.salon_id.and_then(location);
    let kind = match event {
        "uninstall" => Kind::InstallationUninstalled,
        "freeze" => Kind::InstallationFrozen,
        "payment" => Kind::PaymentReceived,
        _ => Kind::Unknown,
    };
    let unproven = match envelope.partner_token.map(literal) {
        _ if door.vouched => None,
        None => Some("partner_token is missing"),
        Some(token) if door.partner_tokens.iter().any(|ours| same_secret(&token, ours)) => None,
        Some(_) => Some("partner_token is wrong"),
    };
    let rejected = |reason| Err((State::Rejected, reason));
    let verdict = match unproven {
        Some(reason) => rejected(reason),
        None if envelope.application_id.and_then(integer) != Some(door.application_id.0) => {
            rejected("it is about another application")
        }
        None if location_id.is_none() => Err((State::Quarantined, "salon_id is no location number")),
        None => match kind {
            Kind::InstallationUninstalled => Ok(Some(Fact::Uninstalled { generation: None })),
            Kind::InstallationFrozen => Ok(Some(Fact::Frozen)),
            Kind::PaymentReceived => payment(door, envelope),
            _ => Err((State::Quarantined, "unknown lifecycle event")),
        },
    };
    // Two uninstalls with a reconnection between them are the same bytes, and both count; the state
    // machine makes repetitions harmless. A payment carries its number.
    let same_each_time = kind == Kind::PaymentReceived || verdict.is_err();
    Reading {
        location_id,
        kind,
        source: Source::Callback,
        verdict,
        resource_id: None,
        same_each_time,
    }
}

fn payment(door: &Door<'_>, envelope: &Envelope<'_>) -> Result<Option<Fact>, (State, &'static str)> {
    let sign = envelope.sign.map(literal);
    if sign.is_none() && !door.vouched {
        return Err((State::Rejected, "sign is missing"));
    }
    let (Some(salon), Some(amount)) = (envelope.salon_id, envelope.amount) else {
        return Err((State::Rejected, "the signed fields are missing"));
    };
    let discount = envelope.discount.map(literal);
    let is_right = |sign: Cow<'_, str>| {
        let (salon, printed) = (literal(salon), literal(amount));
        let mut keys = door.signature_keys.iter();
        keys.any(|key| sign_is_right(key, &salon, &printed, discount.as_deref(), &sign))
    };
    if !door.vouched && !sign.is_some_and(is_right) {
        return Err((State::Rejected, "sign does not match"));
    }
    let id = envelope
        .payment_id
        .and_then(integer)
        .ok_or((State::Quarantined, "payment_id is no number"))?;
    let amount = literal(amount)
        .parse::<Decimal>()
        .map_err(|_| (State::Quarantined, "amount is no number"))?;
    let iso = |text: &Cow<'_, str>| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    let currency = envelope.currency_iso.map(literal).filter(iso).map(Cow::into_owned);
    // Period and number are not signed, so they are not believed: the status call tells them.
    let payment = Payment {
        id: Some(id),
        amount,
        currency,
        period_from: None,
        period_to: None,
        refunded: false,
    };
    Ok(Some(Fact::PaymentReported { payment }))
}

/// `sign` covers the numbers as they are printed; how the other side prints them is not known for
/// sure, so the literal text is tried first and the shortest form second (contract 7.2).
fn sign_is_right(key: &str, salon: &str, amount: &str, discount: Option<&str>, sign: &str) -> bool {
    let signed = |amount: &str, discount: Option<&str>| {
        let discount = discount.map_or_else(String::new, |discount| format!("&discount={discount}"));
        format!("salon_id={salon}&amount={amount}{discount}")
    };
    let literal = signed(amount, discount);
    let shortest = signed(&shortest(amount), discount.map(shortest).as_deref());
    is_hex_hmac(key.as_bytes(), literal.as_bytes(), sign) || is_hex_hmac(key.as_bytes(), shortest.as_bytes(), sign)
}

fn shortest(number: &str) -> String {
    number
        .parse::<Decimal>()
        .map_or_else(|_| number.to_owned(), |decimal| decimal.normalize().to_string())
}

/// An appointment, a client, a sale, … (contract 7.3).
fn entity(door: &Door<'_>, envelope: &Envelope<'_>, resource: &str) -> Reading {
    let location_id = envelope.company_id.and_then(location);
    let status = envelope.status.map(literal).unwrap_or_default();
    let verdict = match (location_id, door.key) {
        (None, _) => Err((State::Quarantined, "company_id is no location number")),
        (Some(_), Key::Wrong) => Err((State::Quarantined, "the key of the address is wrong")),
        (Some(_), Key::Absent) if !door.accept_unverified => Err((
            State::Quarantined,
            "unverified: an entity event at an address without a key",
        )),
        (Some(body), Key::Right | Key::Absent) => match door.location_id {
            Some(address) if address != body => Err((State::Rejected, "it is about another location than its address")),
            Some(_) | None => Ok(None),
        },
    };
    Reading {
        location_id,
        kind: Kind::of_entity(resource, &status),
        source: Source::Webhook,
        verdict,
        resource_id: envelope.resource_id.and_then(integer),
        same_each_time: true,
    }
}

fn delivery(door: &Door<'_>, reading: Reading, body: Cow<'_, [u8]>) -> Delivery {
    let location_id = reading.location_id.or(door.location_id);
    let application = door.application_id.0.to_be_bytes();
    let location = location_id.map_or(0, |id| id.0).to_be_bytes();
    let digest = sha256(&[&application, &location, &body]);
    let (verdict, reason, fact) = match reading.verdict {
        Ok(fact) => (State::Received, None, fact),
        Err((state, reason)) => (state, Some(reason), None),
    };
    // What was refused may come again through the right door, or with the right token, and is no
    // repetition then.
    let told = sha256(&[&digest, reason.unwrap_or_default().as_bytes()]);
    // The name of a delivery alone does not decide: a sender that names all alike would lose all but
    // the first. A repetition has the same name and the same body.
    let key = match door.hook_id {
        Some(hook_id) => Some(sha256(&[hook_id.as_bytes(), &told])),
        None => reading.same_each_time.then_some(told),
    };
    Delivery {
        key,
        application_id: door.application_id,
        location_id,
        kind: reading.kind,
        source: reading.source,
        verdict,
        reason: reason.map(Cow::Borrowed),
        resource_id: reading.resource_id,
        digest,
        fact,
        headers: door.headers.clone(),
        body: body.into_owned(),
        arrived_at: None,
    }
}

/// A value as text: a string without its quotes, anything else as it is written.
fn literal(raw: &RawValue) -> Cow<'_, str> {
    match serde_json::from_str::<Cow<'_, str>>(raw.get()) {
        Ok(text) => Cow::Owned(text.into_owned()),
        Err(_) => Cow::Borrowed(raw.get()),
    }
}

/// Numbers of locations are positive (contract 0).
fn location(raw: &RawValue) -> Option<LocationId> {
    integer(raw).filter(|id| *id > 0).map(LocationId)
}

/// A number, or a text that is one.
fn integer(raw: &RawValue) -> Option<i64> {
    literal(raw).trim().parse().ok()
}

/// The element with the value of its `partner_token` replaced, whatever that value is: a wrong token
/// may be the right one of somebody else.
fn without_token<'a>(element: &'a str, token: Option<&RawValue>) -> Cow<'a, str> {
    let Some(token) = token else {
        return Cow::Borrowed(element);
    };
    let start = (token.get().as_ptr() as usize).wrapping_sub(element.as_ptr() as usize);
    match (element.get(..start), element.get(start + token.get().len()..)) {
        (Some(before), Some(after)) => Cow::Owned(format!("{before}\"***\"{after}")),
        _ => Cow::Owned(json!({"redacted": true}).to_string()),
    }
}

#[cfg(test)]
mod tests;
