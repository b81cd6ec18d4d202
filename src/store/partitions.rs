//! Tables of old things are partitioned by UTC day. A day's partition is made before the day
//! begins; dropping one is how data gets old.
//!
//! Neither may stop intake, however long somebody reads: a statement that waits for a lock lets
//! nobody past it. So a partition is made apart and then attached, and detached before it is dropped;
//! both leave readers and writers of the table alone. What does not get its lock in time is tried
//! again in the next round.

use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, Utc};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool, PgTransaction, error::DatabaseError};

use super::Error;

/// What was learnt and decided. A day of these goes together.
pub const EVENTS: [&str; 3] = ["events", "outcomes", "decisions"];

/// What was done.
pub const JOBS: [&str; 2] = ["finished_jobs", "attempts"];

/// Days for which partitions exist ahead: a week without the worker that makes them loses nothing.
pub const DAYS_AHEAD: u64 = 7;

/// Any number that other users of the database do not take.
const LOCK: i64 = 0x6265_6c6c_0001;

/// Longer than any statement of the service, shorter than the patience of a sender: the longest time
/// for which a statement of this file may stand in a queue for a lock.
const LOCK_PATIENCE: &str = "set lock_timeout = '2s'";

/// The tables that are partitioned by day.
fn tables() -> Vec<String> {
    EVENTS.iter().chain(&JOBS).map(|&table| table.to_owned()).collect()
}

/// Makes the partitions from yesterday (a clock may be behind) to `days_ahead` days from now.
/// Returns how many were missing.
///
/// # Errors
/// When the database does not answer, or partitions of today and tomorrow got no lock. Later days
/// have time and are left to the next round.
pub async fn ensure(pool: &PgPool, days_ahead: u64) -> sqlx::Result<usize> {
    let today = sqlx::query_scalar!(r#"select (now() at time zone 'utc')::date as "today!""#)
        .fetch_one(pool)
        .await?;
    let days = (0..=days_ahead + 1).filter_map(|offset| today.pred_opt()?.checked_add_days(Days::new(offset)));
    let days: Vec<NaiveDate> = days.collect();
    let existing = attached(pool).await?;
    let mut made = 0;
    for day in days {
        if tables()
            .iter()
            .all(|table| existing.contains(&partition_name(table, day)))
        {
            continue;
        }
        let mut tx = pool.begin().await?;
        match ensure_day(&mut tx, day).await {
            Ok(count) => {
                tx.commit().await?;
                made += count;
            }
            Err(error) if no_lock(&error) && day > today + Days::new(1) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(made)
}

async fn ensure_day(tx: &mut PgTransaction<'_>, day: NaiveDate) -> sqlx::Result<usize> {
    // Of this transaction only: the connection belongs to the pool.
    sqlx::query!("set local lock_timeout = '2s'").execute(&mut **tx).await?;
    sqlx::query!("select pg_advisory_xact_lock($1)", LOCK)
        .execute(&mut **tx)
        .await?;
    // Once more, behind the lock: another process may have made them.
    let existing = attached(&mut **tx).await?;
    let next = day + Days::new(1);
    let mut made = 0;
    for table in tables() {
        let name = partition_name(&table, day);
        if existing.contains(&name) {
            continue;
        }
        for statement in [
            format!("create table if not exists {name} (like {table} including all)"),
            format!(
                "alter table {table} attach partition {name} for values from ('{day} 00:00:00+00') to ('{next} 00:00:00+00')"
            ),
        ] {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut **tx).await?;
        }
        made += 1;
    }
    Ok(made)
}

async fn attached(executor: impl sqlx::PgExecutor<'_>) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"select c.relname as "name!" from pg_inherits i join pg_class c on c.oid = i.inhrelid
           where i.inhparent = any($1::text[]::regclass[]) and not i.inhdetachpending"#,
        &tables()
    )
    .fetch_all(executor)
    .await
}

/// Whether a row found no partition for its day. Shares its code with rows that break a rule of their
/// table, which is then named.
pub fn is_missing(error: &Error) -> bool {
    error.as_database_error().is_some_and(is_missing_in)
}

pub(super) fn is_missing_in(error: &dyn DatabaseError) -> bool {
    error.code().as_deref() == Some("23514") && error.constraint().is_none()
}

/// Whether it was not done because others stood in the way.
pub(super) fn no_lock(error: &Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    // No lock in time; another partition of the same table is still on its way out.
    matches!(code.as_deref(), Some("55P03" | "55000" | "40P01"))
}

/// What [`drop_old`] came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Partitions that are gone.
    pub gone: Vec<String>,
    /// Partitions that somebody still reads; the next round tries again.
    pub in_use: Vec<String>,
}

