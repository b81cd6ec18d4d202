//! Reading an installation's status, and turning what differs from what we know into events.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::json;

use super::{Done, location::zone, outcome};
use crate::{
    app::{
        App,
        line::{Failure, Line},
    },
    domain::{
        action::ExpectedPayment,
        event::{Draft, Fact, Source},
        ids::Place,
        installation::Observation,
    },
    marketplace::calls,
    store::{
        self, installations,
        jobs::{Claimed, Outcome},
    },
};

/// Reads the status of a job's installation.
pub(super) async fn run(
    app: &App,
    job: &Claimed,
    line: &mut Line<'_>,
    expected: Option<&ExpectedPayment>,
) -> Result<Done, Failure> {
    let Some(seen) = observe(app, job.place, line).await? else {
        return Ok(Done::of(outcome::retry(
            &app.config.jobs,
            job,
            None,
            "the marketplace answered with a status word nobody knows",
        )));
    };
    let drafts = differences(app, job.place, &seen, Source::Status, expected).await?;
    let found = expected.is_none_or(|expected| seen.payments.iter().any(|payment| payment.id == Some(expected.id)));
    let outcome = if found {
        Outcome::Done(json!({"status": seen.status, "differences": drafts.len()}))
    } else {
        outcome::retry(
            &app.config.jobs,
            job,
            None,
            "the status does not show the payment that was reported",
        )
    };
    Ok(Done {
        drafts,
        ..Done::of(outcome)
    })
}

/// Asks the marketplace (M6). `None` when it uses a word we do not know.
pub(super) async fn observe(app: &App, place: Place, line: &mut Line<'_>) -> Result<Option<Observation>, Failure> {
    let observed_at = store::now(&app.pool).await?;
    let status = line.send(&calls::installation::status(place)).await?;
    let zone = zone(app, place).await?;
    let seen = status.observation(zone.unwrap_or(Tz::UTC), observed_at);
    // Without its zone the date of the consent may be wrong by half a day, and clocks count from it.
    Ok(seen.map(|seen| Observation {
        created_at: seen.created_at.filter(|_| zone.is_some()),
        ..seen
    }))
}

/// What an observation says that we do not know yet, as events on their way to the inbox.
pub(super) async fn differences(
    app: &App,
    place: Place,
    seen: &Observation,
    source: Source,
    expected: Option<&ExpectedPayment>,
) -> Result<Vec<Draft>, Failure> {
    let mut tx = app.pool.begin().await?;
    let installation = installations::lock(&mut tx, place).await?;
    let known = installations::payments(&mut tx, place).await?;
    if installation.status == seen.status {
        installations::seen_again(&mut tx, place, seen.observed_at).await?;
    }
    tx.commit().await?;
    let mut facts = installation.differences(seen, &known, expected.map(|expected| expected.id));
    for fact in &mut facts {
        if let (Fact::PaymentReceived { payment, .. }, Some(expected)) = (fact, expected)
            && payment.id == Some(expected.id)
        {
            payment.currency.clone_from(&expected.currency);
        }
    }
    Ok(facts
        .into_iter()
        .map(|fact| draft(place, fact, source, seen.observed_at))
        .collect())
}

/// An event for a fact.
pub(super) fn draft(place: Place, fact: Fact, source: Source, occurred_at: DateTime<Utc>) -> Draft {
    Draft {
        place,
        kind: fact.kind(),
        source,
        fact,
        occurred_at,
    }
}
