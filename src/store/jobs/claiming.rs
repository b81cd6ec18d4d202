//! How workers get jobs, and how long they may keep them.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;

use crate::domain::{
    action::{Action, Priority},
    ids::{ApplicationId, FiringId, JobId, LocationId, Place},
};

/// A job that this worker has to do now.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Its number.
    pub id: JobId,
    /// The lane that is leased.
    pub lane_id: i64,
    /// The name of the claim on the lane.
    pub lease: Arc<str>,
    /// Whether the lane goes free with this job: the claim has no later one of the lane.
    pub last: bool,
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
    /// Whether the step has a condition of its own.
    pub conditional: bool,
    /// How urgent its lane is.
    pub priority: Priority,
    /// What to do.
    pub params: Value,
    /// The fence: which attempt this is, from 1.
    pub attempt: i32,
    /// When it was claimed, which is where its attempt is filed.
    pub started_at: DateTime<Utc>,
    /// After so many it is discarded.
    pub max_attempts: i32,
    /// How long ago it was queued, by the clock of the database.
    pub age: Duration,
}

/// Whose lanes a worker leases, and how.
#[derive(Debug, Clone, Copy)]
pub struct Hands<'a> {
    /// Its name.
    pub worker: &'a str,
    /// For how long.
    pub lease: Duration,
    /// Nothing more urgent than the first, nothing less urgent than the second.
    pub among: (Priority, Priority),
    /// Lanes that are left alone, as `application/name`.
    pub except: &'a [String],
    /// At most so many lanes.
    pub lanes: i64,
    /// At most so many jobs of one lane. More than one only of actions that [`Action::REPEATABLE`] names:
    /// if the worker dies, all of them are started again.
    pub depth: i64,
}

/// Leases lanes that are due, and starts the first job of each, with those behind it that are due and
/// may be started together. They come in the order of their numbers. A lane whose lease ran out is due
/// again: its worker died, and the attempts that were open are closed as lost.
///
/// The jobs of a lane may be seen as they were before somebody else's settlement that has just committed.
/// So a lane is leased only for jobs that were started, and an attempt is lost only while it is open:
/// both are decided when the row is locked, by its newest state.
///
/// Rows are named by arrays and not joined: the planner knows tables that fill and empty all the time
/// only as they were, and a join that begins with the whole queue takes seconds.
///
/// # Errors
/// When the database does not answer.
pub async fn claim(pool: &PgPool, hands: Hands<'_>) -> sqlx::Result<Vec<Claimed>> {
    // The same worker may find a lane again that it lost; the two must not be taken for one.
    let lease: Arc<str> = format!("{}/{:08x}", hands.worker, fastrand::u32(..)).into();
    let rows = sqlx::query!(
        r#"
        with due as (
            select id, priority from lanes
            where run_at <= now() and (leased_until is null or leased_until < now()) and priority between $8 and $4
                and (application_id || '/' || name) <> all($9) order by priority, run_at limit $3 for update skip locked
        ), heads as (
            select due.id as lane_id, due.priority, j.* from due cross join lateral (
                select id, attempts, state, row_number() over lane as n,
                       bool_and(action = any($6) and run_at <= now() and wait_seconds is null) over lane as together
                from (select * from jobs where lane_id = due.id order by lane_id, id limit $5) first
                window lane as (order by id)
            ) j
            where j.n = 1 or j.together
        ), lost as (
            update attempts a set outcome = 'lost', finished_at = now(), error = 'the worker was gone before it said what became of it'
            from heads h cross join lateral (
                select started_at from attempts
                where job_id = h.id and attempt = h.attempts and outcome is null offset 0
            ) open
            where h.state = 'running' and a.job_id = h.id and a.attempt = h.attempts and a.started_at = open.started_at
                and a.outcome is null
        ), started as (
            update jobs j set state = 'running', attempts = j.attempts + 1 where j.id = any(array(select id from heads))
            returning j.id, j.lane_id, j.application_id, j.location_id, j.firing_id, j.rule, j.step, j.step_id, j.conditional,
                      j.params, j.attempts, j.max_attempts, j.created_at
        ), leased as (
            update lanes set leased_by = $1, leased_until = now() + make_interval(secs => $2)
            where id = any(array(select lane_id from started))
        ), noted as (
            insert into attempts (job_id, attempt, worker) select id, attempts, $7 from started
        )
        select s.*, due.priority, lead(s.id) over (partition by s.lane_id order by s.id) is null as "last!",
               now() as "started_at!", extract(epoch from now() - s.created_at)::float8 as "age!"
        from started s join due on due.id = s.lane_id order by s.id
        "#,
        &*lease,
        hands.lease.as_secs_f64(),
        hands.lanes,
        hands.among.1 as i16,
        hands.depth,
        &Action::REPEATABLE.map(str::to_owned)[..],
        hands.worker,
        hands.among.0 as i16,
        hands.except,
    )
    .fetch_all(pool)
    .await?;
    let claimed = rows.into_iter().map(|row| Claimed {
        id: JobId(row.id),
        lane_id: row.lane_id,
        lease: Arc::clone(&lease),
        last: row.last,
        place: place(row.application_id, row.location_id),
        firing_id: row.firing_id.map(FiringId),
        rule: row.rule,
        step: row.step,
        step_id: row.step_id,
        conditional: row.conditional,
        priority: Priority::from_number(row.priority),
        params: row.params,
        attempt: row.attempts,
        started_at: row.started_at,
        max_attempts: row.max_attempts,
        age: Duration::try_from_secs_f64(row.age).unwrap_or_default(),
    });
    Ok(claimed.collect())
}

fn place(application: i64, location: i64) -> Place {
    Place {
        application_id: ApplicationId(application),
        location_id: LocationId(location),
    }
}

/// Keeps the leases of lanes, by number and name of the claim, whose jobs a worker is still doing. One
/// that somebody else has by now stays his.
///
/// # Errors
/// When the database does not answer.
pub async fn renew(pool: &PgPool, lease: Duration, lanes: &[(i64, Arc<str>)]) -> sqlx::Result<u64> {
    let (ids, leases): (Vec<i64>, Vec<String>) = lanes.iter().map(|(id, lease)| (*id, lease.to_string())).unzip();
    let done = sqlx::query!(
        r#"
        with mine as (
            select l.id from lanes l join unnest($2::bigint[], $3::text[]) as m(id, lease)
                on m.id = l.id and m.lease = l.leased_by
            order by l.application_id, l.location_id, l.name for update of l
        )
        update lanes set leased_until = now() + make_interval(secs => $1) where id in (select id from mine)
        "#,
        lease.as_secs_f64(),
        &ids,
        &leases,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
