use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::PgConnection;

use super::complaints;
use crate::faults::{
    oracle::{Oracle, Word},
    receiver::Heard,
};

/// What the receiver can tell of a message by reading it.
#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    data: Around<'a>,
}

#[derive(Debug, Deserialize)]
struct Around<'a> {
    #[serde(borrow)]
    event: Event<'a>,
    location: Numbered,
    application: Numbered,
}

#[derive(Debug, Deserialize)]
struct Event<'a> {
    id: i64,
    source: String,
    #[serde(default)]
    resource_id: Option<i64>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Numbered {
    id: i64,
}

/// What the marketplace sends of an entity.
#[derive(Debug, Deserialize)]
struct Entity<'a> {
    resource: String,
    resource_id: i64,
    status: String,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// What makes a message and something that was sent the same: where, kind, number, and its data to the last digit.
type Saying = (i64, i64, String, i64, String);

struct Arrival<'a> {
    id: &'a str,
    event: i64,
    place: (i64, i64),
    kind: String,
    /// When it is of an entity.
    saying: Option<Saying>,
}

/// The receiver has every event that its rule fired for and every entity that was acknowledged, each known by one name,
/// signed, and the first of each in the order in which they were judged at their location; and nothing else.
pub(super) async fn all(connection: &mut PgConnection, oracle: &Oracle, heard: &[Heard]) -> Vec<String> {
    let mut found = names_and_signatures(heard);
    let mut known = BTreeSet::new();
    let first = heard
        .iter()
        .filter(|one| one.taken && known.insert(one.id().to_owned()));
    let mut arrivals = Vec::new();
    for one in first {
        match arrival(one) {
            Ok(arrival) => arrivals.push(arrival),
            Err(error) => found.push(format!("{} cannot be read: {error}", one.id())),
        }
    }
    found.extend(against_senders(&oracle.events(), &arrivals));
    let fired = fired(connection).await;
    found.extend(against_firings(&fired, heard, &arrivals));
    found.extend(
        complaints(
            connection,
            "select format('%s came after %s of the same transaction was judged', event, before) from (
                select f.event_id as event, lag(f.event_id) over w as before
                from firings f join outcomes o on o.event_id = f.event_id and o.received_at = f.event_received_at
                where f.rule = 'relay'
                window w as (partition by f.application_id, f.location_id, o.decided_at order by f.id)) pairs
             where before > event",
        )
        .await,
    );
    found
}

/// Each name stands for one message, and every try is signed anew.
fn names_and_signatures(heard: &[Heard]) -> Vec<String> {
    let mut found = Vec::new();
    let mut events: BTreeMap<&str, i64> = BTreeMap::new();
    for one in heard {
        if !one.is_signed {
            found.push(format!("the signature of {} is wrong", one.id()));
        }
        let Ok(arrival) = arrival(one) else { continue };
        if *events.entry(one.id()).or_insert(arrival.event) != arrival.event {
            found.push(format!("{} is the name of two events", one.id()));
        }
    }
    let mut names: BTreeMap<i64, &str> = BTreeMap::new();
    for (name, event) in events {
        if let Some(other) = names.insert(event, name) {
            found.push(format!("event {event} came as {other} and as {name}"));
        }
    }
    found
}

fn arrival(heard: &Heard) -> serde_json::Result<Arrival<'_>> {
    let Message { kind, data } = serde_json::from_str(&heard.body)?;
    let place = (data.application.id, data.location.id);
    let saying = match (data.event.source.as_str(), data.event.resource_id) {
        ("webhook", Some(number)) => {
            let text = data.event.data.map_or("", RawValue::get).to_owned();
            Some((place.0, place.1, kind.clone(), number, text))
        }
        _ => None,
    };
    Ok(Arrival {
        id: heard.id(),
        event: data.event.id,
        place,
        kind,
        saying,
    })
}

