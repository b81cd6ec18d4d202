//! People who look at lists, beside those who do the work.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant},
};

use bellhop::{
    app::replays::{self, Ask},
    store::{
        partitions, rare,
        reading::events::{self, Filter},
    },
};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::stage::{APP, OPERATOR_TOKEN, Stage};

/// A look at the operator's listener: the status and the body.
async fn look(stage: &Stage, path: &str) -> (u16, String) {
    let request = stage.http.get(stage_url(stage, path)).bearer_auth(OPERATOR_TOKEN);
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("a body"))
}

fn stage_url(stage: &Stage, path: &str) -> String {
    format!("http://127.0.0.1:{}/{path}", stage.service.listeners.operator.port())
}

fn detail((status, body): &(u16, String)) -> String {
    let body: Value = serde_json::from_str(body).expect("JSON");
    format!("{status} {}", body["detail"].as_str().expect("a detail"))
}

/// The value of a metric without labels.
fn metric(text: &str, name: &str) -> f64 {
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.expect("it is there").parse().expect("a number")
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn who_looks_for_too_much_is_told_so_and_takes_nothing_from_the_work(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    // A question that has no end: whoever looks at events waits for this.
    let mut tx = stage.pool.begin().await.expect("begun");
    sqlx::query("lock table events in access exclusive mode")
        .execute(&mut *tx)
        .await
        .expect("locked");
    let began = Instant::now();
    let slow = async || look(&stage, "api/v1/events").await;
    let one_more = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let refused = look(&stage, "api/v1/locations").await;
        assert_eq!(
            detail(&refused),
            "503 Too many are looking at once; try again in some seconds."
        );
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        assert_eq!(look(&stage, "readyz").await.0, 200, "who does the work is not in want");
        assert_eq!(metric(&look(&stage, "metrics").await.1, "bellhop_database_up"), 1.0);
        let (status, _) = stage.order("rules/reload").await;
        assert_eq!(status, 200, "what changes something needs no place");
    };
    let (first, second, third, fourth, ()) = tokio::join!(slow(), slow(), slow(), slow(), one_more);
    for answer in [&first, &second, &third, &fourth] {
        assert_eq!(
            detail(answer),
            "503 Too much to look through in the time: name a location, a rule or a time."
        );
    }
    tx.rollback().await.expect("free again");
    assert_eq!(look(&stage, "api/v1/events").await.0, 200);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn figures_that_take_too_long_are_not_told_as_a_database_that_is_away(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let before = look(&stage, "metrics").await.1;
    let read = |text: &str| metric(text, "bellhop_figures_last_read_timestamp_seconds");
    assert!(read(&before) > 1.7e9, "{before}");
    let mut tx = stage.pool.begin().await.expect("begun");
    sqlx::query("lock table looks in access exclusive mode")
        .execute(&mut *tx)
        .await
        .expect("locked");
    let slow = look(&stage, "metrics").await.1;
    assert_eq!(metric(&slow, "bellhop_database_up"), 1.0, "it answers");
    assert_eq!(read(&slow), read(&before), "and told nothing new");
    tx.rollback().await.expect("free again");
    let after = look(&stage, "metrics").await.1;
    assert!(read(&after) > read(&before));

    stage.without_database().await;
    assert_eq!(metric(&look(&stage, "metrics").await.1, "bellhop_database_up"), 0.0);
    stage.service.stop().await;
    stage.sandbox.stop().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn events_that_wait_are_listed_from_the_inbox_page_by_page(pool: PgPool) {
    partitions::ensure(&pool, 1).await.expect("days");
    for statement in [
        "insert into events (id, application_id, location_id, kind, source, verdict)
         select g, 1, g % 3, case when g % 2 = 0 then 'record.created' else 'record.updated' end, 'webhook',
                case when g = 9 then 'rejected' else 'received' end
         from generate_series(1, 20) g",
        // Even ones wait, and so does one that could not be judged and was put back.
        "insert into inbox (event_id, received_at, application_id, location_id, shard)
         select id, received_at, 1, location_id, 0 from events where id % 2 = 0 or id = 15",
        "insert into outcomes (event_id, received_at, state)
         select id, received_at, case when id = 15 then 'failed' else 'processed' end from events
         where id % 2 = 1 and id <> 9",
    ] {
        sqlx::query(statement).execute(&pool).await.expect("made");
    }
    let mut filter = Filter {
        state: Some("received".to_owned()),
        limit: 4,
        ..Filter::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = events::list(&pool, &filter).await.expect("a page");
        assert!(page.items.iter().all(|event| event.state == "received"));
        seen.extend(page.items.iter().map(|event| event.id));
        let Some(cursor) = page.next_cursor else { break };
        filter.before = cursor.parse().ok();
    }
    assert_eq!(seen, [20, 18, 16, 14, 12, 10, 8, 6, 4, 2]);
    let of_place = Filter {
        location: Some(1),
        kind: Some("record.created".to_owned()),
        before: None,
        ..filter
    };
    let page = events::list(&pool, &of_place).await.expect("a page");
    assert_eq!(page.items.iter().map(|event| event.id).collect::<Vec<_>>(), [16, 10, 4]);
}

/// Days of a table that have no part of an index, and whether the whole of it is complete.
async fn lacking(pool: &PgPool, table: &str, index: &str) -> (i64, bool) {
    sqlx::query_as(
        "select (select count(*) from pg_inherits where inhparent = $1::regclass)
                - (select count(*) from pg_inherits where inhparent = $2::regclass),
                (select indisvalid from pg_index where indexrelid = $2::regclass)",
    )
    .bind(table)
    .bind(index)
    .fetch_one(pool)
    .await
    .expect("counted")
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn days_that_were_there_before_an_index_get_theirs_and_days_to_come_have_it(pool: PgPool) {
    partitions::ensure(&pool, 1).await.expect("days");
    let indexes = [
        ("events", "events_of_comparing", "source = 'reconciliation'"),
        ("finished_jobs", "finished_jobs_discarded", "state = 'discarded'"),
    ];
    for (table, index, _) in indexes {
        assert_eq!(lacking(&pool, table, index).await, (0, true), "of a new database");
    }
    // As the migration leaves a database that has days.
    for (table, index, rows) in indexes {
        for statement in [
            format!("drop index {index}"),
            format!("create index {index} on only {table} (id) where {rows}"),
        ] {
            sqlx::query(sqlx::AssertSqlSafe(statement))
                .execute(&pool)
                .await
                .expect("as it was");
        }
        assert_eq!(lacking(&pool, table, index).await, (3, false));
    }
    // What a process left behind that was killed in the middle has the name, and holds something else.
    let today: String = sqlx::query_scalar("select to_char(now() at time zone 'utc', 'YYYYMMDD')")
        .fetch_one(&pool)
        .await
        .expect("today");
    let left = format!("create index events_of_comparing_{today} on events_{today} (kind)");
    sqlx::query(sqlx::AssertSqlSafe(left))
        .execute(&pool)
        .await
        .expect("left");

    partitions::ensure(&pool, 3).await.expect("days to come");
    for (table, index, _) in indexes {
        assert_eq!(lacking(&pool, table, index).await.0, 3, "new days have it");
    }
    let mut made = Vec::new();
    while let Some(day) = rare::index_next(&pool).await.expect("made") {
        made.push(day);
    }
    assert_eq!(made.len(), 6, "{made:?}");
    assert!(made[0] > made[2], "the youngest day first: {made:?}");
    for (table, index, _) in indexes {
        assert_eq!(lacking(&pool, table, index).await, (0, true));
    }
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_replay_looks_at_so_many_events_as_fit_into_a_request_and_says_where_to_go_on(pool: PgPool) {
    let rules = r#"
[[rule]]
name = "paid"
on = "payment.received"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/paid"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"#;
    let stage = Stage::set(pool, rules).await;
    for statement in [
        "insert into events (application_id, location_id, kind, source, verdict, body)
         select 18289, 5, 'record.updated', 'webhook', 'received', '{}' from generate_series(1, 20010)",
        "insert into outcomes (event_id, received_at, state) select id, received_at, 'processed' from events",
    ] {
        sqlx::query(statement).execute(&stage.pool).await.expect("made");
    }
    let (mut after, mut seen, mut asked) = (Value::Null, Vec::new(), 0);
    loop {
        let ask = json!({"application": APP, "after": after, "dry_run": true});
        let (status, report) = stage.order_with("events/replay", &ask).await;
        assert_eq!((status, &report["events"]), (200, &json!(0)), "{report}");
        seen.push(report["refused"]["no rule waits for such an event"].as_i64());
        asked += 1;
        after = report["more_after"].clone();
        if after.is_null() || asked > 3 {
            break;
        }
    }
    assert_eq!(seen, [Some(20_000), Some(10)]);
    // Who can wait goes on by himself.
    let ask = Ask {
        application: Some(APP),
        ..Ask::default()
    };
    let heard = AtomicI64::new(0);
    let watch = |looked| heard.store(looked, Ordering::Relaxed);
    let report = replays::foresee_all(&stage.service.app, &ask, &watch).await;
    let report = report.expect("a report");
    assert_eq!(
        (report.more_after, report.refused.values().sum::<i64>()),
        (None, 20_010)
    );
    assert_eq!(heard.load(Ordering::Relaxed), 20_010);
    stage.end().await;
}
