use std::collections::BTreeMap;

use bellhop::{
    domain::{
        event::Fact,
        ids::{ApplicationId, LocationId, Place},
        installation::Installation,
    },
    sandbox::{Class, Sent, SentOutcome, Status, Truth},
};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::Places;

/// Where a callback was lost or its answer was.
pub(super) fn unsure(sent: &[Sent]) -> Places {
    let callbacks = sent.iter().filter(|one| one.class == Class::Callback);
    let lost = callbacks.filter(|one| one.outcome != SentOutcome::Delivered);
    lost.map(|one| (one.application_id, one.location_id)).collect()
}

async fn known(connection: &mut PgConnection) -> BTreeMap<(i64, i64), (String, i32)> {
    let rows: Vec<(i64, i64, String, i32)> =
        sqlx::query_as("select application_id, location_id, status, generation from installations")
            .fetch_all(connection)
            .await
            .expect("installations");
    rows.into_iter()
        .map(|(application, location, status, generation)| ((application, location), (status, generation)))
        .collect()
}

fn in_our_words(status: Status) -> &'static str {
    match status {
        Status::Pending => "pending",
        Status::Active => "active",
        Status::Freezed | Status::Disabled => "frozen",
        Status::Uninstalled => "uninstalled",
    }
}

/// Bellhop and the marketplace agree, except where they cannot.
pub(super) async fn against_truth(connection: &mut PgConnection, truth: &Truth, except: &Places) -> Vec<String> {
    let known = known(connection).await;
    let mut found = Vec::new();
    for link in &truth.links {
        let place = (link.application_id, link.location_id);
        if except.contains(&place) {
            continue;
        }
        let should = in_our_words(link.link.status);
        let is = known.get(&place).map_or("uninstalled", |(status, _)| status.as_str());
        if is != should {
            found.push(format!("{place:?} is {should}, and Bellhop believes {is}"));
        }
    }
    let connected: Places = truth
        .links
        .iter()
        .map(|link| (link.application_id, link.location_id))
        .collect();
    let invented = known
        .iter()
        .filter(|(place, (status, _))| !connected.contains(place) && status != "uninstalled");
    found.extend(
        invented.map(|(place, (status, _))| format!("{place:?} was never connected, and Bellhop believes {status}")),
    );
    found
}

/// The table is what the events make of it, in the order in which they were judged. A look that finds what is known is
/// no event; whether what came late was older than such a look, only the truth can tell.
pub(super) async fn against_events(connection: &mut PgConnection) -> Vec<String> {
    type Row = (i64, i64, DateTime<Utc>, Value);
    let events: Vec<Row> = sqlx::query_as(
        "select e.application_id, e.location_id, e.occurred_at, e.fact
         from events e join outcomes o on o.event_id = e.id and o.received_at = e.received_at
         where e.fact is not null and o.state = 'processed' and o.note is distinct from 'learnt before what is known of the status'
         order by o.decided_at, e.id",
    )
    .fetch_all(&mut *connection)
    .await
    .expect("events");
    let known = known(connection).await;
    let mut implied: BTreeMap<(i64, i64), Installation> = BTreeMap::new();
    for (application, location, occurred_at, fact) in events {
        let place = Place {
            application_id: ApplicationId(application),
            location_id: LocationId(location),
        };
        let fact: Fact = serde_json::from_value(fact).expect("a fact");
        let before = implied
            .remove(&(application, location))
            .unwrap_or_else(|| Installation::unknown(place, occurred_at));
        implied.insert((application, location), before.apply(&fact, occurred_at).0);
    }
    let mut found = Vec::new();
    for (place, installation) in &implied {
        let implied = (installation.status.as_str().to_owned(), installation.generation);
        let is = known
            .get(place)
            .cloned()
            .unwrap_or_else(|| ("uninstalled".to_owned(), 0));
        if is != implied {
            found.push(format!(
                "the events of {place:?} imply {implied:?}, and the table says {is:?}"
            ));
        }
    }
    found
}
