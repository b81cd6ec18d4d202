use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::store::looking::{hasty, in_time};

/// How often a rule has fired, as far as firings are kept.
#[derive(Debug)]
pub struct Fired {
    /// Application.
    pub application_id: i64,
    /// Its name.
    pub rule: String,
    /// How often.
    pub firings: i64,
    /// How often it would have fired while it was only watched.
    pub shadow_firings: i64,
    /// When it fired last.
    pub last_fired_at: DateTime<Utc>,
}

/// How often each rule has fired. Reads all firings.
///
/// # Errors
/// When the database does not answer.
pub async fn fired(pool: &PgPool) -> sqlx::Result<Vec<Fired>> {
    sqlx::query_as!(
        Fired,
        r#"select application_id, rule, count(*) filter (where mode = 'live') as "firings!",
                  count(*) filter (where mode = 'shadow') as "shadow_firings!", max(fired_at) as "last_fired_at!"
           from firings group by application_id, rule"#
    )
    .fetch_all(pool)
    .await
}

/// How often a rule said the same for the same reason.
#[derive(Debug)]
pub struct Tally {
    /// Application.
    pub application_id: i64,
    /// Its name.
    pub rule: String,
    /// `fired`, `skipped`, `shadow`, `held`; `given_up` counts its jobs that were discarded.
    pub result: String,
    /// Why it was skipped.
    pub reason: Option<String>,
    /// How often.
    pub count: i64,
}

/// What rules said to the events that came since a moment, and which of their jobs were given up since then; `None`
/// when counting takes longer than `patience`.
///
/// # Errors
/// When the database does not answer.
pub async fn tally(pool: &PgPool, since: DateTime<Utc>, patience: Duration) -> sqlx::Result<Option<Vec<Tally>>> {
    let mut tx = hasty(pool, patience).await?;
    let counted = sqlx::query_as!(
        Tally,
        r#"
        select e.application_id as "application_id!", d.rule as "rule!", d.result as "result!", d.reason,
               count(*) as "count!"
        from decisions d join events e on e.id = d.event_id and e.received_at = d.received_at
        where d.received_at >= $1 and e.received_at >= $1
        group by 1, 2, 3, 4
        union all
        select application_id, rule, 'given_up', null, count(*) from finished_jobs
        where finished_at >= $1 and state = 'discarded' and rule is not null group by 1, 2
        order by 5 desc
        "#,
        since
    )
    .fetch_all(&mut *tx)
    .await;
    in_time(counted)
}
