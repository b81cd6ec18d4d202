//! What happened at one place, from all tables together, newest first.

use std::{collections::HashMap, fmt, str::FromStr};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::PgPool;

use super::{
    events::{self, Decision, Event},
    jobs::{self, Attempt, Job},
    ledger::{self, Entry},
    locations::Move,
};
use crate::domain::ids::Place;

/// One thing that happened.
#[derive(Debug, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Happening {
    /// Something was learnt, and rules were asked about it.
    Event {
        /// The event.
        event: Event,
        /// What was decided, in the order of time.
        decisions: Vec<Decision>,
    },
    /// The installation changed its status.
    Move {
        /// The change.
        step: Move,
    },
    /// Something was to be done.
    Job {
        /// The job.
        job: Job,
        /// Every start of it, oldest first.
        attempts: Vec<Attempt>,
    },
    /// Money was to be moved.
    Money {
        /// The entry of the ledger.
        entry: Entry,
    },
}

/// The sorts of happenings, in the order of their places in a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Events.
    Events,
    /// Changes of status.
    Moves,
    /// Jobs.
    Jobs,
    /// Entries of the ledger.
    Money,
}

impl Sort {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Events, Self::Moves, Self::Jobs, Self::Money];

    /// `events`, `moves`, `jobs`, `money`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Moves => "moves",
            Self::Jobs => "jobs",
            Self::Money => "money",
        }
    }
}

/// How far a reader has come: of each sort everything below this number is still to be told. Written as four numbers
/// joined by dots. What happens meanwhile has higher numbers, so it moves nothing on the pages to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor([i64; 4]);

impl Default for Cursor {
    fn default() -> Self {
        Self([i64::MAX; 4])
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [events, moves, jobs, money] = self.0;
        write!(f, "{events}.{moves}.{jobs}.{money}")
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let numbers: Vec<i64> = text.split('.').filter_map(|number| number.parse().ok()).collect();
        numbers.try_into().map(Self).map_err(|_| ())
    }
}

/// A page of a story.
#[derive(Debug, Serialize)]
pub struct Story {
    /// What happened, newest first.
    pub items: Vec<Happening>,
    /// Where the next page begins; absent on the last.
    pub next_cursor: Option<String>,
}

/// A page of what happened at a place, of one sort or of all.
///
/// # Errors
/// When the database does not answer.
pub async fn page(
    pool: &PgPool,
    place: Place,
    only: Option<Sort>,
    Cursor(before): Cursor,
    limit: i64,
) -> sqlx::Result<Story> {
    let mut lists = Vec::new();
    for sort in Sort::ALL
        .into_iter()
        .filter(|sort| only.is_none_or(|only| only == *sort))
    {
        lists.push(of_sort(pool, place, sort, (before[sort as usize], limit + 1)).await?);
    }
    let mut found = together(lists);
    let most = usize::try_from(limit).unwrap_or(0);
    let more = found.len() > most;
    found.truncate(most);
    let mut cursor = Cursor(before);
    for Found { sort, id, .. } in &found {
        cursor.0[*sort as usize] = *id;
    }
    let mut items: Vec<Happening> = found.into_iter().map(|found| found.what).collect();
    add_details(pool, &mut items).await?;
    Ok(Story {
        items,
        next_cursor: more.then(|| cursor.to_string()),
    })
}

struct Found {
    at: DateTime<Utc>,
    sort: Sort,
    id: i64,
    what: Happening,
}

/// One list of several that each come by number, the highest first. The latest of their heads is the next, so that each
/// keeps its order and a cursor tells what is still to come. Times do not always rise with numbers: a job that is tried
/// again keeps its number and begins anew, and a change of status may be told late.
fn together(lists: Vec<Vec<Found>>) -> Vec<Found> {
    let mut lists: Vec<_> = lists.into_iter().map(|list| list.into_iter().peekable()).collect();
    let mut all = Vec::new();
    loop {
        let heads = lists.iter_mut().filter_map(|list| Some((list.peek()?.at, list))).rev();
        let Some((_, list)) = heads.max_by_key(|(at, _)| *at) else {
            return all;
        };
        all.extend(list.next());
    }
}

