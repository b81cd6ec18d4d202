//! Every rule that is there to be copied, doing what its comment says. Only hosts and secrets are others than in the
//! file.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use bellhop::sandbox::{Change, Fault, FaultKind, Pay, Place};
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;

use super::stage::{APP, Stage, days};

const SHOP: i64 = 100_001;

/// The recipes that a test here tries.
const TRIED: [&str; 18] = [
    "activation-expired",
    "cancelled-appointments",
    "forward-everything",
    "forward-no-shows",
    "frozen-notice",
    "offer-and-remind",
    "own-payment",
    "payment-thanks",
    "renewal-reminder",
    "sender-names",
    "silent-location",
    "slack-on-uninstall",
    "tag-vip",
    "telegram-on-install",
    "trial-end-link",
    "weekly-report",
    "welcome-discount",
    "win-back",
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/rules")
}

/// A recipe whose other systems are the sandbox's inboxes.
fn recipe(name: &str) -> String {
    let text = std::fs::read_to_string(folder().join(format!("{name}.toml"))).expect("a recipe");
    let secret = "secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"";
    let lines = text.lines().map(|line| match line.split_once(" = ") {
        Some(("secret_file", _)) => secret.to_owned(),
        Some(("token_file", _)) => "token = \"123456789:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"".to_owned(),
        Some(("url_file", _)) => "url = \"{sandbox}/slack/team\"".to_owned(),
        _ => line.replace("https://example.com/hooks/", "{sandbox}/inbox/"),
    });
    lines.collect::<Vec<String>>().join("\n")
}

async fn cooking(pool: PgPool, name: &str) -> Stage {
    let stage = Stage::set(pool, &recipe(name)).await;
    stage.connected(&[SHOP]).await;
    stage
}

fn shop() -> Place {
    Place {
        application_id: APP,
        location_id: SHOP,
    }
}

async fn pay(stage: &Stage) {
    let pay = Pay {
        application_id: APP,
        location_id: SHOP,
        ..Pay::default()
    };
    stage.sandbox.pay(pay).await.expect("paid");
    stage.settled().await;
}

/// Subjects of the mails so far.
async fn subjects(stage: &Stage) -> Vec<String> {
    stage
        .sandbox
        .mails()
        .await
        .into_iter()
        .map(|mail| mail.subject)
        .collect()
}

