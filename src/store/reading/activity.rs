use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgPool;

use crate::store::looking::{hasty, in_time};

/// What came in an hour.
#[derive(Debug)]
pub struct Hour {
    /// Its beginning.
    pub at: DateTime<Utc>,
    /// Deliveries that were taken.
    pub taken: i64,
    /// Deliveries that were not genuine or not understood.
    pub refused: i64,
}

/// What came from outside in each of the last 24 hours, oldest first, the present one included; `None` when counting
/// takes longer than `patience`.
///
/// # Errors
/// When the database does not answer.
pub async fn deliveries(pool: &PgPool, patience: Duration) -> sqlx::Result<Option<Vec<Hour>>> {
    let mut tx = hasty(pool, patience).await?;
    let counted = sqlx::query_as!(
        Hour,
        r#"
        select h.at as "at!", coalesce(c.taken, 0) as "taken!", coalesce(c.refused, 0) as "refused!"
        from generate_series(date_trunc('hour', now(), 'UTC') - interval '23 hours', now(), interval '1 hour') h(at)
        left join (
            select date_trunc('hour', received_at, 'UTC') as at, count(*) filter (where verdict = 'received') as taken,
                   count(*) filter (where verdict <> 'received') as refused
            from events
            where received_at >= date_trunc('hour', now(), 'UTC') - interval '23 hours'
              and source in ('connect', 'callback', 'webhook', 'telephony')
            group by 1
        ) c using (at)
        order by h.at
        "#
    )
    .fetch_all(&mut *tx)
    .await;
    in_time(counted)
}

/// Who came and went on a day.
#[derive(Debug)]
pub struct Day {
    /// The day, by UTC.
    pub day: NaiveDate,
    /// Connections that became active.
    pub connected: i64,
    /// Connections that ended.
    pub uninstalled: i64,
}

/// Who came and went on each of the last 30 days, oldest first, today included.
///
/// # Errors
/// When the database does not answer.
pub async fn comings_and_goings(pool: &PgPool) -> sqlx::Result<Vec<Day>> {
    sqlx::query_as!(
        Day,
        r#"
        select (d.at at time zone 'UTC')::date as "day!", coalesce(m.connected, 0) as "connected!",
               coalesce(m.uninstalled, 0) as "uninstalled!"
        from generate_series(date_trunc('day', now(), 'UTC') - interval '29 days', now(), interval '1 day') d(at)
        left join (
            select date_trunc('day', occurred_at, 'UTC') as at,
                   count(*) filter (where to_status = 'active' and from_status <> 'frozen') as connected,
                   count(*) filter (where to_status = 'uninstalled') as uninstalled
            from installation_history where occurred_at >= date_trunc('day', now(), 'UTC') - interval '29 days' group by 1
        ) m using (at)
        order by d.at
        "#
    )
    .fetch_all(pool)
    .await
}
