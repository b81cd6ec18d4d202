mod fuzz;

use proptest::prelude::*;

use super::*;

const TOKEN: &str = "test-partner-token-0001";

fn door(key: Key, location: Option<i64>) -> Door<'static> {
    Door {
        application_id: ApplicationId(7),
        location_id: location.map(LocationId),
        key,
        ours: true,
        partner_tokens: vec![TOKEN],
        tokens: vec![TOKEN],
        signature_keys: vec![TOKEN],
        accept_unverified: false,
        headers: json!({}),
        hook_id: None,
        vouched: false,
    }
}

fn verdicts(door: &Door<'_>, body: &str) -> Vec<(String, &'static str)> {
    recognise(door, body.as_bytes())
        .into_iter()
        .map(|d| (format!("{} {}", d.kind, d.verdict), reason(&d)))
        .collect()
}

fn reason(delivery: &Delivery) -> &'static str {
    match &delivery.reason {
        Some(Cow::Borrowed(reason)) => reason,
        Some(Cow::Owned(reason)) => panic!("made up: {reason}"),
        None => "",
    }
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

#[test]
fn a_person_may_vouch_for_what_cannot_be_proven_and_for_nothing_else() {
    let vouched = Door {
        vouched: true,
        ..door(Key::Right, None)
    };
    // As it was kept: the token is cut out.
    for (body, read) in [
        (
            r#"{"event":"uninstall","salon_id":5,"application_id":7,"partner_token":"***"}"#,
            "installation.uninstalled received",
        ),
        (
            r#"{"event":"payment","salon_id":5,"application_id":7,"payment_id":1,"amount":1,"sign":"x"}"#,
            "payment.received received",
        ),
        (
            r#"{"event":"uninstall","salon_id":5,"application_id":8,"partner_token":"***"}"#,
            "installation.uninstalled rejected",
        ),
        (
            r#"{"event":"uninstall","salon_id":"x","application_id":7}"#,
            "installation.uninstalled quarantined",
        ),
        (
            r#"{"event":"payment","salon_id":5,"application_id":7,"sign":"x"}"#,
            "payment.received rejected",
        ),
        (
            r#"{"event":"party","salon_id":5,"application_id":7}"#,
            "unknown quarantined",
        ),
    ] {
        assert_eq!(verdicts(&vouched, body)[0].0, read, "{body}");
    }
}
