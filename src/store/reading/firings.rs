use std::time::Duration;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::PgPool;

use super::Page;
use crate::{
    domain::event::words,
    store::looking::{hasty, in_time},
};

words! {
    /// What became of a firing.
    #[schemars(rename = "FiringResult")]
    Outcome {
        /// Its steps were queued.
        Fired = "fired",
        /// The rule is only watched: nothing was done.
        Shadow = "shadow",
        /// It is beyond the cap of its rule, and waits for a person.
        Held = "held",
        /// It was beyond the cap of its rule, and was given up.
        Dropped = "dropped",
    }
}

/// A rule that was applied to an event.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Firing {
    /// Number.
    pub id: i64,
    /// Application.
    pub application_id: i64,
    /// Location.
    pub location_id: i64,
    /// The rule.
    pub rule: String,
    /// What made it fire once.
    pub key: String,
    /// The kind of the event.
    pub kind: String,
    /// The event.
    pub event_id: i64,
    /// Of which connection.
    pub generation: i32,
    /// `live`, or `shadow` for a rule that is only watched.
    pub mode: String,
    /// What became of it.
    #[schemars(with = "Outcome")]
    pub result: String,
    /// Why it was given up.
    pub reason: Option<String>,
    /// Results of its steps, by step id; what it would have done, when it was only watched.
    #[schemars(with = "Map<String, Value>")]
    pub results: Value,
    /// When.
    pub fired_at: DateTime<Utc>,
}

/// Which firings to list.
#[derive(Debug, Default, Clone)]
pub struct Filter {
    /// Of one application.
    pub application: Option<i64>,
    /// Of one location.
    pub location: Option<i64>,
    /// Of one rule.
    pub rule: Option<String>,
    /// With one result.
    pub result: Option<String>,
    /// Fired at or after.
    pub since: Option<DateTime<Utc>>,
    /// Fired before.
    pub until: Option<DateTime<Utc>>,
    /// Older than this number.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: i64,
}

/// A page of firings, newest first; also of rules that are only watched, and such that wait for a person.
///
/// # Errors
/// When the database does not answer.
pub async fn list(executor: impl sqlx::PgExecutor<'_>, filter: &Filter) -> sqlx::Result<Page<Firing>> {
    let items = sqlx::query_as!(
        Firing,
        r#"
        select f.id, f.application_id, f.location_id, f.rule, f.key, f.kind, f.event_id, f.generation, f.mode,
               r.result as "result!", case when h.state = 'dropped' then h.reason end as reason, f.results, f.fired_at
        from firings f left join holds h on h.firing_id = f.id
        cross join lateral (
            select case when f.mode = 'shadow' then 'shadow' when h.state in ('held', 'dropped') then h.state
                        else 'fired' end as result
        ) r
        where ($1::bigint is null or f.application_id = $1) and ($2::bigint is null or f.location_id = $2)
          and ($3::text is null or f.rule = $3) and ($4::text is null or r.result = $4)
          and ($5::timestamptz is null or f.fired_at >= $5) and ($6::timestamptz is null or f.fired_at < $6)
          and ($7::bigint is null or f.id < $7)
        order by f.id desc limit $8::bigint + 1
        "#,
        filter.application,
        filter.location,
        filter.rule,
        filter.result,
        filter.since,
        filter.until,
        filter.before,
        filter.limit,
    )
    .fetch_all(executor)
    .await?;
    Ok(Page::cut(items, filter.limit, |firing| firing.id.to_string()))
}

/// The last firings of a rule, newest first; `None` when looking for them takes longer than `patience`, as it does for
/// one that has not fired for long among very many that have.
///
/// # Errors
/// When the database does not answer.
pub async fn lately(
    pool: &PgPool,
    (application, rule): (i64, &str),
    limit: i64,
    patience: Duration,
) -> sqlx::Result<Option<Vec<Firing>>> {
    let filter = Filter {
        application: Some(application),
        rule: Some(rule.to_owned()),
        limit,
        ..Filter::default()
    };
    let mut tx = hasty(pool, patience).await?;
    Ok(in_time(list(&mut *tx, &filter).await)?.map(|page| page.items))
}

/// Firings of these numbers, oldest first.
///
/// # Errors
/// When the database does not answer.
pub async fn of_numbers(pool: &PgPool, ids: &[i64]) -> sqlx::Result<Vec<Firing>> {
    sqlx::query_as!(
        Firing,
        r#"
        select f.id, f.application_id, f.location_id, f.rule, f.key, f.kind, f.event_id, f.generation, f.mode,
               case when f.mode = 'shadow' then 'shadow' when h.state in ('held', 'dropped') then h.state
                    else 'fired' end as "result!",
               case when h.state = 'dropped' then h.reason end as reason, f.results, f.fired_at
        from firings f left join holds h on h.firing_id = f.id
        where f.id = any($1) order by f.id
        "#,
        ids
    )
    .fetch_all(pool)
    .await
}
