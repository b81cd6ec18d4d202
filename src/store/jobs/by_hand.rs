//! What a person does with jobs: has one that was given up tried again, or one that waits given up.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{PgPool, PgTransaction};

use super::cancelling::{GIVEN_UP_BEFORE, free_lanes, lock_lanes};
use crate::domain::{
    action::{Action, Priority},
    ids::{ApplicationId, FiringId, JobId, LocationId, Place},
};

/// What a person wants of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Try it again, so many times.
    Retry {
        /// Attempts more.
        attempts: i32,
    },
    /// Give it up.
    Cancel,
}

/// What became of an order.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Obeyed {
    /// The job.
    pub job_id: i64,
    /// `retried`, `cancelled` or `refused`.
    pub result: &'static str,
    /// Why it was refused.
    pub reason: Option<String>,
    /// Later steps of its firing that went with it.
    pub with: Vec<i64>,
}

/// Does what a person wants of a job. `dry` finds out what would become of it and changes nothing.
///
/// # Errors
/// When the database does not answer.
pub async fn obey(pool: &PgPool, order: Order, id: JobId, dry: bool) -> sqlx::Result<Obeyed> {
    let mut tx = pool.begin().await?;
    let done = match order {
        Order::Retry { attempts } => retry(&mut tx, id, attempts).await?,
        Order::Cancel => cancel(&mut tx, id).await?,
    };
    match dry {
        true => tx.rollback().await?,
        false => tx.commit().await?,
    }
    let word = match order {
        Order::Retry { .. } => "retried",
        Order::Cancel => "cancelled",
    };
    let (result, reason, with) = match done {
        Ok(with) => (word, None, with),
        Err(why) => ("refused", Some(why), Vec::new()),
    };
    Ok(Obeyed {
        job_id: id.0,
        result,
        reason,
        with: with.into_iter().filter(|other| *other != id.0).collect(),
    })
}

/// The same for several, in the order given. One that went along with one before it is not named again.
///
/// # Errors
/// When the database does not answer; what was done before stays done.
pub async fn obey_all(pool: &PgPool, order: Order, ids: &[i64], dry: bool) -> sqlx::Result<Vec<Obeyed>> {
    let mut all: Vec<Obeyed> = Vec::new();
    for id in ids {
        if !all.iter().any(|one| one.with.contains(id)) {
            all.push(obey(pool, order, JobId(*id), dry).await?);
        }
    }
    Ok(all)
}

/// The jobs that moved, or why none did.
type Moved = Result<Vec<i64>, String>;

/// A job as it is found.
struct Found {
    id: i64,
    place: Place,
    firing: Option<FiringId>,
    rule: Option<String>,
    step: i16,
    action: String,
    params: Value,
    state: String,
    attempts: i32,
    last_error: Option<String>,
    finished_at: Option<DateTime<Utc>>,
}

async fn find(tx: &mut PgTransaction<'_>, id: JobId) -> sqlx::Result<Option<Found>> {
    let row = sqlx::query!(
        r#"
        select application_id as "application_id!", location_id as "location_id!", firing_id, rule, step as "step!",
               action as "action!", params as "params!", state as "state!", attempts as "attempts!", last_error, finished_at
        from (
            select application_id, location_id, firing_id, rule, step, action, params, state, attempts, last_error,
                   null::timestamptz as finished_at from jobs where id = $1
            union all
            select application_id, location_id, firing_id, rule, step, action, params, state, attempts, last_error,
                   finished_at from finished_jobs where id = $1
        ) j
        "#,
        id.0
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Found {
        id: id.0,
        place: Place {
            application_id: ApplicationId(row.application_id),
            location_id: LocationId(row.location_id),
        },
        firing: row.firing_id.map(FiringId),
        rule: row.rule,
        step: row.step,
        action: row.action,
        params: row.params,
        state: row.state,
        attempts: row.attempts,
        last_error: row.last_error,
        finished_at: row.finished_at,
    }))
}

/// The lanes are locked first, as a claim and a settlement do it; then the job is looked at.
async fn found(tx: &mut PgTransaction<'_>, id: JobId) -> sqlx::Result<Result<Found, String>> {
    let none = || format!("there is no job {id}");
    let Some(before) = find(tx, id).await? else {
        return Ok(Err(none()));
    };
    lock_lanes(tx, before.place).await?;
    let Some(job) = find(tx, id).await? else {
        return Ok(Err(none()));
    };
    if Action::OF_CONNECTIONS.contains(&job.action.as_str()) {
        return Ok(Err(
            "it belongs to the connection: activate or reconcile the location instead".to_owned(),
        ));
    }
    Ok(Ok(job))
}

/// The state of its ledger entry.
async fn ledger(tx: &mut PgTransaction<'_>, id: i64) -> sqlx::Result<Option<(i64, String)>> {
    let row = sqlx::query!("select id, state from ledger where job_id = $1 for update", id)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.map(|row| (row.id, row.state)))
}

