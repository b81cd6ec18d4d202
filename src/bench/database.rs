//! What the bench asks of a database: the tables of its references, and the cleaning between runs.

use anyhow::Result;
use sqlx::{AssertSqlSafe, PgPool};

use super::payload::{APPLICATION, FIRST_LOCATION, LOCATIONS};
use crate::domain::action::Priority;

/// A table as a careful receiver without group commit would have it: the columns of an event, its sameness, its work
/// list; and a plain one for pgbench. Both keep bodies as Bellhop does.
const REFERENCES: &str = "
    create schema if not exists bench;
    create table if not exists bench.deliveries (
        id bigint generated always as identity primary key,
        received_at timestamptz not null default now(),
        application_id bigint not null,
        location_id bigint not null,
        kind text not null,
        resource_id bigint,
        digest bytea not null unique,
        headers jsonb not null,
        body bytea not null,
        processed_at timestamptz
    );
    create index if not exists deliveries_by_place on bench.deliveries (application_id, location_id, id desc);
    create index if not exists deliveries_unprocessed on bench.deliveries (id) where processed_at is null;
    alter table bench.deliveries alter column body set compression lz4;
    create table if not exists bench.rows (
        id bigint generated always as identity primary key,
        received_at timestamptz not null default now(),
        location_id bigint not null,
        body bytea not null
    );
    alter table bench.rows alter column body set compression lz4;
";

/// What the reference receiver does for each delivery.
pub(super) const ONE_INSERT: &str = "
    insert into bench.deliveries (application_id, location_id, kind, resource_id, digest, headers, body)
    values ($1, $2, $3, $4, $5, $6, $7) on conflict (digest) do nothing";

/// What pgbench does in each transaction, prepared: the body is a variable, so it crosses the socket every time.
pub(super) const PREPARED_SCRIPT: &str = "\\set location random(100001, 101000)
insert into bench.rows (location_id, body) values (:location, convert_to(:body, 'UTF8'));
";

/// The same as pgbench does it when nothing is asked of it: the body is a literal, parsed every time.
pub(super) fn literal_script(body: &str) -> String {
    PREPARED_SCRIPT.replace(
        "convert_to(:body, 'UTF8')",
        &format!("'\\x{}'::bytea", hex::encode(body)),
    )
}

/// Makes the tables of the references.
pub(super) async fn add_references(pool: &PgPool) -> Result<()> {
    sqlx::raw_sql(REFERENCES).execute(pool).await?;
    Ok(())
}

/// The folder of the server's programs, and the number of the process that answers.
pub(super) async fn whereabouts(pool: &PgPool) -> Result<(String, u32)> {
    let asked = "select setting, pg_backend_pid() from pg_config where name = 'BINDIR'";
    let (programs, backend): (String, i32) = sqlx::query_as(asked).fetch_one(pool).await?;
    Ok((programs, u32::try_from(backend)?))
}

/// Empties every table, connects the locations of the load, and writes everything to disk, so that no run pays for the
/// one before.
pub(super) async fn empty(pool: &PgPool) -> Result<()> {
    let listed = "select string_agg(format('%I.%I', n.nspname, c.relname), ', ') from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('public', 'bench') and c.relkind in ('r', 'p') and not c.relispartition
          and c.relname not like '\\_sqlx%'";
    let tables: String = sqlx::query_scalar(listed).fetch_one(pool).await?;
    sqlx::raw_sql(AssertSqlSafe(format!("truncate {tables}")))
        .execute(pool)
        .await?;
    connect_locations(pool).await?;
    checkpoint(pool).await
}

/// Empties what waits, keeps what is retained, and writes everything to disk.
pub(super) async fn empty_queues(pool: &PgPool) -> Result<()> {
    sqlx::raw_sql("truncate inbox, lanes, jobs").execute(pool).await?;
    checkpoint(pool).await
}

/// Writes everything to disk.
pub(super) async fn checkpoint(pool: &PgPool) -> Result<()> {
    sqlx::raw_sql("checkpoint").execute(pool).await?;
    Ok(())
}

/// The locations of the load have the application, as far as anybody knows.
async fn connect_locations(pool: &PgPool) -> Result<()> {
    let connected = "insert into installations (application_id, location_id, status, generation, status_since, connected_at, activated_at)
        select $1, $2 + n, 'active', 1, now(), now(), now() from generate_series(0, $3 - 1) n on conflict do nothing";
    sqlx::query(connected)
        .bind(APPLICATION.0)
        .bind(i64::try_from(FIRST_LOCATION)?)
        .bind(i64::try_from(LOCATIONS)?)
        .execute(pool)
        .await?;
    Ok(())
}

