//! What rules do, and what they leave alone, through weeks of a location's life.

use std::time::Duration;

use bellhop::sandbox::{Change, Connect, Fault, FaultKind, Forged, Location, Pay, Place};
use chrono::{DateTime, Timelike, Utc};
use chrono_tz::Tz;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::stage::{APP, Stage, days};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const TRIAL: &str = r#"
[[rule]]
name = "offer"
on = "trial.ending"
before = "3d"
when = 'installation.status == "active" && !installation.has_paid'
[[rule.then]]
id = "link"
action = "create_payment_link"
discount = 15
[[rule.then]]
action = "send_email"
to = "{{ location.email }}"
subject = "Your trial of {{ application.name }} ends on {{ installation.trial_ends_at | date }}"
text = "Stay with us for {{ link.discount }} % less: {{ link.url }}"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/offer"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

[[rule]]
name = "over"
on = "trial.ended"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/over"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ location.title }} is {{ installation.status }}"

[[rule]]
name = "thanks"
on = "payment.received"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/thanks"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ event.payment.id }} {{ event.payment.amount }}"
"#;

/// A rule that tells an inbox of its own name, with `more` in its head.
fn tell(name: &str, on: &str, more: &str) -> String {
    format!(
        "[[rule]]\nname = \"{name}\"\non = \"{on}\"\n{more}\n[[rule.then]]\naction = \"send_webhook\"\n\
         url = \"{{sandbox}}/inbox/{name}\"\nsecret = \"{SECRET}\"\nbody = \"{name}\"\n\n"
    )
}

fn place(location_id: i64) -> Place {
    Place {
        application_id: APP,
        location_id,
    }
}

fn pay(location_id: i64) -> Pay {
    Pay {
        application_id: APP,
        location_id,
        ..Pay::default()
    }
}

/// How many requests each of these inboxes took.
async fn told(stage: &Stage, names: &[&str]) -> Vec<String> {
    let mut told = Vec::new();
    for name in names {
        told.push(format!("{name} {}", stage.inbox(name).await.len()));
    }
    told
}

