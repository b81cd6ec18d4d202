//! Old data goes, and nobody waits for it.

use std::time::Duration;

use bellhop::{
    domain::{
        event::{Draft, Fact, Kind, Source, State},
        ids::{ApplicationId, LocationId},
    },
    sandbox,
    store::{
        self,
        erasing::{self, AskedBy, Order},
        events::{self, Delivery, Stored},
        partitions::{self, DAYS_AHEAD, EVENTS, JOBS},
        sizes, upkeep,
    },
    workers::{Step, pruner},
};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use serde_json::json;
use sqlx::PgPool;

use super::stage::{APP, Stage, days, place};

const RULES: &str = r#"
[[rule]]
name = "forward"
on = "record.created"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/forward"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ event.data.client.name }}"
"#;

fn delivery(number: i64) -> Delivery {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&number.to_be_bytes());
    Delivery {
        key: Some(key),
        application_id: ApplicationId(APP),
        location_id: Some(LocationId(1)),
        kind: Kind::of_entity("record", "create"),
        source: Source::Webhook,
        verdict: State::Received,
        reason: None,
        resource_id: Some(number),
        digest: key,
        fact: None,
        headers: json!({}),
        body: b"{}".to_vec(),
        arrived_at: None,
    }
}

async fn run(pool: &PgPool, statement: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))
        .execute(pool)
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
}

async fn count(pool: &PgPool, of: &str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {of}")))
        .fetch_one(pool)
        .await
        .expect("a count")
}

/// Days of a table that are attached to it.
async fn attached(pool: &PgPool, table: &str) -> i64 {
    let children = format!("pg_inherits where inhparent = '{table}'::regclass and not inhdetachpending");
    count(pool, &children).await
}

/// A partition for a day that nobody made ahead, as the version before made it.
async fn make_day(pool: &PgPool, day: NaiveDate) {
    let next = day + Days::new(1);
    for table in EVENTS.iter().chain(&JOBS) {
        run(
            pool,
            &format!(
                "create table {table}_{} partition of {table} for values from ('{day} 00:00:00+00') to ('{next} 00:00:00+00')",
                day.format("%Y%m%d")
            ),
        )
        .await;
    }
}

fn days_ago(count: u64) -> NaiveDate {
    Utc::now().date_naive() - Days::new(count)
}

