//! How attempts end, and what that does to their lanes.

use std::{collections::HashMap, time::Duration};

use serde_json::Value;
use sqlx::PgTransaction;

use super::{Cancel, Claimed, cancel, cancelling::GIVEN_UP_BEFORE};
use crate::domain::ids::FiringId;

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
    /// It was claimed together with a job before it that did not end well, and was not begun: as if it
    /// had not been claimed.
    NotBegun,
}

impl Outcome {
    /// The word it is stored and counted as.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Retry { .. } => "retry",
            Self::Snooze { .. } => "snooze",
            Self::Discard(_) => "discard",
            Self::NotBegun => "not_begun",
        }
    }

    /// Whether the job stays in its lane.
    fn puts_back(&self) -> bool {
        match self {
            Self::Retry { .. } | Self::Snooze { .. } | Self::NotBegun => true,
            Self::Done(_) | Self::Discard(_) => false,
        }
    }

    fn error(&self) -> Option<&str> {
        match self {
            Self::Retry { error, .. } | Self::Discard(error) => Some(error),
            Self::Snooze { reason, .. } => Some(reason),
            Self::Done(_) | Self::NotBegun => None,
        }
    }
}

/// What became of one attempt.
#[derive(Debug, Clone, Copy)]
pub struct Settlement<'a> {
    /// Of which job.
    pub job: &'a Claimed,
    /// How it ended.
    pub outcome: &'a Outcome,
    /// What was said to the marketplace meanwhile.
    pub exchanges: &'a Value,
}

/// Writes how attempts ended, and frees the lanes whose last claimed job is among them. `false` for
/// each that does not count any more, because its lease ran out and somebody else has the lane: nothing
/// is changed for it.
///
/// # Errors
/// When the database does not answer.
pub async fn settle(tx: &mut PgTransaction<'_>, settlements: &[Settlement<'_>]) -> sqlx::Result<Vec<bool>> {
    // The lanes are locked in a statement of their own, so that the next statements see what an enqueue
    // that held a lock has committed.
    let lanes: Vec<i64> = settlements.iter().map(|settlement| settlement.job.lane_id).collect();
    let holders: HashMap<i64, Option<String>> = sqlx::query!(
        "select id, leased_by from lanes where id = any($1) order by application_id, location_id, name for update",
        &lanes
    )
    .fetch_all(&mut **tx)
    .await?
    .into_iter()
    .map(|lane| (lane.id, lane.leased_by))
    .collect();
    let is_ours = |job: &Claimed| holders.get(&job.lane_id).and_then(Option::as_deref) == Some(&*job.lease);
    let ours = settlements.iter().filter(|settlement| is_ours(settlement.job));
    let (back, over): (Vec<&Settlement<'_>>, Vec<&Settlement<'_>>) = ours.partition(|ours| ours.outcome.puts_back());
    let mut counted = put_back(tx, &back).await?;
    counted.extend(finish(tx, &over).await?);
    let counts = |settlement: &Settlement<'_>| counted.contains(&settlement.job.id.0);
    for given_up in over.iter().filter(|settlement| counts(settlement)) {
        if let (Outcome::Discard(_), Some(firing)) = (given_up.outcome, given_up.job.firing_id) {
            cancel(tx, &Cancel::RestOfFiring(firing), GIVEN_UP_BEFORE).await?;
        }
    }
    let done = over.iter().filter(|settlement| counts(settlement));
    begin_waits(
        tx,
        &done
            .filter_map(|settlement| settlement.job.firing_id)
            .collect::<Vec<_>>(),
    )
    .await?;
    let last = settlements
        .iter()
        .filter(|settlement| settlement.job.last && is_ours(settlement.job));
    free(tx, &last.map(|settlement| settlement.job.lane_id).collect::<Vec<_>>()).await?;
    Ok(settlements.iter().map(counts).collect())
}

/// Ends jobs for good. Returns the numbers of those that ended.
///
/// That they run is compared with a column and not with a word: the planner knows that hardly any job
/// runs, and would read the whole queue to begin with those.
async fn finish(tx: &mut PgTransaction<'_>, over: &[&Settlement<'_>]) -> sqlx::Result<Vec<i64>> {
    if over.is_empty() {
        return Ok(Vec::new());
    }
    let columns = Columns::of(over);
    let results: Vec<Option<Value>> = over
        .iter()
        .map(|settlement| match settlement.outcome {
            Outcome::Done(result) => Some(result.clone()),
            Outcome::Retry { .. } | Outcome::Snooze { .. } | Outcome::Discard(_) | Outcome::NotBegun => None,
        })
        .collect();
    sqlx::query_scalar!(
        r#"
        with ended as materialized (
            select *, 'running'::text as state from unnest($1::bigint[], $2::int[], $3::timestamptz[], $4::text[], $5::text[], $6::jsonb[], $7::jsonb[])
                as t(id, attempt, started_at, outcome, error, exchanges, result)
        ), gone as (
            delete from jobs j using ended e where j.id = any($1) and j.id = e.id and j.attempts = e.attempt and j.state = e.state
            returning j.*, e.outcome, e.started_at, e.error, e.exchanges, e.result
        ), history as (
            insert into finished_jobs (id, application_id, location_id, firing_id, rule, step, step_id, action, params, state,
                run_at, attempts, max_attempts, last_error, result, created_at, wait_seconds, conditional)
            select id, application_id, location_id, firing_id, rule, step, step_id, action, params,
                case outcome when 'done' then 'completed' else 'discarded' end, run_at, attempts, max_attempts,
                coalesce(error, last_error), result, created_at, wait_seconds, conditional
            from gone
        ), noted as (
            update attempts a set finished_at = now(), outcome = gone.outcome, error = gone.error, exchanges = gone.exchanges
            from gone where a.job_id = gone.id and a.attempt = gone.attempts and a.started_at = gone.started_at
        )
        select id from gone
        "#,
        &columns.ids,
        &columns.attempts,
        &columns.started,
        &columns.outcomes,
        &columns.errors as &[Option<String>],
        &columns.exchanges,
        &results as &[Option<Value>],
    )
    .fetch_all(&mut **tx)
    .await
}