/// A zone in which it is another day now than in UTC.
fn zone_of_another_day() -> Tz {
    if Utc::now().hour() >= 10 {
        chrono_tz::Pacific::Kiritimati
    } else {
        chrono_tz::Pacific::Pago_Pago
    }
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_end_of_a_trial_brings_a_link_by_mail_and_a_webhook_that_others_can_verify(pool: PgPool) {
    let stage = Stage::set(pool, TRIAL).await;
    let zone = zone_of_another_day();
    let location = Location {
        timezone_name: zone.name().to_owned(),
        ..Location::new(7)
    };
    stage.sandbox.put_location(location).await.expect("a location");
    let connect = Connect {
        follow: true,
        ..Connect::new(APP, 7)
    };
    stage.sandbox.connect(connect).await.expect("connected");
    stage.pass(days(10)).await;
    assert_eq!(stage.sandbox.mails().await.len(), 0, "four days before the end");
    stage.pass(days(1)).await;

    let link = stage.sandbox.link(APP, 7).await.expect("a link");
    let [made] = &link.link.payment_links[..] else {
        panic!("{:?}", link.link.payment_links)
    };
    assert_eq!(made.discount, Some(15.0));
    let mails = stage.sandbox.mails().await;
    let ends: DateTime<Tz> = link.trial_to.expect("a trial").with_timezone(&zone);
    let subject = format!("Your trial of Example app ends on {}", ends.format("%-d %B %Y"));
    let seen: Vec<_> = mails
        .iter()
        .map(|mail| (&mail.to[0][..], &mail.subject[..], mail.text.trim()))
        .collect();
    let text = format!("Stay with us for 15 % less: {}", made.url);
    assert_eq!(seen, [("salon-7@example.com", &subject[..], &text[..])]);

    let [webhook] = &stage.inbox("offer").await[..] else {
        panic!("one webhook")
    };
    let header = |(name, value): (&String, &String)| {
        let name: HeaderName = name.parse().expect("a name");
        (name, HeaderValue::from_str(value).expect("a value"))
    };
    let headers: HeaderMap = webhook.headers.iter().map(header).collect();
    let other = standardwebhooks::Webhook::new(SECRET).expect("a secret");
    other
        .verify(webhook.body.as_bytes(), &headers)
        .expect("a good signature");
    let body: Value = serde_json::from_str(&webhook.body).expect("JSON");
    assert_eq!(body["type"], "trial.ending");
    assert_eq!(body["data"]["location"]["email"], "salon-7@example.com");
    assert_eq!(body["data"]["results"]["link"]["url"], made.url.as_str());

    stage.pass(days(3)).await;
    let over: Vec<String> = stage.inbox("over").await.into_iter().map(|one| one.body).collect();
    assert_eq!(over, ["Salon 7 is frozen"], "it told the state at the time of sending");
    assert_eq!(stage.status(7).await, "frozen");
    assert_eq!(stage.decisions(7).await, ["offer fired", "over fired"]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn an_owner_who_pays_in_time_gets_no_offer_and_one_whose_trial_grows_gets_it_later(pool: PgPool) {
    let stage = Stage::set(pool, TRIAL).await;
    stage.connected(&[1, 2, 3]).await;
    stage.sandbox.pay(pay(1)).await.expect("paid");
    // The marketplace shows a gift as a payment of zero, like the trial itself.
    let gift = Pay {
        amount: Some(0.0),
        ..pay(2)
    };
    stage.sandbox.pay(gift).await.expect("given");
    stage.sandbox.disconnect(place(3)).await.expect("gone");
    stage.pass(days(11)).await;
    let condition = r#"offer skipped condition is false: installation.status == "active" && !installation.has_paid"#;
    assert_eq!(stage.decisions(1).await, ["thanks fired", condition]);
    assert_eq!(stage.decisions(2).await, ["thanks fired"], "the moment has moved");
    assert_eq!(stage.decisions(3).await, [""; 0], "the moment went with the connection");
    stage.pass(days(32)).await;
    assert_eq!(stage.decisions(2).await, ["thanks fired", "offer fired"]);
    assert_eq!(stage.sandbox.mails().await.len(), 1);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_payment_thaws_a_frozen_location_and_counts_once_however_often_it_is_told(pool: PgPool) {
    let rules = [
        TRIAL,
        &tell("frozen", "installation.frozen", ""),
        &tell("unfrozen", "installation.unfrozen", ""),
    ]
    .concat();
    let stage = Stage::set(pool, &rules).await;
    stage.connected(&[1]).await;
    stage.sandbox.freeze(place(1)).await.expect("frozen");
    stage.settled().await;
    assert_eq!(stage.status(1).await, "frozen");
    assert_eq!(told(&stage, &["frozen", "unfrozen"]).await, ["frozen 1", "unfrozen 0"]);

    let twice = Fault::new("callback.payment", FaultKind::Duplicate);
    stage.sandbox.fail(twice).await.expect("a fault");
    let paid = stage.sandbox.pay(pay(1)).await.expect("paid");
    // Once more in other words, so that it is not the same delivery.
    let mut again = Forged::new(APP, 1, "payment");
    again.string_ids = true;
    again.fields = json!({"payment_id": paid.payment_id, "amount": paid.amount})
        .as_object()
        .expect("fields")
        .clone();
    stage.sandbox.callback(again.clone()).await.expect("sent");
    stage.settled().await;
    again.event_type_key = true;
    stage.sandbox.callback(again).await.expect("sent");
    stage.settled().await;
    assert_eq!(stage.status(1).await, "active");
    assert_eq!(
        told(&stage, &["frozen", "unfrozen", "thanks"]).await,
        ["frozen 1", "unfrozen 1", "thanks 1"]
    );
    let thanks = stage.inbox("thanks").await.remove(0).body;
    assert_eq!(thanks, format!("{} {}", paid.payment_id, paid.amount));
    let seen = stage.location(1).await;
    assert_eq!(seen["has_paid"], true);
    assert_eq!(seen["payments"].as_array().expect("a list").len(), 1);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_payment_that_the_status_showed_first_is_no_news_later_and_an_unknown_one_is_not_believed(pool: PgPool) {
    let edits = [
        ("backoff = \"50ms\"", "backoff = \"5ms\""),
        ("backoff_limit = \"400ms\"", "backoff_limit = \"10ms\""),
    ];
    let stage = Stage::set_edited(pool, TRIAL, |_| {}, &edits).await;
    stage.connected(&[1]).await;
    let lost = Fault::new("callback.payment", FaultKind::Lost);
    stage.sandbox.fail(lost).await.expect("a fault");
    let paid = stage.sandbox.pay(pay(1)).await.expect("paid");
    // Openings of the same address within seconds are one look.
    stage.pass(days(3)).await;
    let open = Connect {
        follow: true,
        ..Connect::new(APP, 1)
    };
    stage.sandbox.open(open).await.expect("opened");
    stage.settled().await;
    assert_eq!(told(&stage, &["thanks"]).await, ["thanks 1"], "the status showed it");

    let mut late = Forged::new(APP, 1, "payment");
    late.fields = json!({"payment_id": paid.payment_id, "amount": paid.amount})
        .as_object()
        .expect("fields")
        .clone();
    stage.sandbox.callback(late).await.expect("sent");
    let mut invented = Forged::new(APP, 1, "payment");
    invented.fields = json!({"payment_id": 999, "amount": 1})
        .as_object()
        .expect("fields")
        .clone();
    stage.settled().await;
    stage.sandbox.callback(invented).await.expect("sent");
    stage
        .until("the look is given up", async || {
            stage.jobs(1).await.iter().any(|job| job.contains("discarded"))
        })
        .await;
    stage.settled().await;
    assert_eq!(told(&stage, &["thanks"]).await, ["thanks 1"]);
    assert_eq!(stage.decisions(1).await, ["thanks fired"]);
    assert_eq!(
        stage.last_job(1).await["last_error"],
        "given up after 12 attempts: the status does not show the payment that was reported"
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn an_uninstall_ends_what_waits_and_a_reconnect_starts_what_is_meant_for_it(pool: PgPool) {
    let rules = [
        tell("waits", "record.created", ""),
        tell("stays", "record.created", "keep_after_uninstall = true"),
        tell("bye", "installation.uninstalled", ""),
        tell("first", "installation.activated", "once_per = \"location\""),
        tell("hello", "installation.activated", "once_per = \"installation\""),
    ]
    .concat();
    let edits = [("backoff_limit = \"400ms\"", "backoff_limit = \"60s\"")];
    let stage = Stage::set_edited(pool, &rules, |_| {}, &edits).await;
    stage.connected(&[1]).await;
    for name in ["inbox.waits", "inbox.stays"] {
        let busy = Fault::new(name, FaultKind::Status).status(503).retry_after(30);
        stage.sandbox.fail(busy).await.expect("a fault");
    }
    stage
        .sandbox
        .change(Change::new(1, "record", "create"))
        .await
        .expect("changed");
    stage.settled().await;
    stage.sandbox.disconnect(place(1)).await.expect("gone");
    stage.settled().await;
    stage.pass(Duration::from_secs(60)).await;
    assert_eq!(
        stage.jobs(1).await,
        [
            "- activate completed 1",
            "first send_webhook completed 1",
            "hello send_webhook completed 1",
            "waits send_webhook cancelled 1",
            "stays send_webhook completed 2",
            "bye send_webhook completed 1",
        ]
    );
    let waits = stage.api("jobs?rule=waits").await;
    assert_eq!(waits["items"][0]["last_error"], "the application was uninstalled");

    stage.pass(days(3)).await;
    stage.connected(&[1]).await;
    assert_eq!(
        told(&stage, &["first", "hello", "bye", "waits"]).await,
        ["first 1", "hello 2", "bye 1", "waits 1"]
    );
    assert_eq!(stage.location(1).await["generation"], 2);
    let decisions = stage.decisions(1).await;
    assert_eq!(
        decisions[decisions.len() - 2..],
        ["first skipped fired before (once per location)", "hello fired"]
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn entity_events_fire_by_what_they_say_and_once_for_each_version(pool: PgPool) {
    let rules = [
        tell("came", "record.updated", "when = 'event.data.attendance == 1'"),
        tell("any", "record.*", ""),
        tell("vip", "record.*", "when = 'event.data.client.vip'"),
        tell(
            "sale",
            "*.created",
            "when = 'event.resource.startsWith(\"goods_operations\")'",
        ),
    ]
    .concat();
    let stage = Stage::set(pool, &rules).await;
    stage.connected(&[1]).await;
    let record = |status: &str, attendance: i64, changed: &str| Change {
        resource_id: Some(1_500_000_001),
        data: Some(json!({"id": 1_500_000_001, "attendance": attendance, "last_change_date": changed, "client": []})),
        ..Change::new(1, "record", status)
    };
    let story = [
        record("create", 0, "2026-07-12T11:49:08+0500"),
        record("update", 1, "2026-07-12T12:00:00+0500"),
        // The same with another X-Hook-Id: two deliveries, one occurrence.
        record("update", 1, "2026-07-12T12:00:00+0500"),
        record("update", 1, "2026-07-12T12:30:00+0500"),
        Change::new(1, "goods_operations_sale", "create"),
    ];
    for change in story {
        stage.sandbox.change(change).await.expect("changed");
        stage.settled().await;
    }
    let vip = "vip skipped condition failed: `.` does not work on list and string";
    let again = "(once per occurrence)";
    assert_eq!(
        stage.decisions(1).await,
        [
            "any fired",
            "sale skipped condition is false: event.resource.startsWith(\"goods_operations\")",
            vip,
            "any fired",
            "came fired",
            vip,
            &format!("any skipped fired before {again}"),
            &format!("came skipped fired before {again}"),
            vip,
            "any fired",
            "came fired",
            vip,
            "sale fired",
        ]
    );
    assert_eq!(
        told(&stage, &["came", "any", "vip", "sale"]).await,
        ["came 2", "any 3", "vip 0", "sale 1"]
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn moments_missed_while_nobody_was_there_are_made_up_for_within_reason(pool: PgPool) {
    let rules = [
        tell("patient", "trial.ending", "before = \"3d\"\nmax_late = \"2d\""),
        tell("hasty", "trial.ending", "before = \"3d\"\nmax_late = \"1h\""),
        tell("strict", "trial.ending", "before = \"3d\"\nlate = \"skip\""),
    ]
    .concat();
    let stage = Stage::set(pool, &rules).await;
    stage.connected(&[1]).await;
    stage.pass(days(2)).await;
    stage.connected(&[2]).await;
    // The moment of 1 is three days and an hour ago then, that of 2 a day and an hour.
    let stage = stage.away(days(12) + Duration::from_secs(3600), &rules).await;
    stage.settled().await;
    assert_eq!(
        stage.decisions(1).await,
        [
            "hasty skipped late by 3d 1h, max_late 1h",
            "patient skipped late by 3d 1h, max_late 2d",
            "strict skipped late by 3d 1h, and late = \"skip\"",
        ]
    );
    assert_eq!(
        stage.decisions(2).await,
        [
            "hasty skipped late by 1d 1h, max_late 1h",
            "patient fired",
            "strict skipped late by 1d 1h, and late = \"skip\"",
        ]
    );
    let stage = stage.restarted().await;
    stage.settled().await;
    assert_eq!(
        told(&stage, &["patient", "hasty", "strict"]).await,
        ["patient 1", "hasty 0", "strict 0"]
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_new_rule_waits_for_moments_to_come_and_leaves_old_trials_alone(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    stage.connected(&[1]).await;
    stage.pass(days(20)).await;
    assert_eq!(stage.status(1).await, "frozen");
    stage.connected(&[2]).await;
    let rules = tell("over", "trial.ended", "");
    let stage = stage.away(days(1), &rules).await;
    stage.settled().await;
    assert_eq!(stage.decisions(1).await, [""; 0]);
    assert_eq!(stage.decisions(2).await, [""; 0]);
    stage.pass(days(14)).await;
    assert_eq!(stage.decisions(1).await, [""; 0]);
    assert_eq!(stage.decisions(2).await, ["over fired"]);
    stage.end().await;
}
