//! Does jobs: leases lanes, does their first jobs, writes what became of them together with what follows
//! from it. The call itself happens between two transactions, never in one.

mod activate;
mod crew;
mod forward;
mod hooks;
mod messages;
mod money;
mod outcome;
mod rule_step;
mod settling;
mod status;
mod telephony;
mod uninstall;

use std::{sync::Arc, time::Instant};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::sync::watch;
use tracing::{info, warn};

pub(super) use self::crew::Crew;
use self::{
    crew::{Room, UnderWay},
    settling::Settler,
};
use super::failed;
use crate::{
    app::{App, line::Line},
    domain::{action::Action, event::Draft},
    store::{
        activations::Progress,
        jobs::{self, Claimed, Hands, Outcome},
    },
};

/// At most so many jobs of a lane are claimed together.
const DEPTH: i64 = 16;

/// What came of an attempt, and what is written together with it.
pub(super) struct Done {
    outcome: Outcome,
    /// Events it found out.
    drafts: Vec<Draft>,
    /// How far a connection has come.
    progress: Option<Progressed>,
    /// Whether somebody should look at the status again.
    look_again: bool,
    /// A mark of the place, and whether it is set or taken away.
    tag: Option<(String, bool)>,
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
            tag: None,
            exchanges: Value::Array(Vec::new()),
        }
    }
}

/// Does the jobs of a crew until told to stop, so many at once; then finishes those it has begun.
pub(super) async fn run(app: Arc<App>, crew: Crew, mut stopped: watch::Receiver<bool>) {
    let woken = crew.woken(&app);
    let mut under_way = UnderWay::new(&app, Settler::start(Arc::clone(&app), Arc::clone(&woken)));
    let mut renew = tokio::time::interval(app.config.jobs.lease / 3);
    renew.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    while !*stopped.borrow() {
        app.metrics.stepped(crew.name());
        let mut pause = app.config.jobs.poll;
        if let Some(room) = crew.room(&app, &under_way) {
            match claim(&app, &room).await {
                Ok(claimed) => {
                    let lanes = under_way.begin(&app, claimed);
                    if lanes == room.lanes {
                        continue;
                    }
                }
                Err(error) => pause = failed(&app, crew.name(), &error),
            }
        }
        tokio::select! {
            () = woken.notified() => {}
            () = tokio::time::sleep(pause) => {}
            () = under_way.one_ends(), if !under_way.is_empty() => {}
            _ = renew.tick() => under_way.keep_leases(&app).await,
            _ = stopped.changed() => {}
        }
    }
    // The leases of what is still being done must not run out meanwhile.
    while !under_way.is_empty() {
        tokio::select! {
            () = under_way.one_ends() => {}
            _ = renew.tick() => under_way.keep_leases(&app).await,
        }
    }
}

async fn claim(app: &App, room: &Room) -> Result<Vec<Claimed>> {
    let hands = Hands {
        worker: &app.worker,
        lease: app.config.jobs.lease,
        among: room.among,
        except: &room.except,
        lanes: i64::try_from(room.lanes).unwrap_or(1),
        depth: DEPTH,
    };
    jobs::claim(&app.pool, hands).await.context("looking for jobs")
}

/// Does the jobs of a lane in their order. One that does not end well is the last; those behind it go
/// back as if they had not been claimed.
async fn work(app: Arc<App>, settler: Settler, jobs: Vec<Claimed>) {
    for (job, rest) in (1..)
        .zip(jobs.iter())
        .map(|(next, job)| (job, jobs.get(next..).unwrap_or_default()))
    {
        let started = Instant::now();
        let done = attempt(&app, job).await;
        let action = action_name(job);
        app.metrics
            .job_attempts_total
            .with_label_values(&[&job.place.application_id.to_string(), action, done.outcome.word()])
            .inc();
        app.metrics
            .job_duration_seconds
            .with_label_values(&[action])
            .observe(started.elapsed().as_secs_f64());
        tell(job, action, &done.outcome);
        let goes_on = matches!(done.outcome, Outcome::Done(_)) && !*app.stopping.borrow();
        let rest = if goes_on { &[] } else { rest };
        if !settler.settle(job, done, rest).await || !goes_on {
            return;
        }
    }
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
        Outcome::NotBegun => {}
    }
}

fn action_name(job: &Claimed) -> &'static str {
    serde_json::from_value::<Action>(job.params.clone()).map_or("unknown", |action| action.name())
}

async fn attempt(app: &App, job: &Claimed) -> Done {
    if job.attempt > job.max_attempts {
        // It may be what its workers die of.
        let error = format!(
            "given up after {} attempts: its worker was gone each time",
            job.max_attempts
        );
        return Done::of(Outcome::Discard(error));
    }
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
        Action::Uninstall if job.firing_id.is_none() => uninstall::run(job, &mut line).await,
        Action::ReadStatus { expect_payment } => status::run(app, job, &mut line, expect_payment.as_ref()).await,
        Action::RepairHooks { force } => hooks::run(app, served, job, &mut line, *force).await,
        Action::AnnounceCall { call } => telephony::announce(app, served, job, &mut line, *call).await,
        Action::LogCall { call } => telephony::log(app, served, job, &mut line, *call).await,
        Action::SetDiscount { .. }
        | Action::CreatePaymentLink { .. }
        | Action::ReportPayment { .. }
        | Action::RefundPayment { .. }
        | Action::SendWebhook { .. }
        | Action::SendEmail { .. }
        | Action::SendTelegram { .. }
        | Action::SendSlack { .. }
        | Action::ForwardEvent { .. }
        | Action::SetTag { .. }
        | Action::Uninstall
        | Action::SetChannel { .. }
        | Action::SetSenderNames { .. } => rule_step::run(app, served, job, &mut line, &action).await,
    };
    let mut done = result.unwrap_or_else(|failure| Done::of(outcome::of(&app.config.jobs, job, &failure)));
    done.exchanges = match done.exchanges.take() {
        Value::Array(own) if !own.is_empty() => Value::Array(own),
        _ => line.exchanges(),
    };
    done
}