/// The wait of a step begins when the one before it is done.
async fn begin_waits(tx: &mut PgTransaction<'_>, firings: &[FiringId]) -> sqlx::Result<()> {
    let firings: Vec<i64> = firings.iter().map(|firing| firing.0).collect();
    if firings.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"
        update jobs j set run_at = now() + make_interval(secs => j.wait_seconds), wait_seconds = null
        where j.firing_id = any($1) and j.wait_seconds is not null
          and not exists (select from jobs earlier where earlier.firing_id = j.firing_id and earlier.step < j.step)
        "#,
        &firings
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Leaves jobs in their lanes, for later. Returns the numbers of those that were.
async fn put_back(tx: &mut PgTransaction<'_>, back: &[&Settlement<'_>]) -> sqlx::Result<Vec<i64>> {
    if back.is_empty() {
        return Ok(Vec::new());
    }
    let columns = Columns::of(back);
    let waits: Vec<f64> = back
        .iter()
        .map(|settlement| match settlement.outcome {
            Outcome::Retry { after, .. } | Outcome::Snooze { after, .. } => after.as_secs_f64(),
            Outcome::Done(_) | Outcome::Discard(_) | Outcome::NotBegun => 0.0,
        })
        .collect();
    sqlx::query_scalar!(
        r#"
        with ended as materialized (
            select *, 'running'::text as state from unnest($1::bigint[], $2::int[], $3::timestamptz[], $4::text[], $5::text[], $6::jsonb[], $7::float8[])
                as t(id, attempt, started_at, outcome, error, exchanges, wait_seconds)
        ), back as (
            update jobs j set state = 'available',
                run_at = case e.outcome when 'not_begun' then j.run_at else now() + make_interval(secs => e.wait_seconds) end,
                last_error = coalesce(e.error, j.last_error),
                attempts = j.attempts - case e.outcome when 'not_begun' then 1 else 0 end,
                max_attempts = j.max_attempts + case e.outcome when 'snooze' then 1 else 0 end
            from ended e where j.id = any($1) and j.id = e.id and j.attempts = e.attempt and j.state = e.state
            returning e.id, e.attempt, e.started_at, e.outcome, e.error, e.exchanges
        ), noted as (
            update attempts a set finished_at = now(), outcome = back.outcome, error = back.error, exchanges = back.exchanges
            from back where back.outcome <> 'not_begun'
                and a.job_id = back.id and a.attempt = back.attempt and a.started_at = back.started_at
        ), forgotten as (
            delete from attempts a using back where back.outcome = 'not_begun'
                and a.job_id = back.id and a.attempt = back.attempt and a.started_at = back.started_at
        )
        select id as "id!" from back
        "#,
        &columns.ids,
        &columns.attempts,
        &columns.started,
        &columns.outcomes,
        &columns.errors as &[Option<String>],
        &columns.exchanges,
        &waits,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Gives lanes back: an empty one goes, the others are due when their first job is.
async fn free(tx: &mut PgTransaction<'_>, lanes: &[i64]) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        with mine as (
            select id, (select run_at from jobs j where j.lane_id = m.id order by j.lane_id, j.id limit 1) as head
            from unnest($1::bigint[]) as m(id)
        ), empty as (
            delete from lanes where id = any(array(select id from mine where head is null))
        )
        update lanes set run_at = mine.head, leased_by = null, leased_until = null
        from mine where lanes.id = any($1) and lanes.id = mine.id and mine.head is not null
        "#,
        lanes,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What all settlements have, as columns.
struct Columns {
    ids: Vec<i64>,
    attempts: Vec<i32>,
    started: Vec<chrono::DateTime<chrono::Utc>>,
    outcomes: Vec<String>,
    errors: Vec<Option<String>>,
    exchanges: Vec<Value>,
}

impl Columns {
    fn of(settlements: &[&Settlement<'_>]) -> Self {
        let all = settlements.iter();
        Self {
            ids: all.clone().map(|settlement| settlement.job.id.0).collect(),
            attempts: all.clone().map(|settlement| settlement.job.attempt).collect(),
            started: all.clone().map(|settlement| settlement.job.started_at).collect(),
            outcomes: all
                .clone()
                .map(|settlement| settlement.outcome.word().to_owned())
                .collect(),
            errors: all
                .clone()
                .map(|settlement| settlement.outcome.error().map(str::to_owned))
                .collect(),
            exchanges: all.map(|settlement| settlement.exchanges.clone()).collect(),
        }
    }
}
