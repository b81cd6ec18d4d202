//! Payments that were made on our side: reported and given back at most once.

use std::time::Duration;

use bellhop::{
    domain::action::{Action, Priority},
    sandbox::{Fault, FaultKind},
    store::{
        jobs::{self, Hands, NewJob},
        ledger::{self, Finding, Intent, State},
        partitions,
    },
};
use serde_json::Value;
use sqlx::PgPool;

use super::stage::{APP, Stage, place};

const CONTRACT: &str = r#"
[[rule]]
name = "contract"
on = "installation.activated"
[[rule.then]]
id = "month"
action = "report_payment"
amount = 29.90
currency = "EUR"
months = 1
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/month"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ month.payment_id }}"
"#;

const SORRY: &str = r#"
[[rule]]
name = "sorry"
on = "payment.received"
when = 'event.payment.amount > 0.0'
[[rule.then]]
action = "refund_payment"
payment = "{{ event.payment.id }}"
"#;

async fn set(pool: PgPool, rules: &str) -> Stage {
    let quick = [("request_timeout = \"2s\"", "request_timeout = \"400ms\"")];
    Stage::set_edited(pool, rules, |_| {}, &quick).await
}

async fn entries(stage: &Stage) -> Vec<String> {
    let page = stage.api("ledger").await;
    let all = page["items"].as_array().cloned().unwrap_or_default();
    let told = |entry: &Value| {
        format!(
            "{} {} {} calls",
            entry["kind"].as_str().unwrap_or(""),
            entry["state"].as_str().unwrap_or(""),
            entry["calls"]
        )
    };
    all.iter().map(told).collect()
}

