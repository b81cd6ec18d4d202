//! Jobs that a person has tried again or gives up.

use bellhop::sandbox::{Change, Fault, FaultKind, Place};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::stage::{APP, Stage};

const WELCOME: &str = r#"
[[rule]]
name = "welcome"
on = "installation.activated"
[[rule.then]]
id = "link"
action = "create_payment_link"
[[rule.then]]
action = "set_discount"
percent = 12.5
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/welcome"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ link.url }}"
"#;

const RECORDS: &str = r#"
[[rule]]
name = "record"
on = "record.created"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/record"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ event.resource_id }}"
"#;

const CONTRACT: &str = r#"
[[rule]]
name = "contract"
on = "installation.activated"
[[rule.then]]
id = "month"
action = "report_payment"
amount = 29.90
currency = "EUR"
months = 1
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/month"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ month.payment_id }}"
"#;

async fn fail(stage: &Stage, fault: Fault) {
    stage.sandbox.fail(fault).await.expect("a fault");
}

async fn job(stage: &Stage, action: &str) -> Value {
    let page = stage.api(&format!("jobs?action={action}&limit=1")).await;
    stage.api(&format!("jobs/{}", page["items"][0]["id"])).await
}

async fn told(stage: &Stage, inbox: &str) -> Vec<String> {
    stage.inbox(inbox).await.into_iter().map(|one| one.body).collect()
}

