//! The line to the marketplace when it is not to be had: no turn in the budget, nobody at the other end.

use std::time::{Duration, Instant};

use bellhop::sandbox::{Fault, FaultKind};
use sqlx::PgPool;

use super::stage::Stage;

const WELCOME: &str = r#"
[[rule]]
name = "welcome"
on = "installation.activated"
[[rule.then]]
action = "set_discount"
percent = 12.5
"#;

/// Outcomes of all attempts of an action, in order.
async fn outcomes(pool: &PgPool, action: &str) -> Vec<String> {
    sqlx::query_scalar(
        "select coalesce(a.outcome, 'open') from attempts a join (select id, action from jobs union all select id, action from finished_jobs) j
            on j.id = a.job_id where j.action = $1 order by a.job_id, a.attempt",
    )
    .bind(action)
    .fetch_all(pool)
    .await
    .expect("attempts")
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_job_that_waits_for_its_turn_goes_back_at_once_when_the_service_stops(pool: PgPool) {
    let edits = [("requests_per_minute = 60000", "requests_per_minute = 60")];
    let rules = WELCOME.replace("installation.activated", "record.created");
    let stage = Stage::set_edited(pool, &rules, |_| {}, &edits).await;
    stage.connected(&[1]).await;
    sqlx::query("update request_budget set granted = (select array_agg(now()) from generate_series(1, 60))")
        .execute(&stage.pool)
        .await
        .expect("used up");
    let change = bellhop::sandbox::Change::new(1, "record", "create");
    stage.sandbox.change(change).await.expect("changed");
    stage
        .until("it waits", async || {
            outcomes(&stage.pool, "set_discount").await == ["open"]
        })
        .await;
    let pool = stage.pool.clone();
    let began = Instant::now();
    let stage = stage.restarted().await;
    assert!(began.elapsed() < Duration::from_secs(10), "a stop may take 20 seconds");
    sqlx::query("update request_budget set granted = '{}'")
        .execute(&pool)
        .await
        .expect("room");
    stage
        .until("it is done", async || stage.called("add_discount").await == 1)
        .await;
    stage.settled().await;
    let told = outcomes(&pool, "set_discount").await;
    assert_eq!(told.first().map(String::as_str), Some("snooze"));
    assert_eq!(told.last().map(String::as_str), Some("done"));
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_marketplace_that_does_not_answer_is_left_alone_and_costs_no_attempts(pool: PgPool) {
    let edits = [
        ("backoff = \"50ms\"", "backoff = \"1s\""),
        ("backoff_limit = \"400ms\"", "backoff_limit = \"2s\""),
    ];
    let stage = Stage::set_edited(pool, WELCOME, |_| {}, &edits).await;
    let locations: Vec<i64> = (1..=12).collect();
    let mut down = Fault::new("*", FaultKind::Status);
    down.times = Some(1000);
    stage.sandbox.fail(down).await.expect("a fault");
    stage.connect(&locations).await;
    stage
        .until("the circuit opens", async || {
            stage
                .metrics()
                .await
                .contains("bellhop_circuit_state{account=\"main\"} 1")
        })
        .await;
    stage
        .until("somebody has to wait for it", async || {
            outcomes(&stage.pool, "activate")
                .await
                .iter()
                .any(|outcome| outcome == "snooze")
        })
        .await;
    stage.sandbox.clear_faults().await;
    stage
        .until("everything is done all the same", async || {
            stage.called("add_discount").await >= 12
        })
        .await;
    stage.settled().await;
    assert!(
        stage
            .metrics()
            .await
            .contains("bellhop_circuit_state{account=\"main\"} 0")
    );
    let told = outcomes(&stage.pool, "activate").await;
    let count = |word: &str| told.iter().filter(|outcome| *outcome == word).count();
    assert_eq!(count("done"), 12);
    assert!(
        count("retry") <= 13,
        "only what was sent counts as an attempt: {told:?}"
    );
    assert!(count("snooze") >= 1, "{told:?}");
    stage.end().await;
}
