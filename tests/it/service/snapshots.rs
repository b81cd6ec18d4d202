//! Somebody holds an old snapshot: a long report, a backup. What is gone meanwhile cannot be cleaned up.

use std::time::Duration;

use bellhop::store::{
    events::SHARDS,
    inbox::{self, Shard},
    partitions,
};
use sqlx::{ConnectOptions, PgPool};

/// Rows that are gone, all of shard 3.
const GONE: i64 = 20_000;

/// Pages of the inbox and its indexes that were read by anybody.
async fn pages(pool: &PgPool) -> i64 {
    sqlx::query("select pg_stat_force_next_flush()")
        .execute(pool)
        .await
        .expect("told");
    sqlx::query_scalar(
        "select heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read from pg_statio_user_tables
         where relname = 'inbox'",
    )
    .fetch_one(pool)
    .await
    .expect("a count")
}

/// Looks for work as the processor does and takes it. Returns the shards, the number of events and of
/// the pages that were read for it.
async fn look(pool: &PgPool, floors: &[i64]) -> (Vec<i16>, usize, i64) {
    let before = pages(pool).await;
    let shards: Vec<Shard> = inbox::shards_with_work(pool, floors).await.expect("shards");
    let mut tx = pool.begin().await.expect("a transaction");
    let taken = inbox::take(&mut tx, &shards, 100).await.expect("taken");
    tx.rollback().await.expect("left");
    let numbers = shards.iter().map(|shard| shard.number).collect();
    (numbers, taken.waiting.len(), pages(pool).await - before)
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn whoever_begins_where_he_has_been_does_not_read_the_rows_that_are_gone(pool: PgPool) {
    partitions::ensure(&pool, 1).await.expect("partitions");
    // One connection, so that what it reads is counted by the time it is asked.
    let url = pool.connect_options().to_url_lossy().to_string();
    let one = bellhop::store::connect(&url, 1, Duration::from_secs(5)).expect("an address");
    let mut held = pool.begin().await.expect("a transaction");
    for statement in ["set transaction isolation level repeatable read", "select 1"] {
        sqlx::query(statement).execute(&mut *held).await.expect("a snapshot");
    }
    let gone = format!("insert into inbox select n, now(), 1, 3, 3 from generate_series(1, {GONE}) n");
    let next = format!("alter sequence event_ids restart with {}", GONE + 1);
    // Another shard has its first events.
    let come = "with e as (
            insert into events (application_id, location_id, kind, source, verdict)
            select 1, shard, 'record.created', 'webhook', 'received' from unnest('{3,4}'::bigint[]) shard
            returning id, received_at, application_id, location_id
        ) insert into inbox select id, received_at, application_id, location_id, location_id from e";
    // Whether the planner knows the inbox as full, as empty, or not at all.
    for known in [
        ["analyze inbox", "select 1"],
        ["select 1", "analyze inbox"],
        ["select 1", "select 1"],
    ] {
        let [full, empty] = known;
        for statement in ["truncate inbox", &gone, full, "delete from inbox", empty, &next, come] {
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))
                .execute(&one)
                .await
                .expect(statement);
        }
        let mut floors = [0; SHARDS as usize];
        let (shards, events, all) = look(&one, &floors).await;
        assert_eq!((&shards[..], events), (&[3, 4][..], 2), "nothing is left out");
        floors[3] = GONE;
        let (shards, events, few) = look(&one, &floors).await;
        assert_eq!((&shards[..], events), (&[3, 4][..], 2), "{known:?}");
        assert!(
            few < 100 && all > 3 * few,
            "{few} pages were read, and {all} from the beginning: {known:?}"
        );
    }
    held.rollback().await.expect("let go");
}
