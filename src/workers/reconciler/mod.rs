//! Compares what Bellhop knows with what the marketplace shows, in rounds. Each difference becomes the event that a
//! callback would have been, so that rules fire as they would have fired, once.
//!
//! A round reads the list of connected locations (M1) and then the status (M6) of every place that nobody has looked at
//! since the round began. It has a share of the request budget, and what it has done so far is in the database.

mod hooks;
mod inventory;
mod preview;

use std::time::{Duration, Instant};

use anyhow::Result;
use chrono::{DateTime, Utc};
use tracing::{info, warn};

pub use self::preview::preview;
use super::{Step, look, scheduler::count_appended};
use crate::{
    app::{
        App,
        line::{Failure, Line},
        served::Served,
    },
    domain::{
        action::{Action, Priority},
        event::Draft,
        ids::Place,
        installation::Status,
    },
    marketplace::error::Error,
    store::{
        activations::{self, Progress},
        events,
        jobs::{self, NewJob},
        looks::{self, Candidate},
        reconciliations::{self, Ended, Round},
    },
};

/// A process that says nothing for this long has left its round to others.
const LEASE: Duration = Duration::from_secs(90);

/// A step takes no new place after this long, so that other applications have their turn.
const TURN: Duration = Duration::from_secs(20);

/// Places that are read from the database together.
const BATCH: i64 = 20;

/// A place whose look failed is left alone for so long.
const SKIP: Duration = Duration::from_secs(60);

/// After so many failed looks in a row it is not the places.
const IN_A_ROW: usize = 3;

/// How long a round rests when the marketplace does not answer.
const PAUSE: Duration = Duration::from_secs(30);

/// Notes at the start of a process that rounds begin now, and whether there was a pause without any.
///
/// # Errors
/// When the database does not answer.
pub async fn wake(app: &App) -> Result<()> {
    let settings = &app.config.reconcile;
    if settings.enabled {
        for served in app.all_served() {
            reconciliations::wake(&app.pool, served.id, settings.interval).await?;
        }
    }
    Ok(())
}

/// Goes on with the round of each application for a while.
///
/// # Errors
/// When the database does not answer.
pub async fn step(app: &App) -> Result<Step> {
    let mut found = Step::Idle;
    if app.config.reconcile.enabled {
        for served in app.all_served() {
            if go_on(app, served).await? == Step::Worked {
                found = Step::Worked;
            }
        }
    }
    Ok(found)
}

/// Goes on with the round of one application, when one is due and nobody else is at it.
///
/// # Errors
/// When the database does not answer.
pub async fn go_on(app: &App, served: &Served) -> Result<Step> {
    reconciliations::alive(&app.pool, served.id).await?;
    let Some(round) = reconciliations::lease(&app.pool, served.id, &app.worker, LEASE).await? else {
        return Ok(Step::Idle);
    };
    match part(app, served, round).await {
        Ok(()) => Ok(Step::Worked),
        Err(Failure::Store(error)) => Err(error.into()),
        Err(failure) => {
            interrupt(app, served, &failure).await?;
            Ok(Step::Idle)
        }
    }
}

