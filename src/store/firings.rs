use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgPool, PgTransaction};

use crate::domain::ids::{ApplicationId, EventId, FiringId, LocationId, Place};

/// A rule that is to be applied to an occurrence.
#[derive(Debug, Clone)]
pub struct NewFiring<'a> {
    /// What makes it fire once.
    pub key: &'a str,
    /// The rule.
    pub rule: &'a str,
    /// `occurrence`, `installation` or `location`.
    pub once_per: &'a str,
    /// Where.
    pub place: Place,
    /// Of which connection.
    pub generation: i32,
    /// The event.
    pub event_id: EventId,
    /// The day partition of the event.
    pub event_received_at: DateTime<Utc>,
    /// The kind of the event.
    pub kind: &'a str,
}

/// Claims the firing key. `None` when the rule has fired for this occurrence before.
///
/// # Errors
/// When the database does not answer.
pub async fn claim(tx: &mut PgTransaction<'_>, new: &NewFiring<'_>) -> sqlx::Result<Option<FiringId>> {
    let id = sqlx::query_scalar!(
        r#"
        insert into firings (key, rule, once_per, application_id, location_id, generation, event_id, event_received_at, kind)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (key) do nothing returning id
        "#,
        new.key,
        new.rule,
        new.once_per,
        new.place.application_id.0,
        new.place.location_id.0,
        new.generation,
        new.event_id.0,
        new.event_received_at,
        new.kind,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(id.map(FiringId))
}

/// What a job needs to know of its firing.
#[derive(Debug, Clone)]
pub struct Firing {
    /// The rule.
    pub rule: String,
    /// Where.
    pub place: Place,
    /// Of which connection.
    pub generation: i32,
    /// The event.
    pub event_id: EventId,
    /// The day partition of the event.
    pub event_received_at: DateTime<Utc>,
    /// Results of the steps so far, by step id.
    pub results: Value,
}

/// A firing by number.
///
/// # Errors
/// When the database does not answer.
pub async fn get(pool: &PgPool, id: FiringId) -> sqlx::Result<Option<Firing>> {
    let row = sqlx::query!(
        "select rule, application_id, location_id, generation, event_id, event_received_at, results from firings where id = $1",
        id.0
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Firing {
        rule: row.rule,
        place: Place {
            application_id: ApplicationId(row.application_id),
            location_id: LocationId(row.location_id),
        },
        generation: row.generation,
        event_id: EventId(row.event_id),
        event_received_at: row.event_received_at,
        results: row.results,
    }))
}

/// Keeps the result of a step for later steps.
///
/// # Errors
/// When the database does not answer.
pub async fn add_result(tx: &mut PgTransaction<'_>, id: FiringId, step: &str, result: &Value) -> sqlx::Result<()> {
    sqlx::query!(
        "update firings set results = results || jsonb_build_object($2::text, $3::jsonb) where id = $1",
        id.0,
        step,
        result
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
