//! Bad answers to the activation (contract 3, 10.6).

use std::time::Duration;

use anyhow::Result;

use super::super::{CallRecord, Fault, FaultKind, Shape};
use super::scene::Scene;
use super::{Check, Finding, Played};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "html-answer-done",
        about: "HTML in place of JSON, and it took effect: the status is read, not guessed.",
        run: |scene| Box::pin(effective(scene, FaultKind::Html)),
    },
    Check {
        name: "html-answer-undone",
        about: "HTML in place of JSON, and it took no effect: the location is activated all the same.",
        run: |scene| Box::pin(ineffective(scene, |fault| fault.after_effect(false), FaultKind::Html)),
    },
    Check {
        name: "empty-201",
        about: "201 without a body is a success.",
        run: |scene| Box::pin(empty(scene)),
    },
    Check {
        name: "success-false",
        about: "200 with success: false is a failure: the location is activated later.",
        run: |scene| Box::pin(ineffective(scene, |fault| fault, FaultKind::SuccessFalse)),
    },
    Check {
        name: "429-retry-after",
        about: "429 with Retry-After: it waits that long, and then activates.",
        run: |scene| Box::pin(throttled(scene)),
    },
    Check {
        name: "429-plain",
        about: "429 without a word: it waits, and then activates.",
        run: |scene| Box::pin(ineffective(scene, |fault| fault, FaultKind::RateLimited)),
    },
    Check {
        name: "5xx-then-fine",
        about: "Two times 503, then fine: it is activated in the end.",
        run: |scene| {
            Box::pin(ineffective(
                scene,
                |fault| fault.status(503).times(2),
                FaultKind::Status,
            ))
        },
    },
    Check {
        name: "timeout-after-effect",
        about: "No answer, though it took effect: the status is read before anything is sent again.",
        run: |scene| Box::pin(effective(scene, FaultKind::TimeoutAfterEffect)),
    },
];

/// How a location came to be active after a bad answer.
enum Ending {
    ByItself,
    WhenOpenedAgain,
    NotAtAll,
}

/// Connects a location whose activation is answered badly.
async fn connect_badly(scene: &Scene, fault: Fault) -> Result<i64> {
    let location = scene.location();
    scene.fail(location, fault).await?;
    // The page of a backend that activates while the browser waits may take as long as the bad answer.
    let _ = scene.connect(Shape::Single, &[location]).await;
    Ok(location)
}

async fn ending(scene: &Scene, location: i64) -> Ending {
    if scene.until_active(location).await {
        return Ending::ByItself;
    }
    let _ = scene.open(Shape::Single, &[location]).await;
    if scene.until_active(location).await {
        Ending::WhenOpenedAgain
    } else {
        Ending::NotAtAll
    }
}

/// The bad answer, and whatever was asked about the location after it.
async fn after(scene: &Scene, location: i64) -> Option<(CallRecord, Vec<CallRecord>)> {
    let names = ["activate", "activate_redirect", "status"];
    let calls = scene.calls(location, &names).await;
    let bad = calls.iter().rposition(|call| call.fault.is_some())?;
    Some((calls[bad].clone(), calls[bad + 1..].to_vec()))
}

async fn ineffective(scene: &Scene, change: fn(Fault) -> Fault, kind: FaultKind) -> Played {
    let location = connect_badly(scene, change(Fault::new("activate", kind))).await?;
    let ending = ending(scene, location).await;
    if after(scene, location).await.is_none() {
        return Finding::not_seen("it never asked to activate, so nothing was answered badly");
    }
    match ending {
        Ending::ByItself => Finding::pass("activated in the end"),
        Ending::WhenOpenedAgain => Finding::warn(
            "activated only when the owner opened the page again; one who closes the tab is never connected",
        ),
        Ending::NotAtAll => Finding::fail(format!(
            "not activated within {} s, nor when the page was opened again",
            scene.trial.patience.as_secs()
        )),
    }
}

async fn effective(scene: &Scene, kind: FaultKind) -> Played {
    let hangs = kind == FaultKind::TimeoutAfterEffect;
    let fault = Fault {
        hang_seconds: hangs.then_some(scene.trial.hang.as_secs().max(1)),
        ..Fault::new("activate", kind)
    };
    let location = connect_badly(scene, fault).await?;
    let time = scene.trial.patience + if hangs { scene.trial.hang } else { Duration::ZERO };
    let heard = async || after(scene, location).await.is_some_and(|(_, then)| !then.is_empty());
    scene.until(time, heard).await;
    let Some((_, then)) = after(scene, location).await else {
        return Finding::not_seen("it never asked to activate, so nothing was answered badly");
    };
    match then.first() {
        Some(call) if call.call == "status" => Finding::pass("the status was read"),
        Some(_) => Finding::warn(
            "it sent the activation again without a look at the status; the marketplace answers 403, already \
             installed, which must not count as a failure",
        ),
        None => Finding::warn("it did not look what had become of it; half of such installations are done"),
    }
}

async fn empty(scene: &Scene) -> Played {
    let location = connect_badly(scene, Fault::new("activate", FaultKind::Empty)).await?;
    scene.until_active(location).await;
    scene.quiet().await;
    let Some((_, then)) = after(scene, location).await else {
        return Finding::not_seen("it never asked to activate, so nothing was answered badly");
    };
    match then.iter().find(|call| call.call != "status") {
        None => Finding::pass("not asked again"),
        Some(_) => Finding::warn("it took the empty body for a failure, and sent the activation again"),
    }
}

async fn throttled(scene: &Scene) -> Played {
    const SECONDS: u64 = 3;
    let fault = Fault::new("activate", FaultKind::RateLimited).retry_after(SECONDS);
    let location = connect_badly(scene, fault).await?;
    let ending = ending(scene, location).await;
    let Some((bad, then)) = after(scene, location).await else {
        return Finding::not_seen("it never asked to activate, so nothing was answered badly");
    };
    let waited = then.first().map(|call| call.at - bad.at);
    match (ending, waited) {
        (Ending::NotAtAll, _) => Finding::fail("not activated any more"),
        (_, Some(waited)) if waited.num_milliseconds() < 1000 * SECONDS as i64 - 200 => Finding::warn(format!(
            "it asked again after {:.1} s, though Retry-After said {SECONDS}",
            waited.as_seconds_f64()
        )),
        (Ending::ByItself, _) => Finding::pass(format!("it waited for {SECONDS} s, and activated")),
        (Ending::WhenOpenedAgain, _) => Finding::warn("activated only when the owner opened the page again"),
    }
}
