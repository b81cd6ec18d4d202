//! What follows from a telephone call: the marketplace is told of it.

use anyhow::Result;

use crate::{
    domain::{
        action::{Action, EventAt},
        phone_call::{Direction, PhoneCall, Stage},
    },
    store::{
        PgTransaction,
        inbox::Waiting,
        jobs::{self, NewJob},
    },
};

/// Queues what the marketplace is to be told. Returns whether there is something. Of phones that ring it shows only
/// incoming calls (contract V1), so the others are not announced.
pub(super) async fn tell_of(tx: &mut PgTransaction<'_>, event: &Waiting) -> Result<bool> {
    let call = event.body.as_deref().and_then(|body| PhoneCall::from_bytes(body).ok());
    let Some(told) = call else { return Ok(false) };
    let call = EventAt {
        id: event.id,
        received_at: event.received_at,
    };
    let action = match (told.stage, told.direction) {
        (Stage::Ringing, Direction::Incoming) => Action::AnnounceCall { call },
        (Stage::Ringing, Direction::Outgoing | Direction::Internal) => return Ok(false),
        (Stage::Ended(_), _) => Action::LogCall { call },
    };
    jobs::enqueue(tx, &[NewJob::call(event.place, &action)]).await?;
    Ok(true)
}
