//! Entity events and callbacks on their way.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bellhop::sandbox::{Change, Class, Fault, FaultKind, Forged, ForgedToken, SentOutcome};
use serde_json::json;

use super::{APP, SALON, Stage, place};

async fn change(stage: &Stage, change: Change) {
    stage.sandbox.change(change).await.expect("a change");
    stage.sandbox.settle().await.expect("idle");
}

#[tokio::test]
async fn an_entity_event_is_sent_to_the_subscribed_address() {
    let stage = Stage::set().await;
    stage.install().await;
    change(&stage, Change::new(SALON, "record", "create")).await;
    change(&stage, Change::new(SALON, "loyalty_card", "update")).await;
    let events = stage.receiver.at("hooks");
    assert_eq!(events.len(), 1, "activations do not subscribe loyalty cards");
    let event = &events[0].body;
    assert_eq!(event["company_id"], SALON);
    assert_eq!(
        (&event["resource"], &event["status"]),
        (&json!("record"), &json!("create"))
    );
    assert_eq!(event["data"]["id"], event["resource_id"]);
    assert!(event["data"]["services"][0]["cost"].is_number());
    assert!(events[0].hook_id.is_some());
}

#[tokio::test]
async fn retries_carry_the_same_hook_id_and_stop_at_success() {
    let stage = Stage::set().await;
    stage.install().await;
    stage.receiver.answer(&[503, 429]);
    change(&stage, Change::new(SALON, "client", "update")).await;
    let events = stage.receiver.at("hooks");
    assert_eq!(events.len(), 3);
    let ids: BTreeSet<_> = events.iter().map(|event| event.hook_id.clone()).collect();
    assert_eq!(ids.len(), 1);
    let sent = stage.sandbox.deliveries().await;
    let statuses: Vec<_> = sent[0].attempts.iter().map(|attempt| attempt.status).collect();
    assert_eq!(statuses, [Some(503), Some(429), Some(200)]);
    assert_eq!(sent[0].outcome, SentOutcome::Delivered);
}

#[tokio::test]
async fn a_refusal_by_4xx_is_final_and_callbacks_are_tried_once() {
    let stage = Stage::set().await;
    stage.install().await;
    stage.receiver.answer(&[400]);
    change(&stage, Change::new(SALON, "client", "update")).await;
    assert_eq!(stage.receiver.at("hooks").len(), 1);
    stage.receiver.answer(&[503]);
    stage.sandbox.disconnect(place()).await.expect("it is connected");
    assert_eq!(stage.receiver.at("callback").len(), 1);
    let sent = stage.sandbox.deliveries().await;
    assert!(sent.iter().all(|one| one.outcome == SentOutcome::Failed));
    assert!(!sent[1].body.contains("test-partner-token"), "the token is masked");
}

#[tokio::test]
async fn events_can_come_in_bursts_arrays_copies_and_without_hook_ids() {
    let stage = Stage::set_with(|options| options.delivery.hook_id = false).await;
    stage.install().await;
    let burst = Change {
        resource_id: Some(10),
        burst: Some(120),
        array: Some(true),
        copies: Some(2),
        shuffle: true,
        ..Change::new(SALON, "record", "update")
    };
    change(&stage, burst).await;
    let events = stage.receiver.at("hooks");
    assert_eq!(events.len(), 4, "two arrays, twice");
    let sizes: Vec<usize> = events
        .iter()
        .filter_map(|one| one.body.as_array())
        .map(Vec::len)
        .collect();
    assert_eq!(sizes.iter().sum::<usize>(), 240);
    assert!(events.iter().all(|event| event.hook_id.is_none()));
    let raw = r#"{"company_id":100001,"cost":33.710000000000001}"#;
    let literal = Change {
        raw_body: Some(raw.to_owned()),
        ..Change::new(SALON, "record", "update")
    };
    change(&stage, literal).await;
    assert_eq!(stage.receiver.at("hooks")[4].text, raw);
}

#[tokio::test]
async fn nothing_is_sent_while_frozen_nor_what_was_queued_before() {
    let stage = Stage::set_with(|options| options.delivery.delay = Duration::from_secs(60)).await;
    stage.install().await;
    let queued = stage.sandbox.change(Change::new(SALON, "record", "update")).await;
    assert_eq!(queued.expect("a change"), 1);
    stage.sandbox.freeze(place()).await.expect("it is active");
    let queued = stage.sandbox.change(Change::new(SALON, "record", "update")).await;
    assert_eq!(queued.expect("a change"), 0);
    let minute = Duration::from_secs(60);
    stage.sandbox.advance(minute).await.expect("time passes");
    stage.sandbox.settle().await.expect("idle");
    assert!(stage.receiver.at("hooks").is_empty());
    let sent = stage.sandbox.deliveries().await;
    let event = sent.iter().find(|one| one.class == Class::Event).expect("an event");
    assert_eq!(event.outcome, SentOutcome::Stopped);
}

#[tokio::test]
async fn a_delayed_event_leaves_when_its_time_has_come() {
    let stage = Stage::set_with(|options| options.delivery.delay = Duration::from_secs(5)).await;
    stage.install().await;
    let begun = Instant::now();
    let queued = stage.sandbox.change(Change::new(SALON, "schedule", "update")).await;
    assert_eq!(queued.expect("a change"), 1);
    assert!(stage.receiver.at("hooks").is_empty());
    let delay = Duration::from_secs(5);
    stage.sandbox.advance(delay).await.expect("time passes");
    stage.sandbox.settle().await.expect("idle");
    assert_eq!(stage.receiver.at("hooks")[0].body["data"], json!([]));
    assert!(begun.elapsed() < delay, "ageing is faster than waiting");
}

#[tokio::test]
async fn deliveries_can_be_lost_or_doubled() {
    let stage = Stage::set().await;
    stage.install().await;
    let lost = Fault::new("event.record", FaultKind::Lost);
    stage.sandbox.fail(lost).await.expect("a fault");
    let doubled = Fault::new("callback", FaultKind::Duplicate);
    stage.sandbox.fail(doubled).await.expect("a fault");
    change(&stage, Change::new(SALON, "client", "update")).await;
    change(&stage, Change::new(SALON, "record", "update")).await;
    change(&stage, Change::new(SALON, "record", "update")).await;
    assert_eq!(stage.receiver.at("hooks").len(), 2);
    stage.sandbox.disconnect(place()).await.expect("it is connected");
    assert_eq!(stage.receiver.at("callback").len(), 2);
    assert!(stage.sandbox.faults().await.is_empty());
}

#[tokio::test]
async fn forged_callbacks_come_as_ordered() {
    let stage = Stage::set().await;
    let forged = Forged {
        token: ForgedToken::Wrong,
        claimed_application_id: Some(7002),
        string_ids: true,
        event_type_key: true,
        ..Forged::new(APP, SALON, "uninstall")
    };
    stage.sandbox.callback(forged).await.expect("a callback");
    let expected = json!({
        "salon_id": "100001", "application_id": "7002", "event_type": "uninstall",
        "partner_token": "not-the-token",
    });
    assert_eq!(stage.receiver.at("callback")[0].body, expected);
    let mut payment = Forged::new(APP, SALON, "payment");
    payment.fields.insert("amount".to_owned(), json!(100));
    payment.fields.insert("discount".to_owned(), json!(5));
    stage.sandbox.callback(payment).await.expect("a callback");
    let body = &stage.receiver.at("callback")[1].body;
    let known = "44a0e992d61647cc2d6f38304c465777aa54f501f6c5fa73f6358d57091b993d";
    assert_eq!(body["sign"], known);
}
