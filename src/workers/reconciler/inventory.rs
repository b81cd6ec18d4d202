//! The list of connected locations. Whether it holds pending and frozen ones is not documented (contract M1), so it only
//! tells where to look.

use std::collections::HashSet;

use crate::{
    app::{
        App,
        line::{Failure, Line},
        served::Served,
    },
    domain::{action::Priority, ids::LocationId},
    marketplace::{calls, error::Error},
    store::{
        installations,
        reconciliations::{self, Round},
    },
};

/// Locations on one page; the most it takes.
const PAGE: u32 = 1000;

/// Reads the whole list, and writes it when it is whole: a page that is missing must not look as if its locations had
/// gone.
pub(super) async fn read(app: &App, served: &Served, round: Round) -> Result<(), Failure> {
    let mut line = Line::new(app, served, Priority::Reconciliation);
    let mut listed: HashSet<LocationId> = HashSet::new();
    for page in 1.. {
        let call = calls::inventory::salons(served.id, page, PAGE).map_err(|error| {
            Failure::Call(Error::Rejected {
                status: 0,
                message: error.to_string(),
            })
        })?;
        let answer = line.send(&call).await?;
        let before = listed.len();
        listed.extend(answer.locations.iter().map(|location| location.id));
        installations::save_locations(&app.pool, served.id, &answer.locations).await?;
        // Pages may count from 0 or from 1, and one beyond the last may be the last again.
        if answer.listed < PAGE as usize || listed.len() == before {
            break;
        }
    }
    let listed: Vec<LocationId> = listed.into_iter().collect();
    let mut tx = app.pool.begin().await?;
    reconciliations::note_list(&mut tx, served.id, &listed, round.begun_at).await?;
    tx.commit().await?;
    Ok(())
}
