use std::time::Duration;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgPool;

use super::Page;
use crate::store::ledger::State;

/// A call that moves money.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LedgerEntry")]
pub struct Entry {
    /// Number.
    pub id: i64,
    /// Application.
    pub application_id: i64,
    /// Location.
    pub location_id: i64,
    /// The job that makes it.
    pub job_id: i64,
    /// Rule of that job.
    pub rule: Option<String>,
    /// `payment` or `refund`.
    pub kind: String,
    /// What became of it.
    #[schemars(with = "State")]
    pub state: String,
    /// The marketplace's number of the payment.
    pub payment_id: Option<i64>,
    /// Major units.
    pub amount: Option<Decimal>,
    /// Three capital letters.
    pub currency: Option<String>,
    /// First moment that is paid for.
    pub period_from: Option<DateTime<Utc>>,
    /// Last moment that is paid for.
    pub period_to: Option<DateTime<Utc>>,
    /// How often the call left, or may have left.
    pub calls: i32,
    /// What people should know.
    pub note: Option<String>,
    /// When it was intended.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub changed_at: DateTime<Utc>,
}

/// Which entries to list.
#[derive(Debug, Default, Clone)]
pub struct Filter {
    /// Of one application.
    pub application: Option<i64>,
    /// Of one location.
    pub location: Option<i64>,
    /// In one state.
    pub state: Option<String>,
    /// Only those that are at their end.
    pub settled: bool,
    /// Older than this number.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: i64,
}

/// A page of entries, newest first. What was intended by a job that has ended has failed: nobody will
/// do it any more.
///
/// # Errors
/// When the database does not answer.
pub async fn list(pool: &PgPool, filter: &Filter) -> sqlx::Result<Page<Entry>> {
    let items = sqlx::query_as!(
        Entry,
        r#"
        select id, application_id, location_id, job_id, rule, kind, state as "state!", payment_id, amount, currency,
               period_from, period_to, calls, note, created_at, changed_at
        from (
            select l.id, l.application_id, l.location_id, l.job_id, l.rule, l.kind, l.payment_id, l.amount, l.currency,
                   l.period_from, l.period_to, l.calls, l.note, l.created_at, l.changed_at,
                   case when l.state = 'intended' and not exists (select from jobs j where j.id = l.job_id) then 'failed'
                        else l.state end as state
            from ledger l
        ) l
        where ($1::bigint is null or application_id = $1) and ($2::bigint is null or location_id = $2)
          and ($3::text is null or state = $3) and ($4::bigint is null or id < $4)
          and (not $6::bool or state not in ('intended', 'unknown'))
        order by id desc limit $5::bigint + 1
        "#,
        filter.application,
        filter.location,
        filter.state,
        filter.before,
        filter.limit,
        filter.settled,
    )
    .fetch_all(pool)
    .await?;
    Ok(Page::cut(items, filter.limit, |entry| entry.id.to_string()))
}

/// The entry of a job. Each has one at most.
///
/// # Errors
/// When the database does not answer.
pub async fn of_job(pool: &PgPool, job: i64) -> sqlx::Result<Option<Entry>> {
    sqlx::query_as!(
        Entry,
        r#"
        select id, application_id, location_id, job_id, rule, kind, payment_id, amount, currency, period_from, period_to,
               calls, note, created_at, changed_at,
               case when state = 'intended' and not exists (select from jobs where id = $1) then 'failed'
                    else state end as "state!"
        from ledger where job_id = $1
        "#,
        job
    )
    .fetch_optional(pool)
    .await
}

/// Calls of which nobody knows whether they moved money, and will not know by themselves soon: they may have left so long
/// ago, or nobody looks at them any more. Every call is unknown from before it leaves until its answer is there.
///
/// # Errors
/// When the database does not answer.
pub async fn in_doubt(pool: &PgPool, since: Duration) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        select count(*) as "count!" from ledger l
        where state = 'unknown'
          and (coalesce(called_at, changed_at) <= now() - make_interval(secs => $1)
               or not exists (select from jobs j where j.id = l.job_id))
        "#,
        since.as_secs_f64()
    )
    .fetch_one(pool)
    .await
}