async fn part(app: &App, served: &Served, round: Round) -> Result<(), Failure> {
    if !round.is_listed {
        return inventory::read(app, served, round).await;
    }
    let begun = Instant::now();
    let mut failed_in_a_row = 0;
    while begun.elapsed() < TURN {
        let places = looks::next(&app.pool, served.id, round.begun_at, BATCH).await?;
        if places.is_empty() {
            return end(app, served, round).await;
        }
        for place in places.iter().take_while(|_| begun.elapsed() < TURN) {
            match look_at(app, served, place).await {
                Ok(()) => failed_in_a_row = 0,
                Err(Failure::Call(error)) if !matches!(error, Error::Throttled { .. }) => {
                    warn!(place = %place.place, %error, "A place could not be compared; others come first");
                    looks::skip(&app.pool, place.place, SKIP).await?;
                    failed_in_a_row += 1;
                    if failed_in_a_row == IN_A_ROW {
                        return Err(Failure::Call(error));
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
        // Somebody may have taken it over while a request waited for its turn.
        let still = reconciliations::lease(&app.pool, served.id, &app.worker, LEASE).await?;
        if still.is_none_or(|still| still.begun_at != round.begun_at) {
            return Ok(());
        }
    }
    Ok(())
}

async fn end(app: &App, served: &Served, round: Round) -> Result<(), Failure> {
    let ended = reconciliations::finish(&app.pool, served.id, round.begun_at, app.config.reconcile.interval).await?;
    let Some(Ended {
        looked,
        differences,
        skipped,
    }) = ended
    else {
        return Ok(());
    };
    let application = served.id.to_string();
    let result = if skipped == 0 { "complete" } else { "incomplete" };
    app.metrics
        .reconcile_runs_total
        .with_label_values(&[application.as_str(), result])
        .inc();
    if differences > 0 || skipped > 0 {
        info!(
            application_id = application,
            looked, differences, skipped, "A round of comparing is over"
        );
    }
    Ok(())
}

async fn interrupt(app: &App, served: &Served, failure: &Failure) -> Result<()> {
    let (pause, error) = match failure {
        Failure::Stopping | Failure::Overtaken => (Duration::ZERO, None),
        Failure::NoTurn => (Duration::from_secs(1), None),
        Failure::Shut(wait) => (*wait, None),
        Failure::Call(Error::Throttled { retry_after, .. }) => (retry_after.unwrap_or(PAUSE).min(PAUSE * 10), None),
        Failure::Call(_) | Failure::Store(_) => (PAUSE, Some(failure.to_string())),
    };
    if let Some(error) = &error {
        warn!(application_id = %served.id, error, "Comparing with the marketplace rests; it goes on soon");
        let labels = [&served.id.to_string(), "interrupted"];
        app.metrics.reconcile_runs_total.with_label_values(&labels).inc();
    }
    reconciliations::interrupt(&app.pool, served.id, pause, error.as_deref()).await?;
    Ok(())
}

/// Looks at one place, and writes what it found.
async fn look_at(app: &App, served: &Served, candidate: &Candidate) -> Result<(), Failure> {
    let place = candidate.place;
    let mut line = Line::new(app, served, Priority::Reconciliation);
    let Some((seen, link)) = look::at(app, place, &mut line).await? else {
        return Err(Failure::Call(Error::Fault {
            status: Some(200),
            reason: "a status word nobody knows".to_owned(),
        }));
    };
    let mut tx = app.pool.begin().await?;
    let (drafts, generation) = look::found(&mut tx, place, (&seen, link), candidate.link).await?;
    let link = link.map(|link| (link.made_at, generation));
    looks::note(&mut tx, place, seen.observed_at, link).await?;
    reconciliations::count(&mut tx, served.id, drafts.len()).await?;
    events::append(&mut tx, &drafts).await?;
    tx.commit().await?;
    count(app, &drafts);
    match seen.status {
        Status::Pending if drafts.is_empty() => finish_connection(app, place).await,
        Status::Active => hooks::check(app, served, candidate, &mut line).await,
        Status::Uninstalled if !drafts.is_empty() => close_connection(app, place).await,
        Status::Pending | Status::Frozen | Status::Uninstalled => Ok(()),
    }
}

fn count(app: &App, drafts: &[Draft]) {
    count_appended(app, drafts);
    for draft in drafts {
        let labels = [&draft.place.application_id.to_string(), &draft.kind.label()];
        app.metrics.reconcile_differences_total.with_label_values(&labels).inc();
    }
}

/// A connection that we know to be pending is being activated, unless its job was cancelled or lost.
async fn finish_connection(app: &App, place: Place) -> Result<(), Failure> {
    let noted = activations::of(&app.pool, place.application_id, &[place.location_id]).await?;
    let waits = |noted: &activations::Activation| match noted.progress {
        Progress::Expired => true,
        // Our own product finishes it, until its time is over.
        Progress::External => noted.pending_since.is_none_or(|since| !is_over(app, since)),
        _ => false,
    };
    if noted.first().is_some_and(waits) {
        return Ok(());
    }
    activate(app, place).await
}

/// A connection that waited for our own product is gone. Nobody else notes what became of it.
async fn close_connection(app: &App, place: Place) -> Result<(), Failure> {
    let noted = activations::of(&app.pool, place.application_id, &[place.location_id]).await?;
    match noted.first().map(|noted| noted.progress) {
        Some(Progress::External) => activate(app, place).await,
        Some(_) | None => Ok(()),
    }
}

fn is_over(app: &App, pending_since: DateTime<Utc>) -> bool {
    (Utc::now() - pending_since)
        .to_std()
        .is_ok_and(|waited| waited > app.config.activation.limit)
}

async fn activate(app: &App, place: Place) -> Result<(), Failure> {
    let action = Action::Activate { by_hand: false };
    jobs::enqueue_if_idle(&app.pool, &NewJob::activation(place, Priority::Activation, &action)).await?;
    app.wake.for_jobs();
    Ok(())
}
