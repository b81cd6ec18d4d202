//! Whether the webhooks of a location come to us. An application may be active while its address is not registered
//! (contract 3), and then its events are lost without a word.

use chrono::Utc;

use crate::{
    app::{
        App,
        hooks::Addresses,
        line::{Failure, Line},
        served::Served,
    },
    domain::action::Action,
    marketplace::{calls, error::Error},
    store::{
        jobs::{self, NewJob},
        looks::{self, Candidate, Hooks},
    },
};

/// Reads the webhook settings of an active location (W1), now and then.
pub(super) async fn check(
    app: &App,
    served: &Served,
    candidate: &Candidate,
    line: &mut Line<'_>,
) -> Result<(), Failure> {
    let every = app.config.reconcile.hooks_interval;
    let is_fresh = candidate
        .hooks_seen_at
        .is_some_and(|at| (Utc::now() - at).to_std().is_ok_and(|age| age < every));
    if served.config.user_token.is_none() || is_fresh {
        return Ok(());
    }
    let place = candidate.place;
    let hooks = match line.send(&calls::hooks::settings(place.location_id)).await {
        Ok(settings) => Addresses::of(app, place).stand(&settings),
        Err(Failure::Call(Error::Unauthorized { .. } | Error::Forbidden { .. } | Error::NotFound { .. })) => {
            Hooks::Refused
        }
        // The status was read; this can wait for the next round.
        Err(Failure::Call(_) | Failure::NoTurn | Failure::Shut(_)) => return Ok(()),
        Err(failure) => return Err(failure),
    };
    if matches!(hooks, Hooks::Missing | Hooks::Refused) {
        tracing::warn!(%place, state = %hooks, "The webhooks of an active location do not come to us");
    }
    looks::note_hooks(&app.pool, place, hooks).await?;
    if app.config.reconcile.repair_hooks && matches!(hooks, Hooks::Missing | Hooks::Former) {
        let repair = Action::RepairHooks { force: false };
        jobs::enqueue_if_idle(&app.pool, &NewJob::hooks_repair(place, &repair)).await?;
        app.wake.executor.notify_one();
    }
    Ok(())
}
