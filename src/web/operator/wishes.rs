//! What an operator wants done at a location, by the API or the console. Everything goes through the queue.

use super::problem::Problem;
use crate::{
    app::App,
    domain::{
        action::{Action, Priority},
        ids::{ApplicationId, LocationId, Place},
    },
    store::{
        self,
        jobs::{NewJob, enqueue_alone},
    },
};

/// Something to be done at one location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Activate a connection now. For applications whose own product finishes the registration first.
    Activate,
    /// Look at the status now.
    Compare,
    /// Put our address back into the webhook settings; with `force` also when that changes what other applications get.
    RepairHooks { force: bool },
    /// Disconnect the application now.
    Uninstall,
}

/// Why nothing was queued.
pub(super) enum NotQueued {
    /// The application is not configured here.
    Unknown(Place),
    /// The database does not answer.
    Store(store::Error),
}

impl From<store::Error> for NotQueued {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<NotQueued> for Problem {
    fn from(why: NotQueued) -> Self {
        match why {
            NotQueued::Unknown(place) => Self::unknown_location(place),
            NotQueued::Store(error) => error.into(),
        }
    }
}

/// A pair of numbers as they stand in an address.
pub(super) fn place((application, location): (i64, i64)) -> Place {
    Place {
        application_id: ApplicationId(application),
        location_id: LocationId(location),
    }
}

/// Queues it; the number of the job. One that waits already is enough.
pub(super) async fn queue(app: &App, place: Place, wish: Wish) -> Result<i64, NotQueued> {
    if app.served(place.application_id).is_none() || place.location_id.0 <= 0 {
        return Err(NotQueued::Unknown(place));
    }
    let action = match wish {
        Wish::Activate => Action::Activate { by_hand: true },
        Wish::Compare => Action::ReadStatus { expect_payment: None },
        Wish::RepairHooks { force } => Action::RepairHooks { force },
        Wish::Uninstall => Action::Uninstall,
    };
    let job = match wish {
        Wish::Activate => NewJob::activation(place, Priority::Activation, &action),
        Wish::Compare => NewJob::look(place, &action),
        Wish::RepairHooks { .. } => NewJob::hooks_repair(place, &action),
        Wish::Uninstall => NewJob::uninstall(place),
    };
    let id = enqueue_alone(&app.pool, &job).await?;
    app.wake.for_jobs();
    Ok(id.0)
}