/// Told from the senders' memory alone, without the tables.
fn against_senders(sent: &BTreeMap<Word, bool>, arrivals: &[Arrival<'_>]) -> Vec<String> {
    let mut sayings: BTreeMap<Saying, bool> = BTreeMap::new();
    for ((application, location, text), acknowledged) in sent {
        let Ok(entity) = serde_json::from_str::<Entity<'_>>(text) else {
            continue;
        };
        let kind = format!("{}.{}d", entity.resource, entity.status);
        // What came without data is relayed as rules see it: with none in it.
        let data = entity.data.map_or("{}", RawValue::get).to_owned();
        let saying = (*application, *location, kind, entity.resource_id, data);
        *sayings.entry(saying).or_default() |= *acknowledged;
    }
    let came: BTreeSet<&Saying> = arrivals.iter().filter_map(|one| one.saying.as_ref()).collect();
    let in_short =
        |(application, location, kind, number, _): &Saying| format!("{kind} {number} of {application}/{location}");
    let missing = sayings
        .iter()
        .filter(|(saying, acknowledged)| **acknowledged && !came.contains(saying));
    let mut found: Vec<String> = missing
        .map(|(saying, _)| format!("acknowledged and never relayed: {}", in_short(saying)))
        .collect();
    let invented = came.iter().filter(|saying| !sayings.contains_key(**saying));
    found.extend(invented.map(|saying| format!("relayed and never sent: {}", in_short(saying))));
    found
}

/// A firing of the rule that relays.
struct Fired {
    event: i64,
    place: (i64, i64),
    kind: String,
    attempts: i32,
}

async fn fired(connection: &mut PgConnection) -> Vec<Fired> {
    let rows: Vec<(i64, i64, i64, String, i32)> = sqlx::query_as(
        "select f.event_id, f.application_id, f.location_id, f.kind, coalesce(j.attempts, 0)
         from firings f left join finished_jobs j on j.firing_id = f.id where f.rule = 'relay' order by f.id",
    )
    .fetch_all(connection)
    .await
    .expect("firings");
    let fired = |(event, application, location, kind, attempts)| Fired {
        event,
        place: (application, location),
        kind,
        attempts,
    };
    rows.into_iter().map(fired).collect()
}

fn against_firings(fired: &[Fired], heard: &[Heard], arrivals: &[Arrival<'_>]) -> Vec<String> {
    let mut found = Vec::new();
    let mut by_event: BTreeMap<i64, &Arrival<'_>> = arrivals.iter().map(|one| (one.event, one)).collect();
    let mut tries: BTreeMap<&str, i32> = BTreeMap::new();
    for one in heard {
        *tries.entry(one.id()).or_default() += 1;
    }
    let mut due: BTreeMap<(i64, i64), Vec<i64>> = BTreeMap::new();
    for firing in fired {
        due.entry(firing.place).or_default().push(firing.event);
        match by_event.remove(&firing.event) {
            None => found.push(format!("event {} ({}) never arrived", firing.event, firing.kind)),
            Some(one) if (&one.kind, one.place) != (&firing.kind, firing.place) => {
                found.push(format!(
                    "event {} arrived as {} of {:?}",
                    firing.event, one.kind, one.place
                ));
            }
            Some(one) if tries.get(one.id).copied().unwrap_or(0) > firing.attempts => {
                let times = firing.attempts;
                found.push(format!(
                    "event {} was tried {times} times and arrived more often",
                    firing.event
                ));
            }
            Some(_) => {}
        }
    }
    found.extend(
        by_event
            .keys()
            .map(|event| format!("event {event} arrived, and its rule did not fire")),
    );
    let mut came: BTreeMap<(i64, i64), Vec<i64>> = BTreeMap::new();
    for one in arrivals {
        came.entry(one.place).or_default().push(one.event);
    }
    for (place, came) in came {
        let arrived: BTreeSet<i64> = came.iter().copied().collect();
        let due = due.remove(&place).unwrap_or_default();
        let wrong = due
            .iter()
            .filter(|event| arrived.contains(event))
            .zip(&came)
            .find(|(due, came)| due != came);
        if let Some((due, came)) = wrong {
            found.push(format!(
                "at {place:?} event {came} arrived before {due}, which was judged first"
            ));
        }
    }
    found
}
