//! What the whole run showed: how the backend asked, how fast it answered, what it reported.

use super::super::CallRecord;
use super::scene::{ANSWER_LIMIT, Scene};
use super::webhooks::slowest;
use super::{Check, Finding, Played};

/// An answer that takes longer is near the sender's patience on a bad day (contract 7.3).
const SLOW: f64 = 1.0;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "payment-report",
        about: "With billing of your own, a payment is reported.",
        run: |scene| Box::pin(reported(scene, "report_payment")),
    },
    Check {
        name: "refund-report",
        about: "A refund or chargeback of such a payment is reported.",
        run: |scene| Box::pin(reported(scene, "refund")),
    },
    Check {
        name: "answer-time",
        about: "Every callback and event is answered well within 10 s.",
        run: |scene| Box::pin(answer_time(scene)),
    },
    Check {
        name: "accept-type",
        about: "Every call names the marketplace's media type in Accept.",
        run: |scene| Box::pin(accept_type(scene)),
    },
    Check {
        name: "token",
        about: "Every call carries the right tokens.",
        run: |scene| Box::pin(token(scene)),
    },
    Check {
        name: "request-limits",
        about: "Calls stay within 5 a second and 200 a minute.",
        run: |scene| Box::pin(limits(scene)),
    },
];

async fn all(scene: &Scene) -> Vec<CallRecord> {
    let calls = scene.sandbox.calls().await.items;
    calls.into_iter().filter(|call| call.at >= scene.began).collect()
}

async fn reported(scene: &Scene, name: &str) -> Played {
    let so = async || all(scene).await.iter().any(|call| call.call == name);
    scene.until(scene.trial.wait, so).await;
    let calls: Vec<CallRecord> = all(scene).await.into_iter().filter(|call| call.call == name).collect();
    let fine = |call: &&CallRecord| call.status.is_some_and(|status| (200..300).contains(&status));
    let done = calls.iter().filter(fine).count();
    match (done, calls.last()) {
        (0, None) => Finding::not_seen("none came; with --wait there is time to make one by hand while the run waits"),
        (0, Some(last)) => Finding::fail(format!(
            "the marketplace refused it ({})",
            last.status.map_or("no answer".to_owned(), |status| status.to_string())
        )),
        (done, _) => Finding::pass(format!("{done} taken by the marketplace")),
    }
}

async fn answer_time(scene: &Scene) -> Played {
    let sent = scene.sandbox.deliveries().await;
    if sent.is_empty() {
        return Finding::not_seen("nothing was sent");
    }
    let slowest = slowest(&sent);
    let told = format!(
        "the slowest of {} took {slowest:.2} s; the slowest page {:.2} s",
        sent.len(),
        scene.slowest_page()
    );
    if slowest >= ANSWER_LIMIT.as_secs_f64() {
        Finding::fail(format!("{told}; the sender gives up after 10 s"))
    } else if slowest > SLOW {
        Finding::warn(format!("{told}; store and answer first, work later"))
    } else {
        Finding::pass(told)
    }
}

async fn accept_type(scene: &Scene) -> Played {
    let calls = all(scene).await;
    let without = calls.iter().filter(|call| !call.accept).count();
    match (calls.len(), without) {
        (0, _) => Finding::not_seen("no call came"),
        (all, 0) => Finding::pass(format!("all of {all}")),
        (all, without) => Finding::fail(format!("{without} of {all} do not; the marketplace refuses them")),
    }
}

async fn token(scene: &Scene) -> Played {
    let calls = all(scene).await;
    let refused: Vec<&CallRecord> = calls.iter().filter(|call| call.status == Some(401)).collect();
    match (calls.len(), refused.first()) {
        (0, _) => Finding::not_seen("no call came"),
        (all, None) => Finding::pass(format!("all of {all}")),
        (all, Some(first)) => Finding::fail(format!(
            "{} of {all} were refused (401), first {} {}; it needs {}",
            refused.len(),
            first.method,
            first.path,
            "Authorization: Bearer <partner token>, and where the location's data are read also User <user token>"
        )),
    }
}

async fn limits(scene: &Scene) -> Played {
    let calls = all(scene).await;
    let over = calls
        .iter()
        .filter(|call| call.status == Some(429) && call.fault.is_none())
        .count();
    match (calls.len(), over) {
        (0, _) => Finding::not_seen("no call came"),
        (all, 0) => Finding::pass(format!("none of {all} was over them")),
        (all, over) => Finding::fail(format!(
            "{over} of {all} were over the limit of this address, and refused (429)"
        )),
    }
}
