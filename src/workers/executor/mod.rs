//! Does jobs: leases a lane, does its first job, writes what became of it together with what follows
//! from it. The call itself happens between two transactions, never in one.

mod activate;
mod outcome;
mod rule_step;
mod status;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::{
    sync::watch,
    task::{self, JoinSet},
};
use tracing::{info, warn};

use super::{Step, failed, is_transient, scheduler::count_appended};
use crate::{
    app::{App, line::Line},
    domain::{
        action::{Action, Priority},
        event::Draft,
    },
    store::{
        PgTransaction,
        activations::{self, Progress},
        events, firings,
        jobs::{self, Claimed, Hands, NewJob, Outcome},
    },
};

/// Further tries to write what became of a job, with waits that double: three seconds in all.
const SETTLE_AGAIN: u32 = 6;

/// What came of an attempt, and what is written together with it.
pub(super) struct Done {
    outcome: Outcome,
    /// Events it found out.
    drafts: Vec<Draft>,
    /// How far a connection has come.
    progress: Option<Progressed>,
    /// Whether somebody should look at the status again.
    look_again: bool,
    /// What was said to the marketplace.
    exchanges: Value,
}

/// How far a connection has come, for the owner's page.
#[derive(Debug, Clone)]
pub(super) struct Progressed {
    progress: Progress,
    message: Option<String>,
    pending_since: Option<chrono::DateTime<chrono::Utc>>,
}

impl Done {
    fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            drafts: Vec::new(),
            progress: None,
            look_again: false,
            exchanges: Value::Array(Vec::new()),
        }
    }
}

/// Does everything that is due now. For tests and for a service that is about to stop; the running
/// service does jobs as they come, so many at once.
///
/// # Errors
/// When the database does not answer.
pub async fn step(app: &Arc<App>) -> Result<Step> {
    let claimed = claim(app, Priority::Unproven, app.config.jobs.concurrency).await?;
    if claimed.is_empty() {
        return Ok(Step::Idle);
    }
    let mut tasks = JoinSet::new();
    for job in claimed {
        tasks.spawn(work(Arc::clone(app), job));
    }
    while tasks.join_next().await.is_some() {}
    Ok(Step::Worked)
}

/// Does jobs until told to stop, so many at once; then finishes those it has begun. Some hands are for
/// activations alone: jobs of rules may wait long for their turn in the request budget, and a
/// connection has a deadline.
pub(super) async fn run(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    let mut under_way = UnderWay::default();
    let limit = app.config.jobs.concurrency;
    let reserved = (limit / 4).max(1).min(limit - 1);
    let mut renew = tokio::time::interval(app.config.jobs.lease / 3);
    renew.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    while !*stopped.borrow() {
        app.metrics.stepped("executor");
        let mut pause = app.config.jobs.poll;
        let free = limit - under_way.tasks.len();
        if free > 0 {
            let (lowest, wanted) = match free.saturating_sub(reserved) {
                0 => (Priority::Activation, free),
                others => (Priority::Unproven, others),
            };
            match claim(&app, lowest, wanted).await {
                Ok(claimed) => {
                    let more = claimed.len() == wanted;
                    under_way.begin(&app, claimed);
                    if more {
                        continue;
                    }
                }
                Err(error) => pause = failed(&app, "executor", &error),
            }
        }
        tokio::select! {
            () = app.wake.executor.notified() => {}
            () = tokio::time::sleep(pause) => {}
            () = under_way.one_ends(), if !under_way.tasks.is_empty() => {}
            _ = renew.tick() => under_way.keep_leases(&app).await,
            _ = stopped.changed() => {}
        }
    }
    // The leases of what is still being done must not run out meanwhile.
    while !under_way.tasks.is_empty() {
        tokio::select! {
            () = under_way.one_ends() => {}
            _ = renew.tick() => under_way.keep_leases(&app).await,
        }
    }
}

/// Jobs that are being done, with the lane of each.
#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<()>,
    lanes: HashMap<task::Id, i64>,
}

impl UnderWay {
    fn begin(&mut self, app: &Arc<App>, claimed: Vec<Claimed>) {
        for job in claimed {
            let lane = job.lane_id;
            let id = self.tasks.spawn(work(Arc::clone(app), job)).id();
            self.lanes.insert(id, lane);
        }
    }

    async fn one_ends(&mut self) {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => error.id(),
            None => return,
        };
        self.lanes.remove(&id);
    }

    /// Only of these: a lane whose job ended without a word has to run out.
    async fn keep_leases(&self, app: &App) {
        let lanes: Vec<i64> = self.lanes.values().copied().collect();
        if let Err(error) = jobs::renew(&app.pool, &app.worker, app.config.jobs.lease, &lanes).await {
            warn!(%error, "The leases of running jobs could not be renewed; somebody else may start them again");
        }
    }
}