fn noon(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::from_hms_opt(12, 0, 0).expect("noon")).and_utc()
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn disk_use_levels_off(pool: PgPool) {
    const KEPT: u64 = 4;
    let mut sizes_of_days = Vec::new();
    for ago in (5..20).rev() {
        let day = days_ago(ago);
        make_day(&pool, day).await;
        run(
            &pool,
            &format!(
                "insert into events (application_id, location_id, kind, source, verdict, received_at, body)
                 select 1, n % 7, 'record.created', 'webhook', 'received', '{day} 12:00:00+00', sha512(n::text::bytea)
                 from generate_series(1, 300) n;
                 insert into outcomes (event_id, received_at, state) select id, received_at, 'processed' from events
                     where received_at >= '{day} 00:00:00+00';
                 insert into finished_jobs (id, application_id, location_id, step, action, params, state, run_at, attempts,
                     max_attempts, created_at, finished_at)
                 select n, 1, 1, 0, 'set_discount', '{{}}', 'completed', now(), 1, 1, now(), '{day} 12:00:00+00'
                 from generate_series(1, 300) n;
                 update delivery_keys set seen_at = seen_at - interval '1 day';
                 insert into delivery_keys (key) select sha256(('{day}' || n)::bytea) from generate_series(1, 6000) n;
                 insert into firings (key, rule, once_per, application_id, location_id, generation, event_id,
                     event_received_at, kind, fired_at)
                 select '{day}' || n, 'r', 'occurrence', 1, 1, 1, n, now(), 'record.created', '{day} 12:00:00+00'
                 from generate_series(1, 300) n"
            ),
        )
        .await;
        let now = noon(day);
        for tables in [&EVENTS[..], &JOBS[..]] {
            let dropped = partitions::drop_old(&pool, tables, days(KEPT), now)
                .await
                .expect("dropped");
            assert_eq!(dropped.in_use, Vec::<String>::new());
        }
        upkeep::forget_delivery_keys(&pool, 2 * 24 * 60 * 60 - 60)
            .await
            .expect("forgotten");
        upkeep::forget_firings(&pool, now - days(KEPT))
            .await
            .expect("forgotten");
        run(&pool, "vacuum delivery_keys").await;
        run(&pool, "vacuum firings").await;
        let bytes: i64 = sizes::read(&pool)
            .await
            .expect("sizes")
            .iter()
            .map(|size| size.bytes)
            .sum();
        let rows = [
            count(&pool, "events").await,
            count(&pool, "outcomes").await,
            count(&pool, "finished_jobs").await,
            count(&pool, "delivery_keys").await,
            count(&pool, "firings").await,
        ];
        sizes_of_days.push((bytes, rows));
    }
    // A few days later than full: room in indexes is used again from the second clean-up on.
    let full = 4 + usize::try_from(KEPT).expect("small");
    let (level, rows) = sizes_of_days[full];
    assert_eq!(rows, [1500, 1500, 1500, 12_000, 1500]);
    for (day, (bytes, later)) in sizes_of_days.iter().enumerate().skip(full) {
        assert_eq!(later, &rows, "on day {day}");
        assert!(
            *bytes <= level * 5 / 4,
            "{bytes} bytes on day {day}, {level} when it was full"
        );
    }
    // It did grow before.
    assert!(sizes_of_days[0].0 < level);
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_long_query_delays_the_dropping_and_the_making_of_days_but_nobody_else(pool: PgPool) {
    let old = days_ago(200);
    make_day(&pool, old).await;
    partitions::ensure(&pool, DAYS_AHEAD).await.expect("made");
    let before = attached(&pool, "events").await;
    let mut reader = pool.begin().await.expect("a transaction");
    let read = "select count(*) from events, outcomes, decisions";
    sqlx::query(read).execute(&mut *reader).await.expect("read");

    let dropping = async {
        let dropped = partitions::drop_old(&pool, &EVENTS, days(90), Utc::now())
            .await
            .expect("tried");
        assert_eq!(dropped.gone, Vec::<String>::new());
        assert_eq!(dropped.in_use.len(), 3, "{dropped:?}");
        // While somebody reads, more days are made.
        assert_eq!(partitions::ensure(&pool, DAYS_AHEAD + 2).await.expect("made"), 10);
    };
    tokio::pin!(dropping);
    let mut connection = pool.acquire().await.expect("a connection");
    let mut stored = 0;
    loop {
        let storing = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            events::store(&mut connection, &[delivery(stored)], 60)
                .await
                .expect("stored")
        };
        tokio::select! {
            () = &mut dropping => break,
            result = storing => {
                assert_eq!(result, [Stored::Fresh]);
                stored += 1;
            }
        }
    }
    // Three tables, two seconds of patience each; had intake stood behind them, one would have come through for each.
    assert!(
        stored > 20,
        "{stored} deliveries stored while days were dropped and made"
    );
    // Nobody sees the days that are on their way out, except who was reading them.
    assert_eq!(attached(&pool, "events").await, before + 2 - 1);
    reader.commit().await.expect("the end of the long query");
    let dropped = partitions::drop_old(&pool, &EVENTS, days(90), Utc::now())
        .await
        .expect("dropped");
    assert_eq!((dropped.gone.len(), dropped.in_use.len()), (3, 0));
    let left = format!("pg_class where relname like '%{}'", old.format("%Y%m%d"));
    assert_eq!(
        count(&pool, &left).await,
        i64::from(JOBS.len() as u8),
        "the days of the jobs are left"
    );
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_day_with_an_event_that_nobody_judged_stays_and_so_do_those_after_it(pool: PgPool) {
    for ago in [200, 199, 198] {
        make_day(&pool, days_ago(ago)).await;
    }
    let waits = format!(
        "insert into inbox (event_id, received_at, application_id, location_id, shard) values (1, '{} 12:00+00', 1, 1, 1)",
        days_ago(199)
    );
    run(&pool, &waits).await;
    let dropped = partitions::drop_old(&pool, &EVENTS, days(90), Utc::now())
        .await
        .expect("dropped");
    assert_eq!(dropped.gone.len(), 3, "{dropped:?}");
    run(&pool, "delete from inbox").await;
    let dropped = partitions::drop_old(&pool, &EVENTS, days(90), Utc::now())
        .await
        .expect("dropped");
    assert_eq!(dropped.gone.len(), 6, "{dropped:?}");
}

/// Takes away today's days and those made ahead, as if the clock had jumped past them.
async fn forget_days(pool: &PgPool) {
    let days: Vec<String> = sqlx::query_scalar(
        "select inhrelid::regclass::text from pg_inherits i join pg_class c on c.oid = i.inhrelid where c.relkind = 'r'",
    )
    .fetch_all(pool)
    .await
    .expect("days");
    assert!(!days.is_empty());
    run(pool, &format!("drop table {}", days.join(", "))).await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_day_without_partitions_costs_no_delivery_and_fails_no_event(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    stage.connected(&[1]).await;
    forget_days(&stage.pool).await;
    // What the workers would meet: nothing is wrong with the event.
    let draft = Draft {
        place: place(1),
        kind: Kind::InstallationFrozen,
        source: Source::Status,
        fact: Fact::Frozen,
        occurred_at: Utc::now(),
    };
    let mut tx = stage.pool.begin().await.expect("a transaction");
    let error = events::append(&mut tx, &[draft]).await.expect_err("no partition");
    assert!(store::is_transient(&error), "{error}");
    tx.rollback().await.expect("rolled back");

    let body = json!({"company_id": 1, "resource": "record", "resource_id": 5, "status": "create", "data": {"id": 5, "client": {"name": "A"}}});
    let (status, said) = stage.post(&stage.hook(1), body.to_string()).await;
    assert_eq!(status, 200, "{said}");
    stage.settled().await;
    assert_eq!(
        stage.jobs(1).await.last().map(String::as_str),
        Some("forward send_webhook completed 1")
    );
    assert_eq!(count(&stage.pool, "outcomes where state = 'failed'").await, 0);
    stage.end().await;
}

/// A firing about an event of a kind.
async fn fire(pool: &PgPool, once_per: &str, kind: &Kind) {
    run(
        pool,
        &format!(
            "insert into firings (key, rule, once_per, application_id, location_id, generation, event_id, event_received_at, kind)
             values ('{once_per} {kind}', 'r', '{once_per}', 1, 1, 1, 1, now(), '{kind}')"
        ),
    )
    .await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn keys_that_have_to_last_stay_and_the_others_go(pool: PgPool) {
    let entity = Kind::of_entity("record", "create");
    for kind in [
        &entity,
        &Kind::TrialEnding,
        &Kind::PaymentReceived,
        &Kind::InstallationActivated,
    ] {
        fire(&pool, "occurrence", kind).await;
    }
    fire(&pool, "location", &entity).await;
    fire(&pool, "installation", &entity).await;
    // A job of this one still waits.
    fire(&pool, "occurrence", &Kind::of_entity("client", "create")).await;
    run(
        &pool,
        "insert into jobs (lane_id, application_id, location_id, firing_id, action, params, max_attempts)
         select 1, 1, 1, id, 'send_webhook', '{}', 1 from firings where kind = 'client.created'",
    )
    .await;
    // Nothing is old yet.
    assert_eq!(
        upkeep::forget_firings(&pool, Utc::now() - days(1))
            .await
            .expect("looked"),
        0
    );
    assert_eq!(
        upkeep::forget_firings(&pool, Utc::now() + days(1))
            .await
            .expect("forgotten"),
        1
    );
    let left: Vec<String> = sqlx::query_scalar("select key from firings order by id")
        .fetch_all(&pool)
        .await
        .expect("keys");
    assert_eq!(
        left,
        [
            "occurrence trial.ending",
            "occurrence payment.received",
            "occurrence installation.activated",
            "location record.created",
            "installation record.created",
            "occurrence client.created",
        ]
    );
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn history_goes_but_the_last_change_of_a_location_stays(pool: PgPool) {
    run(
        &pool,
        "insert into installation_history (application_id, location_id, generation, from_status, to_status, source, event_id, occurred_at)
         select 1, location, 1, 'pending', 'active', 'status', 0, now() - make_interval(days => 100 - n)
         from generate_series(1, 2) location, generate_series(1, 50) n order by n",
    )
    .await;
    let before = Utc::now() - days(60);
    assert_eq!(upkeep::forget_history(&pool, before).await.expect("forgotten"), 80);
    assert_eq!(count(&pool, "installation_history").await, 20);
    assert_eq!(upkeep::forget_history(&pool, Utc::now()).await.expect("forgotten"), 18);
    assert_eq!(count(&pool, "installation_history where location_id = 2").await, 1);
}

/// Attempts of a location whose requests and answers are kept.
async fn exchanges(pool: &PgPool, location: i64) -> i64 {
    let of = format!("finished_jobs where id = job_id and location_id = {location}");
    count(
        pool,
        &format!("attempts where exchanges <> '[]' and exists (select from {of})"),
    )
    .await
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_is_known_of_a_location_goes_a_while_after_it_was_uninstalled(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    stage.connected(&[1, 2]).await;
    let body = |number: i64, location: i64| {
        json!({"company_id": location, "resource": "record", "resource_id": number, "status": "create",
               "data": {"id": number, "client": {"name": "Anna Example", "phone": "+49 30 1234567"}}})
        .to_string()
    };
    for location in [1, 2] {
        let (status, _) = stage.post(&stage.hook(location), body(location, location)).await;
        assert_eq!(status, 200);
    }
    stage.settled().await;
    let there = sandbox::Place {
        application_id: APP,
        location_id: 1,
    };
    stage.sandbox.disconnect(there).await.expect("disconnected");
    stage.settled().await;
    assert_eq!(stage.status(1).await, "uninstalled");
    // Not at once: the owner may come back.
    assert_eq!(pruner::step(&stage.service.app).await.expect("a step"), Step::Idle);
    assert_eq!(count(&stage.pool, "erasures").await, 0);

    // Facts cannot be moved between days, so the period is as long as the test took.
    run(
        &stage.pool,
        "update installations set status_since = now() - interval '31 days' where location_id = 1",
    )
    .await;
    let due = erasing::due(&stage.pool, Utc::now() - days(30), 10)
        .await
        .expect("a list");
    assert_eq!(due.iter().map(|order| order.place).collect::<Vec<_>>(), [place(1)]);
    let others = exchanges(&stage.pool, 2).await;
    assert!(others > 0 && exchanges(&stage.pool, 1).await > 0);
    let order = Order {
        before: store::now(&stage.pool).await.expect("a clock"),
        ..due[0]
    };
    let gone = erasing::erase(&stage.pool, &order, |_| {}).await.expect("erased");
    assert!(
        gone.events >= 2 && gone.attempts >= 1 && gone.locations == 1,
        "{gone:?}"
    );
    let mine = "location_id = 1 and (body is not null or headers is not null or digest is not null)";
    assert_eq!(count(&stage.pool, &format!("events where {mine}")).await, 0);
    assert_eq!(
        count(&stage.pool, "events where location_id = 2 and body is not null").await,
        2
    );
    assert_eq!(
        (exchanges(&stage.pool, 1).await, exchanges(&stage.pool, 2).await),
        (0, others)
    );
    // Once is enough, and the next look begins where this one ended.
    let again = erasing::erase(&stage.pool, &order, |_| {}).await.expect("erased");
    assert!(again.is_empty(), "{again:?}");
    let due = erasing::due(&stage.pool, Utc::now() - days(30), 10)
        .await
        .expect("a list");
    assert!(due.is_empty(), "{due:?}");
    let seen = stage.location(1).await;
    assert_eq!(seen["status"], "uninstalled");
    assert_eq!(seen["erasures"][0]["asked_by"], AskedBy::Retention.as_str());
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn upkeep_is_done_once_a_day_and_its_figures_are_shown(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    let app = &stage.service.app;
    let made = "pg_class where relname = 'events' and reltuples >= 0";
    pruner::step(app).await.expect("a step");
    assert_eq!(count(&stage.pool, made).await, 0, "nothing is due on the first day");
    run(&stage.pool, "update upkeep set done_at = now() - interval '25 hours'").await;
    pruner::step(app).await.expect("a step");
    assert_eq!(count(&stage.pool, made).await, 1, "the whole of the days was analysed");
    assert_eq!(
        count(&stage.pool, "upkeep where done_at < now() - interval '1 hour'").await,
        0
    );

    let mut held = stage.pool.begin().await.expect("a transaction");
    sqlx::query("set transaction isolation level repeatable read")
        .execute(&mut *held)
        .await
        .expect("set");
    sqlx::query("select 1").execute(&mut *held).await.expect("a snapshot");
    tokio::time::sleep(Duration::from_millis(30)).await;
    pruner::step(app).await.expect("a step");
    let metrics = stage.metrics().await;
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find(|line| line.starts_with(name));
        let (_, value) = line
            .and_then(|line| line.rsplit_once(' '))
            .unwrap_or_else(|| panic!("no {name}"));
        value.parse().expect("a number")
    };
    assert!(value("bellhop_database_oldest_snapshot_seconds") > 0.02);
    assert!(value("bellhop_table_bytes{table=\"events\"}") > 0.0);
    assert!(value("bellhop_table_dead_rows{table=\"inbox\"}") >= 0.0);
    held.commit().await.expect("committed");
    stage.end().await;
}
