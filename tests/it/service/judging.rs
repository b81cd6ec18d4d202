//! Judging in batches: what waits together is judged together, and still one by one for each place.

use std::time::Duration;

use bellhop::{domain::event::Kind, sandbox::Change, store::events::SHARDS};
use serde_json::{Value, json};
use sqlx::{PgPool, Postgres, Transaction};

use super::stage::{APP, Stage, TOKEN};

const RECORDS: &str = r#"
[[rule]]
name = "record"
on = "record.created"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/record"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ event.resource_id }}"
"#;

/// Nobody judges these shards until the transaction ends, as if another process did.
async fn hold(pool: &PgPool, shards: std::ops::Range<i16>) -> Transaction<'static, Postgres> {
    let mut held = pool.begin().await.expect("a transaction");
    for shard in shards {
        sqlx::query("select pg_advisory_xact_lock(1650814060, $1)")
            .bind(i32::from(shard))
            .execute(&mut *held)
            .await
            .expect("held");
    }
    held
}

/// A change of an appointment, delivered.
async fn deliver(stage: &Stage, location: i64, record: i64) {
    let body = json!({"company_id": location, "resource": "record", "resource_id": record, "status": "create",
        "data": {"id": record}});
    let (status, _) = stage.post(&stage.hook(location), body.to_string()).await;
    assert_eq!(status, 200);
}

