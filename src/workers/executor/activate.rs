//! Finishing a connection (contract 6.1 M8, 8). Every attempt begins with the status, so that a crash,
//! a lost answer, an HTML page or "already installed" all lead to the same question: where does it
//! stand? Only a pending one is activated.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::{Done, Progressed, outcome};
use crate::{
    app::{
        App,
        line::{Failure, Line},
        served::{Served, hook_url},
    },
    config::Activation,
    domain::{
        event::{Draft, Fact, Source},
        installation::{Observation, Status},
        payment::Periods,
    },
    marketplace::{
        calls::{self, installation::ActivationSettings},
        error::Error,
    },
    store::{
        self,
        activations::{self, Progress},
        events, installations,
        jobs::{Claimed, Outcome},
    },
    workers::{
        location,
        look::{differences, draft, observe},
        scheduler::count_appended,
    },
};

/// Attempts that wait for a consent to show, when a signed redirect says that there was one.
const EARLY_LOOKS: i32 = 3;

/// Time zones lie an hour apart, hardly any half an hour.
const NEXT_ZONE: TimeDelta = TimeDelta::hours(1);

/// The longest wait between two tries of an activation: its clock counts hours.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Looks at a connection and takes it as far as it goes.
pub(super) async fn run(
    app: &App,
    served: &Served,
    job: &Claimed,
    line: &mut Line<'_>,
    by_hand: bool,
) -> Result<Done, Failure> {
    let seen = match observe(app, job.place, line).await {
        Ok(Some(seen)) => seen,
        Ok(None) => {
            let error = "the marketplace answered with a status word nobody knows";
            return Ok(Done::of(soon(outcome::retry(&app.config.jobs, job, None, error))));
        }
        Err(Failure::Call(error)) => return Ok(not_seen(app, job, &error)),
        Err(failure) => return Err(failure),
    };
    match seen.status {
        Status::Uninstalled => not_connected(app, job, &seen).await,
        Status::Pending => pending(app, served, job, line, (&seen, by_hand)).await,
        Status::Active | Status::Frozen => connected(app, served, job, line, &seen).await,
    }
}

async fn not_connected(app: &App, job: &Claimed, seen: &Observation) -> Result<Done, Failure> {
    let drafts = differences(app, job.place, seen, Source::Activation, None).await?;
    if drafts.is_empty() && job.attempt < EARLY_LOOKS {
        let error = "the marketplace does not show the connection yet".to_owned();
        let after = app.config.jobs.backoff;
        return Ok(Done::of(Outcome::Retry { after, error }));
    }
    // A link that was not activated in time is cleaned up without a word (contract 8).
    let noted = noted(app, job).await?;
    let since = noted.as_ref().and_then(|activation| activation.pending_since);
    let waited = |since: DateTime<Utc>| (seen.observed_at - since).to_std().unwrap_or_default();
    let over = since.filter(|since| waited(*since) >= app.config.activation.limit);
    let mut done = Done::of(Outcome::Done(json!({"status": seen.status})));
    if let (Some(since), Some(noted)) = (over, &noted) {
        done.drafts = expiry(app, job, noted.progress, (since, seen.observed_at)).await?;
    }
    done.drafts.extend(drafts);
    let progress = match over {
        Some(_) => Progress::Expired,
        None => Progress::NotConnected,
    };
    Ok(done.noting(progress, None, None))
}

/// How far the connection had come.
async fn noted(app: &App, job: &Claimed) -> store::Result<Option<activations::Activation>> {
    let noted = activations::of(&app.pool, job.place.application_id, &[job.place.location_id]).await?;
    Ok(noted.into_iter().next())
}

/// The event that a connection was not activated in time, once: before it was noted to be so.
async fn expiry(
    app: &App,
    job: &Claimed,
    before: Progress,
    (pending_since, at): (DateTime<Utc>, DateTime<Utc>),
) -> store::Result<Vec<Draft>> {
    if before == Progress::Expired {
        return Ok(Vec::new());
    }
    let generation = installations::get(&app.pool, job.place).await?.generation;
    let fact = Fact::ActivationExpired {
        generation,
        pending_since,
    };
    Ok(vec![draft(job.place, fact, Source::Activation, at)])
}

