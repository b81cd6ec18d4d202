//! The queue: attempts, waits, leases, order, and what an operator sees of them.

use std::{collections::BTreeMap, time::Duration};

use bellhop::sandbox::{Change, Fault, FaultKind, Place};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::PgPool;

use super::stage::{APP, Stage, TOKEN};

const WELCOME: &str = r#"
[[rule]]
name = "welcome"
on = "installation.activated"
[[rule.then]]
action = "set_discount"
percent = 12.5
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/welcome"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"#;

const RECORDS: &str = r#"
[[rule]]
name = "record"
on = "record.*"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/record"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ event.resource_id }}"
"#;

async fn fail(stage: &Stage, fault: Fault) {
    stage.sandbox.fail(fault).await.expect("a fault");
}

/// The newest job of a rule's action.
async fn job(stage: &Stage, action: &str) -> Value {
    let page = stage.api(&format!("jobs?action={action}&limit=1")).await;
    stage.api(&format!("jobs/{}", page["items"][0]["id"])).await
}

/// Attempts as `attempt outcome error`.
fn history(job: &Value) -> Vec<String> {
    let line = |attempt: &Value| {
        let word = |key: &str| attempt[key].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", attempt["attempt"], word("outcome"), word("error"))
    };
    job["history"].as_array().expect("a list").iter().map(line).collect()
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().expect("a time").parse().expect("a time")
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_failed_call_is_tried_again_after_growing_waits_and_every_attempt_is_shown(pool: PgPool) {
    let stage = Stage::set(pool, WELCOME).await;
    fail(&stage, Fault::new("add_discount", FaultKind::Status).status(503)).await;
    fail(&stage, Fault::new("add_discount", FaultKind::DropConnection)).await;
    fail(&stage, Fault::new("add_discount", FaultKind::Html)).await;
    stage.connect(&[1]).await;
    stage
        .until("the discount", async || !stage.inbox("welcome").await.is_empty())
        .await;
    stage.settled().await;

    let job = job(&stage, "set_discount").await;
    assert_eq!(job["state"], "completed");
    assert_eq!(job["params"]["percent"], "12.5");
    assert_eq!(job["result"]["percent"], "12.5");
    let words: Vec<String> = history(&job)
        .iter()
        .map(|line| line.chars().take(7).collect())
        .collect();
    assert_eq!(words, ["1 retry", "2 retry", "3 retry", "4 done "]);
    let attempts = job["history"].as_array().expect("a list");
    let statuses: Vec<&Value> = attempts
        .iter()
        .map(|attempt| &attempt["exchanges"][0]["status"])
        .collect();
    assert_eq!(statuses[0], 503);
    assert_eq!(statuses[2..], [200, 200]);
    let last = &attempts[3]["exchanges"][0];
    assert_eq!(
        [&last["call"], &last["method"], &last["path"]],
        ["add_discount", "POST", "application/add_discount"]
    );
    assert!(
        last["answer"].as_str().expect("text").contains("\"success\":true"),
        "{last}"
    );
    for (earlier, least) in [(0, 50), (1, 100), (2, 200)] {
        let pause = time(&attempts[earlier + 1]["started_at"]) - time(&attempts[earlier]["finished_at"]);
        assert!(
            pause >= TimeDelta::milliseconds(least),
            "{pause} after attempt {}",
            earlier + 1
        );
    }
    assert!(!job.to_string().contains(TOKEN));
    assert_eq!(
        stage.sandbox.link(APP, 1).await.expect("a link").link.discount,
        Some(12.5)
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn who_is_asked_to_slow_down_waits_as_long_as_asked_and_loses_no_attempt(pool: PgPool) {
    let edits = [
        ("backoff_limit = \"400ms\"", "backoff_limit = \"60s\"\nmax_attempts = 1"),
        ("lease = \"3s\"", "lease = \"20s\""),
    ];
    let stage = Stage::set_edited(pool, WELCOME, |_| {}, &edits).await;
    fail(
        &stage,
        Fault::new("add_discount", FaultKind::RateLimited).retry_after(20),
    )
    .await;
    fail(
        &stage,
        Fault::new("add_discount", FaultKind::RateLimited).retry_after(7200),
    )
    .await;
    stage.connected(&[1]).await;
    let waiting = job(&stage, "set_discount").await;
    assert_eq!(waiting["state"], "available");
    assert_eq!(
        history(&waiting),
        ["1 snooze the marketplace asks to slow down (429) for 20 s"]
    );
    let wait = time(&waiting["run_at"]) - time(&waiting["history"][0]["finished_at"]);
    assert!((20..=25).contains(&wait.num_seconds()), "{wait}");

    stage.pass(Duration::from_secs(30)).await;
    let waiting = job(&stage, "set_discount").await;
    let wait = time(&waiting["run_at"]) - time(&waiting["history"][1]["finished_at"]);
    assert!(
        (60..=75).contains(&wait.num_seconds()),
        "what may be asked has a limit: {wait}"
    );
    stage.pass(Duration::from_secs(80)).await;
    assert_eq!(
        stage.jobs(1).await,
        [
            "- activate completed 1",
            "welcome set_discount completed 3",
            "welcome send_webhook completed 1"
        ]
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_refusal_ends_the_firing_and_says_why(pool: PgPool) {
    let stage = Stage::set(pool, WELCOME).await;
    fail(&stage, Fault::new("add_discount", FaultKind::Status).status(403)).await;
    stage.connected(&[1]).await;
    assert_eq!(
        stage.jobs(1).await,
        [
            "- activate completed 1",
            "welcome set_discount discarded 1",
            "welcome send_webhook cancelled 0"
        ]
    );
    let refused = job(&stage, "set_discount").await;
    assert_eq!(
        history(&refused),
        ["1 discard access refused (403): An error has occurred"]
    );
    assert_eq!(refused["last_error"], "access refused (403): An error has occurred");
    let cancelled = job(&stage, "send_webhook").await;
    assert_eq!(cancelled["last_error"], "an earlier step was given up");
    assert_eq!(stage.inbox("welcome").await.len(), 0);

    // A token that is not accepted is mended by people: that is no reason to give up.
    fail(&stage, Fault::new("add_discount", FaultKind::Status).status(401)).await;
    stage.connect(&[2]).await;
    stage
        .until("the webhook", async || !stage.inbox("welcome").await.is_empty())
        .await;
    stage.settled().await;
    assert_eq!(stage.jobs(2).await[1], "welcome set_discount completed 2");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_webhook_is_repeated_under_its_name_until_taken_or_refused_for_good(pool: PgPool) {
    let stage = Stage::set(pool, RECORDS).await;
    stage.connected(&[1, 2]).await;
    fail(&stage, Fault::new("inbox.record", FaultKind::Status).status(500)).await;
    stage
        .sandbox
        .change(Change::new(1, "record", "create"))
        .await
        .expect("changed");
    stage
        .until("the second try", async || stage.inbox("record").await.len() == 2)
        .await;
    stage.settled().await;
    let taken = stage.inbox("record").await;
    assert_eq!([taken[0].status, taken[1].status], [500, 200]);
    assert_eq!(taken[0].headers["webhook-id"], taken[1].headers["webhook-id"]);
    let firing = stage.location(1).await["firings"][0]["id"].clone();
    assert_eq!(taken[0].headers["webhook-id"], format!("bellhop-{firing}-0"));
    assert_eq!(
        history(&job(&stage, "send_webhook").await),
        ["1 retry the receiver answered 500", "2 done -"]
    );

    fail(&stage, Fault::new("inbox.record", FaultKind::Status).status(410)).await;
    stage
        .sandbox
        .change(Change::new(2, "record", "create"))
        .await
        .expect("changed");
    stage.settled().await;
    let refused = job(&stage, "send_webhook").await;
    assert_eq!(refused["state"], "discarded");
    assert_eq!(
        history(&refused),
        ["1 discard the receiver answered 410: it wants no more webhooks"]
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_firings_of_a_rule_at_a_location_keep_their_order_even_when_the_first_fails(pool: PgPool) {
    let stage = Stage::set(pool, RECORDS).await;
    stage.connected(&[1, 2]).await;
    fail(&stage, Fault::new("inbox.record", FaultKind::Status).status(503)).await;
    fail(&stage, Fault::new("inbox.record", FaultKind::Status).status(503)).await;
    for location in [1, 2] {
        let burst = Change {
            burst: Some(12),
            shuffle: true,
            resource_id: Some(location * 1000),
            ..Change::new(location, "record", "update")
        };
        stage.sandbox.change(burst).await.expect("changed");
    }
    stage
        .until("all are taken", async || {
            let inbox = stage.inbox("record").await;
            inbox.iter().filter(|one| one.status == 200).count() == 24
        })
        .await;
    stage.settled().await;
    for location in [1, 2] {
        let page = stage
            .api(&format!("events?location={location}&kind=record.updated&limit=50"))
            .await;
        let mut stored: Vec<i64> = page["items"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|event| event["resource_id"].as_i64().expect("a number"))
            .collect();
        stored.reverse();
        let inbox = stage.inbox("record").await;
        let taken: Vec<i64> = inbox
            .iter()
            .filter(|one| one.status == 200)
            .map(|one| one.body.parse().expect("a number"))
            .collect();
        let taken: Vec<i64> = taken.into_iter().filter(|id| id / 1000 == location).collect();
        assert_eq!(taken, stored);
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn an_attempt_whose_lease_ran_out_does_not_count_when_it_comes_back(pool: PgPool) {
    let stage = Stage::set(pool, WELCOME).await;
    let mut slow = Fault::new("add_discount", FaultKind::TimeoutBefore);
    slow.hang_seconds = Some(1);
    fail(&stage, slow).await;
    stage.connect(&[1]).await;
    stage
        .until("the call hangs", async || stage.called("add_discount").await == 1)
        .await;
    let other = stage.another().await;
    // As if the first had stood still for longer than its lease.
    let stolen = sqlx::query("update lanes set leased_until = now() - interval '1 second', leased_by = 'somebody-who-slept' where name = 'welcome'")
        .execute(&stage.pool)
        .await
        .expect("updated");
    assert_eq!(stolen.rows_affected(), 1);
    stage
        .until("somebody else has done it", async || {
            !stage.inbox("welcome").await.is_empty()
        })
        .await;
    let lost = "1 lost the worker was gone before it said what became of it";
    assert_eq!(history(&job(&stage, "set_discount").await), [lost, "2 done -"]);

    // The first comes back with a failure that nobody wants to hear of any more.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    stage.settled().await;
    let done = job(&stage, "set_discount").await;
    assert_eq!(done["state"], "completed");
    assert_eq!(history(&done), [lost, "2 done -"]);
    assert_eq!(stage.called("add_discount").await, 2);
    assert_eq!(stage.inbox("welcome").await.len(), 1);
    other.stop().await;
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn two_services_share_the_work_and_nothing_is_done_twice(pool: PgPool) {
    let edits = [("poll = \"20ms\"", "poll = \"20ms\"\nconcurrency = 2")];
    let stage = Stage::set_edited(pool, RECORDS, |_| {}, &edits).await;
    let other = stage.another().await;
    let locations: Vec<i64> = (1..=6).collect();
    stage.connected(&locations).await;
    for location in &locations {
        let burst = Change {
            burst: Some(8),
            resource_id: Some(location * 1000),
            ..Change::new(*location, "record", "create")
        };
        stage.sandbox.change(burst).await.expect("changed");
    }
    stage.settled().await;
    let mut taken: Vec<i64> = stage
        .inbox("record")
        .await
        .iter()
        .map(|one| one.body.parse().expect("a number"))
        .collect();
    taken.sort_unstable();
    let wanted: Vec<i64> = locations
        .iter()
        .flat_map(|location| location * 1000..location * 1000 + 8)
        .collect();
    assert_eq!(taken, wanted);
    for location in &locations {
        let link = stage.sandbox.link(APP, *location).await.expect("a link");
        assert_eq!(link.link.activations, 1, "location {location}");
    }
    assert_eq!(stage.called("activate").await, 6);
    let workers: Vec<(String, i64)> = sqlx::query_as("select worker, count(*) from attempts group by 1")
        .fetch_all(&stage.pool)
        .await
        .expect("workers");
    let workers: BTreeMap<String, i64> = workers.into_iter().collect();
    assert_eq!(workers.values().sum::<i64>(), 6 + 48);
    assert_eq!(workers.len(), 2, "{workers:?}");
    other.stop().await;
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_step_that_runs_when_the_connection_is_over_is_given_up(pool: PgPool) {
    let stage = Stage::set(pool, WELCOME).await;
    let mut slow = Fault::new("add_discount", FaultKind::TimeoutBefore);
    slow.hang_seconds = Some(1);
    fail(&stage, slow).await;
    stage.connect(&[1]).await;
    stage
        .until("the call hangs", async || stage.called("add_discount").await == 1)
        .await;
    let place = Place {
        application_id: APP,
        location_id: 1,
    };
    stage.sandbox.disconnect(place).await.expect("gone");
    stage
        .until("the first attempt ends", async || {
            stage
                .jobs(1)
                .await
                .iter()
                .all(|job| !job.contains("running") && !job.contains("available"))
        })
        .await;
    stage.settled().await;
    assert_eq!(
        stage.jobs(1).await,
        [
            "- activate completed 1",
            "welcome set_discount discarded 2",
            "welcome send_webhook cancelled 0"
        ]
    );
    assert_eq!(
        job(&stage, "set_discount").await["last_error"],
        "the connection it was meant for is over"
    );
    assert_eq!(stage.called("add_discount").await, 1);
    stage.end().await;
}