/// Events that are judged, by state.
async fn judged(stage: &Stage, location: i64, state: &str) -> i64 {
    sqlx::query_scalar(
        "select count(*) from outcomes o join events e on e.id = o.event_id
         where e.location_id = $1 and e.kind = 'record.created' and o.state = $2",
    )
    .bind(location)
    .bind(state)
    .fetch_one(&stage.pool)
    .await
    .expect("a count")
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn events_that_cannot_be_judged_end_as_failed_and_their_neighbours_keep_their_order(pool: PgPool) {
    let stage = Stage::set(pool, RECORDS).await;
    // Two places of one shard.
    let (good, bad) = (1, 1 + i64::from(SHARDS));
    stage.connected(&[good, bad]).await;
    sqlx::query("update locations set data = '[]' where location_id = $1")
        .bind(bad)
        .execute(&stage.pool)
        .await
        .expect("spoilt");
    let held = hold(&stage.pool, 0..SHARDS).await;
    for record in 1..=30 {
        deliver(&stage, good, record).await;
        if record % 10 == 0 {
            deliver(&stage, bad, record).await;
        }
    }
    held.rollback().await.expect("let go");
    stage.settled().await;
    assert_eq!(judged(&stage, good, "processed").await, 30);
    assert_eq!(judged(&stage, bad, "failed").await, 3);
    let told: Vec<String> = stage.inbox("record").await.into_iter().map(|one| one.body).collect();
    let wanted: Vec<String> = (1..=30).map(|record| record.to_string()).collect();
    assert_eq!(told, wanted);
    let events = stage.events(bad).await;
    let failed = events
        .iter()
        .filter(|event| event.starts_with("record.created webhook failed"));
    assert_eq!(failed.count(), 3, "{events:?}");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_backlog_of_one_place_does_not_hold_up_another(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    stage.connected(&[1, 2]).await;
    let held = hold(&stage.pool, 0..SHARDS).await;
    let kind = Kind::of_entity("record", "create").to_string();
    let queue = "with stored as (
            insert into events (application_id, location_id, kind, source, verdict, resource_id, body)
            select $1, $2, $3, 'webhook', 'received', n, '{}' from generate_series(1, $4::int) n returning id, received_at
        ) insert into inbox (event_id, received_at, application_id, location_id, shard)
        select id, received_at, $1, $2, $2 % 16 from stored";
    for (location, count) in [(1_i64, 2500), (2, 1)] {
        sqlx::query(sqlx::AssertSqlSafe(queue))
            .bind(APP)
            .bind(location)
            .bind(&kind)
            .bind(count)
            .execute(&stage.pool)
            .await
            .expect("queued");
    }
    held.rollback().await.expect("let go");
    stage.settled().await;
    assert_eq!(judged(&stage, 1, "processed").await, 2500);
    let before: i64 = sqlx::query_scalar(
        "select count(*) from outcomes o join events e on e.id = o.event_id where e.location_id = 1 and e.kind = $1
            and o.decided_at < (select o.decided_at from outcomes o join events e on e.id = o.event_id
                where e.location_id = 2 and e.kind = $1)",
    )
    .bind(&kind)
    .fetch_one(&stage.pool)
    .await
    .expect("a count");
    assert!(before <= 1000, "{before} events of the other place came first");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn shards_that_somebody_else_judges_do_not_stop_the_others(pool: PgPool) {
    let stage = Stage::set(pool, RECORDS).await;
    let locations: Vec<i64> = (0..i64::from(SHARDS)).map(|shard| 160 + shard).collect();
    stage.connected(&locations).await;
    let other = stage.another().await;
    let held = hold(&stage.pool, 0..SHARDS / 2).await;
    for location in &locations {
        deliver(&stage, *location, *location).await;
    }
    stage
        .until("the free half is judged", async || {
            let mut told: Vec<i64> = Vec::new();
            for one in stage.inbox("record").await {
                told.push(one.body.parse().expect("a number"));
            }
            told.sort_unstable();
            told == locations[locations.len() / 2..]
        })
        .await;
    held.rollback().await.expect("let go");
    stage.settled().await;
    assert_eq!(stage.inbox("record").await.len(), locations.len());
    other.stop().await;
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn an_uninstall_ends_what_events_before_it_in_the_same_batch_began(pool: PgPool) {
    let stage = Stage::set(pool, RECORDS).await;
    stage.connected(&[1]).await;
    let held = hold(&stage.pool, 0..SHARDS).await;
    for record in 1..=3 {
        deliver(&stage, 1, record).await;
    }
    let gone: Value = json!({"salon_id": 1, "application_id": APP, "event": "uninstall", "partner_token": TOKEN});
    let (status, _) = stage
        .post(&stage.url(&format!("apps/{APP}/callback")), gone.to_string())
        .await;
    assert_eq!(status, 200);
    held.rollback().await.expect("let go");
    stage.settled().await;
    let cancelled = "record send_webhook cancelled 0";
    assert_eq!(
        stage.jobs(1).await,
        ["- activate completed 1", cancelled, cancelled, cancelled]
    );
    assert_eq!(stage.status(1).await, "uninstalled");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_was_told_twice_in_one_batch_fires_once(pool: PgPool) {
    let rules = RECORDS.replace(
        "on = \"record.created\"",
        "on = \"record.*\"\nonce_per = \"installation\"",
    );
    let stage = Stage::set(pool, &rules).await;
    stage.connected(&[1]).await;
    let held = hold(&stage.pool, 0..SHARDS).await;
    for record in 1..=3 {
        stage
            .sandbox
            .change(Change {
                resource_id: Some(record),
                ..Change::new(1, "record", "create")
            })
            .await
            .expect("changed");
        stage
            .until("it is stored", async || {
                let waiting: i64 = sqlx::query_scalar("select count(*) from inbox")
                    .fetch_one(&stage.pool)
                    .await
                    .expect("a count");
                waiting == record
            })
            .await;
    }
    held.rollback().await.expect("let go");
    stage.settled().await;
    let again = "record skipped fired before (once per installation)";
    assert_eq!(stage.decisions(1).await, ["record fired", again, again]);
    let told: Vec<String> = stage.inbox("record").await.into_iter().map(|one| one.body).collect();
    assert_eq!(told, ["1"]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_becomes_visible_late_with_an_early_number_is_not_left_behind(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    stage.connected(&[1]).await;
    // Somebody has a number and takes long to commit.
    let mut slow = stage.pool.begin().await.expect("a transaction");
    let store = "with e as (
            insert into events (application_id, location_id, kind, source, verdict, resource_id, digest, headers, body)
            values ($1, 1, 'record.created', 'webhook', 'received', 999, '\\x00', '{}', '{}')
            returning id, received_at, application_id, location_id)
        insert into inbox select id, received_at, application_id, location_id, location_id % $2 from e";
    sqlx::query(store)
        .bind(APP)
        .bind(i64::from(SHARDS))
        .execute(&mut *slow)
        .await
        .expect("stored");
    // Meanwhile others come and are judged, for longer than the processor looks back.
    for record in 0..12 {
        deliver(&stage, 1, record).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stage
        .until("the others", async || judged(&stage, 1, "processed").await == 12)
        .await;
    slow.commit().await.expect("committed");
    stage
        .until("the late one", async || judged(&stage, 1, "processed").await == 13)
        .await;
    stage.end().await;
}
