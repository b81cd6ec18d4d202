//! Forwarding and everything else do not wait for each other, and a killed worker loses nothing of it.

use std::time::{Duration, Instant};

use bellhop::sandbox::{Change, Fault, FaultKind};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::net::TcpListener;

use super::stage::{APP, Stage};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn relay(name: &str, url: &str) -> String {
    format!(
        "[[rule]]\nname = \"{name}\"\non = \"record.*\"\n[[rule.then]]\naction = \"forward_event\"\n\
         url = \"{url}\"\nsecret = \"{SECRET}\"\n\n"
    )
}

const DISCOUNT: &str = "[[rule]]\nname = \"discount\"\non = \"client.*\"\n[[rule.then]]\n\
                        action = \"set_discount\"\npercent = 10\n\n";

async fn changed(stage: &Stage, location: i64, resource: &str, number: i64) {
    let change = Change {
        resource_id: Some(number),
        data: Some(json!({"id": number})),
        ..Change::new(location, resource, "create")
    };
    stage.sandbox.change(change).await.expect("changed");
}

/// How long it takes until it is so.
async fn takes(stage: &Stage, what: &str, so: impl AsyncFn() -> bool) -> Duration {
    let began = Instant::now();
    stage.until(what, so).await;
    began.elapsed()
}

/// The one event that is there has to be forwarded by so many locations more.
async fn backlog(pool: &PgPool, rule: &str, lanes: i64, url: &str) {
    let params = json!({"action": "forward_event", "url": url, "retry_for_seconds": 259_200});
    let fill = format!(
        "insert into firings (key, rule, once_per, application_id, location_id, generation, event_id, event_received_at, kind)
            select 'many|' || n, '{rule}', 'occurrence', {APP}, 1000 + n, 0, e.id, e.received_at, e.kind
            from generate_series(1, {lanes}) n, (select * from events where kind = 'record.created' limit 1) e;
         with lane as (
            insert into lanes (application_id, location_id, name, priority, run_at)
            select {APP}, 1000 + n, '{rule}', 4, now() - interval '1 minute' from generate_series(1, {lanes}) n returning *)
         insert into jobs (lane_id, application_id, location_id, firing_id, rule, action, params, max_attempts)
            select l.id, {APP}, l.location_id, f.id, '{rule}', 'forward_event', '{params}', 1000000
            from lane l join firings f on f.key = 'many|' || (l.location_id - 1000)"
    );
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(pool).await.expect("filled");
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn ten_thousand_lanes_of_a_receiver_that_never_answers_hold_nobody_up(pool: PgPool) {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let dead = format!("http://{}/events", silent.local_addr().expect("an address"));
    let rules = [
        DISCOUNT,
        &relay("dead", &dead),
        &relay("alive", "{sandbox}/inbox/alive"),
    ]
    .concat();
    let stage = Stage::set(pool, &rules).await;
    stage.connected(&[1]).await;
    changed(&stage, 1, "record", 1).await;
    stage
        .until("the other took it", async || stage.inbox("alive").await.len() == 1)
        .await;
    backlog(&stage.pool, "dead", 10_000, &dead).await;
    // Its hands are full by then.
    tokio::time::sleep(Duration::from_millis(500)).await;

    changed(&stage, 1, "client", 2).await;
    let discount = takes(&stage, "the discount", async || stage.called("add_discount").await == 1).await;
    changed(&stage, 1, "record", 3).await;
    let alive = takes(&stage, "the other", async || stage.inbox("alive").await.len() == 2).await;
    let moment = Duration::from_secs(3);
    assert!(discount < moment && alive < moment, "{discount:?} {alive:?}");
    let late: f64 = stage
        .metrics()
        .await
        .lines()
        .find_map(|line| line.strip_prefix("bellhop_job_oldest_due_seconds ")?.parse().ok())
        .expect("a figure");
    assert!(late < 5.0, "nobody else is late: {late}");
    stage.service.stop().await;
    stage.sandbox.stop().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn jobs_that_wait_for_the_marketplace_do_not_hold_forwarding_up(pool: PgPool) {
    let rules = [DISCOUNT, &relay("alive", "{sandbox}/inbox/alive")].concat();
    let edits = [("[smtp]", "concurrency = 2\n[smtp]")];
    let stage = Stage::set_edited(pool, &rules, |_| {}, &edits).await;
    stage.connected(&[1, 2, 3, 4]).await;
    let slow = Fault::new("add_discount", FaultKind::TimeoutBefore).times(1_000);
    stage.sandbox.fail(slow).await.expect("a fault");
    for location in 1..=4 {
        changed(&stage, location, "client", location).await;
    }
    stage
        .until("the hands are full", async || stage.called("add_discount").await >= 1)
        .await;
    changed(&stage, 1, "record", 7).await;
    let alive = takes(&stage, "the event", async || stage.inbox("alive").await.len() == 1).await;
    assert!(alive < Duration::from_millis(1500), "{alive:?}");
    stage.sandbox.clear_faults().await;
    stage
        .until("the discounts come at last", async || {
            stage
                .jobs(4)
                .await
                .iter()
                .any(|job| job.starts_with("discount set_discount completed"))
        })
        .await;
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_process_that_knows_no_forwarding_leaves_its_lanes_alone(pool: PgPool) {
    use bellhop::{
        domain::action::Priority,
        store::jobs::{self, Hands},
    };
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let dead = format!("http://{}/events", silent.local_addr().expect("an address"));
    let stage = Stage::set(pool, &relay("dead", &dead)).await;
    stage.connected(&[1]).await;
    changed(&stage, 1, "record", 1).await;
    stage
        .until("it is judged", async || stage.jobs(1).await.len() == 2)
        .await;
    let pool = stage.pool.clone();
    stage.service.stop().await;
    sqlx::query("update lanes set leased_until = null, leased_by = null, run_at = now()")
        .execute(&pool)
        .await
        .expect("free");
    let hands = |among: (Priority, Priority), except: &'static [String]| Hands {
        worker: "anna",
        lease: Duration::from_secs(60),
        among,
        except,
        lanes: 10,
        depth: 1,
    };
    let others = hands((Priority::Activation, Priority::Reconciliation), &[]);
    assert_eq!(jobs::claim(&pool, others).await.expect("claimed").len(), 0);
    let left_alone: &'static [String] = Vec::leak(vec![format!("{APP}/dead")]);
    let forwarding = (Priority::Forwarding, Priority::Forwarding);
    let without = hands(forwarding, left_alone);
    assert_eq!(jobs::claim(&pool, without).await.expect("claimed").len(), 0);
    assert_eq!(
        jobs::claim(&pool, hands(forwarding, &[])).await.expect("claimed").len(),
        1
    );
    stage.sandbox.stop().await;
}
