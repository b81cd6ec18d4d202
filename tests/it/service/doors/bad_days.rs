//! Junk, floods, and a database that is away.

use std::time::{Duration, Instant};

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::json;
use sqlx::PgPool;

use super::{Stage, callback, record};
use crate::service::stage::APP;

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn junk_is_answered_kept_and_hurts_nobody(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let hook = stage.hook(7);
    let mut broken_text =
        br#"{"company_id":7,"resource":"client","resource_id":1,"status":"update","data":{"name":"\ud800 "#.to_vec();
    broken_text.extend_from_slice(b"\xff\xfe\x00\"}}");
    // A raw NUL in a text is not JSON; the rest is.
    let mut broken_only = broken_text.clone();
    broken_only.retain(|byte| *byte != 0);
    let deep = format!(
        r#"{{"company_id":7,"resource":"record","resource_id":2,"status":"update","data":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let wide: Vec<u32> = vec![1; 300_000];
    let bodies: [Vec<u8>; 10] = [
        Vec::new(),
        b" \n ".to_vec(),
        b"hello".to_vec(),
        b"<html>".to_vec(),
        b"a=1&b=2".to_vec(),
        broken_text,
        broken_only.clone(),
        deep.into_bytes(),
        serde_json::to_vec(&wide).expect("JSON"),
        [
            b"\xef\xbb\xbf".to_vec(),
            record(7, 3, "after a byte order mark").into_bytes(),
        ]
        .concat(),
    ];
    for body in bodies {
        stage.give(&hook, body).await;
    }
    for size in [1024 * 1024 + 1, 30 * 1024 * 1024] {
        assert_eq!(stage.post(&hook, vec![b' '; size]).await.0, 413, "{size} bytes");
    }
    stage.settled().await;
    let mut events = stage.all_events().await;
    let unknown = events.len();
    events.dedup();
    assert_eq!(
        events,
        [
            "7 unknown webhook quarantined not JSON",
            "7 client.updated webhook processed",
            "7 record.updated webhook processed",
            "7 unknown webhook quarantined unknown shape",
            "7 record.updated webhook processed",
        ]
    );
    // Three texts and the broken one; of 300000 equal elements one, because they say the same.
    assert_eq!(unknown, 8);
    let kept: Vec<u8> = sqlx::query_scalar("select body from events where kind = 'client.updated'")
        .fetch_one(&stage.pool)
        .await
        .expect("a body");
    assert_eq!(String::from_utf8_lossy(&kept), String::from_utf8_lossy(&broken_only));
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_list_longer_than_the_queue_is_taken_whole(pool: PgPool) {
    let stage = Stage::set_with(pool, "", |_| {}, "[intake]\nqueue = 16").await;
    let list: Vec<String> = (1..=3000).map(|id| record(7, id, "")).collect();
    stage.give(&stage.hook(7), format!("[{}]", list.join(","))).await;
    let stored: i64 = sqlx::query_scalar("select count(*) from events")
        .fetch_one(&stage.pool)
        .await
        .expect("a count");
    assert_eq!(stored, 3000);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_is_not_genuine_is_kept_only_up_to_the_bound_of_a_day(pool: PgPool) {
    let stage = Stage::set_with(pool, "", |_| {}, "[intake]\nquarantine_per_day = 3").await;
    for n in 0..10 {
        stage.give(&stage.hook(7), format!("junk {n}")).await;
    }
    stage.give(&stage.hook(7), record(7, 1, "genuine")).await;
    stage.settled().await;
    let junk = "7 unknown webhook quarantined not JSON";
    assert_eq!(
        stage.all_events().await,
        [junk, junk, junk, "7 record.updated webhook processed"]
    );
    assert!(stage.metrics().await.contains("kind=\"unknown\",result=\"dropped\"} 7"));
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn without_database_and_spool_everything_is_answered_503_in_time_and_nothing_is_lost_or_doubled(pool: PgPool) {
    let edits = [
        (
            "public_url = \"http://127.0.0.1:1\"",
            "public_url = \"http://127.0.0.1:1\"\nack_deadline = \"300ms\"",
        ),
        ("[operator]", "[spool]\nenabled = false\n[operator]"),
    ];
    let stage = Stage::set_edited(pool, "", |_| {}, &edits).await;
    stage.connected(&[5]).await;
    let connect = stage.url(&format!("apps/{APP}/connect?salon_id=6"));
    sqlx::query("alter table events rename to events_away")
        .execute(&stage.pool)
        .await
        .expect("renamed");
    assert_eq!(stage.post(&stage.hook(5), record(5, 1, "x")).await.0, 503);
    assert_eq!(
        stage
            .post(&stage.callback_url(), callback(5, "freeze").to_string())
            .await
            .0,
        503
    );
    assert_eq!(stage.post(&stage.callback_url(), "junk").await.0, 503);
    let (status, _, page) = stage.open(&connect).await;
    assert_eq!(status, 503);
    assert!(page.contains("http-equiv=\"refresh\""), "{page}");
    sqlx::query("alter table events_away rename to events")
        .execute(&stage.pool)
        .await
        .expect("renamed");
    stage.give(&stage.hook(5), record(5, 1, "x")).await;
    stage
        .give(&stage.callback_url(), callback(5, "freeze").to_string())
        .await;

    // It does not answer at all: a statement waits for a lock.
    let mut lock = stage.pool.begin().await.expect("a transaction");
    sqlx::query("lock table events in access exclusive mode")
        .execute(&mut *lock)
        .await
        .expect("locked");
    let began = Instant::now();
    assert_eq!(stage.post(&stage.hook(5), record(5, 2, "x")).await.0, 503);
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(300) && took < Duration::from_secs(2),
        "{took:?}"
    );
    lock.rollback().await.expect("unlocked");
    stage.give(&stage.hook(5), record(5, 2, "x")).await;
    stage.settled().await;
    let told: Vec<String> = stage.events(5).await.into_iter().skip(3).collect();
    assert_eq!(
        told,
        [
            "record.updated webhook processed",
            "installation.frozen callback processed",
            "record.updated webhook processed",
        ]
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn no_bytes_at_any_door_make_a_server_error(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let doors = [
        stage.callback_url(),
        stage.hook(7),
        stage.url(&format!("apps/{APP}/hooks/wrong")),
        stage.url("apps/9223372036854775807/callback"),
    ];
    let piece = prop_oneof![
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just(",".to_owned()),
        Just("\"event\":\"payment\"".to_owned()),
        Just("\"salon_id\":".to_owned()),
        Just("\"company_id\":7".to_owned()),
        Just("\"resource\":\"record\"".to_owned()),
        Just("\"status\":\"\\u0000\"".to_owned()),
        Just("\"partner_token\":".to_owned()),
        Just("1e999".to_owned()),
        Just("-0".to_owned()),
        Just("\\ud800".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        ".{0,9}",
    ];
    let almost = prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat().into_bytes());
    let whole = (".{0,12}", any::<i64>(), ".{0,12}").prop_map(|(word, id, text)| {
        json!([{"event": word, "salon_id": id, "application_id": APP, "partner_token": text},
            {"resource": word, "company_id": 7, "resource_id": id, "status": text, "data": text}])
        .to_string()
        .into_bytes()
    });
    let bodies = prop_oneof![prop::collection::vec(any::<u8>(), 0..200), almost, whole];
    let mut runner = TestRunner::deterministic();
    for n in 0..400 {
        let body = bodies.new_tree(&mut runner).expect("a body").current();
        let door = &doors[n % doors.len()];
        let (status, _) = stage.post(door, body.clone()).await;
        assert_eq!(status, 200, "{door} {:?}", String::from_utf8_lossy(&body));
    }
    for n in 0..100 {
        let text = ".{0,40}".new_tree(&mut runner).expect("a text").current();
        let path = percent_encode(&text);
        let url = stage.url(&format!(
            "apps/{}",
            [
                format!("{APP}/connect?salon_id={path}&user_data={path}&user_data_sign=0"),
                format!("{APP}/hooks/7/{path}"),
                format!("{path}/callback"),
                format!("{APP}/connect/progress/{path}")
            ][n % 4]
        ));
        let answer = stage.open(&url).await.0;
        assert!(answer < 500, "{answer} {url}");
    }
    stage.end().await;
}

/// Every byte as `%xx`, so that the client changes nothing.
fn percent_encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