async fn record(stage: &Stage, id: i64) {
    let change = Change {
        resource_id: Some(id),
        ..Change::new(1, "record", "create")
    };
    stage.sandbox.change(change).await.expect("changed");
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_job_that_was_given_up_comes_back_as_itself_with_the_steps_after_it(pool: PgPool) {
    let stage = Stage::set(pool, WELCOME).await;
    fail(&stage, Fault::new("add_discount", FaultKind::Status).status(403)).await;
    stage.connected(&[1]).await;
    let given_up = job(&stage, "set_discount").await;
    let after = job(&stage, "send_webhook").await;
    assert_eq!(
        (&given_up["state"], &after["state"]),
        (&json!("discarded"), &json!("cancelled"))
    );

    // The step after it comes back with it and not alone.
    let (status, refused) = stage.order(&format!("jobs/{}/retry", after["id"])).await;
    assert_eq!(status, 409);
    let why = refused["detail"].as_str().expect("a reason");
    assert!(why.ends_with("a step before it was given up; retry that one."), "{why}");
    let done = job(&stage, "create_payment_link").await;
    let (status, refused) = stage.order(&format!("jobs/{}/retry", done["id"])).await;
    assert_eq!(status, 409, "{refused}");

    let (_, foreseen) = stage
        .order_with("jobs/retry", &json!({"rule": "welcome", "dry_run": true}))
        .await;
    let wanted = json!([{"job_id": given_up["id"], "result": "retried", "reason": null, "with": [after["id"]]}]);
    assert_eq!(foreseen["items"], wanted);
    assert_eq!(
        job(&stage, "set_discount").await["state"],
        "discarded",
        "nothing was done"
    );

    let (status, _) = stage.order(&format!("jobs/{}/retry", given_up["id"])).await;
    assert_eq!(status, 202);
    stage.settled().await;
    let again = job(&stage, "set_discount").await;
    assert_eq!(
        (&again["id"], &again["state"], &again["attempts"]),
        (&given_up["id"], &json!("completed"), &json!(2))
    );
    assert_eq!(
        again["history"].as_array().map(Vec::len),
        Some(2),
        "what was tried before is still shown"
    );
    let told = told(&stage, "welcome").await;
    assert!(
        told.len() == 1 && told[0].starts_with("http"),
        "it sees the results of earlier steps: {told:?}"
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_job_that_is_given_up_again_takes_the_steps_after_it_along_again(pool: PgPool) {
    let stage = Stage::set(pool, WELCOME).await;
    fail(
        &stage,
        Fault::new("add_discount", FaultKind::Status).status(403).times(2),
    )
    .await;
    stage.connected(&[1]).await;
    let id = job(&stage, "set_discount").await["id"].clone();
    for (attempts, state) in [(2, "cancelled"), (3, "completed")] {
        assert_eq!(stage.order(&format!("jobs/{id}/retry")).await.0, 202);
        stage.settled().await;
        assert_eq!(job(&stage, "set_discount").await["attempts"], attempts);
        assert_eq!(job(&stage, "send_webhook").await["state"], state);
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn jobs_that_come_back_keep_their_order_and_stand_in_nobodys_way(pool: PgPool) {
    let stage = Stage::set(pool, RECORDS).await;
    stage.connected(&[1]).await;
    fail(
        &stage,
        Fault::new("inbox.record", FaultKind::Status).status(410).times(3),
    )
    .await;
    for id in 1..=3 {
        record(&stage, id).await;
        stage.settled().await;
    }
    record(&stage, 4).await;
    stage.settled().await;
    assert_eq!(told(&stage, "record").await, ["1", "2", "3", "4"], "three were refused");
    let (status, _) = stage.order_with("jobs/retry", &json!({})).await;
    assert_eq!(status, 400, "it has to be said which");
    let (_, done) = stage
        .order_with("jobs/retry", &json!({"rule": "record", "limit": 2}))
        .await;
    assert_eq!(done["items"].as_array().map(Vec::len), Some(2), "{done}");
    assert_eq!(done["more"], true);
    stage.settled().await;
    let (_, done) = stage.order_with("jobs/retry", &json!({"rule": "record"})).await;
    assert_eq!(done["more"], false);
    record(&stage, 5).await;
    stage.settled().await;
    // In the order in which they were made, although they were asked for in two parts.
    assert_eq!(told(&stage, "record").await[4..], ["1", "2", "3", "5"]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_can_never_be_tried_again_stands_in_nobodys_way(pool: PgPool) {
    let stage = Stage::set(pool, RECORDS).await;
    stage.connected(&[1]).await;
    fail(&stage, Fault::new("inbox.record", FaultKind::Status).status(410)).await;
    record(&stage, 1).await;
    stage.settled().await;
    // Older ones: of a connection, erased, behind one that was given up, and money that did not move.
    for statement in [
        "insert into finished_jobs (id, application_id, location_id, step, action, params, state, run_at, attempts,
             max_attempts, last_error, created_at)
         select -id, 18289, 1, 0, action, params::jsonb, 'discarded', now(), 1, 1, error, now()
         from (values (1, 'activate', '{\"a\":1}', null), (2, 'read_status', '{\"a\":1}', null), (3, 'send_webhook', '{}', null),
                      (4, 'send_webhook', '{\"a\":1}', 'an earlier step was given up'),
                      (5, 'report_payment', '{\"a\":1}', null)) as v(id, action, params, error)",
        "insert into ledger (job_id, application_id, location_id, kind, state) values (-5, 18289, 1, 'payment', 'failed')",
    ] {
        sqlx::query(statement).execute(&stage.pool).await.expect("made");
    }
    let all = json!({"state": "discarded", "location": 1, "limit": 1});
    let (_, done) = stage.order_with("jobs/retry", &all).await;
    assert_eq!(
        (&done["items"][0]["result"], &done["more"]),
        (&json!("retried"), &json!(false)),
        "{done}"
    );
    stage.settled().await;
    assert_eq!(told(&stage, "record").await, ["1", "1"]);
    let (_, done) = stage.order_with("jobs/retry", &all).await;
    assert_eq!(done["items"], json!([]));
    sqlx::query("delete from finished_jobs where id < 0")
        .execute(&stage.pool)
        .await
        .expect("gone");
    sqlx::query("delete from ledger")
        .execute(&stage.pool)
        .await
        .expect("gone");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_job_that_waits_can_be_given_up_or_tried_at_once_and_one_of_a_connection_neither(pool: PgPool) {
    let edits = [
        ("backoff = \"50ms\"", "backoff = \"1h\""),
        ("backoff_limit = \"400ms\"", "backoff_limit = \"2h\""),
    ];
    let stage = Stage::set_edited(pool, WELCOME, |_| {}, &edits).await;
    fail(
        &stage,
        Fault::new("add_discount", FaultKind::Status).status(503).times(2),
    )
    .await;
    stage.connected(&[1]).await;
    let waiting = job(&stage, "set_discount").await;
    assert_eq!(waiting["state"], "available");
    assert_eq!(stage.order(&format!("jobs/{}/retry", waiting["id"])).await.0, 202);
    stage.settled().await;
    assert_eq!(job(&stage, "set_discount").await["attempts"], 2);

    let (status, cancelled) = stage.order(&format!("jobs/{}/cancel", waiting["id"])).await;
    let after = job(&stage, "send_webhook").await;
    assert_eq!((status, &cancelled["with"]), (202, &json!([after["id"]])));
    let cancelled = job(&stage, "set_discount").await;
    assert_eq!(
        (&cancelled["state"], &cancelled["last_error"]),
        (&json!("cancelled"), &json!("cancelled by a person"))
    );
    assert_eq!(stage.order(&format!("jobs/{}/cancel", waiting["id"])).await.0, 409);

    let own = job(&stage, "activate").await;
    for order in ["retry", "cancel"] {
        let (status, refused) = stage.order(&format!("jobs/{}/{order}", own["id"])).await;
        assert_eq!(status, 409);
        assert!(
            refused["detail"]
                .as_str()
                .is_some_and(|why| why.contains("belongs to the connection"))
        );
    }
    // What was given up by mistake comes back.
    assert_eq!(stage.order(&format!("jobs/{}/retry", waiting["id"])).await.0, 202);
    stage.settled().await;
    assert_eq!(told(&stage, "welcome").await.len(), 1);
    assert_eq!(stage.order("jobs/99999/retry").await.0, 404);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_job_that_runs_is_not_given_up_in_the_middle(pool: PgPool) {
    let stage = Stage::set(pool, WELCOME).await;
    fail(&stage, Fault::new("add_discount", FaultKind::TimeoutBefore)).await;
    stage.connect(&[1]).await;
    stage
        .until("it runs", async || {
            let page = stage.api("jobs?action=set_discount").await;
            page["items"][0]["state"] == "running"
        })
        .await;
    let id = job(&stage, "set_discount").await["id"].clone();
    let (status, refused) = stage.order(&format!("jobs/{id}/cancel")).await;
    assert_eq!(status, 409);
    assert!(
        refused["detail"].as_str().is_some_and(|why| why.contains("it runs")),
        "{refused}"
    );
    stage
        .until("it is done", async || {
            job(&stage, "set_discount").await["state"] == "completed"
        })
        .await;
    stage.end().await;
}

async fn reported(stage: &Stage) -> usize {
    let link = stage.sandbox.link(APP, 1).await.expect("a link");
    let paid = link.link.payments.iter();
    paid.filter(|payment| payment.currency_iso == "EUR").count()
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_retry_of_money_looks_first_and_never_pays_twice(pool: PgPool) {
    let edits = [
        ("request_timeout = \"2s\"", "request_timeout = \"400ms\""),
        ("backoff = \"50ms\"", "backoff = \"50ms\"\nmax_attempts = 1"),
    ];
    let stage = Stage::set_edited(pool, CONTRACT, |_| {}, &edits).await;
    // It was made, and nobody heard of it.
    fail(&stage, Fault::new("report_payment", FaultKind::TimeoutAfterEffect)).await;
    stage.connected(&[1]).await;
    let given_up = job(&stage, "report_payment").await;
    assert_eq!(given_up["state"], "discarded");
    assert_eq!(stage.api("ledger").await["items"][0]["state"], "unknown");
    let (first, second) = (
        format!("jobs/{}/retry", given_up["id"]),
        format!("jobs/{}/retry", given_up["id"]),
    );
    let (first, second) = tokio::join!(stage.order(&first), stage.order(&second));
    // Two who ask at once: the second finds it gone, or waiting for the look that comes first.
    assert!(first.0 == 202 || second.0 == 202, "{first:?} {second:?}");
    stage
        .until("it is known", async || {
            stage.api("ledger").await["items"][0]["state"] == "done"
        })
        .await;
    stage.settled().await;
    assert_eq!((reported(&stage).await, stage.called("report_payment").await), (1, 1));
    assert_eq!(told(&stage, "month").await.len(), 1, "the step after it came back too");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn money_that_the_marketplace_refused_is_not_tried_again(pool: PgPool) {
    let stage = Stage::set(pool, CONTRACT).await;
    fail(&stage, Fault::new("report_payment", FaultKind::Status).status(403)).await;
    stage.connected(&[1]).await;
    let id = job(&stage, "report_payment").await["id"].clone();
    let (status, refused) = stage.order(&format!("jobs/{id}/retry")).await;
    assert_eq!(status, 409);
    assert!(
        refused["detail"]
            .as_str()
            .is_some_and(|why| why.contains("the money did not move")),
        "{refused}"
    );
    // Whoever still wants it has it judged again: another firing, another entry.
    let page = stage.api("events?kind=installation.activated").await;
    let event = page["items"][0]["id"].clone();
    assert_eq!(stage.order(&format!("events/{event}/replay?force=true")).await.0, 202);
    stage.settled().await;
    assert_eq!(reported(&stage).await, 1);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_comes_back_after_an_uninstall_is_given_up_again(pool: PgPool) {
    let stage = Stage::set(pool, WELCOME).await;
    fail(&stage, Fault::new("add_discount", FaultKind::Status).status(403)).await;
    stage.connected(&[1]).await;
    let id = job(&stage, "set_discount").await["id"].clone();
    let place = Place {
        application_id: APP,
        location_id: 1,
    };
    stage.sandbox.disconnect(place).await.expect("gone");
    stage.settled().await;
    assert_eq!(stage.order(&format!("jobs/{id}/retry")).await.0, 202);
    stage.settled().await;
    let again = job(&stage, "set_discount").await;
    assert_eq!(again["last_error"], "the connection it was meant for is over");
    assert_eq!(told(&stage, "welcome").await.len(), 0);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn steps_that_wait_and_have_conditions_come_back_as_they_were(pool: PgPool) {
    let rules = r#"
[[rule]]
name = "welcome"
on = "installation.activated"
[[rule.then]]
action = "set_discount"
percent = 12.5
[[rule.then]]
action = "create_payment_link"
when = "location.id == 2"
[[rule.then]]
action = "send_webhook"
after = "1d"
url = "{sandbox}/inbox/welcome"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "x"
"#;
    let stage = Stage::set(pool, rules).await;
    fail(&stage, Fault::new("add_discount", FaultKind::Status).status(403)).await;
    stage.connected(&[1]).await;
    let id = job(&stage, "set_discount").await["id"].clone();
    assert_eq!(stage.order(&format!("jobs/{id}/retry")).await.0, 202);
    stage.settled().await;
    assert_eq!(job(&stage, "set_discount").await["state"], "completed");
    assert_eq!(stage.called("payment_link").await, 0, "its condition is still asked");
    assert_eq!(told(&stage, "welcome").await.len(), 0, "and the last one still waits");
    stage.pass(std::time::Duration::from_secs(86_400)).await;
    assert_eq!(told(&stage, "welcome").await, ["x"]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_was_forwarded_for_as_long_as_it_may_gets_that_time_again(pool: PgPool) {
    let relay = r#"
[[rule]]
name = "relay"
on = "record.created"
[[rule.then]]
action = "forward_event"
url = "{sandbox}/inbox/relay"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
retry_for = "1h"
"#;
    let stage = Stage::set(pool, relay).await;
    stage.connected(&[1]).await;
    fail(&stage, Fault::new("inbox.relay", FaultKind::Status).status(410)).await;
    record(&stage, 1).await;
    stage.settled().await;
    let given_up = job(&stage, "forward_event").await;
    assert_eq!(given_up["state"], "discarded", "{given_up}");
    stage.pass(std::time::Duration::from_secs(3 * 3600)).await;
    sqlx::query("update finished_jobs set created_at = created_at - interval '3 hours'")
        .execute(&stage.pool)
        .await
        .expect("aged");
    fail(&stage, Fault::new("inbox.relay", FaultKind::Status).status(503)).await;
    assert_eq!(stage.order(&format!("jobs/{}/retry", given_up["id"])).await.0, 202);
    stage
        .until("it is taken", async || {
            job(&stage, "forward_event").await["state"] == "completed"
        })
        .await;
    let again = job(&stage, "forward_event").await;
    assert_eq!(
        (&again["id"], &again["attempts"]),
        (&given_up["id"], &json!(3)),
        "{again}"
    );
    stage.end().await;
}
