//! What has to be done now and then so that tables stay small and plans good. Rows that are not
//! dropped with their day are deleted here, in batches, each a short transaction.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Connection, PgPool};

use super::partitions;
use crate::domain::event::Kind;

/// Rows that one statement looks at. So many are gone in some milliseconds, and whoever needs one of
/// them waits no longer.
const BATCH: i64 = 5_000;

/// Whether something was last done longer ago than `every`, by any process. Two may do it at once,
/// which costs time and harms nothing.
///
/// # Errors
/// When the database does not answer.
pub async fn is_due(pool: &PgPool, name: &str, every: Duration) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select not exists (select from upkeep where name = $1 and done_at > now() - make_interval(secs => $2)) as "due!""#,
        name,
        every.as_secs_f64()
    )
    .fetch_one(pool)
    .await
}

/// Notes that it is done.
///
/// # Errors
/// When the database does not answer.
pub async fn note(pool: &PgPool, name: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into upkeep (name) values ($1) on conflict (name) do update set done_at = now()",
        name
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Makes statistics of a partitioned table as a whole: autovacuum makes those of its days only. From
/// fewer rows than usual, because every day is looked at; without them plans across days are guesses.
///
/// # Errors
/// When the database does not answer.
pub async fn analyze(pool: &PgPool, table: &'static str) -> sqlx::Result<()> {
    let mut connection = partitions::patient(pool).await?;
    sqlx::raw_sql("set default_statistics_target = 10")
        .execute(&mut connection)
        .await?;
    sqlx::raw_sql(AssertSqlSafe(format!("analyze {table}")))
        .execute(&mut connection)
        .await?;
    connection.close().await
}

/// Forgets deliveries outside the window of sameness. Returns how many.
///
/// # Errors
/// When the database does not answer.
pub async fn forget_delivery_keys(pool: &PgPool, window_seconds: i64) -> sqlx::Result<u64> {
    let mut forgotten = 0;
    // Each batch begins where the last one ended: while an old snapshot is held, what was deleted is
    // still in the index and would be walked over again.
    let mut from: Option<DateTime<Utc>> = None;
    loop {
        let batch = sqlx::query!(
            r#"
            with gone as (
                delete from delivery_keys where key in (
                    select key from delivery_keys
                    where seen_at < now() - make_interval(secs => $1) and ($2::timestamptz is null or seen_at >= $2)
                    order by seen_at limit $3)
                returning seen_at
            )
            select count(*) as "count!", max(seen_at) as last from gone
            "#,
            window_seconds as f64,
            from,
            BATCH,
        )
        .fetch_one(pool)
        .await?;
        forgotten += u64::try_from(batch.count).unwrap_or(0);
        if batch.count < BATCH {
            return Ok(forgotten);
        }
        from = batch.last;
    }
}

/// Forgets what rules did about entity events, schedules and silences before `before`. Their keys tell deliveries
/// apart that the marketplace repeats within seconds, and occurrences that are gone by with their day. All other keys
/// stay for ever: a rule that may fire once for a location, a connection, a payment or an end must still not fire again
/// years later; and of these a location has few. So does a firing whose jobs wait. Returns how many were forgotten.
///
/// # Errors
/// When the database does not answer.
pub async fn forget_firings(pool: &PgPool, before: DateTime<Utc>) -> sqlx::Result<u64> {
    let passes = |kind: &Kind| matches!(kind, Kind::Schedule | Kind::Silence);
    let lasting = Kind::FIXED.iter().filter(|(_, kind)| !passes(kind));
    let lasting: Vec<String> = lasting.map(|(name, _)| (*name).to_owned()).collect();
    let mut forgotten = 0;
    let mut after = 0;
    loop {
        // By number, which is the order of time: there is no index for a walk that is made once a day.
        let batch = sqlx::query!(
            r#"
            with page as (
                select id, once_per = 'occurrence' and kind <> all($4) as passing from firings
                where id > $1 and fired_at < $2 order by id limit $3
            ), gone as (
                delete from firings f using page p
                where f.id = p.id and p.passing and not exists (select from jobs j where j.firing_id = f.id)
                  and not exists (select from holds h where h.firing_id = f.id and h.state = 'held')
                returning 1
            )
            select (select max(id) from page) as last, (select count(*) from gone) as "count!"
            "#,
            after,
            before,
            BATCH,
            &lasting,
        )
        .fetch_one(pool)
        .await?;
        forgotten += u64::try_from(batch.count).unwrap_or(0);
        let Some(last) = batch.last else { return Ok(forgotten) };
        after = last;
    }
}

/// Forgets changes of status before `before`, but never the last one of a location. Returns how many.
///
/// # Errors
/// When the database does not answer.
pub async fn forget_history(pool: &PgPool, before: DateTime<Utc>) -> sqlx::Result<u64> {
    let mut forgotten = 0;
    let mut after = 0;
    loop {
        let batch = sqlx::query!(
            r#"
            with page as (
                select id, application_id, location_id from installation_history
                where id > $1 and occurred_at < $2 order by id limit $3
            ), gone as (
                delete from installation_history h using page p
                where h.id = p.id and exists (
                    select from installation_history newer
                    where newer.application_id = p.application_id and newer.location_id = p.location_id and newer.id > p.id)
                returning 1
            )
            select (select max(id) from page) as last, (select count(*) from gone) as "count!"
            "#,
            after,
            before,
            BATCH,
        )
        .fetch_one(pool)
        .await?;
        forgotten += u64::try_from(batch.count).unwrap_or(0);
        let Some(last) = batch.last else { return Ok(forgotten) };
        after = last;
    }
}