/// The payments at the marketplace that were reported: number and whether it was given back.
async fn reported(stage: &Stage) -> Vec<(i64, bool)> {
    let link = stage.sandbox.link(APP, 1).await.expect("a link");
    let paid = link
        .link
        .payments
        .iter()
        .filter(|payment| payment.currency_iso == "EUR");
    paid.map(|payment| (payment.id, payment.is_refunded)).collect()
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_payment_is_reported_for_the_period_after_the_trial_and_its_number_is_kept(pool: PgPool) {
    let stage = set(pool, CONTRACT).await;
    stage.connected(&[1]).await;
    stage.settled().await;
    assert_eq!(entries(&stage).await, ["payment done 1 calls"]);
    let reported = reported(&stage).await;
    assert_eq!(reported.len(), 1);
    let told: Vec<String> = stage
        .inbox("month")
        .await
        .into_iter()
        .map(|received| received.body)
        .collect();
    assert_eq!(told, [reported[0].0.to_string()]);
    let link = stage.sandbox.link(APP, 1).await.expect("a link");
    let payment = link
        .link
        .payments
        .iter()
        .find(|payment| payment.id == reported[0].0)
        .expect("it");
    if let Some(trial) = link.trial_to {
        assert!(payment.period_from > trial && payment.period_from <= trial + chrono::TimeDelta::seconds(2));
    }
    let told = stage.events(1).await;
    assert!(
        told.iter().any(|event| event.starts_with("payment.received status")),
        "{told:?}"
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn nothing_is_reported_before_the_time_zone_of_the_location_is_known(pool: PgPool) {
    let stage = set(pool, CONTRACT).await;
    let unlisted = Fault::new("salons", FaultKind::Status).status(500).times(3);
    stage.sandbox.fail(unlisted).await.expect("a fault");
    stage.connected(&[1]).await;
    stage
        .until("it is reported", async || {
            entries(&stage).await == ["payment done 1 calls"]
        })
        .await;
    let link = stage.sandbox.link(APP, 1).await.expect("a link");
    let payment = link.link.payments.iter().find(|payment| payment.currency_iso == "EUR");
    let ago = chrono::Utc::now() - payment.expect("it").payment_date;
    assert!((0..60).contains(&ago.num_seconds()), "paid so long ago: {ago}");
    stage.end().await;
}

/// The answer to the report is lost in this way; it is made once, after so many calls.
async fn lost(pool: PgPool, kind: FaultKind, calls: u64) {
    let stage = set(pool, CONTRACT).await;
    stage
        .sandbox
        .fail(Fault::new("report_payment", kind))
        .await
        .expect("a fault");
    stage.connected(&[1]).await;
    let done = format!("payment done {calls} calls");
    stage
        .until("it is known", async || entries(&stage).await == [done.as_str()])
        .await;
    stage.settled().await;
    assert_eq!(reported(&stage).await.len(), 1);
    assert_eq!(stage.called("report_payment").await, calls);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_lost_answer_makes_no_second_payment(pool: PgPool) {
    lost(pool, FaultKind::TimeoutAfterEffect, 1).await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn an_answer_that_says_nothing_makes_no_second_payment(pool: PgPool) {
    lost(pool, FaultKind::Html, 1).await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_report_that_never_arrived_is_made_again(pool: PgPool) {
    lost(pool, FaultKind::TimeoutBefore, 2).await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_the_marketplace_refuses_has_failed_and_what_it_did_not_take_yet_is_tried_again(pool: PgPool) {
    let stage = set(pool, CONTRACT).await;
    let slow = Fault::new("report_payment", FaultKind::RateLimited);
    let refused = Fault::new("report_payment", FaultKind::SuccessFalse);
    stage.sandbox.fail(slow).await.expect("a fault");
    stage.sandbox.fail(refused).await.expect("a fault");
    stage.connected(&[1]).await;
    stage
        .until("the end", async || entries(&stage).await == ["payment failed 2 calls"])
        .await;
    assert!(reported(&stage).await.is_empty());
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_payment_is_given_back_once_although_the_answer_was_lost(pool: PgPool) {
    let stage = set(pool, &format!("{CONTRACT}{SORRY}")).await;
    let lost = Fault::new("refund", FaultKind::TimeoutAfterEffect);
    stage.sandbox.fail(lost).await.expect("a fault");
    stage.connected(&[1]).await;
    stage
        .until("both", async || {
            entries(&stage).await == ["refund done 1 calls", "payment done 1 calls"]
        })
        .await;
    let reported = reported(&stage).await;
    assert_eq!(
        reported.iter().map(|(_, refunded)| *refunded).collect::<Vec<_>>(),
        [true]
    );
    assert_eq!(stage.called("refund").await, 1);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn only_one_may_begin_and_only_with_the_lease(pool: PgPool) {
    partitions::ensure(&pool, 1).await.expect("days");
    let action = Action::RefundPayment {
        payment: "5".to_owned(),
    };
    let new = NewJob {
        place: place(1),
        lane: "sorry".into(),
        priority: Priority::Rule,
        action: &action,
        step: None,
        max_attempts: 3,
    };
    jobs::enqueue_alone(&pool, &new).await.expect("queued");
    let hands = Hands {
        worker: "anna",
        lease: Duration::from_secs(60),
        among: (Priority::Activation, Priority::Unproven),
        except: &[],
        lanes: 1,
        depth: 1,
    };
    let job = jobs::claim(&pool, hands).await.expect("claimed").remove(0);
    for _ in 0..2 {
        let intent = Intent::Refund { payment_id: 5 };
        let noted = ledger::intend(&pool, &job, &intent, chrono::Utc::now()).await;
        assert!(noted.expect("written"));
    }
    let entry = ledger::find(&pool, job.id).await.expect("found").expect("an entry");
    assert_eq!(entry.state, State::Intended);
    let begin = async || ledger::begin(&pool, entry.id, &job).await.expect("asked");
    let lease = async |minutes: i32| {
        sqlx::query("update lanes set leased_until = now() + make_interval(mins => $1)")
            .bind(minutes)
            .execute(&pool)
            .await
            .expect("set");
    };
    lease(-1).await;
    assert!(!begin().await, "the lease is over");
    lease(1).await;
    assert!(begin().await);
    assert!(!begin().await, "it has begun");
    assert!(
        ledger::close(&pool, entry.id, Finding::Happened(5))
            .await
            .expect("asked")
    );
    assert!(
        !ledger::close(&pool, entry.id, Finding::NotYet).await.expect("asked"),
        "an end is an end"
    );
    let entry = ledger::find(&pool, job.id).await.expect("found").expect("an entry");
    assert_eq!((entry.state, entry.payment_id), (State::Done, Some(5)));
}

/// Two rules pay for one location in the same moment: the second pays for the time after the first.
#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn payments_of_one_location_are_reported_one_after_another(pool: PgPool) {
    let second = CONTRACT
        .replace("contract", "extra")
        .replace("29.90", "5.00")
        .replace("inbox/month", "inbox/extra");
    let stage = set(pool, &format!("{CONTRACT}{second}")).await;
    // One of them comes to a doubt on the way.
    let lost = Fault::new("report_payment", FaultKind::TimeoutAfterEffect);
    stage.sandbox.fail(lost).await.expect("a fault");
    stage.connected(&[1]).await;
    stage
        .until("both are reported", async || {
            reported(&stage).await.len() == 2 && entries(&stage).await.iter().all(|entry| entry.contains("done"))
        })
        .await;
    let link = stage.sandbox.link(APP, 1).await.expect("a link");
    let mut periods: Vec<_> = link
        .link
        .payments
        .iter()
        .filter(|payment| payment.currency_iso == "EUR")
        .map(|payment| (payment.period_from, payment.period_to))
        .collect();
    periods.sort_unstable();
    assert_eq!(
        periods[1].0,
        periods[0].1 + chrono::TimeDelta::seconds(1),
        "{periods:?}"
    );
    stage.end().await;
}
