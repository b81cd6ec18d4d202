use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgPool, PgTransaction};

use crate::domain::{
    event::Kind,
    ids::{ApplicationId, EventId, FiringId, LocationId, Place},
};

/// A rule that is to be applied to an occurrence.
#[derive(Debug, Clone)]
pub struct NewFiring<'a> {
    /// What makes it fire once.
    pub key: &'a str,
    /// The rule.
    pub rule: &'a str,
    /// `occurrence`, `installation` or `location`.
    pub once_per: &'a str,
    /// What it would do, when it is only watched; its steps are not queued.
    pub shadow: Option<Value>,
    /// Where.
    pub place: Place,
    /// Of which connection.
    pub generation: i32,
    /// The event.
    pub event_id: EventId,
    /// The day partition of the event.
    pub event_received_at: DateTime<Utc>,
    /// The kind of the event.
    pub kind: &'a Kind,
}

/// Claims firing keys, in the order given. `None` where the rule has fired for this occurrence before,
/// also where an earlier one of the list has the same key.
///
/// # Errors
/// When the database does not answer.
pub async fn claim(tx: &mut PgTransaction<'_>, new: &[NewFiring<'_>]) -> sqlx::Result<Vec<Option<FiringId>>> {
    let texts = |read: fn(&NewFiring<'_>) -> String| -> Vec<String> { new.iter().map(read).collect() };
    let numbers = |read: fn(&NewFiring<'_>) -> i64| -> Vec<i64> { new.iter().map(read).collect() };
    let generations: Vec<i32> = new.iter().map(|firing| firing.generation).collect();
    let days: Vec<DateTime<Utc>> = new.iter().map(|firing| firing.event_received_at).collect();
    let shadows: Vec<Option<Value>> = new.iter().map(|firing| firing.shadow.clone()).collect();
    let rows = sqlx::query!(
        r#"
        insert into firings (key, rule, once_per, application_id, location_id, generation, event_id, event_received_at, kind, mode, results)
        select key, rule, once_per, application_id, location_id, generation, event_id, event_received_at, kind,
               case when shadow is null then 'live' else 'shadow' end, coalesce(shadow, '{}')
        from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::int[], $7::bigint[],
            $8::timestamptz[], $9::text[], $10::jsonb[]) with ordinality
            as t(key, rule, once_per, application_id, location_id, generation, event_id, event_received_at, kind, shadow, n)
        order by n
        on conflict (key) do nothing returning id, key
        "#,
        &texts(|firing| firing.key.to_owned()),
        &texts(|firing| firing.rule.to_owned()),
        &texts(|firing| firing.once_per.to_owned()),
        &numbers(|firing| firing.place.application_id.0),
        &numbers(|firing| firing.place.location_id.0),
        &generations,
        &numbers(|firing| firing.event_id.0),
        &days,
        &texts(|firing| firing.kind.to_string()),
        &shadows as &[Option<Value>],
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut claimed: HashMap<String, i64> = rows.into_iter().map(|row| (row.key, row.id)).collect();
    Ok(new
        .iter()
        .map(|firing| claimed.remove(firing.key).map(FiringId))
        .collect())
}

/// Those of some firing keys that are taken.
///
/// # Errors
/// When the database does not answer.
pub async fn taken(tx: &mut PgTransaction<'_>, keys: &[String]) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("select key from firings where key = any($1)", keys)
        .fetch_all(&mut **tx)
        .await
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
    /// When this was read, by the clock of the database.
    pub read_at: DateTime<Utc>,
}

/// A firing by number.
///
/// # Errors
/// When the database does not answer.
pub async fn get(pool: &PgPool, id: FiringId) -> sqlx::Result<Option<Firing>> {
    let row = sqlx::query!(
        r#"select rule, application_id, location_id, generation, event_id, event_received_at, results, now() as "read_at!"
           from firings where id = $1"#,
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
        read_at: row.read_at,
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