async fn retry(tx: &mut PgTransaction<'_>, id: JobId, attempts: i32) -> sqlx::Result<Moved> {
    let job = match found(tx, id).await? {
        Ok(job) => job,
        Err(why) => return Ok(Err(why)),
    };
    let ended = match (job.state.as_str(), job.finished_at) {
        ("discarded" | "cancelled", Some(ended)) => ended,
        ("available", _) if job.attempts > 0 => return hasten(tx, &job).await,
        ("available", _) => return Ok(Err("it waits for its turn".to_owned())),
        (state, _) => return Ok(Err(format!("it is {state}"))),
    };
    if job.params == json!({}) {
        return Ok(Err("what it was told to do was erased".to_owned()));
    }
    if job.last_error.as_deref() == Some(GIVEN_UP_BEFORE) {
        return Ok(Err("a step before it was given up; retry that one".to_owned()));
    }
    if serde_json::from_value::<Action>(job.params.clone()).is_err() {
        return Ok(Err("this version does not know the action".to_owned()));
    }
    // What is done or unknown is looked at before anything else, and what is intended is meant anew.
    if let Some((entry, state)) = ledger(tx, job.id).await?
        && state == "failed"
    {
        return Ok(Err(format!(
            "ledger entry {entry} says that the money did not move, and will not"
        )));
    }
    bring_back(tx, &job, (ended, attempts)).await.map(Ok)
}

/// A job that waits for its next attempt need not wait.
async fn hasten(tx: &mut PgTransaction<'_>, job: &Found) -> sqlx::Result<Moved> {
    sqlx::query!(
        "update jobs set run_at = now() where id = $1 and state = 'available'",
        job.id
    )
    .execute(&mut **tx)
    .await?;
    free_lanes(tx, job.place).await?;
    Ok(Ok(vec![job.id]))
}

/// A job comes back as itself, with the steps that were cancelled because of it. Its lane is one of its own for all that
/// come back to a rule at a place, in their old order: the lane of the rule has gone on, and does not wait for them. Steps
/// that wait have the lane of their firing, as ever. Their time begins anew: what is tried for days is tried for days again.
async fn bring_back(
    tx: &mut PgTransaction<'_>,
    job: &Found,
    (ended, attempts): (DateTime<Utc>, i32),
) -> sqlx::Result<Vec<i64>> {
    let wanted_by = job.rule.as_deref().unwrap_or(&job.action);
    let action = serde_json::from_value::<Action>(job.params.clone()).ok();
    let priority = action
        .as_ref()
        .map_or(Priority::Rule, |action| action.priority_for(wanted_by));
    let attempts = action.map_or(attempts, |action| action.max_attempts(attempts));
    sqlx::query_scalar!(
        r#"
        with gone as (
            delete from finished_jobs
            where application_id = $1 and location_id = $2 and finished_at >= $3
              and ((id = $4 and finished_at = $3)
                   or (firing_id = $5 and step > $6 and state = 'cancelled' and last_error = $7))
            returning *
        ), lane as (
            insert into lanes as l (application_id, location_id, name, priority, run_at)
            select $1, $2, case when bool_or(wait_seconds is not null) then $8 else $11 end, $9, now()
            from gone having count(*) > 0
            on conflict (application_id, location_id, name) do update
                set priority = least(l.priority, excluded.priority), run_at = least(l.run_at, excluded.run_at)
            returning id
        )
        insert into jobs (id, lane_id, application_id, location_id, firing_id, rule, step, step_id, action, params, attempts,
            max_attempts, wait_seconds, conditional, run_at)
        overriding system value
        select g.id, l.id, g.application_id, g.location_id, g.firing_id, g.rule, g.step, g.step_id, g.action, g.params,
               g.attempts, g.attempts + $10, g.wait_seconds, g.conditional, now() + make_interval(secs => coalesce(g.wait_seconds, 0))
        from gone g cross join lane l order by g.id
        returning id
        "#,
        job.place.application_id.0,
        job.place.location_id.0,
        ended,
        job.id,
        job.firing.map(|firing| firing.0),
        job.step,
        GIVEN_UP_BEFORE,
        format!("{wanted_by}/{}", job.firing.map_or(0, |firing| firing.0)),
        priority as i16,
        attempts,
        format!("{wanted_by}/retried"),
    )
    .fetch_all(&mut **tx)
    .await
}

async fn cancel(tx: &mut PgTransaction<'_>, id: JobId) -> sqlx::Result<Moved> {
    let job = match found(tx, id).await? {
        Ok(job) => job,
        Err(why) => return Ok(Err(why)),
    };
    match job.state.as_str() {
        "available" => {}
        "running" => {
            return Ok(Err(
                "it runs; when this attempt has failed it can be cancelled".to_owned()
            ));
        }
        state => return Ok(Err(format!("it is {state}"))),
    }
    if let Some((entry, state)) = ledger(tx, job.id).await?
        && state == "unknown"
    {
        return Ok(Err(format!(
            "the money may have moved: let it find out, or close ledger entry {entry} first"
        )));
    }
    let gone = sqlx::query_scalar!(
        r#"
        with gone as (
            delete from jobs where state = 'available' and (id = $1 or (firing_id = $2 and step > $3)) returning *
        )
        insert into finished_jobs (id, application_id, location_id, firing_id, rule, step, step_id, action, params, state,
            run_at, attempts, max_attempts, last_error, created_at, wait_seconds, conditional)
        select id, application_id, location_id, firing_id, rule, step, step_id, action, params, 'cancelled', run_at,
            attempts, max_attempts, case when id = $1 then 'cancelled by a person' else $4 end, created_at,
            wait_seconds, conditional
        from gone order by id
        returning id
        "#,
        job.id,
        job.firing.map(|firing| firing.0),
        job.step,
        GIVEN_UP_BEFORE,
    )
    .fetch_all(&mut **tx)
    .await?;
    free_lanes(tx, job.place).await?;
    Ok(Ok(gone))
}
