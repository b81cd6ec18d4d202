//! Tables of old things are partitioned by UTC day. A day's partition is made before the day
//! begins; dropping one is how data gets old.

use chrono::{Days, NaiveDate, Utc};
use sqlx::{AssertSqlSafe, PgPool};

/// The tables that are partitioned by day.
pub const TABLES: [&str; 5] = ["events", "outcomes", "decisions", "finished_jobs", "attempts"];

/// Any number that other users of the database do not take.
const LOCK: i64 = 0x6265_6c6c_0001;

/// Makes the partitions from yesterday (a clock may be behind) to `days_ahead` days from now.
/// Returns how many were missing.
///
/// # Errors
/// When the database does not answer.
pub async fn ensure(pool: &PgPool, days_ahead: u64) -> sqlx::Result<usize> {
    let mut tx = pool.begin().await?;
    sqlx::query!("select pg_advisory_xact_lock($1)", LOCK)
        .execute(&mut *tx)
        .await?;
    let existing = sqlx::query_scalar!(
        r#"select c.relname as "name!" from pg_inherits i join pg_class c on c.oid = i.inhrelid
           join pg_class p on p.oid = i.inhparent where p.relname = any($1)"#,
        &TABLES.map(str::to_owned)[..]
    )
    .fetch_all(&mut *tx)
    .await?;
    let today = sqlx::query_scalar!(r#"select (now() at time zone 'utc')::date as "today!""#)
        .fetch_one(&mut *tx)
        .await?;
    let mut made = 0;
    for day in (0..=days_ahead + 1).filter_map(|offset| today.pred_opt()?.checked_add_days(Days::new(offset))) {
        for table in TABLES {
            let name = partition_name(table, day);
            if !existing.contains(&name) {
                let next = day + Days::new(1);
                let statement = format!(
                    "create table if not exists {name} partition of {table} for values from ('{day} 00:00:00+00') to ('{next} 00:00:00+00')"
                );
                sqlx::query(AssertSqlSafe(statement)).execute(&mut *tx).await?;
                made += 1;
            }
        }
    }
    tx.commit().await?;
    Ok(made)
}

/// Drops the partitions that ended more than `keep_days` days ago. Returns their names.
///
/// # Errors
/// When the database does not answer.
pub async fn drop_old(pool: &PgPool, keep_days: u64) -> sqlx::Result<Vec<String>> {
    let Some(oldest) = Utc::now().date_naive().checked_sub_days(Days::new(keep_days)) else {
        return Ok(Vec::new());
    };
    let names = sqlx::query_scalar!(
        r#"select c.relname as "name!" from pg_inherits i join pg_class c on c.oid = i.inhrelid
           join pg_class p on p.oid = i.inhparent where p.relname = any($1)"#,
        &TABLES.map(str::to_owned)[..]
    )
    .fetch_all(pool)
    .await?;
    let mut dropped = Vec::new();
    for name in names {
        if day_of(&name).is_some_and(|day| day < oldest) {
            sqlx::query(AssertSqlSafe(format!("drop table {name}")))
                .execute(pool)
                .await?;
            dropped.push(name);
        }
    }
    Ok(dropped)
}

/// Forgets deliveries outside the window of sameness. Returns how many.
///
/// # Errors
/// When the database does not answer.
pub async fn forget_delivery_keys(pool: &PgPool, window_seconds: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "delete from delivery_keys where key in (select key from delivery_keys where seen_at < now() - make_interval(secs => $1) limit 50000)",
        window_seconds as f64
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
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
