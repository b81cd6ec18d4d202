//! Bad days and limits.

use std::time::Duration;

use bellhop::sandbox::{Fault, FaultKind, Limits, Status};
use serde_json::{Value, json};

use super::{APP, SALON, Stage};

async fn fail(stage: &Stage, fault: Fault) {
    stage.sandbox.fail(fault).await.expect("a fault");
}

#[tokio::test]
async fn a_fault_hits_the_next_calls_of_its_name_and_no_others() {
    let stage = Stage::set().await;
    stage.connect().await;
    fail(&stage, Fault::new("status", FaultKind::Status).status(502).times(2)).await;
    let tariffs = format!("/marketplace/application/{APP}/tariffs");
    assert_eq!(stage.get(&tariffs).await.status, 200);
    assert_eq!(stage.status().await.status, 502);
    assert_eq!(stage.status().await.status, 502);
    assert_eq!(stage.status().await.status, 200);
    let calls = stage.sandbox.calls().await;
    assert_eq!((calls.count("status"), calls.count("tariffs")), (3, 1));
    let faults: Vec<_> = calls.items.iter().map(|call| call.fault).collect();
    assert_eq!(faults, [None, Some("status"), Some("status"), None]);
}

#[tokio::test]
async fn a_call_without_an_answer_may_have_taken_effect() {
    let stage = Stage::set().await;
    stage.connect().await;
    let body = json!({"salon_id": SALON, "application_id": APP});
    let call = || {
        let request = stage.posting("/marketplace/partner/callback", &body);
        stage.signed(request.timeout(Duration::from_millis(250))).send()
    };
    for (kind, after) in [
        (FaultKind::TimeoutBefore, Status::Pending),
        (FaultKind::DropConnection, Status::Pending),
        (FaultKind::TimeoutAfterEffect, Status::Active),
    ] {
        fail(&stage, Fault::new("activate", kind)).await;
        let error = call().await.expect_err("no answer");
        assert_eq!(error.is_timeout(), kind != FaultKind::DropConnection, "{error:?}");
        assert_eq!(stage.truth().await, Some(after));
    }
    let refund = Fault::new("uninstall", FaultKind::DropConnection).after_effect(true);
    fail(&stage, refund).await;
    let path = format!("/marketplace/salon/{SALON}/application/{APP}/uninstall");
    let request = stage.signed(stage.posting(&path, &json!({})));
    request.send().await.expect_err("no answer");
    assert_eq!(stage.truth().await, Some(Status::Uninstalled));
    let calls = stage.sandbox.calls().await.items;
    assert!(calls.iter().all(|call| call.status.is_none()));
}

#[tokio::test]
async fn odd_answers_of_calls_that_worked() {
    let stage = Stage::set().await;
    stage.connect().await;
    fail(&stage, Fault::new("activate", FaultKind::Empty)).await;
    let empty = stage.activate(json!([])).await;
    assert_eq!((empty.status, empty.text.as_str()), (201, ""));
    fail(&stage, Fault::new("*", FaultKind::Html)).await;
    let html = stage.status().await;
    assert!(html.status == 200 && html.text.starts_with("<!DOCTYPE html>"));
    fail(&stage, Fault::new("*", FaultKind::MetaObject)).await;
    assert_eq!(stage.status().await.body["meta"], json!({}));
    fail(&stage, Fault::new("*", FaultKind::MetaList)).await;
    assert_eq!(stage.status().await.body["meta"], json!([]));
}

#[tokio::test]
async fn refusals_that_do_nothing() {
    let stage = Stage::set().await;
    stage.connect().await;
    fail(&stage, Fault::new("activate", FaultKind::SuccessFalse)).await;
    let refused = stage.activate(json!([])).await;
    assert_eq!((refused.status, &refused.body["success"]), (200, &json!(false)));
    fail(&stage, Fault::new("activate", FaultKind::RateLimited).retry_after(3)).await;
    let limited = stage.activate(json!([])).await;
    assert_eq!((limited.status, limited.retry_after.as_deref()), (429, Some("3")));
    fail(&stage, Fault::new("activate", FaultKind::RateLimited)).await;
    assert_eq!(stage.activate(json!([])).await.retry_after, None);
    assert_eq!(stage.truth().await, Some(Status::Pending));
    assert_eq!(stage.activate(json!([])).await.status, 201);
}