async fn of_sort(pool: &PgPool, place: Place, sort: Sort, (before, limit): (i64, i64)) -> sqlx::Result<Vec<Found>> {
    let (application, location) = (Some(place.application_id.0), Some(place.location_id.0));
    let before = Some(before);
    let found = |at, id, what| Found { at, sort, id, what };
    Ok(match sort {
        Sort::Events => {
            let filter = events::Filter {
                application,
                location,
                before,
                limit,
                ..Default::default()
            };
            let events = events::list(pool, &filter).await?.items.into_iter();
            let what = |event| Happening::Event {
                event,
                decisions: Vec::new(),
            };
            events
                .map(|event| found(event.received_at, event.id, what(event)))
                .collect()
        }
        Sort::Moves => moves(pool, place, before, limit)
            .await?
            .into_iter()
            .map(|(id, step)| found(step.at, id, Happening::Move { step }))
            .collect(),
        Sort::Jobs => {
            let filter = jobs::Filter {
                application,
                location,
                before,
                limit,
                ..Default::default()
            };
            let jobs = jobs::list(pool, &filter).await?.items.into_iter();
            let what = |job| Happening::Job {
                job,
                attempts: Vec::new(),
            };
            jobs.map(|job| found(job.created_at, job.id, what(job))).collect()
        }
        Sort::Money => {
            let filter = ledger::Filter {
                application,
                location,
                before,
                limit,
                ..Default::default()
            };
            let entries = ledger::list(pool, &filter).await?.items.into_iter();
            entries
                .map(|entry| found(entry.created_at, entry.id, Happening::Money { entry }))
                .collect()
        }
    })
}

async fn moves(pool: &PgPool, place: Place, before: Option<i64>, limit: i64) -> sqlx::Result<Vec<(i64, Move)>> {
    let rows = sqlx::query!(
        r#"
        select id, generation, from_status, to_status, source, event_id, occurred_at
        from installation_history where application_id = $1 and location_id = $2 and id < $3 order by id desc limit $4
        "#,
        place.application_id.0,
        place.location_id.0,
        before,
        limit
    )
    .fetch_all(pool)
    .await?;
    let moves = rows.into_iter().map(|row| {
        let step = Move {
            generation: row.generation,
            from: row.from_status,
            to: row.to_status,
            source: row.source,
            event_id: row.event_id,
            at: row.occurred_at,
        };
        (row.id, step)
    });
    Ok(moves.collect())
}

/// Decisions and attempts, each with one question for the whole page.
async fn add_details(pool: &PgPool, items: &mut [Happening]) -> sqlx::Result<()> {
    let events = items.iter().filter_map(|item| match item {
        Happening::Event { event, .. } => Some(event.id),
        _ => None,
    });
    let jobs = items.iter().filter_map(|item| match item {
        Happening::Job { job, .. } => Some(job.id),
        _ => None,
    });
    let mut decided = decisions(pool, &events.collect::<Vec<_>>()).await?;
    let mut tried = attempts(pool, &jobs.collect::<Vec<_>>()).await?;
    for item in items {
        match item {
            Happening::Event { event, decisions } => *decisions = decided.remove(&event.id).unwrap_or_default(),
            Happening::Job { job, attempts } => *attempts = tried.remove(&job.id).unwrap_or_default(),
            Happening::Move { .. } | Happening::Money { .. } => {}
        }
    }
    Ok(())
}

async fn decisions(pool: &PgPool, events: &[i64]) -> sqlx::Result<HashMap<i64, Vec<Decision>>> {
    let rows = sqlx::query!(
        "select event_id, rule, result, reason, firing_id, replay_id, decided_at from decisions
         where event_id = any($1) order by decided_at, rule",
        events
    )
    .fetch_all(pool)
    .await?;
    let mut found: HashMap<i64, Vec<Decision>> = HashMap::new();
    for row in rows {
        found.entry(row.event_id).or_default().push(Decision {
            rule: row.rule,
            result: row.result,
            reason: row.reason,
            firing_id: row.firing_id,
            replay_id: row.replay_id,
            decided_at: row.decided_at,
        });
    }
    Ok(found)
}

async fn attempts(pool: &PgPool, jobs: &[i64]) -> sqlx::Result<HashMap<i64, Vec<Attempt>>> {
    let rows = sqlx::query!(
        "select job_id, attempt, worker, started_at, finished_at, outcome, error, exchanges from attempts
         where job_id = any($1) order by job_id, attempt",
        jobs
    )
    .fetch_all(pool)
    .await?;
    let mut found: HashMap<i64, Vec<Attempt>> = HashMap::new();
    for row in rows {
        found.entry(row.job_id).or_default().push(Attempt {
            attempt: row.attempt,
            worker: row.worker,
            duration_seconds: row.finished_at.map(|at| seconds(at - row.started_at)),
            started_at: row.started_at,
            finished_at: row.finished_at,
            outcome: row.outcome,
            error: row.error,
            exchanges: row.exchanges,
        });
    }
    Ok(found)
}

fn seconds(time: TimeDelta) -> f64 {
    time.num_microseconds()
        .map_or(f64::INFINITY, |micros| micros as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = Cursor([1, 22, 3, i64::MAX]);
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for wrong in ["", "1", "1.2.3", "1.2.3.4.5", "1.2.3.x", "a.b.c.d"] {
            assert_eq!(wrong.parse::<Cursor>(), Err(()), "{wrong}");
        }
    }
}
