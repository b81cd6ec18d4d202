//! The list of connected locations. Whether it holds pending and frozen ones is not documented (contract M1), so it only
//! tells where to look.

use std::collections::BTreeMap;

use crate::{
    app::{
        App, dictionaries,
        line::{Failure, Line},
        rounds::PAGE,
        rulebook::plan_moments,
        served::Served,
    },
    domain::{action::Priority, ids::LocationId, location::Location},
    marketplace::calls,
    store::{
        installations,
        reconciliations::{self, Round},
    },
};

/// Reads the whole list, and writes it when it is whole: a page that is missing must not look as if its locations had
/// gone.
pub(super) async fn read(app: &App, served: &Served, round: Round) -> Result<(), Failure> {
    let mut line = Line::new(app, served, Priority::Reconciliation);
    let (ids, locations): (Vec<LocationId>, Vec<Location>) = list(served, &mut line).await?.into_iter().unzip();
    let mut tx = app.pool.begin().await?;
    installations::save_locations(&mut *tx, served.id, &locations).await?;
    reconciliations::note_list(&mut tx, served.id, &ids, round.begun_at).await?;
    tx.commit().await?;
    // Their clocks may be others now.
    plan_moments(app).await?;
    dictionaries::learn_countries(app, served, &mut line).await
}

/// Reads all pages.
pub(super) async fn list(served: &Served, line: &mut Line<'_>) -> Result<BTreeMap<LocationId, Location>, Failure> {
    let mut listed = BTreeMap::new();
    let mut page = 1;
    while let Ok(call) = calls::inventory::salons(served.id, page, PAGE) {
        let answer = line.send(&call).await?;
        let before = listed.len();
        let locations = answer.locations.into_iter();
        listed.extend(locations.map(|location| (location.id, location)));
        // Pages may count from 0 or from 1, and one beyond the last may be the last again.
        if answer.listed < PAGE as usize || listed.len() == before {
            break;
        }
        page += 1;
    }
    Ok(listed)
}
