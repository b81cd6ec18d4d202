//! Steps that wait after the one before them.

use std::time::Duration;

use bellhop::sandbox::{Fault, FaultKind, Pay, Place};
use sqlx::PgPool;

use super::stage::{APP, Stage, days};

const HOUR: Duration = Duration::from_secs(3600);

/// A link, and two days later a reminder that names it.
const REMINDER: &str = r#"
[[rule]]
name = "remind"
on = "installation.activated"
[[rule.then]]
id = "link"
action = "create_payment_link"
[[rule.then]]
after = "2d"
action = "send_webhook"
url = "{sandbox}/inbox/reminder"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ link.url }} {{ installation.status }}"
[[rule.then]]
after = "1h"
action = "send_webhook"
url = "{sandbox}/inbox/last"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "last"
"#;

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_step_waits_after_the_one_before_it_and_sees_its_result(pool: PgPool) {
    let stage = Stage::set(pool, REMINDER).await;
    stage.connected(&[100_001]).await;
    assert_eq!(stage.called("payment_link").await, 1);
    stage.pass(days(2) - HOUR).await;
    assert!(stage.inbox("reminder").await.is_empty(), "two days are not over");
    stage.pass(HOUR).await;
    let reminded = stage.inbox("reminder").await;
    assert_eq!(reminded.len(), 1);
    assert!(reminded[0].body.ends_with(" active"), "{}", reminded[0].body);
    assert!(
        stage.inbox("last").await.is_empty(),
        "its hour begins after the reminder"
    );
    stage.pass(HOUR).await;
    assert_eq!(stage.inbox("last").await.len(), 1);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_wait_begins_when_the_step_before_is_done_however_long_that_took(pool: PgPool) {
    let stage = Stage::set(pool, REMINDER).await;
    let fault = Fault::new("payment_link", FaultKind::Status)
        .status(500)
        .times(1_000_000);
    stage.sandbox.fail(fault).await.expect("a fault");
    stage.connect(&[100_001]).await;
    stage
        .until("it fails", async || stage.called("payment_link").await > 0)
        .await;
    // The link fails for three days: the guess of when the reminder runs is long over then.
    for _ in 0..3 {
        sqlx::query("update jobs set max_attempts = attempts + 100")
            .execute(&stage.pool)
            .await
            .expect("patience");
        bellhop::store::ageing::age(&stage.pool, 86_400).await.expect("aged");
    }
    stage.sandbox.clear_faults().await;
    stage
        .until("the link is made", async || {
            stage
                .jobs(100_001)
                .await
                .iter()
                .any(|job| job.starts_with("remind create_payment_link completed"))
        })
        .await;
    stage.settled().await;
    assert!(
        stage.inbox("reminder").await.is_empty(),
        "two days after the link, not after the rule"
    );
    stage.pass(days(2)).await;
    assert_eq!(stage.inbox("reminder").await.len(), 1);
    stage.pass(HOUR).await;
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn whoever_disconnects_meanwhile_is_not_reminded(pool: PgPool) {
    let stage = Stage::set(pool, REMINDER).await;
    stage.connected(&[100_001]).await;
    let place = Place {
        application_id: APP,
        location_id: 100_001,
    };
    stage.sandbox.disconnect(place).await.expect("uninstalled");
    stage.settled().await;
    stage.pass(days(3)).await;
    assert!(stage.inbox("reminder").await.is_empty());
    let jobs = stage.jobs(100_001).await;
    let cancelled = jobs
        .iter()
        .filter(|job| job.starts_with("remind send_webhook cancelled"));
    assert_eq!(cancelled.count(), 2, "{jobs:?}");
    stage.end().await;
}

/// What happens to one appointment does not wait for what waits because of another.
#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn firings_of_a_rule_that_waits_do_not_wait_for_each_other(pool: PgPool) {
    let rules = r#"
[[rule]]
name = "follow-up"
on = "record.created"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/now"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ event.resource_id }}"
[[rule.then]]
after = "1d"
action = "send_webhook"
url = "{sandbox}/inbox/later"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ event.resource_id }}"
"#;
    let stage = Stage::set(pool, rules).await;
    stage.connected(&[100_001]).await;
    let body = |id: i64| {
        format!(
            r#"{{"company_id":100001,"resource":"record","resource_id":{id},"status":"create","data":{{"id":{id}}}}}"#
        )
    };
    assert_eq!(stage.post(&stage.hook(100_001), body(1)).await.0, 200);
    stage.settled().await;
    stage.pass(12 * HOUR).await;
    assert_eq!(stage.post(&stage.hook(100_001), body(2)).await.0, 200);
    stage.settled().await;
    let bodies =
        async |name: &str| -> Vec<String> { stage.inbox(name).await.into_iter().map(|one| one.body).collect() };
    assert_eq!(bodies("now").await, ["1", "2"]);
    stage.pass(12 * HOUR).await;
    assert_eq!(bodies("later").await, ["1"]);
    let stage = stage.restarted().await;
    stage.pass(12 * HOUR).await;
    let later: Vec<String> = stage.inbox("later").await.into_iter().map(|one| one.body).collect();
    assert_eq!(later, ["1", "2"]);
    stage.end().await;
}

/// A condition of a step is asked when it runs: who has paid meanwhile is not reminded.
#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_step_is_left_out_when_its_condition_does_not_hold_by_then(pool: PgPool) {
    let rules = r#"
[[rule]]
name = "remind"
on = "installation.activated"
[[rule.then]]
after = "1d"
when = '!installation.has_paid'
action = "send_webhook"
url = "{sandbox}/inbox/reminder"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ location.id }}"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/end"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ location.id }}"
"#;
    let stage = Stage::set(pool, rules).await;
    stage.connected(&[100_001, 100_002]).await;
    let pay = Pay {
        application_id: APP,
        location_id: 100_002,
        ..Pay::default()
    };
    stage.sandbox.pay(pay).await.expect("paid");
    stage.pass(days(1)).await;
    let bodies = async |name: &str| {
        let mut bodies: Vec<String> = stage.inbox(name).await.into_iter().map(|one| one.body).collect();
        bodies.sort_unstable();
        bodies
    };
    assert_eq!(bodies("reminder").await, ["100001"]);
    assert_eq!(bodies("end").await, ["100001", "100002"], "those behind it go on");
    let page = stage.api("jobs?location=100002&action=send_webhook").await;
    let results: Vec<&str> = page["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|job| job["result"]["skipped"].as_str())
        .collect();
    let detail = stage.api(&format!("jobs/{}", page["items"][1]["id"])).await;
    assert_eq!(
        detail["result"]["skipped"], "condition is false: !installation.has_paid",
        "{results:?} {detail}"
    );
    stage.end().await;
}

/// Nobody knows the condition of a step whose rule is gone, so the step is not done.
#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_conditional_step_of_a_rule_that_is_gone_is_given_up(pool: PgPool) {
    let rules = r#"
[[rule]]
name = "later"
on = "installation.activated"
[[rule.then]]
after = "1d"
when = 'installation.status == "active"'
action = "set_discount"
percent = 10
"#;
    let stage = Stage::set(pool, rules).await;
    stage.connected(&[100_001]).await;
    stage.write_rules("");
    let stage = stage.restarted().await;
    stage.pass(days(1)).await;
    assert_eq!(stage.called("add_discount").await, 0);
    let job = stage.last_job(100_001).await;
    assert_eq!(
        job["last_error"], "the rule `later` and its condition are not in the rule files any more",
        "{job}"
    );
    stage.end().await;
}
