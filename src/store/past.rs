//! Reads what was stored from the beginning, for questions about the past. Nothing here can write.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, PgTransaction};

use super::inbox::{Row, Waiting};
use crate::domain::ids::{ApplicationId, EventId, LocationId, Place};

/// A transaction in which the database refuses every change.
///
/// # Errors
/// When the database does not answer.
pub async fn read_only(pool: &PgPool) -> sqlx::Result<PgTransaction<'static>> {
    let mut tx = pool.begin().await?;
    sqlx::query!("set transaction read only").execute(&mut *tx).await?;
    Ok(tx)
}

/// Which events to read.
#[derive(Debug)]
pub struct Wanted {
    /// Of this application.
    pub application: ApplicationId,
    /// Entity events from here on; what says something about an installation is read from the beginning.
    pub since: DateTime<Utc>,
    /// Up to here.
    pub until: DateTime<Utc>,
    /// The entity events of these kinds, as a pattern of SQL; none without it.
    pub kinds: Option<String>,
    /// How many at once.
    pub limit: i64,
}

/// The next events after one, in their order: those that had an effect when they were judged, or wait to be. Entity
/// events come with their bodies.
///
/// # Errors
/// When the database does not answer.
pub async fn next(tx: &mut PgTransaction<'_>, wanted: &Wanted, after: EventId) -> sqlx::Result<Vec<Waiting>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        select e.id, e.received_at, e.application_id, e.location_id, e.kind, e.source, e.occurred_at, e.resource_id,
               e.digest, e.fact, case when e.fact is null then e.body end as body
        from events e left join outcomes o on o.event_id = e.id and o.received_at = e.received_at
        where e.application_id = $1 and e.id > $2 and e.received_at < $4 and e.verdict = 'received'
          and e.location_id is not null
          and (e.fact is not null or (e.received_at >= $3 and e.kind like $5))
          and (o.event_id is null or (o.state = 'processed' and o.note is null))
        order by e.id limit $6
        "#,
        wanted.application.0,
        after.0,
        wanted.since,
        wanted.until,
        wanted.kinds,
        wanted.limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(Waiting::from).collect())
}

/// The places of an application.
///
/// # Errors
/// When the database does not answer.
pub async fn places(tx: &mut PgTransaction<'_>, application: ApplicationId) -> sqlx::Result<Vec<Place>> {
    let rows = sqlx::query_scalar!(
        "select location_id from installations where application_id = $1 order by location_id",
        application.0
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|location| Place {
            application_id: application,
            location_id: LocationId(location),
        })
        .collect())
}

/// How often a rule really fired for events of a time, as far as firings are kept.
///
/// # Errors
/// When the database does not answer.
pub async fn fired(
    tx: &mut PgTransaction<'_>,
    (application, rule): (ApplicationId, &str),
    (since, until): (DateTime<Utc>, DateTime<Utc>),
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from firings
           where application_id = $1 and rule = $2 and event_received_at >= $3 and event_received_at < $4"#,
        application.0,
        rule,
        since,
        until
    )
    .fetch_one(&mut **tx)
    .await
}

/// A pattern of SQL for the kinds of an entity trigger; `*` stands for any word.
pub fn pattern(resource: &str, change: &str) -> String {
    let word = |word: &str| match word {
        "*" => "%".to_owned(),
        word => word.replace('_', "\\_"),
    };
    format!("{}.{}", word(resource), word(change))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_words_as_they_are() {
        assert_eq!(pattern("goods_operations_sale", "*"), "goods\\_operations\\_sale.%");
        assert_eq!(pattern("*", "created"), "%.created");
    }
}
