//! Bulk actions: planned, confirmed, and done once at each location.

use bellhop::sandbox::{Fault, FaultKind, Place};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::stage::{APP, Stage, days};

const OFFER: &str = r#"
[bulk]
name = "spring-offer"
when = 'installation.status == "active" && location.id != 3'
[[bulk.then]]
action = "set_discount"
percent = 10
"#;

const CONTRACT: &str = r#"
[bulk]
name = "contract"
[[bulk.then]]
action = "report_payment"
amount = 29.90
currency = "EUR"
months = 1
"#;

fn place(location_id: i64) -> Place {
    Place {
        application_id: APP,
        location_id,
    }
}

/// Plans it. Something new is there only where it concerns somebody.
async fn plan(stage: &Stage, file: &str) -> Value {
    let (status, plan) = stage
        .order_with("plans", &json!({"application": APP, "file": file}))
        .await;
    let expected = if plan["plan_id"].is_null() { 200 } else { 201 };
    assert_eq!(status, expected, "{plan}");
    plan
}

async fn apply(stage: &Stage, plan: &Value) -> (u16, Value) {
    let path = format!("plans/{}/apply", plan["plan_id"]);
    stage.order_with(&path, &json!({"confirm": plan["confirmation"]})).await
}

async fn discounts(stage: &Stage) -> Vec<Option<f64>> {
    let mut found = Vec::new();
    for location in 1..=4 {
        found.push(stage.sandbox.link(APP, location).await.expect("a link").link.discount);
    }
    found
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_plan_tells_what_would_be_done_and_is_applied_once_by_its_exact_words(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    stage.connected(&[1, 2, 3, 4]).await;
    stage.sandbox.disconnect(place(4)).await.expect("gone");
    stage.settled().await;
    let plan = plan(&stage, OFFER).await;
    assert_eq!(plan["locations"], json!([1, 2]));
    assert_eq!(
        plan["left_out"],
        json!({
            "condition is false: installation.status == \"active\" && location.id != 3": 1,
            "not installed": 1
        })
    );
    assert_eq!(
        (&plan["requests"], &plan["minutes"]),
        (&json!({"set_discount": 2}), &json!(1))
    );
    assert_eq!(plan["confirmation"], "set_discount at 2 locations");
    assert_eq!(plan["first"][0]["steps"][0]["parameters"], json!({"percent": "10"}));
    stage.settled().await;
    assert_eq!(stage.called("add_discount").await, 0, "nothing was done");

    let other = json!({"confirm": "set_discount at 3 locations"});
    let (status, refused) = stage
        .order_with(&format!("plans/{}/apply", plan["plan_id"]), &other)
        .await;
    assert_eq!(status, 409, "{refused}");
    // What holds when it is applied counts.
    stage.sandbox.freeze(place(2)).await.expect("frozen");
    stage.settled().await;
    let (status, applied) = apply(&stage, &plan).await;
    assert_eq!((status, &applied["locations"]), (202, &json!(2)));
    stage.settled().await;
    assert_eq!(discounts(&stage).await, [Some(10.0), None, None, None]);
    let shown = stage.api(&format!("plans/{}", plan["plan_id"])).await;
    let counts = ["done", "failed", "waiting", "skipped"].map(|key| shown[key].as_i64().expect("a number"));
    assert_eq!(counts, [1, 0, 0, 1]);
    assert!(
        shown["items"][1]["reason"]
            .as_str()
            .is_some_and(|why| why.starts_with("condition is false")),
        "{shown}"
    );
    assert_eq!(shown["items"][0]["state"], "done");
    let (status, again) = apply(&stage, &plan).await;
    assert_eq!(status, 409, "{again}");
    let story = stage.location(1).await;
    assert_eq!(story["firings"][0]["key"], format!("bulk.spring-offer|{APP}|1"));
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_bulk_action_of_one_name_is_done_once_at_a_location_whatever_it_does_then(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    stage.connected(&[1, 2, 3, 4]).await;
    let (first, second) = (plan(&stage, OFFER).await, plan(&stage, OFFER).await);
    assert_eq!(first["digest"], second["digest"]);
    assert_eq!(
        (apply(&stage, &first).await.0, apply(&stage, &second).await.0),
        (202, 202)
    );
    stage.settled().await;
    assert_eq!(stage.called("add_discount").await, 3);
    let third = plan(&stage, &OFFER.replace("percent = 10", "percent = 30")).await;
    assert_eq!(third["left_out"]["done before under this name"], 3, "{third}");
    assert_eq!(third["plan_id"], Value::Null, "there is nothing to apply");
    let shown = stage.api(&format!("plans/{}", second["plan_id"])).await;
    assert_eq!(shown["skipped"], 3, "{shown}");
    let fourth = plan(&stage, &OFFER.replace("spring", "summer")).await;
    assert_eq!(fourth["confirmation"], "set_discount at 3 locations");
    assert_eq!(stage.api("plans").await["items"].as_array().map(Vec::len), Some(3));
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_plan_that_is_old_or_was_changed_is_refused(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    stage.connected(&[1, 2, 3]).await;
    for (change, why) in [
        (
            "update plans set made_at = now() - interval '25 hours' where id = $1",
            "older than a day",
        ),
        (
            "delete from plan_places where plan_id = $1 and location_id = 1",
            "was changed",
        ),
        (
            "update plans set source = replace(source, '10', '90') where id = $1",
            "was changed",
        ),
    ] {
        let plan = plan(&stage, OFFER).await;
        sqlx::query(sqlx::AssertSqlSafe(change))
            .bind(plan["plan_id"].as_i64())
            .execute(&stage.pool)
            .await
            .expect("changed");
        let (status, refused) = apply(&stage, &plan).await;
        assert_eq!(status, 409);
        assert!(
            refused["detail"].as_str().is_some_and(|told| told.contains(why)),
            "{refused}"
        );
    }
    let file = OFFER.replace("percent = 10", "percent = 110\npercnt = 1");
    let (status, refused) = stage
        .order_with("plans", &json!({"application": APP, "file": file}))
        .await;
    assert_eq!(
        (status, refused["mistakes"].as_array().map(Vec::len)),
        (422, Some(2)),
        "{refused}"
    );
    let (status, _) = stage
        .order_with("plans", &json!({"application": 1, "file": OFFER}))
        .await;
    assert_eq!(status, 404);
    stage.settled().await;
    assert_eq!(stage.called("add_discount").await, 0);
    stage.end().await;
}

/// Payments at the marketplace that were reported, by location.
async fn reported(stage: &Stage) -> Vec<usize> {
    let mut found = Vec::new();
    for location in 1..=4 {
        let link = stage.sandbox.link(APP, location).await.expect("a link");
        let paid = link.link.payments.iter();
        found.push(paid.filter(|payment| payment.currency_iso == "EUR").count());
    }
    found
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn money_in_bulk_moves_once_with_two_operators_two_processes_lost_answers_and_a_stop(pool: PgPool) {
    let edits = [("request_timeout = \"2s\"", "request_timeout = \"400ms\"")];
    let stage = Stage::set_edited(pool, "", |_| {}, &edits).await;
    stage.connected(&[1, 2, 3, 4]).await;
    let (first, second) = (plan(&stage, CONTRACT).await, plan(&stage, CONTRACT).await);
    assert_eq!(first["money"], json!({"EUR": "119.60"}));
    assert_eq!(first["confirmation"], "report_payment at 4 locations");
    for fault in [FaultKind::TimeoutAfterEffect, FaultKind::DropConnection] {
        stage
            .sandbox
            .fail(Fault::new("report_payment", fault))
            .await
            .expect("a fault");
    }
    let other = stage.another().await;
    // Two confirm the same plan, and a third another one of the same name.
    let (one, two, three) = tokio::join!(apply(&stage, &first), apply(&stage, &first), apply(&stage, &second));
    let mut statuses = [one.0, two.0];
    statuses.sort_unstable();
    assert_eq!((statuses, three.0), ([202, 409], 202));
    let stage = stage.restarted().await;
    let shown = async |plan: &Value| stage.api(&format!("plans/{}", plan["plan_id"])).await;
    // Either plan may be the one that does it at a location, and a payment in doubt waits for its look.
    stage
        .until("all are done", async || {
            shown(&first).await["waiting"] == 0 && shown(&second).await["waiting"] == 0
        })
        .await;
    stage.settled().await;
    other.stop().await;
    assert_eq!(reported(&stage).await, [1, 1, 1, 1]);
    let (a, b) = (shown(&first).await, shown(&second).await);
    let done = |plan: &Value| plan["done"].as_i64().expect("a number");
    assert_eq!(done(&a) + done(&b), 4, "{a} {b}");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn an_apply_that_breaks_off_has_done_nothing_and_can_be_given_again(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    stage.connected(&[1, 2, 3, 4]).await;
    let plan = plan(&stage, CONTRACT).await;
    // The database lets nobody into the inbox: the statement fails after it has begun.
    for (change, status) in [
        (
            "alter table inbox add constraint closed check (location_id <> 3) not valid",
            503,
        ),
        ("alter table inbox drop constraint closed", 202),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(change))
            .execute(&stage.pool)
            .await
            .expect("changed");
        assert_eq!(apply(&stage, &plan).await.0, status, "{change}");
        stage.settled().await;
        let paid = usize::from(status == 202);
        assert_eq!(reported(&stage).await, [paid; 4]);
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn an_uninstall_cancels_what_a_bulk_action_has_not_done_and_the_plan_tells(pool: PgPool) {
    let edits = [
        ("backoff = \"50ms\"", "backoff = \"1h\""),
        ("backoff_limit = \"400ms\"", "backoff_limit = \"2h\""),
    ];
    let stage = Stage::set_edited(pool, "", |_| {}, &edits).await;
    stage.connected(&[1, 2, 3]).await;
    let unavailable = Fault::new("add_discount", FaultKind::Status).status(503).times(2);
    stage.sandbox.fail(unavailable).await.expect("a fault");
    let plan = plan(&stage, OFFER).await;
    assert_eq!(apply(&stage, &plan).await.0, 202);
    stage.settled().await;
    let shown = async || stage.api(&format!("plans/{}", plan["plan_id"])).await;
    assert_eq!(shown().await["waiting"], 2);
    let lanes: Vec<i16> = sqlx::query_scalar("select distinct priority from lanes")
        .fetch_all(&stage.pool)
        .await
        .expect("lanes");
    assert_eq!(lanes, [2], "behind everything that rules want");
    stage.sandbox.disconnect(place(1)).await.expect("gone");
    stage.settled().await;
    let plan = shown().await;
    assert_eq!((&plan["waiting"], &plan["failed"]), (&json!(1), &json!(1)), "{plan}");
    assert_eq!(plan["items"][0]["reason"], "the application was uninstalled");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn steps_of_a_bulk_action_may_wait_and_have_conditions_of_their_own(pool: PgPool) {
    let file = r#"
[bulk]
name = "offer"
[[bulk.then]]
id = "link"
action = "create_payment_link"
[[bulk.then]]
action = "set_discount"
when = 'location.id == 1'
percent = 10
[[bulk.then]]
action = "send_email"
after = "1d"
to = "owner@example.com"
subject = "Location {{ location.id }}"
text = "{{ link.url }}"
"#;
    let stage = Stage::set(pool, "").await;
    stage.connected(&[1, 2, 3, 4]).await;
    stage.sandbox.disconnect(place(4)).await.expect("gone");
    stage.settled().await;
    let plan = plan(&stage, file).await;
    assert_eq!(
        plan["confirmation"],
        "create_payment_link, set_discount, send_email at 3 locations"
    );
    assert_eq!(apply(&stage, &plan).await.0, 202);
    stage.settled().await;
    assert_eq!(discounts(&stage).await[..3], [Some(10.0), None, None]);
    assert_eq!(stage.sandbox.mails().await.len(), 0);
    let waiting = stage.api(&format!("plans/{}", plan["plan_id"])).await;
    assert_eq!(waiting["waiting"], 3, "{waiting}");
    stage.pass(days(1)).await;
    assert_eq!(stage.sandbox.mails().await.len(), 3);
    let done = stage.api(&format!("plans/{}", plan["plan_id"])).await;
    assert_eq!(done["done"], 3, "{done}");
    stage.end().await;
}
