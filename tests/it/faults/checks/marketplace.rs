use std::collections::BTreeMap;

use bellhop::sandbox::{CallRecord, Limits, Origin};
use chrono::{DateTime, TimeDelta, Utc};

use super::TRIAL;
use crate::faults::scene::Memory;

/// What the marketplace's own books say about things that must not happen twice.
pub(crate) fn twice(memory: &Memory, leases_lost: bool) -> Vec<String> {
    let mut found = Vec::new();
    for link in &memory.truth.links {
        let place = (link.application_id, link.location_id);
        let (connects, activations) = (link.link.connects, link.link.activations);
        if activations > connects {
            found.push(format!(
                "{place:?} was connected {connects} times and activated {activations} times"
            ));
        }
        let trials = link
            .link
            .payments
            .iter()
            .filter(|paid| paid.origin == Origin::Trial)
            .count();
        if TRIAL > 0 && trials != activations as usize {
            found.push(format!(
                "{place:?} was activated {activations} times and has {trials} trials"
            ));
        }
        let reported = link.link.payments.iter().filter(|paid| paid.origin == Origin::Reported);
        let mut books: BTreeMap<String, u32> = BTreeMap::new();
        for payment in reported {
            let entry = format!("{} {} {}", payment.payment_sum, payment.period_from, payment.period_to);
            *books.entry(entry).or_default() += 1;
        }
        found.extend(
            books
                .iter()
                .filter(|(_, times)| **times > 1)
                .map(|(entry, times)| format!("{place:?} paid {times} times: {entry}")),
        );
    }
    // Two workers may both have seen a pending link when one of them was thought dead. The marketplace refuses the
    // second; nobody else may ever try.
    if !leases_lost {
        found.extend(
            already_active(memory)
                .into_iter()
                .map(|at| format!("an activation was repeated blindly at {at}")),
        );
    }
    // What was given back is not given back again: the marketplace finds nothing there.
    let refused = |call: &&CallRecord| call.call == "refund" && matches!(call.status, Some(403 | 404 | 422));
    let refused = memory.calls.iter().filter(refused);
    found.extend(refused.map(|call| format!("a refund was refused: {}", call.path)));
    found
}

/// Activations that came although the one before was known to have worked: between the two nobody asked for the status.
fn already_active(memory: &Memory) -> Vec<DateTime<Utc>> {
    let mut looked: BTreeMap<String, bool> = BTreeMap::new();
    let mut blind = Vec::new();
    for call in &memory.calls {
        match call.call {
            "status" => {
                let mut path = call.path.rsplit('/');
                let application = path.next().unwrap_or_default();
                let location = path.nth(1).unwrap_or_default();
                looked.insert(format!("{application}/{location}"), true);
            }
            "activate" => {
                let place = format!("{}/{}", call.body["application_id"], call.body["salon_id"]);
                if looked.insert(place, false) != Some(true) {
                    blind.push(call.at);
                }
            }
            _ => {}
        }
    }
    blind
}

/// Never more than so many requests in any second and in any minute, by the clock of whom they reached.
pub(super) fn budget(calls: &[CallRecord], limits: Limits) -> Vec<String> {
    let mut times: Vec<DateTime<Utc>> = calls.iter().map(|call| call.at).collect();
    times.sort();
    let mut found = Vec::new();
    for (window, most) in [
        (TimeDelta::seconds(1), limits.per_second),
        (TimeDelta::seconds(60), limits.per_minute),
    ] {
        let mut first = 0;
        let mut worst = (0, None);
        for (last, at) in times.iter().enumerate() {
            while *at - times[first] >= window {
                first += 1;
            }
            if last + 1 - first > worst.0 {
                worst = (last + 1 - first, Some(*at));
            }
        }
        if worst.0 > most as usize {
            found.push(format!(
                "{} requests within {window}, and {most} are allowed, at {:?}",
                worst.0, worst.1
            ));
        }
    }
    found
}
