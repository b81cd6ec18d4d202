//! Comparing with the marketplace: how far each application's round has come, and which places are to be looked at.
//!
//! What is to be done follows from dates alone, so that a round goes on wherever it was interrupted, in any process.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use sqlx::{PgPool, PgTransaction};

use crate::domain::{
    event::words,
    ids::{ApplicationId, LocationId, Place},
};

/// Notes that a process begins to serve an application: the next round begins at once, and a pause of more than
/// `interval` since anybody was at it is a gap. While one is fresh, moments wait for a look ([`super::timers`]).
///
/// # Errors
/// When the database does not answer.
pub async fn wake(pool: &PgPool, application: ApplicationId, interval: Duration) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into reconciliations as known (application_id) values ($1)
         on conflict (application_id) do update set next_at = least(known.next_at, now()), alive_at = now(),
             gap_since = case when known.alive_at < now() - make_interval(secs => $2) then now() else known.gap_since end",
        application.0,
        interval.as_secs_f64(),
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Asks for a round now, also when the last one is fresh.
///
/// # Errors
/// When the database does not answer.
pub async fn ask(pool: &PgPool, application: ApplicationId) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into reconciliations as known (application_id) values ($1)
         on conflict (application_id) do update set next_at = now(), begun_at = null, finished_at = null",
        application.0
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// A round that is under way.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// What was looked at since then need not be looked at again.
    pub begun_at: DateTime<Utc>,
    /// Whether the list of connected locations was read whole.
    pub is_listed: bool,
}

/// Takes or keeps the round of an application for a process, and begins one when it is time. `None` when another
/// process is at it, or nothing is due.
///
/// # Errors
/// When the database does not answer.
pub async fn lease(
    pool: &PgPool,
    application: ApplicationId,
    worker: &str,
    lease: Duration,
) -> sqlx::Result<Option<Round>> {
    let row = sqlx::query!(
        r#"
        update reconciliations set alive_at = now(), leased_by = $2, leased_until = now() + make_interval(secs => $3),
            begun_at = case when finished_at >= begun_at or begun_at is null then now() else begun_at end,
            looked = case when finished_at >= begun_at or begun_at is null then 0 else looked end,
            differences = case when finished_at >= begun_at or begun_at is null then 0 else differences end
        where application_id = $1 and next_at <= now()
          and (leased_by = $2 or leased_until is null or leased_until < now())
        returning begun_at as "begun_at!", coalesce(listed_at >= begun_at, false) as "is_listed!"
        "#,
        application.0,
        worker,
        lease.as_secs_f64(),
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Round {
        begun_at: row.begun_at,
        is_listed: row.is_listed,
    }))
}

/// Notes that somebody is there, also while nothing is due.
///
/// # Errors
/// When the database does not answer.
pub async fn alive(pool: &PgPool, application: ApplicationId) -> sqlx::Result<()> {
    sqlx::query!(
        "update reconciliations set alive_at = now() where application_id = $1 and alive_at < now() - interval '10 seconds'",
        application.0
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Writes the whole list of connected locations. Who came or went since the last one is looked at first.
///
/// # Errors
/// When the database does not answer.
pub async fn note_list(
    tx: &mut PgTransaction<'_>,
    application: ApplicationId,
    listed: &[LocationId],
    begun_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let listed: Vec<i64> = listed.iter().map(|id| id.0).collect();
    sqlx::query!(
        "with seen as (
             select distinct location_id from unnest($2::bigint[]) as t(location_id)
         ), came as (
             insert into looks as known (application_id, location_id, listed, news)
             select $1, location_id, true, true from seen
             on conflict (application_id, location_id) do update set listed = true, news = known.news or not known.listed
         )
         update looks set listed = false, news = true
         where application_id = $1 and listed and location_id not in (select location_id from seen)",
        application.0,
        &listed,
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "insert into looks (application_id, location_id)
         select application_id, location_id from installations where application_id = $1 and status <> 'uninstalled'
         on conflict do nothing",
        application.0
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "update reconciliations set listed_at = greatest(now(), $2), listed = $3, error = null where application_id = $1",
        application.0,
        begun_at,
        i32::try_from(listed.len()).unwrap_or(i32::MAX),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

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
pub async fn to_look_at(
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
                      and t.due_at <= now() and t.fired_for is distinct from t.due_at) then 0
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

/// Notes a look: when it was, and the connection that was seen with the generation of ours it belongs to.
///
/// # Errors
/// When the database does not answer.
pub async fn note_look(
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
pub async fn note_other_look(tx: &mut PgTransaction<'_>, place: Place, looked_at: DateTime<Utc>) -> sqlx::Result<()> {
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

/// Notes what the webhook settings of a location said.
///
/// # Errors
/// When the database does not answer.
pub async fn note_hooks(pool: &PgPool, place: Place, hooks: Hooks) -> sqlx::Result<()> {
    sqlx::query!(
        "update looks set hooks = $3, hooks_seen_at = now() where application_id = $1 and location_id = $2",
        place.application_id.0,
        place.location_id.0,
        hooks.as_str(),
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Counts what a look found.
///
/// # Errors
/// When the database does not answer.
pub async fn count(tx: &mut PgTransaction<'_>, application: ApplicationId, differences: usize) -> sqlx::Result<()> {
    sqlx::query!(
        "update reconciliations set looked = looked + 1, differences = differences + $2 where application_id = $1",
        application.0,
        i32::try_from(differences).unwrap_or(i32::MAX),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How a round ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// Places whose status was read.
    pub looked: i32,
    /// Events that came of it.
    pub differences: i32,
    /// Places that could not be looked at.
    pub skipped: i64,
}

/// Ends a round; the next begins when `interval` has passed since this one began. `None` when somebody has asked for
/// another meanwhile.
///
/// # Errors
/// When the database does not answer.
pub async fn finish(
    pool: &PgPool,
    application: ApplicationId,
    begun_at: DateTime<Utc>,
    interval: Duration,
) -> sqlx::Result<Option<Ended>> {
    sqlx::query_as!(
        Ended,
        r#"
        with skipped as (
            select count(*) as places from looks where application_id = $1 and skipped_until > now()
        )
        update reconciliations set finished_at = greatest(now(), begun_at), leased_by = null, leased_until = null,
            next_at = greatest(now(), begun_at + make_interval(secs => $3)),
            succeeded_at = case when skipped.places = 0 then begun_at else succeeded_at end,
            error = case when skipped.places = 0 then null else error end
        from skipped where application_id = $1 and begun_at = $2
        returning looked, differences, skipped.places as "skipped!"
        "#,
        application.0,
        begun_at,
        interval.as_secs_f64(),
    )
    .fetch_optional(pool)
    .await
}

/// Leaves a round for later: it goes on where it is.
///
/// # Errors
/// When the database does not answer.
pub async fn interrupt(
    pool: &PgPool,
    application: ApplicationId,
    pause: Duration,
    error: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update reconciliations set next_at = now() + make_interval(secs => $2), error = coalesce($3, error),
             leased_by = null, leased_until = null where application_id = $1",
        application.0,
        pause.as_secs_f64(),
        error,
    )
    .execute(pool)
    .await?;
    Ok(())
}
