//! Bulk actions: what each would do was shown and stored as a plan, and is done when somebody says so once more.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::{PgPool, PgTransaction};

use super::events::SHARDS;
use crate::domain::{
    event::{Fact, Kind, Source},
    ids::ApplicationId,
};

/// So long after a plan was made it may be applied: what it was made from is not true for ever.
pub const VALID: TimeDelta = TimeDelta::hours(24);

/// A plan on its way into the database.
#[derive(Debug)]
pub struct NewPlan<'a> {
    /// Of which application.
    pub application: ApplicationId,
    /// The name of the bulk action.
    pub name: &'a str,
    /// The file, as it was read.
    pub source: &'a str,
    /// What tells whether it is the same, hex.
    pub digest: &'a str,
    /// What has to be said to apply it.
    pub confirmation: &'a str,
    /// The locations it concerns.
    pub locations: &'a [i64],
    /// Locations it does not concern, by reason.
    pub left_out: &'a Value,
    /// Requests to the marketplace.
    pub requests: i64,
    /// Money that would be reported, by currency.
    pub money: &'a Value,
}

/// Stores a plan. Returns its number.
///
/// # Errors
/// When the database does not answer.
pub async fn add(pool: &PgPool, plan: &NewPlan<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        with plan as (
            insert into plans (application_id, name, source, digest, confirmation, locations, left_out, requests, money)
            values ($1, $2, $3, $4, $5, cardinality($6::bigint[]), $7, $8, $9) returning id
        ), listed as (
            insert into plan_places (plan_id, location_id) select plan.id, l.id from plan, unnest($6::bigint[]) as l(id)
        )
        select id from plan
        "#,
        plan.application.0,
        plan.name,
        plan.source,
        plan.digest,
        plan.confirmation,
        plan.locations,
        plan.left_out,
        plan.requests,
        plan.money,
    )
    .fetch_one(pool)
    .await
}

/// A plan that is about to be applied. It is locked until the transaction ends.
#[derive(Debug)]
pub struct Plan {
    /// Of which application.
    pub application: ApplicationId,
    /// The file, as it was read.
    pub source: String,
    /// What tells whether it is the same, hex.
    pub digest: String,
    /// What has to be said to apply it.
    pub confirmation: String,
    /// The locations it concerns, in the order of their numbers.
    pub locations: Vec<i64>,
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// Whether it is too old by now.
    pub expired: bool,
    /// When it was applied.
    pub applied_at: Option<DateTime<Utc>>,
}

/// Reads and locks a plan; `None` when there is none of that number.
///
/// # Errors
/// When the database does not answer.
pub async fn lock(tx: &mut PgTransaction<'_>, id: i64) -> sqlx::Result<Option<Plan>> {
    let row = sqlx::query!(
        r#"
        select application_id, source, digest, confirmation, made_at, applied_at,
               made_at < now() - make_interval(secs => $2) as "expired!"
        from plans where id = $1 for update
        "#,
        id,
        VALID.num_seconds() as f64
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let locations = sqlx::query_scalar!(
        "select location_id from plan_places where plan_id = $1 order by location_id",
        id
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(Some(Plan {
        application: ApplicationId(row.application_id),
        source: row.source,
        digest: row.digest,
        confirmation: row.confirmation,
        locations,
        made_at: row.made_at,
        expired: row.expired,
        applied_at: row.applied_at,
    }))
}

/// Applies a plan that is locked: an event for each of its locations goes into the inbox.
///
/// # Errors
/// When the database does not answer.
pub async fn apply(tx: &mut PgTransaction<'_>, id: i64) -> sqlx::Result<()> {
    let fact = Fact::BulkRequested { plan: id };
    sqlx::query!(
        r#"
        with plan as (
            update plans set applied_at = now() where id = $1 returning application_id
        ), listed as (
            select location_id, nextval('event_ids') as event_id from plan_places where plan_id = $1
        ), stored as (
            insert into events (id, application_id, location_id, kind, source, verdict, fact)
            select event_id, application_id, location_id, $2, $3, 'received', $4 from listed, plan
        ), queued as (
            insert into inbox (event_id, received_at, application_id, location_id, shard)
            select event_id, now(), application_id, location_id, abs(location_id % $5)::smallint from listed, plan
        )
        update plan_places p set event_id = l.event_id, received_at = now()
        from listed l where p.plan_id = $1 and p.location_id = l.location_id
        "#,
        id,
        Kind::BulkRequested.to_string(),
        Source::Operator.as_str(),
        json!(fact),
        i64::from(SHARDS),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The files of plans, by number.
///
/// # Errors
/// When the database does not answer.
pub async fn sources(tx: &mut PgTransaction<'_>, ids: &[i64]) -> sqlx::Result<Vec<(i64, String)>> {
    let rows = sqlx::query!("select id, source from plans where id = any($1)", ids)
        .fetch_all(&mut **tx)
        .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.source)).collect())
}

/// The file of a plan; `None` when there is none of that number.
///
/// # Errors
/// When the database does not answer.
pub async fn source(pool: &PgPool, id: i64) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select source from plans where id = $1", id)
        .fetch_optional(pool)
        .await
}
