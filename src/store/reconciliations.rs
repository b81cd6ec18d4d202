//! Comparing with the marketplace: how far each application's round has come. What is to be done follows from dates
//! alone, so that a round goes on wherever it was interrupted, in any process.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgPool, PgTransaction};

use crate::domain::ids::{ApplicationId, LocationId};

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

/// What a round of an application has to do.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Places whose status is read in each round.
    pub places: i64,
    /// Those that are read first: pending, or with a trial or paid period that ended or ends within a day.
    pub urgent: i64,
    /// Active ones, whose webhook settings are read too when there is a user token.
    pub active: i64,
}

/// Measures it.
///
/// # Errors
/// When the database does not answer.
pub async fn extent(pool: &PgPool, application: ApplicationId) -> sqlx::Result<Extent> {
    sqlx::query_as!(
        Extent,
        r#"
        select count(*) as "places!", count(*) filter (where i.status = 'active') as "active!",
               count(*) filter (where i.status = 'pending' or greatest(i.trial_ends_at, i.paid_until)
                                between now() - interval '1 day' and now() + interval '1 day') as "urgent!"
        from (select location_id from looks where application_id = $1 and listed
              union select location_id from installations where application_id = $1 and status <> 'uninstalled') p
        left join installations i on i.application_id = $1 and i.location_id = p.location_id
        "#,
        application.0
    )
    .fetch_one(pool)
    .await
}

/// The last round of an application.
#[derive(Debug, Clone)]
pub struct Last {
    /// When it began.
    pub begun_at: Option<DateTime<Utc>>,
    /// Whether it is over.
    pub is_over: bool,
    /// Whether every place could be looked at.
    pub is_complete: bool,
    /// Locations on the list of connected ones.
    pub listed: i32,
    /// Places whose status was read.
    pub looked: i32,
    /// Events that came of it.
    pub differences: i32,
    /// Why it rests or is incomplete.
    pub error: Option<String>,
}

/// Reads it; `None` before the first.
///
/// # Errors
/// When the database does not answer.
pub async fn last(pool: &PgPool, application: ApplicationId) -> sqlx::Result<Option<Last>> {
    sqlx::query_as!(
        Last,
        r#"select begun_at, coalesce(finished_at >= begun_at, false) as "is_over!",
                  coalesce(succeeded_at = begun_at, false) as "is_complete!", listed, looked, differences, error
           from reconciliations where application_id = $1"#,
        application.0
    )
    .fetch_optional(pool)
    .await
}

/// The places of an application that are not uninstalled, as we know it.
///
/// # Errors
/// When the database does not answer.
pub async fn installed(pool: &PgPool, application: ApplicationId) -> sqlx::Result<Vec<LocationId>> {
    let ids = sqlx::query_scalar!(
        "select location_id from installations where application_id = $1 and status <> 'uninstalled'",
        application.0
    )
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(LocationId).collect())
}

/// What comparing found since a moment, oldest first: location and kind of event.
///
/// # Errors
/// When the database does not answer.
pub async fn found_since(
    pool: &PgPool,
    application: ApplicationId,
    since: DateTime<Utc>,
) -> sqlx::Result<Vec<(LocationId, String)>> {
    let rows = sqlx::query!(
        r#"select location_id as "location_id!", kind from events
           where application_id = $1 and source = 'reconciliation' and received_at >= $2 and location_id is not null
           order by id"#,
        application.0,
        since
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (LocationId(row.location_id), row.kind))
        .collect())
}
