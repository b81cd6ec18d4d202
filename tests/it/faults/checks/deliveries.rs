use std::collections::BTreeMap;

use bellhop::sandbox::{Class, Sent};
use sqlx::PgConnection;

use crate::faults::oracle::{Identity, Oracle};

/// Nothing that is sent here is refused for good. Acknowledged: stored once. Not acknowledged: stored once or not at all. Never sent: not stored.
pub(super) async fn all(connection: &mut PgConnection, oracle: &Oracle, sent: &[Sent]) -> Vec<String> {
    let mut found = oracle.refusals();
    found.extend(webhooks(connection, oracle).await);
    found.extend(callbacks(connection, sent).await);
    found.extend(pages(connection, oracle).await);
    found
}

async fn webhooks(connection: &mut PgConnection, oracle: &Oracle) -> Vec<String> {
    type Row = (i64, i64, Option<String>, Vec<u8>, i64);
    let rows: Vec<Row> = sqlx::query_as(
        "select application_id, coalesce(location_id, 0), headers ->> 'x-hook-id', sha256(body), count(*)
         from events where source in ('webhook', 'telephony') group by 1, 2, 3, 4",
    )
    .fetch_all(connection)
    .await
    .expect("events");
    let mut stored: BTreeMap<Identity, i64> = rows
        .into_iter()
        .map(|(application, location, hook_id, digest, count)| {
            let digest = digest.try_into().expect("a digest");
            (
                Identity {
                    application,
                    location,
                    hook_id,
                    digest,
                },
                count,
            )
        })
        .collect();
    let mut found = Vec::new();
    for (identity, fate) in oracle.deliveries() {
        match stored.remove(&identity).unwrap_or(0) {
            0 if fate.acknowledged > 0 => found.push(format!("acknowledged and not stored: {identity:?} {fate:?}")),
            0 | 1 => {}
            times => found.push(format!("stored {times} times: {identity:?} {fate:?}")),
        }
    }
    found.extend(
        stored
            .keys()
            .map(|identity| format!("stored and never sent: {identity:?}")),
    );
    found
}

/// A payment has a number by which it is known again; of the others each arrival counts.
async fn callbacks(connection: &mut PgConnection, sent: &[Sent]) -> Vec<String> {
    let rows: Vec<(i64, i64, Vec<u8>, i64)> = sqlx::query_as(
        "select application_id, location_id, body, count(*) from events where source = 'callback' group by 1, 2, 3",
    )
    .fetch_all(connection)
    .await
    .expect("events");
    let mut stored: BTreeMap<(i64, i64, String), u64> = rows
        .into_iter()
        .map(|(application, location, body, count)| {
            let body = String::from_utf8(body).expect("JSON");
            ((application, location, body), u64::try_from(count).expect("a count"))
        })
        .collect();
    let mut told: BTreeMap<(i64, i64, String), (u64, u64, bool)> = BTreeMap::new();
    for one in sent.iter().filter(|one| one.class == Class::Callback) {
        let key = (one.application_id, one.location_id, one.body.clone());
        let (attempts, acknowledged, known) = told.entry(key).or_default();
        *attempts += one.attempts.len() as u64;
        *acknowledged += one
            .attempts
            .iter()
            .filter(|attempt| attempt.status == Some(200))
            .count() as u64;
        *known = one.detail == "payment";
    }
    let mut found = Vec::new();
    for (key, (attempts, acknowledged, known)) in told {
        let times = stored.remove(&key).unwrap_or(0);
        let (least, most) = if known {
            (acknowledged.min(1), attempts.min(1))
        } else {
            (acknowledged, attempts)
        };
        if times < least || times > most {
            found.push(format!("a callback sent {attempts} times and acknowledged {acknowledged} times is stored {times} times: {key:?}"));
        }
    }
    found.extend(
        stored
            .keys()
            .map(|key| format!("a callback is stored and was never sent: {key:?}")),
    );
    found
}

async fn pages(connection: &mut PgConnection, oracle: &Oracle) -> Vec<String> {
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as(
        "select application_id, location_id, count(*) from events where kind = 'connect.opened' group by 1, 2",
    )
    .fetch_all(connection)
    .await
    .expect("events");
    let stored: BTreeMap<(i64, i64), u64> = rows
        .into_iter()
        .map(|(application, location, count)| ((application, location), u64::try_from(count).expect("a count")))
        .collect();
    let mut found = Vec::new();
    for (place, fate) in oracle.visits() {
        let times = stored.get(&place).copied().unwrap_or(0);
        if times < fate.acknowledged || times > fate.attempts {
            found.push(format!("{fate:?} visits of {place:?} are stored {times} times"));
        }
    }
    found
}
