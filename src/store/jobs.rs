//! Jobs of one lane run one after another in order of their numbers; lanes run beside each other.
//! A worker leases a lane, not a job: that keeps the order, and one look-up finds work.
//!
//! A lease only saves work, it does not guard it: what guards is the fence. Every claim raises the
//! job's attempt number and writes an attempt row, and a settlement counts only with the number that
//! was claimed.

use std::time::Duration;

use serde_json::Value;
use sqlx::{PgPool, PgTransaction};

use crate::domain::{
    action::{Action, Priority},
    ids::{ApplicationId, FiringId, JobId, LocationId, Place},
};

/// A job on its way into the queue.
#[derive(Debug, Clone)]
pub struct NewJob<'a> {
    /// Where.
    pub place: Place,
    /// Jobs of one lane keep their order.
    pub lane: &'a str,
    /// How early its lane is looked at.
    pub priority: Priority,
    /// What to do.
    pub action: &'a Action,
    /// Of which firing, and which of its steps.
    pub step: Option<Step<'a>>,
    /// After so many it is discarded.
    pub max_attempts: i32,
}

impl<'a> NewJob<'a> {
    /// The activation of a location; there is one lane for it, in which one waiting job is enough.
    pub fn activation(place: Place, priority: Priority, action: &'a Action) -> Self {
        Self {
            place,
            lane: ACTIVATION_LANE,
            priority,
            action,
            step: None,
            max_attempts: ACTIVATION_ATTEMPTS,
        }
    }

    /// A look at the status of a location, likewise.
    pub fn look(place: Place, action: &'a Action) -> Self {
        Self {
            place,
            lane: STATUS_LANE,
            priority: action.priority(),
            action,
            step: None,
            max_attempts: STATUS_ATTEMPTS,
        }
    }
}

/// Rules have lanes of their own under their names, which have no dots.
const ACTIVATION_LANE: &str = "connection.activation";

/// Likewise.
const STATUS_LANE: &str = "connection.status";

/// Starts of an activation: with the waits between them they outlast its limit of hours.
const ACTIVATION_ATTEMPTS: i32 = 500;

/// Starts of a look at the status.
const STATUS_ATTEMPTS: i32 = 12;

/// The place of a job in a firing.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The firing.
    pub firing: FiringId,
    /// The rule.
    pub rule: &'a str,
    /// Counted from 0.
    pub number: i16,
    /// The name by which later steps know its result.
    pub id: Option<&'a str>,
}

/// Puts a job behind the others of its lane.
///
/// # Errors
/// When the database does not answer.
pub async fn enqueue(tx: &mut PgTransaction<'_>, new: &NewJob<'_>) -> sqlx::Result<JobId> {
    let params = serde_json::to_value(new.action).expect("actions are plain data");
    let id = sqlx::query_scalar!(
        r#"
        with lane as (
            insert into lanes as l (application_id, location_id, name, priority, run_at) values ($1, $2, $3, $4, now())
            on conflict (application_id, location_id, name) do update set priority = least(l.priority, excluded.priority)
            returning id
        )
        insert into jobs (lane_id, application_id, location_id, firing_id, rule, step, step_id, action, params, max_attempts)
        select id, $1, $2, $5, $6, $7, $8, $9, $10, $11 from lane returning id
        "#,
        new.place.application_id.0,
        new.place.location_id.0,
        new.lane,
        new.priority as i16,
        new.step.map(|step| step.firing.0),
        new.step.map(|step| step.rule),
        new.step.map_or(0, |step| step.number),
        new.step.and_then(|step| step.id),
        new.action.name(),
        params,
        new.max_attempts,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(JobId(id))
}

/// Puts a job into a lane in which one waiting job is enough; a waiting one is made due at once.
/// Returns the job that waits now.
///
/// # Errors
/// When the database does not answer.
pub async fn enqueue_once(tx: &mut PgTransaction<'_>, new: &NewJob<'_>) -> sqlx::Result<JobId> {
    let waiting = sqlx::query_scalar!(
        r#"
        with lane as (
            update lanes set run_at = now(), priority = least(priority, $4)
            where application_id = $1 and location_id = $2 and name = $3 returning id
        )
        update jobs set run_at = now(), params = $5 where state = 'available' and lane_id = (select id from lane)
        returning jobs.id
        "#,
        new.place.application_id.0,
        new.place.location_id.0,
        new.lane,
        new.priority as i16,
        serde_json::to_value(new.action).expect("actions are plain data"),
    )
    .fetch_optional(&mut **tx)
    .await?;
    match waiting {
        Some(id) => Ok(JobId(id)),
        None => enqueue(tx, new).await,
    }
}

/// [`enqueue_once`] in a transaction of its own.
///
/// # Errors
/// When the database does not answer.
pub async fn enqueue_alone(pool: &PgPool, new: &NewJob<'_>) -> sqlx::Result<JobId> {
    let mut tx = pool.begin().await?;
    let id = enqueue_once(&mut tx, new).await?;
    tx.commit().await?;
    Ok(id)
}

/// A job that this worker has to do now.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Its number.
    pub id: JobId,
    /// The lane that is leased.
    pub lane_id: i64,
    /// Where.
    pub place: Place,
    /// Of which firing.
    pub firing_id: Option<FiringId>,
    /// Of which rule.
    pub rule: Option<String>,
    /// Which step of the firing, from 0.
    pub step: i16,
    /// The name of the step.
    pub step_id: Option<String>,
    /// How urgent its lane is.
    pub priority: Priority,
    /// What to do.
    pub params: Value,
    /// The fence: which attempt this is, from 1.
    pub attempt: i32,
    /// After so many it is discarded.
    pub max_attempts: i32,
}

