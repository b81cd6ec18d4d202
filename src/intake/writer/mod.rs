//! Group commit: one task writes whatever is waiting in one statement, and while that commit is under
//! way the next batch gathers. There is no timer; the flush in progress is the timer.
//!
//! What the database does not take goes to the spool. From then on until the spool is empty, everything
//! goes behind it, so that nothing overtakes: see `behind.rs`.

mod behind;
mod statement;

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Interval, MissedTickBehavior},
};
use tracing::{error, info, warn};

pub(super) use self::statement::Statement;
use self::statement::Written;
use super::{Unavailable, Waiting, shelf::Shelf};
use crate::store::events::{Delivery, Stored};

/// Deliveries in one statement.
const BATCH: usize = 256;

/// How often to look for what a process left that has ended.
const ADOPT_EVERY: Duration = Duration::from_secs(5);

/// What became of a delivery, as its sender is told.
type Answer = Result<Stored, Unavailable>;

pub(super) struct Writer {
    statement: Arc<Statement>,
    spool: Option<Shelf>,
    wake: Arc<Notify>,
    standing: Standing,
    /// How long a sender may be kept waiting for the database; then the spool has to have its turn.
    patience: Duration,
    adopt: Interval,
}

/// How it goes with the database, told once per change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Fine,
    Away,
    /// It is back, and the spool is not empty yet.
    Emptying,
}

impl Writer {
    pub(super) fn new(statement: Statement, spool: Option<Shelf>, wake: Arc<Notify>) -> Self {
        let mut adopt = tokio::time::interval(ADOPT_EVERY);
        adopt.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            patience: statement.settings.deadline / if spool.is_some() { 2 } else { 1 },
            statement: Arc::new(statement),
            spool,
            wake,
            standing: Standing::Fine,
            adopt,
        }
    }

    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Waiting>) {
        loop {
            let go_on = match self.spool.clone().filter(|spool| !spool.is_empty()) {
                Some(spool) => self.behind(&spool, &mut queue).await,
                None => self.directly(&mut queue).await,
            };
            if !go_on {
                return;
            }
        }
    }

    async fn directly(&mut self, queue: &mut mpsc::Receiver<Waiting>) -> bool {
        let mut batch = Vec::with_capacity(BATCH);
        let count = tokio::select! {
            biased;
            count = queue.recv_many(&mut batch, BATCH) => count,
            _ = self.adopt.tick(), if self.spool.is_some() => {
                if let Some(spool) = &self.spool {
                    spool.adopt().await;
                }
                return true;
            }
        };
        if count == 0 {
            return false;
        }
        self.taken(&batch);
        let batch = Batch::of(batch);
        let (written, away) = self.statement.write(&batch.deliveries, self.patience).await;
        match &away {
            None => self.change(Standing::Fine, ""),
            Some(why) => self.change(Standing::Away, why),
        }
        let kept = self.keep(batch.late(|n| written[n] == Written::Not)).await;
        let mut kept = kept.into_iter();
        let answers = written.iter().map(|written| match written {
            Written::Stored(stored) => Ok(*stored),
            Written::Refused => Err(Unavailable),
            Written::Not => kept.next().unwrap_or(Err(Unavailable)),
        });
        batch.answer(answers.collect());
        self.wake.notify_one();
        true
    }

    fn taken(&self, batch: &[Waiting]) {
        let metrics = &self.statement.metrics;
        metrics.intake_queued.sub(i64::try_from(batch.len()).unwrap_or(0));
        metrics.group_commit_deliveries.observe(batch.len() as f64);
    }

    /// Puts deliveries into the spool.
    async fn keep(&mut self, deliveries: Vec<Delivery>) -> Vec<Answer> {
        let count = deliveries.len();
        let Some(spool) = self.spool.as_ref().filter(|_| count > 0) else {
            return vec![Err(Unavailable); count];
        };
        let durable = spool.append(deliveries).await;
        (0..count)
            .map(|n| {
                if n < durable {
                    Ok(Stored::Fresh)
                } else {
                    Err(Unavailable)
                }
            })
            .collect()
    }

    fn change(&mut self, to: Standing, why: &str) {
        if self.standing == to {
            return;
        }
        if let (Standing::Fine, Some(spool)) = (to, &self.spool) {
            spool.fine();
        }
        let waiting = self.spool.as_ref().map_or(0, |spool| spool.content().events);
        match (to, &self.spool) {
            (Standing::Away, Some(_)) => {
                warn!(why, "The database takes no deliveries; they are kept in the spool");
            }
            (Standing::Away, None) => {
                error!(
                    why,
                    "The database takes no deliveries, and there is no spool; they are answered 503"
                );
            }
            (Standing::Emptying, _) => info!(
                waiting,
                "The database takes deliveries again; the spool is being emptied"
            ),
            (Standing::Fine, Some(_)) => info!("The spool is empty; deliveries go to the database again"),
            (Standing::Fine, None) => info!("The database takes deliveries again"),
        }
        self.standing = to;
    }
}

/// Deliveries that say different things, and who waits for each.
struct Batch {
    deliveries: Vec<Delivery>,
    arrivals: Vec<DateTime<Utc>>,
    waiters: Vec<oneshot::Sender<Answer>>,
    /// Deliveries that say the same as one of them; they get its answer.
    repeats: Vec<(usize, Waiting)>,
}

impl Batch {
    fn of(waiting: Vec<Waiting>) -> Self {
        let (firsts, repeats) = split_repeats(waiting, |waiting| waiting.delivery.key);
        let mut batch = Self {
            deliveries: Vec::with_capacity(firsts.len()),
            arrivals: Vec::with_capacity(firsts.len()),
            waiters: Vec::with_capacity(firsts.len()),
            repeats,
        };
        for waiting in firsts {
            batch.deliveries.push(waiting.delivery);
            batch.arrivals.push(waiting.arrived_at);
            batch.waiters.push(waiting.answer);
        }
        batch
    }

    /// Some of them, with the time of their arrival: they get into the database later.
    fn late(&self, which: impl Fn(usize) -> bool) -> Vec<Delivery> {
        let all = self.deliveries.iter().zip(&self.arrivals).enumerate();
        let some = all
            .filter(|(n, _)| which(*n))
            .map(|(_, (delivery, arrived_at))| Delivery {
                arrived_at: Some(*arrived_at),
                ..delivery.clone()
            });
        some.collect()
    }

    /// A waiter that is gone has been told "unavailable"; its event is stored all the same, and its
    /// repetition will be a duplicate.
    fn answer(self, answers: Vec<Answer>) {
        for (of, waiting) in self.repeats {
            let answer = answers.get(of).copied().unwrap_or(Err(Unavailable));
            let _ = waiting.answer.send(answer.map(|_| Stored::Duplicate));
        }
        for (waiter, answer) in self.waiters.into_iter().zip(answers) {
            let _ = waiter.send(answer);
        }
    }
}

/// Of those that say the same, the first, and the others with the place of their first.
fn split_repeats<T>(all: Vec<T>, key: impl Fn(&T) -> Option<[u8; 32]>) -> (Vec<T>, Vec<(usize, T)>) {
    let mut firsts: Vec<T> = Vec::with_capacity(all.len());
    let mut repeats = Vec::new();
    let mut seen: HashMap<[u8; 32], usize> = HashMap::new();
    for one in all {
        match key(&one).map(|key| *seen.entry(key).or_insert(firsts.len())) {
            Some(of) if of < firsts.len() => repeats.push((of, one)),
            Some(_) | None => firsts.push(one),
        }
    }
    (firsts, repeats)
}