/// How many deliveries a run left behind, in Bellhop's table and in that of the reference.
pub(super) async fn stored(pool: &PgPool) -> Result<u64> {
    let asked = "select (select count(*) from events) + (select count(*) from bench.deliveries)";
    let stored: i64 = sqlx::query_scalar(asked).fetch_one(pool).await?;
    Ok(u64::try_from(stored)?)
}

/// Puts jobs into lanes, as many into each, in turn.
pub(super) async fn queue_jobs(pool: &PgPool, lanes: u64, depth: u64) -> Result<()> {
    let made = "insert into lanes (application_id, location_id, name, priority, run_at)
        select $1, $2 + n, 'bench', $3, now() from generate_series(0, $4 - 1) n";
    sqlx::query(made)
        .bind(APPLICATION.0)
        .bind(i64::try_from(FIRST_LOCATION)?)
        .bind(Priority::Rule as i16)
        .bind(i64::try_from(lanes)?)
        .execute(pool)
        .await?;
    let filled = "insert into jobs (lane_id, application_id, location_id, rule, action, params, max_attempts)
        select id, application_id, location_id, 'bench', 'send_webhook', '{}', 12
        from generate_series(1, $1) turn cross join lanes order by turn, id";
    sqlx::query(filled).bind(i64::try_from(depth)?).execute(pool).await?;
    sqlx::raw_sql("analyze lanes, jobs").execute(pool).await?;
    checkpoint(pool).await
}

/// Days over which retained events are spread, today among them.
const RETAINED_DAYS: i64 = 30;

/// Writes old events with their outcomes and sameness keys, and moments to come.
pub(super) async fn retain(pool: &PgPool, events: u32, timers: u32) -> Result<()> {
    let each = i64::from(events) / RETAINED_DAYS;
    for day in (0..RETAINED_DAYS).rev() {
        retain_day(pool, day, each).await?;
    }
    let planned = "insert into timers (application_id, location_id, kind, before_seconds, generation, date, due_at)
        select $1, 1000000 + n, 'trial.ended', 0, 1, at, at
        from generate_series(1, $2) n, lateral (select now() + make_interval(mins => 60 + n % 100000) as at) t";
    sqlx::query(planned)
        .bind(APPLICATION.0)
        .bind(i32::try_from(timers)?)
        .execute(pool)
        .await?;
    sqlx::raw_sql("vacuum analyze").execute(pool).await?;
    checkpoint(pool).await
}

/// The events of one day; of the last two also the keys by which their repetitions are known.
async fn retain_day(pool: &PgPool, days_ago: i64, events: i64) -> Result<()> {
    let day = chrono::Utc::now().date_naive() - chrono::Days::new(u64::try_from(days_ago)?);
    let next = day + chrono::Days::new(1);
    for table in ["events", "outcomes"] {
        let name = format!("{table}_{}", day.format("%Y%m%d"));
        let made = format!(
            "create table if not exists {name} partition of {table}
             for values from ('{day} 00:00:00+00') to ('{next} 00:00:00+00')"
        );
        sqlx::raw_sql(AssertSqlSafe(made)).execute(pool).await?;
    }
    // Today's lie between midnight and now.
    let stored = "with stored as (
            insert into events (received_at, application_id, location_id, kind, source, verdict, resource_id, digest, headers, body)
            select least($2::date + make_interval(secs => n * 86400.0 / $3), now()), $1, 1000000 + n % 5000, 'record.updated',
                'webhook', 'received', n, sha256((n || ' ' || $2)::bytea), '{}', convert_to('{\"id\": ' || n || '}', 'UTF8')
            from generate_series(0, $3 - 1) n returning id, received_at, digest
        ), judged as (
            insert into outcomes (event_id, received_at, state) select id, received_at, 'processed' from stored
        )
        insert into delivery_keys (key, seen_at) select digest, received_at from stored where $4";
    sqlx::query(stored)
        .bind(APPLICATION.0)
        .bind(day)
        .bind(i32::try_from(events)?)
        .bind(days_ago < 2)
        .execute(pool)
        .await?;
    Ok(())
}
