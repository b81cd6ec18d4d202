//! Judges events: what each means for the installation, and which rules it fires. A batch is one
//! short transaction; nothing in it reaches beyond the database.

mod seen;

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use tracing::{error, warn};

use self::seen::Seen;
use super::{
    Step, is_transient,
    judge::{count_state, judge},
};
use crate::{
    app::App,
    domain::event::State,
    store::{
        events::SHARDS,
        inbox::{self, Shard, Taken, Verdict, Waiting},
    },
};

/// Events in one transaction. Shards that are taken together share it equally, so that the backlog of
/// one does not hold up the others.
const BATCH: usize = 1000;

/// Shards in one transaction: half of them, so that a second process finds some too.
const TOGETHER: usize = SHARDS as usize / 2;

/// What arrives within this time after a batch that was not full is judged together: a transaction
/// for each event would keep a whole core busy.
const GATHER: Duration = Duration::from_millis(10);

/// Batches that are tried in one go to find the event that cannot be judged, before the other shards
/// have their turn again.
const SEARCHES: usize = 32;

/// The processor of a process.
pub struct Processor(Mutex<Seen>);

impl Default for Processor {
    fn default() -> Self {
        Self(Mutex::new(Seen::nothing()))
    }
}

impl Processor {
    /// Judges a batch of every shard that nobody else is judging.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn step(&self, app: &App) -> Result<Step> {
        let began = Instant::now();
        let (floors, whole) = self.with(|seen| seen.floors(began));
        let mut shards = inbox::shards_with_work(&app.pool, &floors).await?;
        if whole {
            self.with(|seen| seen.looked_at_all(Instant::now(), began.elapsed()));
        }
        // Two processes that go the same way round would only ever meet.
        fastrand::shuffle(&mut shards);
        let (mut judged, mut full) = (0, false);
        for some in shards.chunks(TOGETHER) {
            let limit = BATCH.div_ceil(some.len());
            let found = self.batch(app, some, limit).await?;
            judged += found;
            full |= found >= limit;
        }
        if judged == 0 {
            return Ok(Step::Idle);
        }
        if !full {
            tokio::time::sleep(GATHER).await;
        }
        Ok(Step::Worked)
    }

    /// Judges the oldest events of some shards, at most `limit` of each. Returns how many there were.
    async fn batch(&self, app: &App, shards: &[Shard], limit: usize) -> Result<usize> {
        match attempt(app, shards, limit).await? {
            Attempt::Judged(taken) => {
                let now = Instant::now();
                self.with(|seen| {
                    taken
                        .reached
                        .iter()
                        .for_each(|(shard, highest)| seen.judged(now, *shard, *highest));
                });
                Ok(taken.waiting.len())
            }
            Attempt::Failed(waiting, why) => {
                warn!(
                    error = format!("{why:#}"),
                    events = waiting.len(),
                    "A batch of events failed; looking for the one that cannot be judged"
                );
                for shard in shards {
                    search(app, *shard, limit).await?;
                }
                Ok(waiting.len())
            }
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Seen) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What became of a batch.
enum Attempt {
    /// These events were judged.
    Judged(Taken),
    /// One of these events cannot be judged, and so none was.
    Failed(Vec<Waiting>, anyhow::Error),
}

async fn attempt(app: &App, shards: &[Shard], limit: usize) -> Result<Attempt> {
    let (_until_committed, rules) = app.rulebook.held().await;
    let mut tx = app.pool.begin().await?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut taken = inbox::take(&mut tx, shards, limit).await?;
    if taken.waiting.is_empty() {
        return Ok(Attempt::Judged(taken));
    }
    match judge(app, &rules, &mut tx, &mut taken.waiting).await {
        Ok(judgement) => {
            tx.commit().await?;
            judgement.count(app, &taken.waiting);
            if judgement.has_jobs {
                app.wake.for_jobs();
            }
            Ok(Attempt::Judged(taken))
        }
        Err(error) if is_transient(&error) => Err(error),
        Err(error) => {
            tx.rollback().await?;
            Ok(Attempt::Failed(taken.waiting, error))
        }
    }
}

/// Judges a shard in batches that are halved when they fail and grow again when they do not. An event
/// that fails alone ends as failed with its error, and stops nobody else.
async fn search(app: &App, shard: Shard, limit: usize) -> Result<()> {
    let mut size = limit;
    for _ in 0..SEARCHES {
        match attempt(app, &[shard], size).await? {
            Attempt::Judged(taken) if taken.waiting.len() < size || size == limit => return Ok(()),
            Attempt::Judged(_) => size = (size * 2).min(limit),
            Attempt::Failed(waiting, why) => match &waiting[..] {
                [event] => give_up(app, event, &why).await?,
                several => size = several.len() / 2,
            },
        }
    }
    Ok(())
}

async fn give_up(app: &App, event: &Waiting, why: &anyhow::Error) -> Result<()> {
    let note = format!("{why:#}");
    error!(event_id = %event.id, kind = %event.kind, error = note, "An event could not be judged");
    let verdict = Verdict {
        state: State::Failed,
        note: Some(note),
        decisions: Vec::new(),
    };
    let mut tx = app.pool.begin().await?;
    inbox::settle(&mut tx, std::slice::from_ref(event), &[verdict]).await?;
    tx.commit().await?;
    count_state(app, event, State::Failed);
    Ok(())
}
