//! Activations whose answers are lost, odd or refusals (contract 3, 6.1 M8).

use bellhop::sandbox::{Fault, FaultKind, Shape};
use serde_json::json;
use sqlx::PgPool;

use super::{Stage, WELCOME};
use crate::service::stage::{APP, TOKEN};

fn fault(call: &str, kind: FaultKind) -> Fault {
    Fault::new(call, kind)
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn whatever_is_answered_it_ends_active_and_is_not_activated_twice(pool: PgPool) {
    let stage = Stage::set(pool, WELCOME).await;
    let days: [(&str, Fault, u64); 13] = [
        ("HTML", fault("activate", FaultKind::Html), 1),
        (
            "HTML without effect",
            fault("activate", FaultKind::Html).after_effect(false),
            2,
        ),
        ("empty", fault("activate", FaultKind::Empty), 1),
        ("success false", fault("activate", FaultKind::SuccessFalse), 2),
        (
            "dropped after the effect",
            fault("activate", FaultKind::DropConnection).after_effect(true),
            1,
        ),
        ("dropped before", fault("activate", FaultKind::DropConnection), 2),
        (
            "502 after the effect",
            fault("activate", FaultKind::Status).status(502).after_effect(true),
            1,
        ),
        (
            "503 and 503",
            fault("activate", FaultKind::Status).status(503).times(2),
            3,
        ),
        ("429", fault("activate", FaultKind::RateLimited), 2),
        (
            "301",
            fault("activate", FaultKind::Status).status(301).after_effect(true),
            1,
        ),
        ("meta as a list", fault("activate", FaultKind::MetaList), 1),
        (
            "the status fails first",
            fault("status", FaultKind::Status).status(500).times(2),
            1,
        ),
        ("the status is HTML", fault("status", FaultKind::Html).times(2), 1),
    ];
    for (location, (name, fault, calls)) in (1..).zip(days) {
        stage.sandbox.reset_calls().await;
        stage.sandbox.fail(fault).await.expect("a fault");
        stage.connect_as(Shape::Single, &[location]).await;
        stage.until(name, async || stage.called("add_discount").await > 0).await;
        stage.settled().await;
        assert_eq!(stage.status(location).await, "active", "{name}");
        assert_eq!(stage.called("activate").await, calls, "{name}");
        assert_eq!(
            stage
                .sandbox
                .link(APP, location)
                .await
                .expect("a link")
                .link
                .activations,
            1,
            "{name}"
        );
        assert_eq!(stage.decisions(location).await, ["welcome-discount fired"], "{name}");
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn an_answer_that_never_comes_is_looked_up_not_repeated(pool: PgPool) {
    let quick = [("request_timeout = \"2s\"", "request_timeout = \"400ms\"")];
    let stage = Stage::set_edited(pool, WELCOME, |_| {}, &quick).await;
    stage
        .sandbox
        .fail(fault("activate", FaultKind::TimeoutAfterEffect))
        .await
        .expect("a fault");
    let connected = stage.connect_as(Shape::Single, &[1]).await;
    stage
        .until("the call", async || stage.called("activate").await == 1)
        .await;
    let page = stage.page(&connected).await;
    assert!(
        page.contains("Connecting.") && page.contains("http-equiv=\"refresh\""),
        "{page}"
    );
    stage
        .until("the discount", async || stage.called("add_discount").await == 1)
        .await;
    assert_eq!(
        (stage.status(1).await.as_str(), stage.called("activate").await),
        ("active", 1)
    );
    assert!(stage.page(&connected).await.contains("Connected."));
    let jobs = stage.api("jobs?action=activate").await;
    let job = stage.api(&format!("jobs/{}", jobs["items"][0]["id"])).await;
    let history = job["history"].as_array().expect("a list");
    let outcomes: Vec<&str> = history
        .iter()
        .filter_map(|attempt| attempt["outcome"].as_str())
        .collect();
    assert_eq!(outcomes, ["retry", "done"], "{job}");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn already_installed_is_done_after_a_look(pool: PgPool) {
    let stage = Stage::set_with(pool, WELCOME, |_| {}, "activation = \"external\"").await;
    stage.connect_as(Shape::Single, &[1]).await;
    stage.settled().await;
    // Somebody else activates between our look at the status and our call: the job is held up where it
    // notes what it has seen.
    let looked = stage.called("status").await;
    let mut held = stage.pool.begin().await.expect("a transaction");
    sqlx::query("lock table activations in exclusive mode")
        .execute(&mut *held)
        .await
        .expect("locked");
    stage.activate_by_hand(1).await;
    stage
        .until("the look", async || stage.called("status").await > looked)
        .await;
    let theirs = stage
        .http
        .post(format!("{}/marketplace/partner/callback", stage.sandbox.url()))
        .bearer_auth(TOKEN)
        .header("Accept", "application/vnd.api.v2+json")
        .header("Content-Type", "application/json")
        .body(json!({"salon_id": 1, "application_id": APP}).to_string());
    assert_eq!(theirs.send().await.expect("an answer").status(), 201);
    held.rollback().await.expect("let go");
    stage
        .until("the discount", async || stage.called("add_discount").await == 1)
        .await;
    stage.settled().await;
    assert_eq!(stage.status(1).await, "active");
    let calls = stage.sandbox.calls().await;
    let answers: Vec<_> = calls
        .items
        .iter()
        .filter(|call| call.call == "activate")
        .map(|call| call.status)
        .collect();
    assert_eq!(answers, [Some(201), Some(403)]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_refused_token_is_told_to_the_owner_and_mending_it_finishes_the_connection(pool: PgPool) {
    let stage = Stage::set(pool, WELCOME).await;
    for (location, call, status) in [
        (1, "*", 401),
        (2, "activate", 401),
        (3, "status", 403),
        (4, "activate", 422),
    ] {
        let refused = fault(call, FaultKind::Status).status(status).times(100_000);
        stage.sandbox.fail(refused).await.expect("a fault");
        let connected = stage.connect_as(Shape::Single, &[location]).await;
        stage
            .until("the page to tell", async || {
                stage.page(&connected).await.contains("Still trying.")
            })
            .await;
        let page = stage.page(&connected).await;
        assert!(page.contains("http-equiv=\"refresh\""), "{page}");
        // Another opening neither helps nor hurts.
        stage.visit(&[location]).await;
        stage.sandbox.clear_faults().await;
        stage
            .until("the connection", async || {
                stage.page(&connected).await.contains("Connected.")
            })
            .await;
        stage.settled().await;
        assert_eq!(stage.status(location).await, "active", "{call} {status}");
    }
    assert_eq!(stage.called("add_discount").await, 4);
    stage.end().await;
}
