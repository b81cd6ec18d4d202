use std::collections::{BTreeMap, BTreeSet};

use bellhop::sandbox::Received;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::complaints;
use crate::faults::{
    oracle::{Oracle, Word},
    world::WAIT,
};

/// Every firing of the rule whose second step waits had both steps, the second once and not before its wait was over;
/// and every such event that was acknowledged got as far.
pub(super) async fn all(connection: &mut PgConnection, oracle: &Oracle, inbox: &[Received]) -> Vec<String> {
    let mut found = complaints(
        connection,
        "select format('step %s of firing %s is %s: %s', step, firing_id, state, last_error)
         from finished_jobs where rule = 'later' and state <> 'completed'",
    )
    .await;
    let firings: Vec<i64> = sqlx::query_scalar("select id from firings where rule = 'later'")
        .fetch_all(connection)
        .await
        .expect("firings");
    let (now, later) = (first(inbox, "now", &[200]), first(inbox, "later", &[200, 503]));
    for firing in &firings {
        let at =
            |first: &BTreeMap<String, DateTime<Utc>>, step| first.get(&format!("bellhop-{firing}-{step}")).copied();
        match (at(&now, 0), at(&later, 1)) {
            (Some(now), Some(later)) if later - now >= WAIT => {}
            (Some(now), Some(later)) => {
                let early = later - now;
                found.push(format!(
                    "the second step of firing {firing} came {early} after the first"
                ));
            }
            (None, _) => found.push(format!("nobody heard the first step of firing {firing}")),
            (_, None) => found.push(format!("nobody heard the second step of firing {firing}")),
        }
    }
    for (what, first) in [("first", &now), ("second", &later)] {
        if first.len() != firings.len() {
            let (fired, times) = (firings.len(), first.len());
            found.push(format!(
                "the rule fired {fired} times, and its {what} step came under {times} names"
            ));
        }
    }
    found.extend(never_reminded(&oracle.events(), inbox));
    found
}

/// When each message came first and was answered so, by its name.
fn first(inbox: &[Received], name: &str, answered: &[u16]) -> BTreeMap<String, DateTime<Utc>> {
    let mut first = BTreeMap::new();
    for one in inbox
        .iter()
        .filter(|one| one.name == name && answered.contains(&one.status))
    {
        let id = one.headers.get("webhook-id").cloned().unwrap_or_default();
        first.entry(id).or_insert(one.at);
    }
    first
}

/// Told from the senders' memory alone, without the tables.
fn never_reminded(sent: &BTreeMap<Word, bool>, inbox: &[Received]) -> Vec<String> {
    let reminded = inbox.iter().filter(|one| one.name == "later" && one.status == 200);
    let reminded: BTreeSet<&str> = reminded.map(|one| one.body.as_str()).collect();
    let acknowledged = sent.iter().filter(|(_, acknowledged)| **acknowledged);
    let wanted = acknowledged.filter_map(|((application, location, text), _)| {
        let entity: Value = serde_json::from_str(text).ok()?;
        let number = &entity["resource_id"];
        let waits = entity["resource"] == "finances_operation" && entity["status"] == "update";
        waits.then(|| format!("{application} {location} {number}"))
    });
    wanted
        .filter(|what| !reminded.contains(what.as_str()))
        .map(|what| format!("acknowledged, and its second step never came: {what}"))
        .collect()
}
