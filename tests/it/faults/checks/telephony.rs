use std::collections::{BTreeMap, BTreeSet};

use bellhop::sandbox::Truth;
use serde_json::Value;
use sqlx::PgConnection;

use super::complaints;
use crate::faults::oracle::{Oracle, Word};

/// Every call that is over and was acknowledged stands in the marketplace's history, at least once: it has no key against
/// repetitions. Not more often than it was told, and none that never was.
pub(super) async fn all(connection: &mut PgConnection, oracle: &Oracle, truth: &Truth) -> Vec<String> {
    let calls = oracle.calls();
    let ended = named(&calls, "ended");
    let mut logged: BTreeMap<&str, i64> = BTreeMap::new();
    for call in &truth.phone_calls {
        *logged.entry(call.call_id.as_str()).or_default() += 1;
    }
    let mut found = complaints(
        connection,
        "select format('%s for the event %s is %s: %s', action, params -> 'call' ->> 'id', state, coalesce(last_error, result::text))
         from finished_jobs where action = 'log_call' and (state <> 'completed' or not (result ->> 'sent')::boolean)
         union all
         select format('event %s of a call has %s jobs', e.id, count(j.id)) from events e
         left join finished_jobs j on j.action = 'log_call' and (j.params -> 'call' ->> 'id')::bigint = e.id
         where e.kind = 'call.ended' and e.verdict = 'received' group by e.id having count(j.id) <> 1",
    )
    .await;
    let tries: Vec<(String, i32)> = sqlx::query_as(
        "select convert_from(e.body, 'UTF8')::jsonb ->> 'call_id', j.attempts from finished_jobs j
         join events e on e.id = (j.params -> 'call' ->> 'id')::bigint where j.action = 'log_call'",
    )
    .fetch_all(connection)
    .await
    .expect("jobs");
    let tries: BTreeMap<String, i32> = tries.into_iter().collect();
    for (call, acknowledged) in &ended {
        match logged.remove(call.as_str()) {
            None if *acknowledged => found.push(format!("acknowledged and not in the history: {call}")),
            None => {}
            Some(times) if times > i64::from(tries.get(call).copied().unwrap_or(0)) => {
                found.push(format!(
                    "{call} was told less often than the {times} times that the history has it"
                ));
            }
            Some(_) => {}
        }
    }
    found.extend(
        logged
            .keys()
            .map(|call| format!("in the history and never told: {call}")),
    );
    let rang: BTreeSet<String> = calls.keys().filter_map(|word| Some(read(word, "ringing")?.1)).collect();
    let invented = truth.phone_rings.iter().filter(|ring| !rang.contains(&ring.phone));
    found.extend(invented.map(|ring| format!("{} rang, and nobody told", ring.phone)));
    found
}

/// The name of a call in some state, and who called.
fn read((_, _, text): &Word, state: &str) -> Option<(String, String)> {
    let call: Value = serde_json::from_str(text).ok()?;
    let text = |key: &str| call[key].as_str().map(str::to_owned);
    Some((text("call_id")?, text("from")?)).filter(|_| call["state"] == state)
}

/// Calls in some state, and whether they were acknowledged.
fn named(calls: &BTreeMap<Word, bool>, state: &str) -> BTreeMap<String, bool> {
    let of_state = calls
        .iter()
        .filter_map(|(word, acknowledged)| Some((read(word, state)?.0, *acknowledged)));
    of_state.collect()
}
