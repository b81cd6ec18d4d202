//! Where one place stands now, and what is to come.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;

use super::locations::{self, Erasure, Location, Tag};
use crate::domain::ids::Place;

/// Something that comes by itself.
#[derive(Debug, Serialize)]
pub struct Coming {
    /// The kind of the event it will be.
    pub kind: String,
    /// The calendar, for a schedule.
    pub cron: Option<String>,
    /// When.
    pub due_at: DateTime<Utc>,
}

/// One place as it is now.
#[derive(Debug)]
pub struct Profile {
    /// The installation.
    pub installation: Location,
    /// What is known of the place.
    pub location: Option<Value>,
    /// Since when the connection is pending at the marketplace; the clocks of the activation count from here.
    pub pending_since: Option<DateTime<Utc>>,
    /// Marks that rules set.
    pub tags: Vec<Tag>,
    /// Personal data that was taken away.
    pub erasures: Vec<Erasure>,
    /// What rules wait for, soonest first.
    pub coming: Vec<Coming>,
}

/// One place; `None` when nothing is known of it.
///
/// # Errors
/// When the database does not answer.
pub async fn of(pool: &PgPool, place: Place) -> sqlx::Result<Option<Profile>> {
    let (application, location) = (place.application_id.0, place.location_id.0);
    let Some(installation) = locations::one(pool, application, location).await? else {
        return Ok(None);
    };
    let pending_since = sqlx::query_scalar!(
        "select pending_since from activations where application_id = $1 and location_id = $2",
        application,
        location
    )
    .fetch_optional(pool)
    .await?
    .flatten();
    Ok(Some(Profile {
        installation,
        location: locations::data(pool, application, location).await?,
        pending_since,
        tags: locations::tags(pool, application, location).await?,
        erasures: locations::erasures(pool, application, location).await?,
        coming: coming(pool, application, location).await?,
    }))
}

async fn coming(pool: &PgPool, application: i64, location: i64) -> sqlx::Result<Vec<Coming>> {
    sqlx::query_as!(
        Coming,
        r#"
        select kind as "kind!", cron, due_at as "due_at!" from (
            select kind, null::text as cron, due_at from timers
            where application_id = $1 and location_id = $2 and fired_for is distinct from due_at
            union all
            select 'schedule', cron, due_at from schedules where application_id = $1 and location_id = $2
        ) c order by due_at limit 20
        "#,
        application,
        location
    )
    .fetch_all(pool)
    .await
}
