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
pub(super) enum Key {
    /// The address has no key: the callback door.
    Absent,
    /// It was made by us for this location, or for the application.
    Right,
    /// It was not.
    Wrong,
}

/// What is known before the body is read.
pub(super) struct Door<'a> {
    /// The application of the address.
    pub application_id: ApplicationId,
    /// The location of the address, when it names one.
    pub location_id: Option<LocationId>,
    /// What the address proves.
    pub key: Key,
    /// The application is configured here.
    pub ours: bool,
    /// The credential that callbacks carry.
    pub partner_token: &'a str,
    /// The key of `sign`.
    pub signature_key: &'a str,
    /// Believe entity events without a key.
    pub accept_unverified: bool,
    /// The headers that are kept.
    pub headers: Value,
    /// `X-Hook-Id`, when present and not blank.
    pub hook_id: Option<&'a str>,
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

/// Reads a body: one element, or a list of them, each for itself.
pub(super) fn recognise(door: &Door<'_>, body: &[u8]) -> Vec<Delivery> {
    let text = String::from_utf8_lossy(body);
    if text.trim().is_empty() {
        return Vec::new();
    }
    let elements: Result<Vec<&RawValue>, _> = if text.trim_start().starts_with('[') {
        serde_json::from_str(&text)
    } else {
        serde_json::from_str(&text).map(|one| vec![one])
    };
    match elements {
        Ok(elements) => elements
            .into_iter()
            .map(|element| recognise_one(door, element.get()))
            .collect(),
        Err(_) => vec![delivery(door, quarantined("not JSON"), strip(body, door.partner_token))],
    }
}