/// Whose lanes a worker leases, and how.
#[derive(Debug, Clone, Copy)]
pub struct Hands<'a> {
    /// Its name.
    pub worker: &'a str,
    /// For how long.
    pub lease: Duration,
    /// Nothing less urgent than this.
    pub lowest: Priority,
}

/// Leases up to `limit` lanes that are due, and starts the first job of each. A lane whose lease ran
/// out is due again: its worker died, and the attempt that was open is closed as lost.
///
/// # Errors
/// When the database does not answer.
pub async fn claim(pool: &PgPool, hands: Hands<'_>, limit: i64) -> sqlx::Result<Vec<Claimed>> {
    let rows = sqlx::query!(
        r#"
        with due as (
            select id, priority from lanes
            where run_at <= now() and (leased_until is null or leased_until < now()) and priority <= $4
            order by priority, run_at limit $3 for update skip locked
        ), heads as (
            select j.id, j.lane_id, j.attempts, j.state, due.priority from due
            cross join lateral (select * from jobs where lane_id = due.id order by id limit 1) j
        ), leased as (
            update lanes set leased_by = $1, leased_until = now() + make_interval(secs => $2)
            where id in (select lane_id from heads)
        ), lost as (
            update attempts a set outcome = 'lost', finished_at = now(), error = 'the worker was gone before it said what became of it'
            from heads h where h.state = 'running' and a.job_id = h.id and a.attempt = h.attempts and a.outcome is null
        ), started as (
            update jobs j set state = 'running', attempts = j.attempts + 1 from heads h where j.id = h.id
            returning j.id, j.lane_id, j.application_id, j.location_id, j.firing_id, j.rule, j.step, j.step_id, j.params,
                      j.attempts, j.max_attempts, h.priority
        ), noted as (
            insert into attempts (job_id, attempt, worker) select id, attempts, $1 from started
        )
        select * from started order by id
        "#,
        hands.worker,
        hands.lease.as_secs_f64(),
        limit,
        hands.lowest as i16,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Claimed {
            id: JobId(row.id),
            lane_id: row.lane_id,
            place: Place {
                application_id: ApplicationId(row.application_id),
                location_id: LocationId(row.location_id),
            },
            firing_id: row.firing_id.map(FiringId),
            rule: row.rule,
            step: row.step,
            step_id: row.step_id,
            priority: Priority::from_number(row.priority),
            params: row.params,
            attempt: row.attempts,
            max_attempts: row.max_attempts,
        })
        .collect())
}

/// Keeps the leases of a worker that is alive.
///
/// # Errors
/// When the database does not answer.
pub async fn renew(pool: &PgPool, worker: &str, lease: Duration) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "update lanes set leased_until = now() + make_interval(secs => $2) where leased_by = $1",
        worker,
        lease.as_secs_f64()
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

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
