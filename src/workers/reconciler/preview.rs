//! What a round would find, without writing anything.

use std::collections::BTreeSet;

use super::{inventory, look};
use crate::{
    app::{
        App,
        line::{Failure, Line},
        served::Served,
    },
    domain::{
        action::Priority,
        event::Kind,
        ids::{LocationId, Place},
    },
    store::{looks, reconciliations},
};

/// Compares every place now and tells what differs, one place after another; `Err` with the reason where a place could
/// not be compared. Writes nothing. Returns how many places there are.
///
/// # Errors
/// When the list of connected locations cannot be read, or the database does not answer.
pub async fn preview(
    app: &App,
    served: &Served,
    mut tell: impl FnMut(LocationId, Result<Vec<Kind>, String>),
) -> Result<usize, Failure> {
    let mut line = Line::new(app, served, Priority::Reconciliation);
    let listed = inventory::list(served, &mut line).await?;
    let installed = reconciliations::installed(&app.pool, served.id).await?;
    let places: BTreeSet<LocationId> = listed.into_keys().chain(installed).collect();
    for location_id in &places {
        let place = Place {
            application_id: served.id,
            location_id: *location_id,
        };
        let found = match look::at(app, place, &mut line).await {
            Ok(Some((seen, link))) => {
                let before = looks::link(&app.pool, place).await?;
                // Never committed.
                let mut tx = app.pool.begin().await?;
                let (drafts, _) = look::found(&mut tx, place, (&seen, link), before).await?;
                Ok(drafts.into_iter().map(|draft| draft.kind).collect())
            }
            Ok(None) => Err("a status word nobody knows".to_owned()),
            Err(Failure::Call(error)) => Err(error.to_string()),
            Err(failure) => return Err(failure),
        };
        tell(*location_id, found);
    }
    Ok(places.len())
}
