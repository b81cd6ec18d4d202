//! Entity events (contract 7.3).

use serde_json::json;

use super::super::sender::Sent;
use super::super::{Change, Fault, FaultKind};
use super::callbacks::{answer, is_fine};
use super::scene::{ANSWER_LIMIT, Scene};
use super::{Check, Finding, Played};

/// The resources of contract 6.2, the location under both of its names.
const RESOURCES: [&str; 16] = [
    "company",
    "salon",
    "staff",
    "service",
    "service_category",
    "client",
    "record",
    "good",
    "goods_operations_sale",
    "goods_operations_receipt",
    "goods_operations_consumable",
    "goods_operations_stolen",
    "goods_operations_move",
    "finances_operation",
    "schedule",
    "unheard_of",
];

const UNSEEN: &str = "what became of it cannot be seen from outside";

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "events",
        about: "Events of every resource, and of one nobody has heard of, are answered 2xx.",
        run: |scene| Box::pin(events(scene)),
    },
    Check {
        name: "event-array",
        about: "A body that is an array of events is taken like its elements.",
        run: |scene| Box::pin(array(scene)),
    },
    Check {
        name: "event-array-mixed",
        about: "An array with a bad element among good ones is no fault.",
        run: |scene| Box::pin(mixed(scene)),
    },
    Check {
        name: "event-duplicate",
        about: "The same delivery twice, under one X-Hook-Id, is answered 2xx both times.",
        run: |scene| Box::pin(duplicate(scene)),
    },
    Check {
        name: "event-empty-parts",
        about: "Objects that are absent come as empty lists; a deletion may have no data.",
        run: |scene| Box::pin(empty_parts(scene)),
    },
    Check {
        name: "event-junk",
        about: "Events that are no JSON, no event, or half a character cause no 5xx.",
        run: |scene| Box::pin(junk(scene)),
    },
    Check {
        name: "event-burst",
        about: "Many events of one location at once are all answered 2xx in time.",
        run: |scene| Box::pin(burst(scene)),
    },
];

/// What was refused, in words; empty when all is fine.
fn refused(sent: &[Sent]) -> Vec<String> {
    let bad = sent.iter().filter(|sent| !is_fine(sent));
    bad.map(|sent| {
        let status = answer(sent).map_or_else(|why| why, |status| status.to_string());
        format!("{} was answered {status}", sent.detail)
    })
    .collect()
}

fn judged(sent: &[Sent], fine: &str) -> Played {
    let bad = refused(sent);
    match (sent.is_empty(), bad.first()) {
        (true, _) => Finding::not_seen("nothing was sent"),
        (_, None) => Finding::pass(format!("{fine}; {UNSEEN}")),
        (_, Some(first)) if bad.len() == 1 => Finding::fail(first.clone()),
        (_, Some(first)) => Finding::fail(format!("{first}, and {} more", bad.len() - 1)),
    }
}

async fn events(scene: &Scene) -> Played {
    let location = scene.working().await?;
    let mut sent = Vec::new();
    for resource in RESOURCES {
        for status in ["create", "update", "delete", "visit_confirmed"] {
            sent.extend(scene.change(Change::new(location, resource, status)).await?);
        }
    }
    let fine = format!("{} events were answered 2xx", sent.len());
    judged(&sent, &fine)
}

async fn array(scene: &Scene) -> Played {
    let location = scene.working().await?;
    let change = Change {
        array: Some(true),
        burst: Some(3),
        ..Change::new(location, "record", "create")
    };
    let sent = scene.change(change).await?;
    judged(&sent, "an array of three was answered 2xx")
}

async fn raw(scene: &Scene, location: i64, body: String) -> anyhow::Result<Vec<Sent>> {
    let change = Change {
        raw_body: Some(body),
        ..Change::new(location, "record", "update")
    };
    scene.change(change).await
}

async fn mixed(scene: &Scene) -> Played {
    let location = scene.working().await?;
    let good = |id: i64| {
        json!({
            "company_id": location, "resource": "record", "resource_id": id, "status": "update", "data": {"id": id},
        })
    };
    let body = json!([good(1), {"resource": []}, null, good(2)]).to_string();
    let sent = raw(scene, location, body).await?;
    judged(&sent, "answered 2xx, so nobody loses the good ones by a refusal")
}

async fn duplicate(scene: &Scene) -> Played {
    let location = scene.working().await?;
    scene
        .fail(location, Fault::new("event.record", FaultKind::Duplicate))
        .await?;
    let sent = scene.change(Change::new(location, "record", "update")).await?;
    judged(&sent, "both were answered 2xx")
}

async fn empty_parts(scene: &Scene) -> Played {
    let location = scene.working().await?;
    let empties = [
        (
            "record",
            "update",
            json!({"id": 5, "client": [], "staff": null, "services": []}),
        ),
        ("record", "delete", json!([])),
        ("record", "delete", json!(null)),
        (
            "goods_operations_sale",
            "create",
            json!({"id": 6, "client": [], "supplier": [], "service": []}),
        ),
        ("staff", "update", json!({"id": 7, "position": [], "user": []})),
    ];
    let mut sent = Vec::new();
    for (resource, status, data) in empties {
        let change = Change {
            data: Some(data),
            ..Change::new(location, resource, status)
        };
        sent.extend(scene.change(change).await?);
    }
    judged(&sent, "all were answered 2xx")
}

async fn junk(scene: &Scene) -> Played {
    let location = scene.working().await?;
    let half = format!(
        r#"{{"company_id":{location},"resource":"client","resource_id":1,"status":"update","data":{{"name":"\ud83d"}}}}"#
    );
    let long = json!({
        "company_id": location, "resource": "record", "resource_id": 1, "status": "update",
        "data": {"id": 1, "comment": "ж".repeat(200_000)},
    });
    let bodies = [
        "not json".to_owned(),
        "{\"company_id\":".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "{}".to_owned(),
        json!({"company_id": "x", "resource": 5, "resource_id": {}, "status": []}).to_string(),
        half,
        long.to_string(),
    ];
    let mut bad = Vec::new();
    for body in bodies {
        let shown: String = body.chars().take(40).collect();
        for sent in raw(scene, location, body).await? {
            match answer(&sent) {
                Ok(status) if status < 500 => {}
                Ok(status) => bad.push(format!("{status} for {shown:?}")),
                Err(why) => bad.push(format!("{why} for {shown:?}")),
            }
        }
    }
    if bad.is_empty() {
        Finding::pass("none of 8 caused a fault")
    } else {
        Finding::fail(bad.join("; "))
    }
}

async fn burst(scene: &Scene) -> Played {
    let location = scene.working().await?;
    let change = Change {
        burst: Some(scene.trial.burst),
        array: Some(false),
        shuffle: true,
        ..Change::new(location, "record", "update")
    };
    let sent = scene.change(change).await?;
    let again = sent.iter().filter(|sent| sent.attempts.len() > 1).count();
    let slowest = slowest(&sent);
    let told = format!("{} events, the slowest answer took {slowest:.2} s", sent.len());
    if slowest >= ANSWER_LIMIT.as_secs_f64() {
        return Finding::fail(told);
    }
    if again > 0 && refused(&sent).is_empty() {
        return Finding::warn(format!("{told}; {again} were taken only when they came again"));
    }
    judged(&sent, &told)
}

/// The longest that an answer took, in seconds.
pub(super) fn slowest(sent: &[Sent]) -> f64 {
    let attempts = sent.iter().flat_map(|sent| &sent.attempts);
    attempts.map(|attempt| attempt.seconds).fold(0.0, f64::max)
}
