//! Locations that fell silent.

use std::time::Duration;

use sqlx::PgPool;

use super::{Stage, days, fired, keys, pay, rule, there};

fn rules() -> String {
    rule("silent", "silence", "for = \"3d\"")
}

/// By hand: after a restart the marketplace has the address of the process before.
async fn send(stage: &Stage, location: i64) {
    let id = fastrand::u32(1..);
    let body = format!(
        r#"{{"company_id": {location}, "resource": "record", "resource_id": {id}, "status": "update", "data": {{}}}}"#
    );
    assert_eq!(stage.post(&stage.hook(location), body).await.0, 200);
    stage.settled().await;
}

async fn silent(stage: &Stage) -> [i64; 3] {
    [
        fired(stage, 1, "silent").await,
        fired(stage, 2, "silent").await,
        fired(stage, 3, "silent").await,
    ]
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_location_that_sends_nothing_falls_silent_once_and_again_after_it_has_sent_something(pool: PgPool) {
    let stage = Stage::set(pool, &rules()).await;
    stage.connected(&[1, 2, 3]).await;
    send(&stage, 1).await;
    stage.pass(days(2)).await;
    send(&stage, 2).await;
    assert_eq!(silent(&stage).await, [0, 0, 0]);
    stage.pass(days(1) + Duration::from_secs(3600)).await;
    assert_eq!(silent(&stage).await, [1, 0, 1], "3 has never sent anything");
    let stage = stage.restarted().await;
    let other = stage.another().await;
    stage.pass(days(1)).await;
    send(&stage, 2).await;
    stage.pass(days(2)).await;
    other.stop().await;
    assert_eq!(silent(&stage).await, [1, 0, 1], "the same silence");
    send(&stage, 1).await;
    stage.pass(days(2)).await;
    assert_eq!(silent(&stage).await, [1, 1, 1]);
    send(&stage, 1).await;
    stage.pass(days(2)).await;
    assert_eq!(silent(&stage).await, [1, 1, 1], "1 goes on sending");
    stage.pass(days(2)).await;
    assert_eq!(silent(&stage).await, [2, 1, 1]);
    let of = keys(&stage, 1, "silence").await;
    assert!(
        of.iter().all(|key| key.starts_with("after=")) && of[0] != of[1],
        "{of:?}"
    );
    assert!(keys(&stage, 3, "silence").await[0].starts_with("since="));
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn only_active_locations_are_listened_to_and_the_count_begins_when_they_work_again(pool: PgPool) {
    let stage = Stage::set(pool, &rules()).await;
    stage.connected(&[1, 2, 3]).await;
    stage.sandbox.freeze(there(1)).await.expect("frozen");
    stage.sandbox.disconnect(there(2)).await.expect("gone");
    pay(&stage, 3).await;
    stage.pass(days(4)).await;
    assert_eq!(silent(&stage).await, [0, 0, 1]);
    pay(&stage, 1).await;
    assert_eq!(stage.status(1).await, "active");
    stage.pass(days(2)).await;
    assert_eq!(silent(&stage).await, [0, 0, 1]);
    stage.pass(days(2)).await;
    assert_eq!(silent(&stage).await, [1, 0, 1]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_new_rule_tells_who_falls_silent_and_not_who_was_for_long(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    stage.connected(&[1, 2, 3]).await;
    stage.pass(days(9)).await;
    send(&stage, 2).await;
    send(&stage, 3).await;
    let stage = stage.away(Duration::from_secs(60), &rules()).await;
    stage.settled().await;
    assert_eq!(silent(&stage).await, [0, 0, 0]);
    assert_eq!(stage.decisions(1).await, ["silent skipped late by 6d 1m, max_late 2d"]);
    stage.pass(days(3)).await;
    assert_eq!(silent(&stage).await, [0, 1, 1]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_pause_of_our_own_is_no_silence_of_others(pool: PgPool) {
    let stage = Stage::set(pool, &rules()).await;
    stage.connected(&[1, 2]).await;
    send(&stage, 1).await;
    stage.pass(days(2)).await;
    // As if nobody had been there for a day.
    sqlx::query("update presence set alive_at = now() - interval '1 day'")
        .execute(&stage.pool)
        .await
        .expect("a pause");
    stage
        .until("it is noticed", async || {
            sqlx::query_scalar("select back_at is not null from presence")
                .fetch_one(&stage.pool)
                .await
                .expect("a row")
        })
        .await;
    let caught_up = "update presence set back_at = back_at - interval '10 minutes'";
    sqlx::query(caught_up).execute(&stage.pool).await.expect("caught up");
    stage.pass(days(2)).await;
    assert_eq!(silent(&stage).await[..2], [0, 0], "it counts from the return");
    stage.pass(days(2)).await;
    assert_eq!(silent(&stage).await[..2], [1, 1]);
    // Who was told to be silent stays so, whatever was missed.
    sqlx::query("update presence set alive_at = now() - interval '1 day'")
        .execute(&stage.pool)
        .await
        .expect("a pause");
    tokio::time::sleep(Duration::from_millis(300)).await;
    sqlx::query(caught_up).execute(&stage.pool).await.expect("caught up");
    stage.pass(days(4)).await;
    assert_eq!(silent(&stage).await[..2], [1, 1]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn nothing_is_written_about_silence_when_an_event_comes(pool: PgPool) {
    let stage = Stage::set(pool, &rules()).await;
    stage.connected(&[1]).await;
    let version = "select xmin::text || ctid::text from silences";
    let before: String = sqlx::query_scalar(version).fetch_one(&stage.pool).await.expect("a row");
    for _ in 0..5 {
        send(&stage, 1).await;
    }
    let after: String = sqlx::query_scalar(version).fetch_one(&stage.pool).await.expect("a row");
    assert_eq!(before, after);
    stage.end().await;
}