/// The status could not be read, so nothing is known and nothing is given up. A refusal is a mistake
/// in the configuration, which people mend; then everything goes on.
fn not_seen(app: &App, job: &Claimed, error: &Error) -> Done {
    let done = Done::of(again(app, job, error));
    if refused(error) {
        return done.noting(Progress::Failed, Some(error.to_string()), None);
    }
    done
}

/// Whatever the marketplace said: try again. When it asked to slow down, not before it said.
fn again(app: &App, job: &Claimed, error: &Error) -> Outcome {
    soon(match error {
        Error::Throttled { .. } => outcome::of(&app.config.jobs, job, &Failure::Call(error.clone())),
        _ => outcome::retry(&app.config.jobs, job, None, &error.to_string()),
    })
}

/// The marketplace said no, as opposed to nothing.
fn refused(error: &Error) -> bool {
    match error {
        Error::Unauthorized { .. }
        | Error::Forbidden { .. }
        | Error::NotFound { .. }
        | Error::Invalid { .. }
        | Error::Rejected { .. } => true,
        Error::Unavailable { .. } | Error::Throttled { .. } | Error::Unknown { .. } | Error::Fault { .. } => false,
    }
}

/// Waits are short: the clock of a connection counts hours.
fn soon(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Retry { after, error } => Outcome::Retry {
            after: after.min(LONGEST_WAIT),
            error,
        },
        Outcome::Snooze { after, reason } => Outcome::Snooze {
            after: after.min(LONGEST_WAIT),
            reason,
        },
        Outcome::Done(_) | Outcome::Discard(_) | Outcome::NotBegun => outcome,
    }
}

async fn pending(
    app: &App,
    served: &Served,
    job: &Claimed,
    line: &mut Line<'_>,
    (seen, by_hand): (&Observation, bool),
) -> Result<Done, Failure> {
    let drafts = differences(app, job.place, seen, Source::Activation, None).await?;
    // What was noted about a link before this one does not count for it.
    let new_link = drafts.iter().any(|draft| matches!(draft.fact, Fact::Pending { .. }));
    let noted = noted(app, job).await?.filter(|_| !new_link);
    let noted_since = noted.as_ref().and_then(|activation| activation.pending_since);
    let since = pending_since(noted_since, seen);
    let waited = (seen.observed_at - since).to_std().unwrap_or_default();
    if waited > app.config.activation.limit {
        let mut done = expired(app, job, waited);
        done.drafts = drafts;
        let before = noted.map_or(Progress::Requested, |noted| noted.progress);
        let expiry = expiry(app, job, before, (since, seen.observed_at)).await?;
        done.drafts.extend(expiry);
        return Ok(done);
    }
    // Once somebody has asked for it, an owner who opens the page again does not undo that.
    let begun = noted
        .as_ref()
        .is_some_and(|activation| activation.progress == Progress::Activating);
    let progress = match served.config.activation {
        Activation::External if !by_hand && !begun => Progress::External,
        Activation::External | Activation::Automatic => Progress::Activating,
    };
    let news = (noted_since != Some(since)).then_some(since);
    note_pending(app, job, progress, news, &drafts).await?;
    if progress == Progress::External {
        return Ok(Done::of(Outcome::Done(
            json!({"status": "pending", "waits_for": "external"}),
        )));
    }
    let settings = ActivationSettings {
        webhook_urls: vec![hook_url(&app.config.server.public_url, app.hook_secret(), job.place)],
        ..ActivationSettings::default()
    };
    let call = match calls::installation::activate(job.place, &settings) {
        Ok(call) => call,
        Err(error) => return Ok(Done::of(Outcome::Discard(error.to_string()))),
    };
    // It takes effect after this. Dated later, it would undo a freeze that was told meanwhile.
    let before = store::now(&app.pool).await?;
    match line.send(&call).await {
        Ok(_) => after_activation(app, served, job, line, before).await,
        Err(Failure::Call(error)) => Ok(not_activated(app, job, &error)),
        Err(failure) => Err(failure),
    }
}

