//! Takes the personal data of one location away and leaves what is needed to go on rightly: that it
//! was connected and when, what was paid, and the keys that keep rules from firing again.
//!
//! Events and attempts of old days are updated in place, which is the one exception to their being
//! only appended to: their days hold other locations' data too. It goes in small batches with a pause
//! after each, so that the service does not notice.

mod rows;

use std::time::Instant;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;

use crate::domain::ids::{ApplicationId, LocationId, Place};

/// Who wanted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedBy {
    /// A person, by the terminal.
    Operator,
    /// The configured period.
    Retention,
}

impl AskedBy {
    /// The word it is stored and shown as.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Retention => "retention",
        }
    }
}

/// What is erased.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// Where.
    pub place: Place,
    /// Nothing older than this is there any more, because it was erased before.
    pub since: Option<DateTime<Utc>>,
    /// What is newer stays.
    pub before: DateTime<Utc>,
    /// Who wanted it.
    pub asked_by: AskedBy,
}

/// Rows with personal data: those that are there, or those it was taken from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Extent {
    /// Events with a body, headers or a digest.
    pub events: u64,
    /// Jobs, finished or waiting, with what they were told, what came of them, or what went wrong.
    pub jobs: u64,
    /// Attempts of jobs with requests and answers.
    pub attempts: u64,
    /// Firings with results of their steps.
    pub firings: u64,
    /// Name and address of the place.
    pub locations: u64,
    /// How its connection went on.
    pub activations: u64,
}

impl Extent {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is known of a place that somebody wants to erase.
#[derive(Debug, Clone)]
pub struct Known {
    /// Where its installation stands; `None` when it was never connected.
    pub status: Option<String>,
    /// Rows with personal data.
    pub extent: Extent,
    /// Events that nobody has judged yet, or whose jobs wait: they are needed.
    pub in_use: u64,
}

fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// Counts what [`erase`] would take away, and what it would leave because it is in use.
///
/// # Errors
/// When the database does not answer.
pub async fn known(pool: &PgPool, place: Place) -> sqlx::Result<Known> {
    let (application, location) = (place.application_id.0, place.location_id.0);
    let row = sqlx::query!(
        r#"
        select
            (select status from installations where application_id = $1 and location_id = $2) as status,
            (select count(*) from events where application_id = $1 and location_id = $2
                and (body is not null or headers is not null or digest is not null)) as "events!",
            (select count(*) from finished_jobs where application_id = $1 and location_id = $2
                and (params <> '{}' or result is not null or last_error is not null))
            + (select count(*) from jobs where application_id = $1 and location_id = $2 and last_error is not null) as "jobs!",
            (select count(*) from attempts where (exchanges <> '[]' or error is not null) and job_id in (
                select id from finished_jobs where application_id = $1 and location_id = $2
                union all select id from jobs where application_id = $1 and location_id = $2)) as "attempts!",
            (select count(*) from firings where application_id = $1 and location_id = $2 and results <> '{}') as "firings!",
            (select count(*) from locations where application_id = $1 and location_id = $2) as "locations!",
            (select count(*) from activations where application_id = $1 and location_id = $2) as "activations!"
        "#,
        application,
        location
    )
    .fetch_one(pool)
    .await?;
    let needed = needed(pool, place).await?;
    Ok(Known {
        status: row.status,
        extent: Extent {
            events: number(row.events),
            jobs: number(row.jobs),
            attempts: number(row.attempts),
            firings: number(row.firings),
            locations: number(row.locations),
            activations: number(row.activations),
        },
        in_use: needed.len() as u64,
    })
}

/// Events that are still to be judged, or whose bodies waiting jobs will read.
async fn needed(pool: &PgPool, place: Place) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        select event_id as "id!" from inbox where application_id = $1 and location_id = $2
        union select f.event_id from jobs j join firings f on f.id = j.firing_id
            where j.application_id = $1 and j.location_id = $2
        "#,
        place.application_id.0,
        place.location_id.0
    )
    .fetch_all(pool)
    .await
}

/// Takes the personal data of a place away. Interrupted at any point, it goes on when it is ordered
/// again. `progress` is told what is gone so far.
///
/// # Errors
/// When the database does not answer.
pub async fn erase(pool: &PgPool, order: &Order, mut progress: impl FnMut(&Extent)) -> sqlx::Result<Extent> {
    let mut gone = Extent::default();
    let needed = needed(pool, order.place).await?;
    let mut after = Some(0);
    while let Some(id) = after {
        let began = Instant::now();
        after = rows::empty_events(pool, order, id, &needed, &mut gone).await?;
        progress(&gone);
        tokio::time::sleep(began.elapsed()).await;
    }
    let mut after = Some(0);
    while let Some(id) = after {
        let began = Instant::now();
        after = rows::empty_finished_jobs(pool, order, id, &mut gone).await?;
        progress(&gone);
        tokio::time::sleep(began.elapsed()).await;
    }
    rows::empty_waiting_jobs(pool, order, &mut gone).await?;
    let mut after = Some(0);
    while let Some(id) = after {
        after = rows::empty_firings(pool, order, id, &mut gone).await?;
        progress(&gone);
    }
    rows::forget_place(pool, order, &mut gone).await?;
    progress(&gone);
    Ok(gone)
}

/// Places that were uninstalled before `before`, or looked in before and never connected, and whose data of the time
/// before it was not taken away yet; those of the last day may wait. With the moment up to which it was.
///
/// # Errors
/// When the database does not answer.
pub async fn due(pool: &PgPool, before: DateTime<Utc>, limit: i64) -> sqlx::Result<Vec<Order>> {
    let found = sqlx::query!(
        r#"
        with gone as (
            select application_id, location_id from installations where status = 'uninstalled' and status_since < $1
            union
            select application_id, location_id from activations a where changed_at < $1 and not exists (
                select from installations i where i.application_id = a.application_id and i.location_id = a.location_id)
            union
            select application_id, location_id from locations l where seen_at < $1 and not exists (
                select from installations i where i.application_id = l.application_id and i.location_id = l.location_id)
        )
        select application_id as "application_id!", location_id as "location_id!", max(e.erased_before) as since
        from gone left join erasures e using (application_id, location_id)
        group by 1, 2 having max(e.erased_before) is null or max(e.erased_before) < $1 - interval '1 day'
        order by 1, 2 limit $2
        "#,
        before,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(found
        .into_iter()
        .map(|row| Order {
            place: Place {
                application_id: ApplicationId(row.application_id),
                location_id: LocationId(row.location_id),
            },
            since: row.since,
            before,
            asked_by: AskedBy::Retention,
        })
        .collect())
}
