//! How attempts end, and what that does to their lane.

use std::time::Duration;

use serde_json::Value;
use sqlx::{PgPool, PgTransaction};

use super::Claimed;
use crate::domain::ids::{FiringId, Place};

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Finished, with a result for later steps.
    Done(Value),
    /// It failed in a way that may pass.
    Retry {
        /// How long to wait.
        after: Duration,
        /// Why.
        error: String,
    },
    /// It could not be tried; the attempt does not count.
    Snooze {
        /// How long to wait.
        after: Duration,
        /// Why.
        reason: String,
    },
    /// It will never work; the remaining steps of its firing are cancelled.
    Discard(String),
}

impl Outcome {
    /// The word it is stored and counted as.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Retry { .. } => "retry",
            Self::Snooze { .. } => "snooze",
            Self::Discard(_) => "discard",
        }
    }
}

/// Writes how an attempt ended, and frees its lane. `false` when the attempt does not count any
/// more, because the lease ran out and somebody else has claimed the job: the caller rolls back.
///
/// # Errors
/// When the database does not answer.
pub async fn settle(
    tx: &mut PgTransaction<'_>,
    job: &Claimed,
    outcome: &Outcome,
    exchanges: &Value,
) -> sqlx::Result<bool> {
    // The lane is locked in a statement of its own, so that the next statements see what an enqueue
    // that held the lock has committed.
    sqlx::query!("select id from lanes where id = $1 for update", job.lane_id)
        .fetch_optional(&mut **tx)
        .await?;
    let (error, wait) = match outcome {
        Outcome::Done(_) => (None, None),
        Outcome::Retry { after, error } => (Some(error.as_str()), Some(after.as_secs_f64())),
        Outcome::Snooze { after, reason } => (Some(reason.as_str()), Some(after.as_secs_f64())),
        Outcome::Discard(error) => (Some(error.as_str()), None),
    };
    let counts = match (outcome, wait) {
        (Outcome::Done(result), _) => finish(tx, job, "completed", error, Some(result)).await?,
        (_, None) => finish(tx, job, "discarded", error, None).await?,
        (_, Some(seconds)) => put_back(tx, job, seconds, error, matches!(outcome, Outcome::Snooze { .. })).await?,
    };
    if !counts {
        return Ok(false);
    }
    sqlx::query!(
        "update attempts set finished_at = now(), outcome = $3, error = $4, exchanges = $5 where job_id = $1 and attempt = $2",
        job.id.0,
        job.attempt,
        outcome.word(),
        error,
        exchanges,
    )
    .execute(&mut **tx)
    .await?;
    if let (Outcome::Discard(_), Some(firing)) = (outcome, job.firing_id) {
        cancel(tx, &Cancel::RestOfFiring(firing), "an earlier step was given up").await?;
    }
    free_lanes(tx, job.place, Some(job.lane_id)).await?;
    Ok(true)
}

async fn finish(
    tx: &mut PgTransaction<'_>,
    job: &Claimed,
    state: &str,
    error: Option<&str>,
    result: Option<&Value>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        r#"
        with gone as (delete from jobs where id = $1 and attempts = $2 and state = 'running' returning *)
        insert into finished_jobs (id, application_id, location_id, firing_id, rule, step, step_id, action, params, state,
            run_at, attempts, max_attempts, last_error, result, created_at)
        select id, application_id, location_id, firing_id, rule, step, step_id, action, params, $3, run_at, attempts,
            max_attempts, coalesce($4, last_error), $5, created_at
        from gone
        "#,
        job.id.0,
        job.attempt,
        state,
        error,
        result,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn put_back(
    tx: &mut PgTransaction<'_>,
    job: &Claimed,
    seconds: f64,
    error: Option<&str>,
    free: bool,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        r#"
        update jobs set state = 'available', run_at = now() + make_interval(secs => $3), last_error = $4,
            max_attempts = max_attempts + case when $5 then 1 else 0 end
        where id = $1 and attempts = $2 and state = 'running'
        "#,
        job.id.0,
        job.attempt,
        seconds,
        error,
        free,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Which waiting jobs are not wanted any more.
#[derive(Debug, Clone)]
pub enum Cancel<'a> {
    /// The steps after one that was given up.
    RestOfFiring(FiringId),
    /// What rules wanted at a location that was uninstalled, except for rules that keep going.
    Rules {
        /// The location.
        place: Place,
        /// Names of rules that are not cancelled.
        except: &'a [String],
    },
}

/// Cancels waiting jobs; a running one is left to its worker. Returns how many.
///
/// # Errors
/// When the database does not answer.
pub async fn cancel(tx: &mut PgTransaction<'_>, which: &Cancel<'_>, reason: &str) -> sqlx::Result<u64> {
    let (firing, place, except) = match which {
        Cancel::RestOfFiring(firing) => (Some(firing.0), None, &[][..]),
        Cancel::Rules { place, except } => (None, Some(*place), *except),
    };
    let done = sqlx::query!(
        r#"
        with gone as (
            delete from jobs where state = 'available' and firing_id is not null
              and ($1::bigint is null or firing_id = $1)
              and ($2::bigint is null or (application_id = $2 and location_id = $3 and rule <> all($4)))
            returning *
        )
        insert into finished_jobs (id, application_id, location_id, firing_id, rule, step, step_id, action, params, state,
            run_at, attempts, max_attempts, last_error, created_at)
        select id, application_id, location_id, firing_id, rule, step, step_id, action, params, 'cancelled', run_at,
            attempts, max_attempts, $5, created_at
        from gone
        "#,
        firing,
        place.map(|place| place.application_id.0),
        place.map(|place| place.location_id.0),
        except,
        reason,
    )
    .execute(&mut **tx)
    .await?;
    if let Some(place) = place {
        free_lanes(tx, place, None).await?;
    }
    Ok(done.rows_affected())
}

/// Makes the lanes of a place agree with their jobs: an empty one goes, and one that nobody leases
/// (or that its worker gives back) is due when its first job is.
async fn free_lanes(tx: &mut PgTransaction<'_>, place: Place, given_back: Option<i64>) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        with mine as (
            select l.id, (select run_at from jobs j where j.lane_id = l.id order by j.id limit 1) as head
            from lanes l
            where l.application_id = $1 and l.location_id = $2
              and (l.id = $3 or ($3 is null and (l.leased_until is null or l.leased_until < now())))
        ), empty as (
            delete from lanes where id in (select id from mine where head is null)
        )
        update lanes set run_at = mine.head, leased_by = null, leased_until = null
        from mine where lanes.id = mine.id and mine.head is not null
        "#,
        place.application_id.0,
        place.location_id.0,
        given_back,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Drops lanes without jobs that nobody leases. They come about when a job is cancelled in the moment
/// in which its lane is leased. Returns how many.
///
/// # Errors
/// When the database does not answer.
pub async fn drop_empty_lanes(pool: &PgPool) -> sqlx::Result<u64> {
    let mut tx = pool.begin().await?;
    // Locked first and judged by a second statement, which sees what an enqueue has committed since.
    let locked = sqlx::query_scalar!(
        "select id from lanes l where (leased_until is null or leased_until < now())
            and not exists (select from jobs j where j.lane_id = l.id) for update skip locked"
    )
    .fetch_all(&mut *tx)
    .await?;
    let done = sqlx::query!(
        "delete from lanes l where id = any($1) and not exists (select from jobs j where j.lane_id = l.id)",
        &locked
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}
