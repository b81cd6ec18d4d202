//! Writes what became of jobs. As with deliveries, what ends while one transaction is under way shares
//! the next: when many short jobs end, the database is asked once for many of them.

use std::{mem, sync::Arc, time::Duration};

use anyhow::Result;
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::warn;

use super::{Done, Progressed};
use crate::{
    app::App,
    domain::action::Action,
    store::{
        PgTransaction, activations, events, firings,
        jobs::{self, Claimed, NewJob, Outcome, Settlement},
        tags,
    },
    workers::{is_transient, scheduler::count_appended},
};

/// Further tries to write what became of a job, with waits that double: three seconds in all.
const AGAIN: u32 = 6;

/// At most so many jobs in one transaction.
const TOGETHER: usize = 128;

/// The way to the one task that writes.
#[derive(Clone)]
pub(super) struct Settler(mpsc::Sender<Ended>);

/// A job that ended, and who wants to know that it is written.
struct Ended {
    job: Claimed,
    done: Done,
    /// Jobs behind it that go back unbegun.
    rest: Vec<Claimed>,
    answer: oneshot::Sender<Answer>,
}

enum Answer {
    /// It is written.
    Written,
    /// It does not count any more.
    LeaseLost,
    /// It was not written. Nothing is wrong with it, so it may be tried again.
    Again(Box<Ended>, anyhow::Error),
    /// It cannot be written.
    Never(anyhow::Error),
}

impl Settler {
    /// Starts the task; it ends with the last of its users, whom it wakes when something is written.
    pub(super) fn start(app: Arc<App>, woken: Arc<Notify>) -> Self {
        let (sender, mut ended) = mpsc::channel(TOGETHER);
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(TOGETHER);
            while ended.recv_many(&mut batch, TOGETHER).await > 0 {
                settle_batch(&app, mem::take(&mut batch)).await;
                woken.notify_one();
            }
        });
        Self(sender)
    }

    /// Writes what became of a job, and gives the rest of its lane back. What was called cannot be
    /// uncalled, so it is not forgotten at the first failure. Returns whether it counts; if it does not,
    /// the lane is somebody else's or will be when the lease has run out.
    pub(super) async fn settle(&self, job: &Claimed, done: Done, rest: &[Claimed]) -> bool {
        let mut pause = Duration::from_millis(50);
        let (job_id, attempt) = (job.id, job.attempt);
        let (mut job, mut done, mut rest) = (job.clone(), done, rest.to_vec());
        for tries in 0..=AGAIN {
            let (answer, answered) = oneshot::channel();
            let ended = Ended {
                job,
                done,
                rest,
                answer,
            };
            if self.0.send(ended).await.is_err() {
                return false;
            }
            let (again, error) = match answered.await {
                Ok(Answer::Written) => return true,
                Ok(Answer::LeaseLost) => {
                    warn!(%job_id, attempt, "The lease of a job ran out before it was done; what it found does not count");
                    return false;
                }
                Ok(Answer::Again(again, error)) if tries < AGAIN => (again, error),
                Ok(Answer::Again(_, error) | Answer::Never(error)) => {
                    let error = format!("{error:#}");
                    warn!(%job_id, error, "What became of a job could not be written; its lease will run out");
                    return false;
                }
                Err(_) => return false,
            };
            warn!(%job_id, error = format!("{error:#}"), "What became of a job could not be written; again soon");
            tokio::time::sleep(pause).await;
            pause *= 2;
            (job, done, rest) = (again.job, again.done, again.rest);
        }
        false
    }
}

impl Ended {
    /// Whether nothing but its lane, its firing and its own rows is touched. What touches more has a
    /// transaction of its own, so that two cannot wait for each other.
    fn is_plain(&self) -> bool {
        let done = &self.done;
        done.drafts.is_empty() && done.progress.is_none() && !done.look_again && done.tag.is_none()
    }
}

async fn settle_batch(app: &App, batch: Vec<Ended>) {
    let (plain, more): (Vec<Ended>, Vec<Ended>) = batch.into_iter().partition(Ended::is_plain);
    let alone = match plain.len() {
        0 | 1 => plain,
        _ => match settle(app, &plain).await {
            Ok(counts) => {
                for (ended, counts) in plain.into_iter().zip(counts) {
                    tell(ended.answer, counts);
                }
                Vec::new()
            }
            // One of them may be the reason.
            Err(error) if !is_transient(&error) => plain,
            Err(error) => {
                let why = format!("{error:#}");
                for ended in plain {
                    again(ended, anyhow::anyhow!("{why}"));
                }
                Vec::new()
            }
        },
    };
    for ended in alone.into_iter().chain(more) {
        match settle(app, std::slice::from_ref(&ended)).await {
            Ok(counts) => tell(ended.answer, counts.first().copied().unwrap_or(false)),
            Err(error) if is_transient(&error) => again(ended, error),
            // Nobody is left to hear it only when its lane's task was aborted.
            Err(error) => drop(ended.answer.send(Answer::Never(error))),
        }
    }
}

fn tell(answer: oneshot::Sender<Answer>, counts: bool) {
    drop(answer.send(if counts { Answer::Written } else { Answer::LeaseLost }));
}

fn again(ended: Ended, error: anyhow::Error) {
    let (unheard, _) = oneshot::channel();
    let Ended {
        job,
        done,
        rest,
        answer,
    } = ended;
    let same = Ended {
        job,
        done,
        rest,
        answer: unheard,
    };
    drop(answer.send(Answer::Again(Box::new(same), error)));
}

/// Writes all of them or none. Returns which count.
async fn settle(app: &App, batch: &[Ended]) -> Result<Vec<bool>> {
    let nothing = serde_json::Value::Array(Vec::new());
    let mut settlements: Vec<Settlement<'_>> = batch
        .iter()
        .map(|ended| Settlement {
            job: &ended.job,
            outcome: &ended.done.outcome,
            exchanges: &ended.done.exchanges,
        })
        .collect();
    settlements.extend(batch.iter().flat_map(|ended| &ended.rest).map(|job| Settlement {
        job,
        outcome: &Outcome::NotBegun,
        exchanges: &nothing,
    }));
    let mut tx = app.pool.begin().await?;
    let mut counts = jobs::settle(&mut tx, &settlements).await?;
    counts.truncate(batch.len());
    let mut drafts = Vec::new();
    for (ended, _) in batch.iter().zip(&counts).filter(|(_, counts)| **counts) {
        drafts.extend_from_slice(&ended.done.drafts);
        follow_up(&mut tx, &ended.job, &ended.done).await?;
    }
    events::append(&mut tx, &drafts).await?;
    tx.commit().await?;
    count_appended(app, &drafts);
    Ok(counts)
}

async fn follow_up(tx: &mut PgTransaction<'_>, job: &Claimed, done: &Done) -> Result<()> {
    if let Some(Progressed {
        progress,
        message,
        pending_since,
    }) = &done.progress
    {
        activations::note(tx, job.place, *progress, message.as_deref(), *pending_since).await?;
    }
    if done.look_again {
        let look = Action::ReadStatus { expect_payment: None };
        jobs::enqueue_once(tx, &NewJob::look(job.place, &look)).await?;
    }
    if let Some((tag, present)) = &done.tag {
        tags::set(tx, job.place, (tag, *present), job.rule.as_deref()).await?;
    }
    if let (Outcome::Done(result), Some(firing), Some(step)) = (&done.outcome, job.firing_id, &job.step_id) {
        firings::add_result(tx, firing, step, result).await?;
    }
    Ok(())
}
