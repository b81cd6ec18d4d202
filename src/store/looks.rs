//! When each place was last looked at, which places are to be looked at next, and what was seen besides the status.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use sqlx::{PgPool, PgTransaction};

use crate::domain::{
    event::words,
    ids::{ApplicationId, LocationId, Place},
};

/// A place that is to be looked at.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// Which.
    pub place: Place,
    /// The marketplace's date of the connection, and the generation of ours it was noted for.
    pub link: Option<(NaiveDateTime, i32)>,
    /// When its webhook settings were last read.
    pub hooks_seen_at: Option<DateTime<Utc>>,
}

/// The places that were not looked at since the round began, the most urgent first: those that came or went, that a
/// moment waits for, or that are pending; then those whose trial or paid period ended lately, when the marketplace
/// freezes; then those that were looked at longest ago.
///
/// # Errors
/// When the database does not answer.
pub async fn next(
    pool: &PgPool,
    application: ApplicationId,
    begun_at: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<Candidate>> {
    let rows = sqlx::query!(
        r#"
        select l.location_id, l.link_made_at, l.link_generation, l.hooks_seen_at
        from looks l left join installations i using (application_id, location_id)
        where application_id = $1 and (l.skipped_until is null or l.skipped_until < now())
          and (l.news or ((l.listed or i.status <> 'uninstalled') and (l.looked_at is null or l.looked_at < $2)))
        order by case
                when l.news or i.status = 'pending' or exists (
                    select from timers t where t.application_id = $1 and t.location_id = l.location_id
                      and t.due_at <= now() and t.fired_for is distinct from t.due_at
                    union all select from schedules s where s.application_id = $1 and s.location_id = l.location_id
                      and s.due_at <= now()
                    union all select from silences s where s.application_id = $1 and s.location_id = l.location_id
                      and s.due_at <= now()) then 0
                when greatest(i.trial_ends_at, i.paid_until)
                     between coalesce(l.looked_at, '-infinity') - interval '26 hours' and now() then 1
                else 2
            end, l.looked_at nulls first, l.location_id
        limit $3
        "#,
        application.0,
        begun_at,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Candidate {
            place: Place {
                application_id: application,
                location_id: LocationId(row.location_id),
            },
            link: row.link_made_at.zip(row.link_generation),
            hooks_seen_at: row.hooks_seen_at,
        })
        .collect())
}

/// The marketplace's date of a connection, and the generation of ours it was noted for.
///
/// # Errors
/// When the database does not answer.
pub async fn link(pool: &PgPool, place: Place) -> sqlx::Result<Option<(NaiveDateTime, i32)>> {
    let row = sqlx::query!(
        "select link_made_at, link_generation from looks where application_id = $1 and location_id = $2",
        place.application_id.0,
        place.location_id.0
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.and_then(|row| row.link_made_at.zip(row.link_generation)))
}

/// Notes a look: when it was, and the connection that was seen with the generation of ours it belongs to.
///
/// # Errors
/// When the database does not answer.
pub async fn note(
    tx: &mut PgTransaction<'_>,
    place: Place,
    looked_at: DateTime<Utc>,
    link: Option<(NaiveDateTime, i32)>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into looks (application_id, location_id, looked_at, link_made_at, link_generation) values ($1, $2, $3, $4, $5)
         on conflict (application_id, location_id) do update set news = false, looked_at = excluded.looked_at,
             link_made_at = excluded.link_made_at, link_generation = excluded.link_generation, skipped_until = null",
        place.application_id.0,
        place.location_id.0,
        looked_at,
        link.map(|link| link.0),
        link.map(|link| link.1),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Puts a place off whose look failed.
///
/// # Errors
/// When the database does not answer.
pub async fn skip(pool: &PgPool, place: Place, time: Duration) -> sqlx::Result<()> {
    sqlx::query!(
        "update looks set skipped_until = now() + make_interval(secs => $3) where application_id = $1 and location_id = $2",
        place.application_id.0,
        place.location_id.0,
        time.as_secs_f64(),
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Notes that jobs looked at a place, so that the round need not.
///
/// # Errors
/// When the database does not answer.
pub async fn note_by_job(tx: &mut PgTransaction<'_>, place: Place, looked_at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "update looks set looked_at = greatest(looked_at, $3) where application_id = $1 and location_id = $2",
        place.application_id.0,
        place.location_id.0,
        looked_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

words! {
    /// Whether the webhooks of a location come to us.
    Hooks {
        /// Our address is among those of the location.
        Registered = "registered",
        /// Only an address made from the former secret is.
        Former = "former",
        /// None of ours is, or nothing is sent to it: events of this location are lost.
        Missing = "missing",
        /// The marketplace did not let us look.
        Refused = "refused",
    }
}

/// Notes what the webhook settings of a location said, also of one that no round has come to yet.
///
/// # Errors
/// When the database does not answer.
pub async fn note_hooks(pool: &PgPool, place: Place, hooks: Hooks) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into looks (application_id, location_id, hooks, hooks_seen_at) values ($1, $2, $3, now())
         on conflict (application_id, location_id) do update set hooks = excluded.hooks, hooks_seen_at = now()",
        place.application_id.0,
        place.location_id.0,
        hooks.as_str(),
    )
    .execute(pool)
    .await?;
    Ok(())
}
