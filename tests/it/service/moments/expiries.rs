//! Connections that were not activated in time.

use std::time::Duration;

use bellhop::sandbox::{Connect, Fault, FaultKind};
use sqlx::PgPool;

use super::{APP, Stage, compare, rule, there};

const MAIL: &str = r#"
[[rule]]
name = "late"
on = "activation.expired"
[[rule.then]]
action = "send_email"
to = "team@example.com"
subject = "{{ event.kind }} {{ location.id }}"
text = "pending since {{ event.pending_since | date }}, now {{ installation.status }}"
"#;

fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3600)
}

async fn begin(stage: &Stage, location: i64) {
    let busy = Fault::new("activate", FaultKind::Status).status(503).times(100_000);
    stage.sandbox.fail(busy).await.expect("a fault");
    super::put(stage, location, "Europe/Berlin").await;
    let connect = Connect {
        follow: true,
        ..Connect::new(APP, location)
    };
    stage.sandbox.connect(connect).await.expect("connected");
    let is_pending = "select exists (select from installations where location_id = $1 and status = 'pending')";
    stage
        .until("it is pending", async || {
            let asked = sqlx::query_scalar(is_pending)
                .bind(location)
                .fetch_one(&stage.pool)
                .await;
            asked.expect("an answer")
        })
        .await;
}

async fn subjects(stage: &Stage) -> Vec<String> {
    stage
        .sandbox
        .mails()
        .await
        .into_iter()
        .map(|mail| mail.subject)
        .collect()
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_connection_that_was_not_finished_in_time_is_told_once_also_when_the_marketplace_has_cleaned_it_up(
    pool: PgPool,
) {
    let rules = [MAIL, &rule("bye", "installation.uninstalled", "")].concat();
    let stage = Stage::set(pool, &rules).await;
    begin(&stage, 1).await;
    stage.pass(hours(11)).await;
    assert_eq!(subjects(&stage).await, [""; 0]);
    stage.pass(hours(2)).await;
    stage.until("a mail", async || !subjects(&stage).await.is_empty()).await;
    stage
        .until("its end", async || stage.status(1).await == "uninstalled")
        .await;
    stage.settled().await;
    assert_eq!(subjects(&stage).await, ["activation.expired 1"]);
    assert_eq!(stage.location(1).await["connection"], "expired");
    let mut decisions = stage.decisions(1).await;
    decisions.sort();
    assert_eq!(decisions, ["bye fired", "late fired"]);

    // The next connection has a time of its own; this one is finished.
    stage.sandbox.clear_faults().await;
    stage.connected(&[1]).await;
    stage.pass(hours(13)).await;
    assert_eq!(subjects(&stage).await, ["activation.expired 1"]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_link_that_stays_pending_is_told_once_however_often_it_is_looked_at_and_its_job_ends(pool: PgPool) {
    let week = |options: &mut bellhop::sandbox::Options| options.terms.activation_limit = chrono::TimeDelta::days(7);
    let stage = Stage::set_with(pool, MAIL, week, "").await;
    begin(&stage, 1).await;
    stage.pass(hours(13)).await;
    stage.until("a mail", async || !subjects(&stage).await.is_empty()).await;
    let stage = stage.restarted().await;
    for _ in 0..3 {
        stage.pass(hours(2)).await;
    }
    assert_eq!(stage.status(1).await, "pending");
    assert_eq!(stage.location(1).await["connection"], "expired");
    stage.pass(hours(8)).await;
    stage
        .until("the job ends", async || {
            let jobs = stage.jobs(1).await;
            jobs.iter().any(|job| job.starts_with("- activate completed"))
        })
        .await;
    assert_eq!(subjects(&stage).await, ["activation.expired 1"]);
    let told = stage.events(1).await;
    assert_eq!(
        told.iter()
            .filter(|line| line.starts_with("activation.expired"))
            .count(),
        1
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_connection_that_waits_for_our_own_product_is_found_by_comparing(pool: PgPool) {
    let edits = [
        ("enabled = false", "interval = \"1h\""),
        (
            "rules = [\"rules.toml\"]",
            "rules = [\"rules.toml\"]\nactivation = \"external\"",
        ),
    ];
    let stage = Stage::set_edited(pool, MAIL, |_| {}, &edits).await;
    begin(&stage, 1).await;
    begin(&stage, 2).await;
    stage.settled().await;
    assert_eq!(stage.location(1).await["connection"], "external");
    // The owner of 2 thinks better of it.
    stage.sandbox.disconnect(there(2)).await.expect("gone");
    stage.settled().await;
    stage.pass(hours(13)).await;
    compare(&stage).await;
    stage
        .until("it is noted", async || {
            stage.location(1).await["connection"] == "expired"
        })
        .await;
    stage.settled().await;
    assert_eq!(subjects(&stage).await, ["activation.expired 1"]);
    stage.end().await;
}
