//! Jobs of one lane run one after another in order of their numbers; lanes run beside each other.
//! A worker leases a lane, not a job: that keeps the order, and one look-up finds work.
//!
//! Time alone guards nothing: who sleeps over his lease does not know it. What guards is the fence.
//! Every claim puts a name of its own on the lane, raises the attempt numbers of the jobs it starts
//! and writes an attempt row for each; a settlement counts only with that name and that number.

mod by_hand;
mod cancelling;
mod claiming;
mod ending;
mod meant;

use std::{borrow::Cow, time::Duration};

use serde_json::Value;
use sqlx::{PgPool, PgTransaction};

pub use self::{
    by_hand::{Obeyed, Order, obey, obey_all},
    cancelling::{Cancel, cancel, drop_empty_lanes},
    claiming::{Claimed, Hands, claim, renew},
    ending::{Outcome, Settlement, settle},
    meant::{Meant, meant},
};

use crate::domain::{
    action::{Action, Priority},
    ids::{FiringId, JobId, Place},
};

/// A job on its way into the queue.
#[derive(Debug, Clone)]
pub struct NewJob<'a> {
    /// Where.
    pub place: Place,
    /// Jobs of one lane keep their order.
    pub lane: Cow<'a, str>,
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
            lane: ACTIVATION_LANE.into(),
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
            lane: STATUS_LANE.into(),
            priority: action.priority(),
            action,
            step: None,
            max_attempts: STATUS_ATTEMPTS,
        }
    }

    /// A disconnection that somebody asked for, likewise.
    pub fn uninstall(place: Place) -> Self {
        Self {
            place,
            lane: UNINSTALL_LANE.into(),
            priority: Action::Uninstall.priority(),
            action: &Action::Uninstall,
            step: None,
            max_attempts: STATUS_ATTEMPTS,
        }
    }
}

impl<'a> NewJob<'a> {
    /// The repair of a location's webhook settings; one waiting job is enough.
    pub fn hooks_repair(place: Place, action: &'a Action) -> Self {
        Self {
            lane: HOOKS_LANE.into(),
            max_attempts: HOOKS_ATTEMPTS,
            ..Self::look(place, action)
        }
    }

    /// What the marketplace is told of a telephone call. Calls that ring do not wait behind those that are over.
    pub fn call(place: Place, action: &'a Action) -> Self {
        let (lane, max_attempts) = match action {
            Action::AnnounceCall { .. } => (RINGING_LANE, RINGING_ATTEMPTS),
            _ => (CALLS_LANE, CALLS_ATTEMPTS),
        };
        Self {
            lane: lane.into(),
            max_attempts,
            ..Self::look(place, action)
        }
    }
}

/// Rules have lanes of their own under their names, which have no dots.
const ACTIVATION_LANE: &str = "connection.activation";

/// Likewise.
const STATUS_LANE: &str = "connection.status";

/// Likewise.
const HOOKS_LANE: &str = "connection.hooks";

/// Likewise.
const UNINSTALL_LANE: &str = "connection.uninstall";

/// Likewise.
const RINGING_LANE: &str = "telephony.ringing";

/// Likewise.
const CALLS_LANE: &str = "telephony.calls";

/// Starts of a repair. The next look finds what it could not mend.
const HOOKS_ATTEMPTS: i32 = 6;

/// Starts of an announcement, which soon comes too late anyway.
const RINGING_ATTEMPTS: i32 = 12;

/// Starts of a report of a call that is over: an hour apart after the first ten, so for three days.
const CALLS_ATTEMPTS: i32 = 84;

/// Starts of an activation: with the waits between them they outlast its limit of hours.
const ACTIVATION_ATTEMPTS: i32 = 500;

/// Starts of a look at the status, and of a disconnection.
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
    /// How long it waits after the step before it.
    pub after: Option<Duration>,
    /// Whether it has a condition of its own, which its rule knows.
    pub conditional: bool,
}