#[tokio::test]
async fn requests_over_the_limit_are_refused_and_logged() {
    // By the minute, so that a slow machine does not let the sixth one through.
    let limits = Limits {
        per_minute: 5,
        ..Limits::default()
    };
    let stage = Stage::set_with(|options| options.limits = Some(limits)).await;
    stage.connect().await;
    let mut statuses = Vec::new();
    for _ in 0..7 {
        statuses.push(stage.status().await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429]);
    assert_eq!(stage.sandbox.calls().await.count("status"), 7);
    let control = format!("{}/_sandbox/truth", stage.sandbox.url());
    let control = stage.http.get(control).send().await.expect("an answer");
    assert_eq!(control.status(), 200, "the control API has no limit");
}

#[tokio::test]
async fn the_control_api_does_what_the_methods_do() {
    let stage = Stage::set().await;
    let control = async |verb: &str, body: Value| -> (u16, Value) {
        let answered = stage.post(&format!("/_sandbox/{verb}"), body).await;
        (answered.status, answered.body)
    };
    let place = json!({"application_id": APP, "location_id": 55});
    let (status, _) = control("locations", json!({"id": 55, "title": "Five"})).await;
    assert_eq!(status, 200);
    let connect = json!({"application_id": APP, "location_ids": [55], "shape": "csv"});
    let (_, connected) = control("connect", connect).await;
    assert_eq!(connected["links"], json!([{"location_id": 55, "status": "pending"}]));
    let url = connected["redirect_url"].as_str().expect("a redirect");
    assert!(url.contains("/connect?salon_ids=55&user_data="), "{url}");
    let activation = json!({"salon_id": 55, "application_id": APP});
    stage.post("/marketplace/partner/callback", activation).await;
    assert_eq!(control("advance", json!({"days": 15})).await.0, 200);
    let truth = stage.get("/_sandbox/truth").await.body;
    assert_eq!(truth["links"][0]["status"], "freezed");
    assert_eq!(control("pay", place.clone()).await.1["amount"], 50);
    let fault = json!({"call": "status", "kind": "drop_connection", "times": 2});
    assert_eq!(control("faults", fault).await.0, 200);
    assert_eq!(stage.get("/_sandbox/faults").await.body[0]["times"], 2);
    let delete = stage.http.delete(format!("{}/_sandbox/faults", stage.sandbox.url()));
    assert_eq!(delete.send().await.expect("an answer").status(), 200);
    let change = json!({"location_id": 55, "resource": "record"});
    assert_eq!(control("change", change).await.1, json!({"deliveries": 0}));
    assert_eq!(control("disconnect", place.clone()).await.0, 200);
    assert_eq!(control("disconnect", place).await.0, 400);
    assert_eq!(control("advance", json!({"weeks": 1})).await.0, 400);
    assert_eq!(control("settle", json!({})).await.0, 200);
    let unknown = json!({"call": "nonsense", "kind": "html"});
    assert_eq!(control("faults", unknown).await.0, 400);
    let misfit = json!({"call": "callback", "kind": "html"});
    assert_eq!(control("faults", misfit).await.0, 400);
    let deliveries = stage.get("/_sandbox/deliveries").await.body;
    let details: Vec<_> = deliveries
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["detail"])
        .collect();
    assert_eq!(details, ["freeze", "payment", "uninstall"]);
    let calls = stage.get("/_sandbox/calls").await.body;
    assert_eq!(calls["counts"], json!({"activate": 1}));
    assert_eq!(control("reset-calls", json!({})).await.0, 200);
    assert_eq!(stage.get("/_sandbox/calls").await.body["counts"], json!({}));
    let verbs = stage.get("/_sandbox").await.body;
    assert!(verbs["verbs"].as_array().is_some_and(|verbs| verbs.len() > 15));
    assert_eq!(stage.get("/_sandbox/nonsense").await.status, 404);
}