#[test]
fn every_recipe_is_tried() {
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .expect("recipes")
        .filter_map(|file| file.expect("a file").file_name().to_str().map(str::to_owned))
        .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
        .collect();
    assert_eq!(files, TRIED.map(str::to_owned).into());
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn welcome_discount_is_set_once_for_a_location(pool: PgPool) {
    let stage = cooking(pool, "welcome-discount").await;
    assert_eq!(stage.called("add_discount").await, 1);
    stage.sandbox.disconnect(shop()).await.expect("disconnected");
    stage.settled().await;
    stage.connected(&[SHOP]).await;
    assert_eq!(stage.called("add_discount").await, 1);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn trial_end_link_is_mailed_three_days_before(pool: PgPool) {
    let stage = cooking(pool, "trial-end-link").await;
    stage.pass(days(10)).await;
    assert!(subjects(&stage).await.is_empty());
    stage.pass(days(1) + Duration::from_secs(60)).await;
    let mails = stage.sandbox.mails().await;
    assert_eq!(mails.len(), 1);
    assert!(
        mails[0].subject.starts_with("Your trial of Example app ends on "),
        "{:?}",
        mails[0]
    );
    assert!(
        mails[0].text.contains("/appstore/payment/") || mails[0].text.contains("http"),
        "{:?}",
        mails[0]
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn offer_and_remind_reminds_only_who_has_not_paid(pool: PgPool) {
    let stage = cooking(pool, "offer-and-remind").await;
    stage.connected(&[SHOP + 1]).await;
    stage.pass(days(14) + Duration::from_secs(60)).await;
    assert_eq!(subjects(&stage).await, ["15 % less for Example app"; 2]);
    pay(&stage).await;
    stage.pass(days(2)).await;
    let reminded = stage.sandbox.mails().await.split_off(2);
    assert_eq!(reminded.len(), 1, "{reminded:?}");
    assert_eq!(reminded[0].subject, "Your offer for Example app is still open");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn payment_thanks_names_what_was_paid(pool: PgPool) {
    let stage = cooking(pool, "payment-thanks").await;
    pay(&stage).await;
    let mails = stage.sandbox.mails().await;
    assert_eq!(mails.len(), 1);
    assert!(mails[0].text.contains("We received "), "{:?}", mails[0]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn frozen_notice_goes_to_who_has_paid_before(pool: PgPool) {
    let stage = cooking(pool, "frozen-notice").await;
    pay(&stage).await;
    stage.sandbox.freeze(shop()).await.expect("frozen");
    stage.settled().await;
    assert_eq!(subjects(&stage).await, ["Example app is paused"]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn own_payment_keeps_a_location_of_the_contract_alive(pool: PgPool) {
    let stage = cooking(pool, "own-payment").await;
    stage.pass(days(14) + Duration::from_secs(60)).await;
    stage
        .until("it is reported", async || stage.called("report_payment").await == 1)
        .await;
    stage.settled().await;
    assert_eq!(subjects(&stage).await, [format!("Invoice Salon {SHOP}")]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn cancelled_appointments_are_told_and_others_are_not(pool: PgPool) {
    let stage = cooking(pool, "cancelled-appointments").await;
    for (id, status, data) in [
        (1, "update", json!({"id": 1, "attendance": 0})),
        (
            2,
            "update",
            json!({"id": 2, "attendance": -1, "datetime": "2026-02-01T10:00:00+01:00"}),
        ),
        (3, "delete", json!({"id": 3})),
    ] {
        let change = Change {
            resource_id: Some(id),
            data: Some(data),
            ..Change::new(SHOP, "record", status)
        };
        stage.sandbox.change(change).await.expect("changed");
    }
    stage.settled().await;
    let told: Vec<serde_json::Value> = stage
        .inbox("cancelled")
        .await
        .iter()
        .map(|received| serde_json::from_str(&received.body).expect("JSON"))
        .collect();
    let records: Vec<i64> = told.iter().filter_map(|body| body["record_id"].as_i64()).collect();
    assert_eq!(records, [2, 3], "{told:?}");
    assert_eq!(told[0]["starts_at"], "2026-02-01T10:00:00+01:00");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn win_back_writes_a_week_later_to_who_stayed_away(pool: PgPool) {
    let stage = cooking(pool, "win-back").await;
    stage.connected(&[SHOP + 1]).await;
    for location_id in [SHOP, SHOP + 1] {
        let place = Place { location_id, ..shop() };
        let pay = Pay {
            application_id: APP,
            location_id,
            ..Pay::default()
        };
        stage.sandbox.pay(pay).await.expect("paid");
        stage.settled().await;
        stage.sandbox.disconnect(place).await.expect("disconnected");
        stage.settled().await;
    }
    stage.pass(days(6)).await;
    stage.connected(&[SHOP + 1]).await;
    assert!(subjects(&stage).await.is_empty());
    stage.pass(days(1)).await;
    assert_eq!(subjects(&stage).await, [format!("We miss Salon {SHOP}")]);
    stage.end().await;
}

/// What was said in chats.
async fn said(stage: &Stage) -> Vec<String> {
    let chats = stage.sandbox.chats().await;
    chats.iter().map(|said| said.text.trim().to_owned()).collect()
}

/// The kinds of the events that an inbox was told.
async fn kinds(stage: &Stage, inbox: &str) -> Vec<String> {
    let kind = |body: &str| {
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        body["type"].as_str().expect("a kind").to_owned()
    };
    stage.inbox(inbox).await.iter().map(|one| kind(&one.body)).collect()
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn forward_everything_tells_of_a_whole_life(pool: PgPool) {
    let stage = cooking(pool, "forward-everything").await;
    pay(&stage).await;
    stage
        .sandbox
        .change(Change::new(SHOP, "client", "create"))
        .await
        .expect("changed");
    stage.settled().await;
    stage.sandbox.disconnect(shop()).await.expect("disconnected");
    stage.settled().await;
    assert_eq!(
        kinds(&stage, "events").await,
        [
            "installation.pending",
            "installation.activated",
            "payment.received",
            "client.created",
            "installation.uninstalled"
        ]
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn forward_no_shows_tells_of_nothing_else(pool: PgPool) {
    let stage = cooking(pool, "forward-no-shows").await;
    for (id, attendance) in [(1, 1), (2, -1)] {
        let change = Change {
            resource_id: Some(id),
            data: Some(json!({"id": id, "attendance": attendance})),
            ..Change::new(SHOP, "record", "update")
        };
        stage.sandbox.change(change).await.expect("changed");
    }
    stage.settled().await;
    assert_eq!(kinds(&stage, "no-shows").await, ["record.updated"]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn telegram_on_install_tells_the_team(pool: PgPool) {
    let stage = cooking(pool, "telegram-on-install").await;
    let said = said(&stage).await;
    assert_eq!(said.len(), 1);
    let begin = format!("Salon {SHOP} connected Example app.\nThe trial runs until ");
    assert!(said[0].starts_with(&begin), "{said:?}");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn slack_on_uninstall_tells_who_left_and_whether_they_had_paid(pool: PgPool) {
    let stage = cooking(pool, "slack-on-uninstall").await;
    pay(&stage).await;
    stage.sandbox.disconnect(shop()).await.expect("disconnected");
    stage.settled().await;
    assert_eq!(said(&stage).await, [format!("Salon {SHOP} left, and had paid.")]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn tag_vip_is_asked_for_years_later(pool: PgPool) {
    let stage = cooking(pool, "tag-vip").await;
    stage.connected(&[SHOP + 1]).await;
    let large = Pay {
        application_id: APP,
        location_id: SHOP,
        amount: Some(120.0),
        ..Pay::default()
    };
    stage.sandbox.pay(large).await.expect("paid");
    stage.settled().await;
    assert_eq!(stage.location(SHOP).await["tags"][0]["tag"], "vip");
    stage.pass(days(11) + Duration::from_secs(60)).await;
    let mails = stage.sandbox.mails().await;
    let to: Vec<&str> = mails.iter().map(|mail| mail.to[0].as_str()).collect();
    assert_eq!(to, [format!("salon-{SHOP}@example.com")]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn sender_names_are_named_and_the_channel_opened(pool: PgPool) {
    let stage = cooking(pool, "sender-names").await;
    let link = stage.sandbox.link(APP, SHOP).await.expect("a link").link;
    assert_eq!(link.short_names, ["Example"]);
    assert_eq!(link.channels.get("sms"), Some(&true));
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn renewal_reminder_is_mailed_five_days_before_what_was_paid_for_ends(pool: PgPool) {
    let stage = cooking(pool, "renewal-reminder").await;
    pay(&stage).await;
    let ends: DateTime<Utc> = sqlx::query_scalar("select paid_until from installations")
        .fetch_one(&stage.pool)
        .await
        .expect("a date");
    let left = (ends - Utc::now()).to_std().expect("ahead");
    stage.pass(left - days(6)).await;
    assert!(subjects(&stage).await.is_empty());
    stage.pass(days(1) + Duration::from_secs(60)).await;
    let mails = stage.sandbox.mails().await;
    assert_eq!(mails.len(), 1);
    assert!(
        mails[0].subject.starts_with("Example app is paid until "),
        "{:?}",
        mails[0]
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn weekly_report_is_asked_for_on_mondays_at_nine_of_who_has_paid(pool: PgPool) {
    let stage = cooking(pool, "weekly-report").await;
    stage.connected(&[SHOP + 1]).await;
    pay(&stage).await;
    let due: DateTime<Utc> = sqlx::query_scalar("select min(due_at) from schedules")
        .fetch_one(&stage.pool)
        .await
        .expect("a date");
    let left = (due - Utc::now()).to_std().expect("ahead");
    stage.pass(left + Duration::from_secs(60)).await;
    let told = stage.inbox("weekly-report").await;
    assert_eq!(told.len(), 1, "{told:?}");
    let body: serde_json::Value = serde_json::from_str(&told[0].body).expect("JSON");
    assert_eq!(body["location_id"], SHOP);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn silent_location_is_told_after_a_week_without_events(pool: PgPool) {
    let stage = cooking(pool, "silent-location").await;
    stage.connected(&[SHOP + 1]).await;
    stage.pass(days(6)).await;
    stage
        .sandbox
        .change(Change::new(SHOP + 1, "record", "update"))
        .await
        .expect("changed");
    stage.pass(days(1) + Duration::from_secs(60)).await;
    assert_eq!(subjects(&stage).await, [format!("Nothing comes from Salon {SHOP}")]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn activation_expired_asks_the_owner_to_press_once_more(pool: PgPool) {
    let stage = Stage::set(pool, &recipe("activation-expired")).await;
    let busy = Fault::new("activate", FaultKind::Status).status(503).times(100_000);
    stage.sandbox.fail(busy).await.expect("a fault");
    stage.connect(&[SHOP]).await;
    stage.until("a try", async || stage.called("activate").await > 0).await;
    stage.pass(Duration::from_secs(13 * 3600)).await;
    stage.until("a mail", async || !subjects(&stage).await.is_empty()).await;
    assert_eq!(subjects(&stage).await, ["Example app is not connected yet"]);
    stage.end().await;
}