/// When jobs begin, counted from now: the first of a firing when its wait is over, the others at a guess. A step that
/// waits gets its time when the one before it is done.
fn delays(new: &[NewJob<'_>]) -> (Vec<f64>, Vec<Option<i64>>) {
    let (mut firing, mut waited) = (None, Duration::ZERO);
    let both = new.iter().map(|job| {
        let first = job.step.is_none() || firing != job.step.map(|step| step.firing);
        if first {
            (firing, waited) = (job.step.map(|step| step.firing), Duration::ZERO);
        }
        let after = job.step.and_then(|step| step.after);
        waited += after.unwrap_or_default();
        let unsettled = after.filter(|_| !first);
        let wait = unsettled.map(|wait| i64::try_from(wait.as_secs().max(1)).unwrap_or(i64::MAX));
        (waited.as_secs_f64(), wait)
    });
    both.unzip()
}

/// Puts jobs at the end of their lanes, in the order given, and returns their numbers. The lanes are
/// locked in the order of their names, which whoever locks several does, so that nobody waits in a circle.
///
/// # Errors
/// When the database does not answer.
pub async fn enqueue(tx: &mut PgTransaction<'_>, new: &[NewJob<'_>]) -> sqlx::Result<Vec<JobId>> {
    let numbers = |read: fn(&NewJob<'_>) -> i64| -> Vec<i64> { new.iter().map(read).collect() };
    let lanes: Vec<String> = new.iter().map(|job| job.lane.to_string()).collect();
    let priorities: Vec<i16> = new.iter().map(|job| job.priority as i16).collect();
    let firings: Vec<Option<i64>> = new.iter().map(|job| job.step.map(|step| step.firing.0)).collect();
    let rules: Vec<Option<String>> = new
        .iter()
        .map(|job| job.step.map(|step| step.rule.to_owned()))
        .collect();
    let steps: Vec<i16> = new.iter().map(|job| job.step.map_or(0, |step| step.number)).collect();
    let step_ids: Vec<Option<String>> = new
        .iter()
        .map(|job| job.step.and_then(|step| step.id).map(str::to_owned))
        .collect();
    let actions: Vec<String> = new.iter().map(|job| job.action.name().to_owned()).collect();
    let params: Vec<Value> = new
        .iter()
        .map(|job| serde_json::to_value(job.action).expect("actions are plain data"))
        .collect();
    let max_attempts: Vec<i32> = new.iter().map(|job| job.max_attempts).collect();
    let (delays, waits) = delays(new);
    let conditional: Vec<bool> = new
        .iter()
        .map(|job| job.step.is_some_and(|step| step.conditional))
        .collect();
    let ids = sqlx::query_scalar!(
        r#"
        with input as (
            select * from unnest(
                $1::bigint[], $2::bigint[], $3::text[], $4::smallint[], $5::bigint[], $6::text[], $7::smallint[],
                $8::text[], $9::text[], $10::jsonb[], $11::int[], $12::float8[], $13::bigint[], $14::boolean[]
            ) with ordinality as t(
                application_id, location_id, lane, priority, firing_id, rule, step, step_id, action, params, max_attempts,
                delay_seconds, wait_seconds, conditional, n
            )
        ), lane as (
            insert into lanes as l (application_id, location_id, name, priority, run_at)
            select application_id, location_id, lane, min(priority), now() + make_interval(secs => min(delay_seconds))
            from input group by 1, 2, 3 order by 1, 2, 3
            on conflict (application_id, location_id, name) do update set priority = least(l.priority, excluded.priority)
            returning id, application_id, location_id, name
        )
        insert into jobs (lane_id, application_id, location_id, firing_id, rule, step, step_id, action, params, max_attempts,
            run_at, wait_seconds, conditional)
        select l.id, l.application_id, l.location_id, i.firing_id, i.rule, i.step, i.step_id, i.action, i.params, i.max_attempts,
            now() + make_interval(secs => i.delay_seconds), i.wait_seconds, i.conditional
        from input i join lane l
            on l.application_id = i.application_id and l.location_id = i.location_id and l.name = i.lane
        order by i.n
        returning id
        "#,
        &numbers(|job| job.place.application_id.0),
        &numbers(|job| job.place.location_id.0),
        &lanes,
        &priorities,
        &firings as &[Option<i64>],
        &rules as &[Option<String>],
        &steps,
        &step_ids as &[Option<String>],
        &actions,
        &params,
        &max_attempts,
        &delays,
        &waits as &[Option<i64>],
        &conditional,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(JobId).collect())
}

/// Puts a job into a lane in which one waiting job is enough; a waiting one is made due at once. What
/// somebody asked of it before and nobody takes back (by hand, an expected payment) stays asked.
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
        update jobs set run_at = now(), params = params || $5 where state = 'available' and lane_id = (select id from lane)
        returning jobs.id
        "#,
        new.place.application_id.0,
        new.place.location_id.0,
        &*new.lane,
        new.priority as i16,
        serde_json::to_value(new.action).expect("actions are plain data"),
    )
    .fetch_optional(&mut **tx)
    .await?;
    match waiting {
        Some(id) => Ok(JobId(id)),
        None => Ok(enqueue(tx, std::slice::from_ref(new)).await?.remove(0)),
    }
}

/// Puts a job into a lane in which nothing waits and nothing runs; `None` when something does.
///
/// # Errors
/// When the database does not answer.
pub async fn enqueue_if_idle(pool: &PgPool, new: &NewJob<'_>) -> sqlx::Result<Option<JobId>> {
    let mut tx = pool.begin().await?;
    let busy = sqlx::query_scalar!(
        r#"select exists (select from lanes l join jobs j on j.lane_id = l.id
                          where l.application_id = $1 and l.location_id = $2 and l.name = $3) as "busy!""#,
        new.place.application_id.0,
        new.place.location_id.0,
        &*new.lane
    )
    .fetch_one(&mut *tx)
    .await?;
    if busy {
        return Ok(None);
    }
    let id = enqueue_once(&mut tx, new).await?;
    tx.commit().await?;
    Ok(Some(id))
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