fn recognise_one(door: &Door<'_>, element: &str) -> Delivery {
    let envelope = match serde_json::from_str::<Envelope<'_>>(element) {
        Ok(envelope) => envelope,
        Err(_) => {
            return delivery(
                door,
                quarantined("unknown shape"),
                strip(element.as_bytes(), door.partner_token),
            );
        }
    };
    let reading = match (envelope.event.or(envelope.event_type), envelope.resource) {
        _ if !door.ours => quarantined("no application of this number is configured here"),
        (Some(event), _) if envelope.salon_id.is_some() => lifecycle(door, &envelope, &literal(event)),
        (_, Some(resource)) if envelope.company_id.is_some() => entity(door, &envelope, &literal(resource)),
        _ => quarantined("unknown shape"),
    };
    let body = without_token(element, envelope.partner_token);
    delivery(door, reading, strip(body.as_bytes(), door.partner_token))
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
    let location_id = envelope.salon_id.and_then(integer).map(LocationId);
    let kind = match event {
        "uninstall" => Kind::InstallationUninstalled,
        "freeze" => Kind::InstallationFrozen,
        "payment" => Kind::PaymentReceived,
        _ => Kind::Unknown,
    };
    let token = envelope.partner_token.map(literal);
    let rejected = |reason| Err((State::Rejected, reason));
    let verdict = match token {
        None => rejected("partner_token is missing"),
        Some(token) if !same_secret(&token, door.partner_token) => rejected("partner_token is wrong"),
        Some(_) if envelope.application_id.and_then(integer) != Some(door.application_id.0) => {
            rejected("it is about another application")
        }
        Some(_) if location_id.is_none() => Err((State::Quarantined, "salon_id is no number")),
        Some(_) => match kind {
            Kind::InstallationUninstalled => Ok(Some(Fact::Uninstalled)),
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
    let sign = envelope.sign.map(literal).ok_or((State::Rejected, "sign is missing"))?;
    let (Some(salon), Some(amount)) = (envelope.salon_id, envelope.amount) else {
        return Err((State::Rejected, "the signed fields are missing"));
    };
    let discount = envelope.discount.map(literal);
    if !sign_is_right(
        door.signature_key,
        &literal(salon),
        &literal(amount),
        discount.as_deref(),
        &sign,
    ) {
        return Err((State::Rejected, "sign does not match"));
    }
    let id = envelope
        .payment_id
        .and_then(integer)
        .ok_or((State::Quarantined, "payment_id is no number"))?;
    let amount = literal(amount)
        .parse::<Decimal>()
        .map_err(|_| (State::Quarantined, "amount is no number"))?;
    let currency = envelope
        .currency_iso
        .map(|currency| literal(currency).chars().take(3).collect());
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
    let location_id = envelope.company_id.and_then(integer).map(LocationId);
    let status = envelope.status.map(literal).unwrap_or_default();
    let verdict = match (location_id, door.key) {
        (None, _) => Err((State::Quarantined, "company_id is no number")),
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

fn delivery(door: &Door<'_>, reading: Reading, body: Vec<u8>) -> Delivery {
    let location_id = reading.location_id.or(door.location_id);
    let application = door.application_id.0.to_be_bytes();
    let location = location_id.map_or(0, |id| id.0).to_be_bytes();
    let digest = sha256(&[&application, &location, &body]);
    // The name of a delivery alone does not decide: a sender that names all alike would lose all but
    // the first. A repetition has the same name and the same body.
    let key = match door.hook_id {
        Some(hook_id) => Some(sha256(&[hook_id.as_bytes(), &digest])),
        None => reading.same_each_time.then_some(digest),
    };
    let (verdict, reason, fact) = match reading.verdict {
        Ok(fact) => (State::Received, None, fact),
        Err((state, reason)) => (state, Some(reason), None),
    };
    Delivery {
        key,
        application_id: door.application_id,
        location_id,
        kind: reading.kind,
        source: reading.source,
        verdict,
        reason,
        resource_id: reading.resource_id,
        digest,
        fact,
        headers: door.headers.clone(),
        body,
    }
}

/// A value as text: a string without its quotes, anything else as it is written.
fn literal(raw: &RawValue) -> Cow<'_, str> {
    match serde_json::from_str::<Cow<'_, str>>(raw.get()) {
        Ok(text) => Cow::Owned(text.into_owned()),
        Err(_) => Cow::Borrowed(raw.get()),
    }
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

/// The bytes without our token, wherever it stands.
fn strip(body: &[u8], token: &str) -> Vec<u8> {
    let token = token.as_bytes();
    let mut kept = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = (!token.is_empty()).then(|| find(rest, token)).flatten() {
        kept.extend_from_slice(&rest[..at]);
        kept.extend_from_slice(b"***");
        rest = &rest[at + token.len()..];
    }
    kept.extend_from_slice(rest);
    kept
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "test-partner-token-0001";

    fn door(key: Key, location: Option<i64>) -> Door<'static> {
        Door {
            application_id: ApplicationId(7),
            location_id: location.map(LocationId),
            key,
            ours: true,
            partner_token: TOKEN,
            signature_key: TOKEN,
            accept_unverified: false,
            headers: json!({}),
            hook_id: None,
        }
    }

    fn verdicts(door: &Door<'_>, body: &str) -> Vec<(String, &'static str)> {
        recognise(door, body.as_bytes())
            .into_iter()
            .map(|d| (format!("{} {}", d.kind, d.verdict), d.reason.unwrap_or("")))
            .collect()
    }

    #[test]
    fn a_bad_element_loses_no_good_one() {
        let body = r#"[{"company_id":"5","resource":"record","resource_id":"12345678901","status":"update","data":[]}, 17,
            {"company_id":6,"resource":"record","status":"update"}, {"resource":"record"}]"#;
        let read = recognise(&door(Key::Right, Some(5)), body.as_bytes());
        assert_eq!(read[0].resource_id, Some(12_345_678_901));
        assert_eq!(
            verdicts(&door(Key::Right, Some(5)), body),
            [
                ("record.updated received".into(), ""),
                ("unknown quarantined".into(), "unknown shape"),
                (
                    "record.updated rejected".into(),
                    "it is about another location than its address"
                ),
                ("unknown quarantined".into(), "unknown shape"),
            ]
        );
    }

    #[test]
    fn a_sign_is_checked_over_the_literal_number_and_then_over_its_shortest_form() {
        let sign = "5c433578dde3f1b3f0058482ccf5973cf3f9abb9ebed734106050c6be3f6a32e";
        let body = |amount: &str, discount: &str| {
            format!(
                r#"{{"salon_id":100001,"application_id":7,"event":"payment","partner_token":"{TOKEN}","payment_id":13,
                "amount":{amount},"discount":{discount},"sign":"{sign}"}}"#
            )
        };
        let verdict = |amount, discount| verdicts(&door(Key::Absent, None), &body(amount, discount));
        assert_eq!(verdict("990.99", "15.5"), [("payment.received received".into(), "")]);
        assert_eq!(verdict("990.990", "15.50"), [("payment.received received".into(), "")]);
        assert_eq!(
            verdict("\"990.99\"", "\"15.5\""),
            [("payment.received received".into(), "")]
        );
        assert_eq!(
            verdict("991", "15.5"),
            [("payment.received rejected".into(), "sign does not match")]
        );
        assert_eq!(
            verdict("990.99", "null"),
            [("payment.received rejected".into(), "sign does not match")]
        );
    }

    #[test]
    fn a_token_is_never_kept_even_when_it_is_wrong_or_escaped() {
        for token in [
            format!("\"{TOKEN}\""),
            "\"sk_other_secret\"".into(),
            "\"test-partner-token-000\\u0031\"".into(),
        ] {
            let body = format!(r#"{{"salon_id":1,"application_id":7,"event":"freeze","partner_token": {token} }}"#);
            let kept =
                String::from_utf8(recognise(&door(Key::Absent, None), body.as_bytes())[0].body.clone()).expect("text");
            assert!(!kept.contains("secret") && !kept.contains("test-partner"), "{kept}");
            assert!(kept.contains("\"event\":\"freeze\""), "{kept}");
        }
        let junk = format!("token={TOKEN}&x=1");
        assert_eq!(
            recognise(&door(Key::Absent, None), junk.as_bytes())[0].body,
            b"token=***&x=1"
        );
    }

    #[test]
    fn broken_unicode_and_lone_surrogates_do_not_refuse_an_event() {
        let mut body = br#"{"company_id":5,"resource":"client","status":"create","data":{"name":"\ud800 "#.to_vec();
        body.extend_from_slice(&[0xff, 0xfe]);
        body.extend_from_slice(br#""}}"#);
        let read = recognise(&door(Key::Right, Some(5)), &body);
        assert_eq!((read.len(), read[0].verdict), (1, State::Received));
    }

    #[test]
    fn equal_names_with_other_bodies_are_other_deliveries() {
        let named = Door {
            hook_id: Some("same"),
            ..door(Key::Right, Some(5))
        };
        let key = |n| {
            recognise(
                &named,
                format!(r#"{{"company_id":5,"resource":"record","status":"update","data":{n}}}"#).as_bytes(),
            )[0]
            .key
        };
        assert_ne!(key(1), key(2));
        assert_eq!(key(1), key(1));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(body in prop::collection::vec(any::<u8>(), 0..300)) {
            for delivery in recognise(&door(Key::Right, Some(5)), &body) {
                prop_assert_eq!(delivery.verdict, State::Quarantined);
            }
        }

        #[test]
        fn no_json_makes_it_fail(event in "[a-z]{0,9}|uninstall|payment", id in any::<i64>(), token in ".{0,20}", text in ".*") {
            let body = json!([{"event": event, "salon_id": id, "application_id": 7, "partner_token": token, "sign": text, "amount": text},
                {"resource": text, "company_id": text, "status": id}, text]);
            let read = recognise(&door(Key::Absent, None), body.to_string().as_bytes());
            prop_assert_eq!(read.len(), 3);
            prop_assert!(read.iter().all(|delivery| delivery.verdict != State::Received));
        }
    }
}
