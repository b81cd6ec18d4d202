//! What a location is like, and in which time zone its dates are.

use chrono_tz::Tz;

use crate::{
    app::{
        App, dictionaries,
        line::{Failure, Line},
        served::Served,
    },
    domain::ids::{LocationId, Place},
    marketplace::calls,
    store::installations,
};

/// Locations on one page of the list; the most it takes.
const PAGE: u32 = 1000;

/// Pages that are looked through for one location.
const PAGES: u32 = 50;

/// The list of connected locations tells what a place is like. Without it rules see only its number;
/// that is no reason to hold up a connection.
pub(super) async fn learn(app: &App, served: &Served, location: LocationId, line: &mut Line<'_>) {
    if learn_country(app, served, line).await.is_err() {
        return;
    }
    let mut first_seen = None;
    for page in 1..=PAGES {
        let Ok(call) = calls::inventory::salons(served.id, page, PAGE) else {
            return;
        };
        let Ok(listed) = line.send(&call).await else { return };
        if let Some(found) = listed.locations.iter().find(|found| found.id == location) {
            if let Err(error) = installations::save_locations(&app.pool, served.id, std::slice::from_ref(found)).await {
                tracing::warn!(%error, location_id = %location, "What is known of a location could not be kept");
            }
            return;
        }
        let first = listed.locations.first().map(|location| location.id);
        let repeated = first_seen.is_some() && first == first_seen;
        if listed.listed < PAGE as usize || repeated {
            return;
        }
        first_seen = first_seen.or(first);
    }
}

/// The list tells the number of a country, and the dictionary of countries the rest.
pub(super) async fn learn_country(app: &App, served: &Served, line: &mut Line<'_>) -> Result<(), Failure> {
    let _learning = served.learning.lock().await;
    dictionaries::learn_countries(app, served, line).await
}

/// Dates of payments are local and carry no offset (contract 5).
pub(super) async fn zone(app: &App, place: Place) -> Result<Option<Tz>, Failure> {
    let location = installations::location(&app.pool, place).await?;
    let name = location.and_then(|location| location.timezone_name);
    Ok(name.and_then(|name| name.parse().ok()))
}