/// Drops those partitions of `tables` that ended more than `keep` ago, seen from `now`. A day with
/// events that nobody has judged yet stays, and so do all days after it.
///
/// # Errors
/// When the database does not answer.
pub async fn drop_old(pool: &PgPool, tables: &[&str], keep: Duration, now: DateTime<Utc>) -> sqlx::Result<Dropped> {
    let waiting = sqlx::query_scalar!(r#"select min(received_at) from inbox"#)
        .fetch_one(pool)
        .await?;
    let oldest = waiting
        .map_or(now - keep, |waiting| waiting.min(now - keep))
        .date_naive();
    let mut found = Dropped::default();
    let mut connection: Option<PgConnection> = None;
    for part in parts(pool, tables).await? {
        if day_of(&part.name).is_none_or(|day| day >= oldest) {
            continue;
        }
        let connection = match &mut connection {
            Some(connection) => connection,
            none => none.insert(patient(pool).await?),
        };
        match part.drop(connection).await {
            Ok(()) => found.gone.push(part.name),
            Err(error) if no_lock(&error) => found.in_use.push(part.name),
            Err(error) => return Err(error),
        }
    }
    if let Some(connection) = connection {
        connection.close().await?;
    }
    Ok(found)
}

/// A connection for statements that may take long, but not for the queue they stand in.
pub(super) async fn patient(pool: &PgPool) -> sqlx::Result<PgConnection> {
    let mut connection = pool.connect_options().connect().await?;
    sqlx::raw_sql(LOCK_PATIENCE).execute(&mut connection).await?;
    sqlx::raw_sql("set statement_timeout = '10min'")
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

/// A day of a table, attached to it or not any more.
struct Part {
    name: String,
    table: String,
    attached: bool,
    leaving: bool,
}

/// The days of some tables, those on their way out first, then by name.
async fn parts(pool: &PgPool, tables: &[&str]) -> sqlx::Result<Vec<Part>> {
    let tables: Vec<String> = tables.iter().map(|&table| table.to_owned()).collect();
    sqlx::query_as!(
        Part,
        r#"select c.relname as "name!", t.name as "table!", i.inhrelid is not null as "attached!",
                  coalesce(i.inhdetachpending, false) as "leaving!"
           from unnest($1::text[]) as t(name)
           join pg_class p on p.oid = t.name::regclass
           join pg_class c on c.relnamespace = p.relnamespace and c.relkind = 'r'
                and c.relname ~ ('^' || t.name || '_[0-9]{8}$')
           left join pg_inherits i on i.inhrelid = c.oid
           order by 4 desc, 1"#,
        &tables
    )
    .fetch_all(pool)
    .await
}

impl Part {
    /// Detaches it, which may end half-way when it is in use, and drops it.
    async fn drop(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let Self { name, table, .. } = self;
        if self.attached {
            let how = if self.leaving { "finalize" } else { "concurrently" };
            let statement = format!("alter table {table} detach partition {name} {how}");
            sqlx::raw_sql(AssertSqlSafe(statement))
                .execute(&mut *connection)
                .await?;
        }
        sqlx::raw_sql(AssertSqlSafe(format!("drop table {name}")))
            .execute(connection)
            .await?;
        Ok(())
    }
}

fn partition_name(table: &str, day: NaiveDate) -> String {
    format!("{table}_{}", day.format("%Y%m%d"))
}

fn day_of(name: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(name.rsplit_once('_')?.1, "%Y%m%d").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_tells_its_day() {
        let day = NaiveDate::from_ymd_opt(2026, 11, 3).expect("a day");
        assert_eq!(day_of(&partition_name("finished_jobs", day)), Some(day));
        assert_eq!(day_of("events_default"), None);
    }
}