async fn claim(app: &App, lowest: Priority, limit: usize) -> Result<Vec<Claimed>> {
    let limit = i64::try_from(limit).unwrap_or(1);
    let hands = Hands {
        worker: &app.worker,
        lease: app.config.jobs.lease,
        lowest,
    };
    jobs::claim(&app.pool, hands, limit).await.context("looking for jobs")
}

async fn work(app: Arc<App>, job: Claimed) {
    let started = Instant::now();
    let done = attempt(&app, &job).await;
    let action = action_name(&job);
    app.metrics
        .job_attempts_total
        .with_label_values(&[action, done.outcome.word()])
        .inc();
    app.metrics
        .job_duration_seconds
        .with_label_values(&[action])
        .observe(started.elapsed().as_secs_f64());
    tell(&job, action, &done.outcome);
    if let Err(error) = settle_surely(&app, &job, &done).await {
        warn!(job_id = %job.id, error = format!("{error:#}"), "What became of a job could not be written; its lease will run out");
    }
    app.wake.executor.notify_one();
}

fn tell(job: &Claimed, action: &'static str, outcome: &Outcome) {
    let (job_id, place) = (job.id, job.place);
    match outcome {
        Outcome::Done(_) => info!(%job_id, %place, action, attempt = job.attempt, "A job is done"),
        Outcome::Retry { after, error } => {
            warn!(%job_id, %place, action, attempt = job.attempt, wait_seconds = after.as_secs_f64(), error, "A job failed and is tried again");
        }
        Outcome::Snooze { after, reason } => {
            info!(%job_id, %place, action, wait_seconds = after.as_secs_f64(), reason, "A job waits");
        }
        Outcome::Discard(error) => warn!(%job_id, %place, action, attempt = job.attempt, error, "A job was given up"),
    }
}

fn action_name(job: &Claimed) -> &'static str {
    serde_json::from_value::<Action>(job.params.clone()).map_or("unknown", |action| action.name())
}

async fn attempt(app: &App, job: &Claimed) -> Done {
    let Ok(action) = serde_json::from_value::<Action>(job.params.clone()) else {
        return Done::of(Outcome::Discard("this version does not know the action".to_owned()));
    };
    let Some(served) = app.served(job.place.application_id) else {
        return Done::of(Outcome::Discard(
            "no application of this number is configured here any more".to_owned(),
        ));
    };
    let mut line = Line::new(app, served, job.priority);
    let result = match &action {
        Action::Activate { by_hand } => activate::run(app, served, job, &mut line, *by_hand).await,
        Action::ReadStatus { expect_payment } => status::run(app, job, &mut line, expect_payment.as_ref()).await,
        Action::SetDiscount { .. }
        | Action::CreatePaymentLink { .. }
        | Action::SendWebhook { .. }
        | Action::SendEmail { .. } => rule_step::run(app, served, job, &mut line, &action).await.map(Done::of),
    };
    let mut done = result.unwrap_or_else(|failure| Done::of(outcome::of(&app.config.jobs, job, &failure)));
    done.exchanges = match done.exchanges.take() {
        Value::Array(own) if !own.is_empty() => Value::Array(own),
        _ => line.exchanges(),
    };
    done
}

/// What was called cannot be uncalled, so what became of it is not forgotten at the first failure.
async fn settle_surely(app: &App, job: &Claimed, done: &Done) -> Result<()> {
    let mut pause = Duration::from_millis(50);
    for _ in 0..SETTLE_AGAIN {
        match settle(app, job, done).await {
            Err(error) if is_transient(&error) => {
                warn!(job_id = %job.id, error = format!("{error:#}"), "What became of a job could not be written; again soon");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            result => return result,
        }
    }
    settle(app, job, done).await
}

async fn settle(app: &App, job: &Claimed, done: &Done) -> Result<()> {
    let mut tx = app.pool.begin().await?;
    if !jobs::settle(&mut tx, job, &done.outcome, &done.exchanges).await? {
        warn!(job_id = %job.id, attempt = job.attempt, "The lease of a job ran out before it was done; what it found does not count");
        return Ok(());
    }
    events::append(&mut tx, &done.drafts).await?;
    follow_up(&mut tx, job, done).await?;
    tx.commit().await?;
    count_appended(app, &done.drafts);
    Ok(())
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
        jobs::enqueue_once(
            tx,
            &NewJob::look(job.place, &Action::ReadStatus { expect_payment: None }),
        )
        .await?;
    }
    if let (Outcome::Done(result), Some(firing), Some(step)) = (&done.outcome, job.firing_id, &job.step_id) {
        firings::add_result(tx, firing, step, result).await?;
    }
    Ok(())
}
