//! Events that make Bellhop ask the marketplace.

use std::{collections::HashSet, time::Duration};

use anyhow::Result;
use chrono::TimeDelta;

use super::calls;
use crate::{
    domain::{
        action::{Action, ExpectedPayment, Priority},
        event::{Fact, Source},
        ids::Place,
        installation::{Installation, Status},
    },
    store::{
        PgTransaction, activations,
        inbox::Waiting,
        jobs::{self, NewJob},
    },
};

/// Nobody asked for it by hand.
const ACTIVATE: Action = Action::Activate { by_hand: false };

/// Unexpected events of one place make us look at most this often.
const UNEXPECTED_AGAIN: Duration = Duration::from_secs(10 * 60);

/// Events of an uninstalled place may still arrive for so long: the sender's delays and retries.
const ON_ITS_WAY: TimeDelta = TimeDelta::minutes(1);

/// What nobody told yet, the marketplace is asked; `looked_at` are places that were found to be looked
/// at lately. Returns whether there is something to ask. The
/// lane comes before the activation, as where a job is settled: in the other order the two could wait
/// for each other.
pub(super) async fn look_closer(
    tx: &mut PgTransaction<'_>,
    event: &Waiting,
    installation: &Installation,
    looked_at: &mut HashSet<Place>,
) -> Result<bool> {
    match &event.fact {
        Some(Fact::ConnectOpened { signed }) => {
            let priority = if *signed {
                Priority::Activation
            } else {
                Priority::Unproven
            };
            jobs::enqueue_once(tx, &NewJob::activation(event.place, priority, &ACTIVATE)).await?;
            activations::open(tx, event.place).await?;
        }
        // A look at the status found a connection whose redirect never came.
        Some(Fact::Pending { .. }) if event.source != Source::Activation && installation.status == Status::Pending => {
            jobs::enqueue_once(tx, &NewJob::activation(event.place, Priority::Activation, &ACTIVATE)).await?;
            activations::open(tx, event.place).await?;
        }
        Some(Fact::PaymentReported { payment }) => {
            let expected = payment.id.map(|id| ExpectedPayment {
                id,
                currency: payment.currency.clone(),
            });
            let action = Action::ReadStatus {
                expect_payment: expected,
            };
            jobs::enqueue_once(tx, &NewJob::look(event.place, &action)).await?;
        }
        // An application that needs no activation sends events before anybody told us of it, and again
        // after it came back.
        None if event.source == Source::Webhook && unexpected(event, installation) => {
            // Once is enough for all of them that are judged together.
            if looked_at.insert(event.place) && !activations::looked_at(tx, event.place, UNEXPECTED_AGAIN).await? {
                jobs::enqueue_once(tx, &NewJob::activation(event.place, Priority::Unproven, &ACTIVATE)).await?;
                activations::open(tx, event.place).await?;
            }
        }
        None if event.source == Source::Telephony => return calls::tell_of(tx, event).await,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Whether an event comes from a place that should be silent. What was on its way when the place was
/// uninstalled is not unexpected.
fn unexpected(event: &Waiting, installation: &Installation) -> bool {
    installation.status == Status::Uninstalled && event.occurred_at - installation.status_since > ON_ITS_WAY
}
