//! Reading an installation's status, and turning what differs from what we know into events.

use serde_json::json;

use super::{Done, outcome};
use crate::{
    app::{
        App,
        line::{Failure, Line},
    },
    domain::{action::ExpectedPayment, event::Source},
    store::jobs::{Claimed, Outcome},
    workers::look::{differences, observe},
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