/// The clocks count from the consent, as far as it is known. The marketplace says when the link was
/// made, but not in which zone (contract 5): one that seems to be an hour ago or more may be misread by
/// some zones, and giving up too early would be worse than trying too long.
fn pending_since(noted: Option<DateTime<Utc>>, seen: &Observation) -> DateTime<Utc> {
    let sensible = |at: &DateTime<Utc>| *at <= seen.observed_at && seen.observed_at - *at < NEXT_ZONE;
    let created = seen.created_at.filter(sensible);
    noted.max(created).unwrap_or(seen.observed_at)
}

/// What was seen is written before anything is called: after a crash it is known that it was begun.
async fn note_pending(
    app: &App,
    job: &Claimed,
    progress: Progress,
    since: Option<DateTime<Utc>>,
    drafts: &[Draft],
) -> Result<(), Failure> {
    let mut tx = app.pool.begin().await?;
    events::append(&mut tx, drafts).await?;
    activations::note(&mut tx, job.place, progress, None, since).await?;
    tx.commit().await?;
    count_appended(app, drafts);
    Ok(())
}

/// It was activated, or it was active before. The status tells with which dates.
async fn after_activation(
    app: &App,
    served: &Served,
    job: &Claimed,
    line: &mut Line<'_>,
    before: DateTime<Utc>,
) -> Result<Done, Failure> {
    match observe(app, job.place, line).await {
        Ok(Some(seen)) if seen.status == Status::Active => connected(app, served, job, line, &seen).await,
        // The activation itself is certain. What it looks like will be read again.
        Ok(_) | Err(Failure::Call(_) | Failure::NoTurn | Failure::Shut(_) | Failure::Stopping) => {
            location::learn(app, served, job.place.location_id, line).await;
            let fact = Fact::Activated {
                periods: Periods::default(),
            };
            let drafts = vec![draft(job.place, fact, Source::Activation, before)];
            let done = Done {
                drafts,
                look_again: true,
                ..Done::of(Outcome::Done(json!({"status": "active"})))
            };
            Ok(done.noting(Progress::Active, None, None))
        }
        Err(failure) => Err(failure),
    }
}

async fn connected(
    app: &App,
    served: &Served,
    job: &Claimed,
    line: &mut Line<'_>,
    seen: &Observation,
) -> Result<Done, Failure> {
    // Rules about the activation may ask for the country or write to the place's address, so the place
    // is learnt first; then its dates are read again with the right time zone.
    let known = installations::location(&app.pool, job.place).await?.is_some();
    if known {
        location::learn_country(app, served, line).await?;
    } else {
        location::learn(app, served, job.place.location_id, line).await;
    }
    let seen = match known {
        true => seen.clone(),
        false => observe(app, job.place, line).await?.unwrap_or_else(|| seen.clone()),
    };
    let drafts = differences(app, job.place, &seen, Source::Activation, None).await?;
    let progress = if seen.status == Status::Frozen {
        Progress::Frozen
    } else {
        Progress::Active
    };
    let done = Done {
        drafts,
        ..Done::of(Outcome::Done(json!({"status": seen.status})))
    };
    Ok(done.noting(progress, None, None))
}

/// The activation failed or may have failed. It is tried until its time is over.
fn not_activated(app: &App, job: &Claimed, error: &Error) -> Done {
    let progress = if refused(error) {
        Progress::Failed
    } else {
        Progress::Activating
    };
    Done::of(again(app, job, error)).noting(progress, Some(error.to_string()), None)
}

/// Its time is over: the owner has to connect again. The marketplace will clean the link up without a
/// word, so it is looked at a while longer, and not activated any more.
fn expired(app: &App, job: &Claimed, waited: Duration) -> Done {
    let error = "it was not activated in time";
    let outcome = if waited > app.config.activation.limit * 2 {
        Outcome::Done(json!({"status": "expired"}))
    } else {
        soon(outcome::retry(&app.config.jobs, job, None, error))
    };
    Done::of(outcome).noting(Progress::Expired, Some(error.to_owned()), None)
}

impl Done {
    fn noting(mut self, progress: Progress, message: Option<String>, pending_since: Option<DateTime<Utc>>) -> Self {
        self.progress = Some(Progressed {
            progress,
            message,
            pending_since,
        });
        self
    }
}
