//! What the bench asks of a database: the tables of its references, and the cleaning between runs.

use anyhow::Result;
use sqlx::{AssertSqlSafe, PgPool};

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

/// What pgbench does in each transaction. The body is a variable, so it crosses the socket every time.
pub(super) const PGBENCH_SCRIPT: &str = "\\set location random(100001, 101000)
insert into bench.rows (location_id, body) values (:location, convert_to(:body, 'UTF8'));
";

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

/// Empties every table and writes everything to disk, so that no run pays for the one before.
pub(super) async fn empty(pool: &PgPool) -> Result<()> {
    let listed = "select string_agg(format('%I.%I', n.nspname, c.relname), ', ') from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('public', 'bench') and c.relkind in ('r', 'p') and not c.relispartition
          and c.relname not like '\\_sqlx%'";
    let tables: String = sqlx::query_scalar(listed).fetch_one(pool).await?;
    sqlx::raw_sql(AssertSqlSafe(format!("truncate {tables}")))
        .execute(pool)
        .await?;
    sqlx::raw_sql("checkpoint").execute(pool).await?;
    Ok(())
}

/// How many deliveries a run left behind, in Bellhop's table and in that of the reference.
pub(super) async fn stored(pool: &PgPool) -> Result<u64> {
    let asked = "select (select count(*) from events) + (select count(*) from bench.deliveries)";
    let stored: i64 = sqlx::query_scalar(asked).fetch_one(pool).await?;
    Ok(u64::try_from(stored)?)
}
