//! Events that are relayed: what the receiver sees, in which order, and what happens while it is not there.

use bellhop::sandbox::{Change, Fault, FaultKind, Place, Received};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::stage::{APP, Stage, days};

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";

/// A rule that relays what `on` says to an inbox.
fn relay(on: &str, more: &str) -> String {
    format!(
        "[[rule]]\nname = \"relay\"\non = \"{on}\"\n[[rule.then]]\naction = \"forward_event\"\n\
         url = \"{{sandbox}}/inbox/relay\"\nsecret = \"{OLD}\"\n{more}\n"
    )
}

fn place(location_id: i64) -> Place {
    Place {
        application_id: APP,
        location_id,
    }
}

fn headers(received: &Received) -> HeaderMap {
    let header = |(name, value): (&String, &String)| {
        let name: HeaderName = name.parse().expect("a name");
        (name, HeaderValue::from_str(value).expect("a value"))
    };
    received.headers.iter().map(header).collect()
}

fn verifies(received: &Received, secret: &str) -> bool {
    let other = standardwebhooks::Webhook::new(secret).expect("a secret");
    other.verify(received.body.as_bytes(), &headers(received)).is_ok()
}

fn body(received: &Received) -> Value {
    serde_json::from_str(&received.body).expect("JSON")
}

/// What the receiver took, as `kind number`, in the order in which it came.
async fn taken(stage: &Stage) -> Vec<String> {
    let took = stage.inbox("relay").await.into_iter().filter(|one| one.status == 200);
    took.map(|one| {
        let body = body(&one);
        let number = body["data"]["event"]["resource_id"].as_i64();
        let kind = body["type"].as_str().expect("a kind").to_owned();
        number.map_or(kind.clone(), |number| format!("{kind} {number}"))
    })
    .collect()
}

/// Appointments with these numbers change, one after another.
async fn records(stage: &Stage, numbers: std::ops::RangeInclusive<i64>) {
    for number in numbers {
        let change = Change {
            resource_id: Some(number),
            data: Some(json!({"id": number})),
            ..Change::new(1, "record", "create")
        };
        stage.sandbox.change(change).await.expect("changed");
        stage.sandbox.settle().await.expect("sent");
    }
}

/// The receiver answers so for the next requests.
async fn answers(stage: &Stage, status: u16, times: u32) {
    let fault = Fault::new("inbox.relay", FaultKind::Status).status(status).times(times);
    stage.sandbox.fail(fault).await.expect("a fault");
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn everything_that_happens_is_relayed_signed_and_as_it_was_sent(pool: PgPool) {
    let stage = Stage::set(pool, &relay("*", "")).await;
    stage.connected(&[1]).await;
    let raw = r#"{"company_id":1,"resource":"record","resource_id":7,"status":"update","data":{"id":7,  "cost":1.10,"n":12345678901234567890123}}"#;
    let (status, _) = stage.post(&stage.hook(1), raw).await;
    assert_eq!(status, 200);
    stage.settled().await;
    stage.sandbox.disconnect(place(1)).await.expect("gone");
    stage.settled().await;
    assert_eq!(
        taken(&stage).await,
        [
            "installation.pending",
            "installation.activated",
            "record.updated 7",
            "installation.uninstalled"
        ]
    );
    let inbox = stage.inbox("relay").await;
    assert!(inbox.iter().all(|one| verifies(one, OLD) && !verifies(one, NEW)));
    let record = &inbox[2];
    assert!(
        record
            .body
            .contains(r#""data":{"id":7,  "cost":1.10,"n":12345678901234567890123}"#),
        "{}",
        record.body
    );
    let said = body(record);
    assert_eq!(said["data"]["installation"]["status"], "active");
    assert_eq!(said["data"]["location"]["title"], "Salon 1");
    assert_eq!(said["data"]["application"]["id"], APP);
    assert_eq!(said["timestamp"], said["data"]["event"]["at"]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn events_of_a_location_keep_their_order_and_their_names_whatever_the_receiver_answers(pool: PgPool) {
    let stage = Stage::set(pool, &relay("record.*", "")).await;
    stage.connected(&[1]).await;
    // A wrong deploy answers 404, then it is busy, then broken.
    for (status, times) in [(404, 2), (429, 1), (500, 3), (301, 1)] {
        answers(&stage, status, times).await;
    }
    records(&stage, 1..=12).await;
    let all = async || taken(&stage).await.len() == 12;
    stage.until("all of them came", all).await;
    let wanted: Vec<String> = (1..=12).map(|number| format!("record.created {number}")).collect();
    assert_eq!(taken(&stage).await, wanted);
    let inbox = stage.inbox("relay").await;
    let name = |one: &Received| one.headers["webhook-id"].clone();
    let first: Vec<String> = inbox.iter().take(8).map(name).collect();
    assert_eq!(inbox[7].status, 200);
    assert!(first.iter().all(|one| *one == first[0]), "{first:?}");
    let mut names: Vec<String> = inbox.iter().map(name).collect();
    names.dedup();
    assert_eq!(names.len(), 12);
    let jobs = stage.jobs(1).await;
    assert_eq!(jobs[1], "relay forward_event completed 8");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_receiver_that_wants_no_more_of_one_gets_the_next(pool: PgPool) {
    let stage = Stage::set(pool, &relay("record.*", "")).await;
    stage.connected(&[1]).await;
    answers(&stage, 410, 1).await;
    records(&stage, 1..=2).await;
    stage
        .until("the second came", async || taken(&stage).await.len() == 1)
        .await;
    stage.settled().await;
    assert_eq!(taken(&stage).await, ["record.created 2"]);
    let jobs = stage.api("jobs?state=discarded").await;
    assert_eq!(
        jobs["items"][0]["last_error"],
        "the receiver answered 410: it wants no more webhooks"
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn an_event_is_given_up_when_its_time_is_over_and_the_next_goes(pool: PgPool) {
    let edits = [
        ("backoff = \"50ms\"", "backoff = \"20s\""),
        ("backoff_limit = \"400ms\"", "backoff_limit = \"1h\""),
    ];
    let stage = Stage::set_edited(pool, &relay("record.*", "retry_for = \"2d\""), |_| {}, &edits).await;
    stage.connected(&[1]).await;
    answers(&stage, 500, 2).await;
    records(&stage, 1..=1).await;
    stage.settled().await;
    // Two days pass in which nobody tried again; so it is tried, and that was the last time.
    stage.pass(days(2)).await;
    assert_eq!(stage.inbox("relay").await.len(), 2);
    let gone = stage.last_job(1).await;
    assert_eq!(gone["state"], "discarded");
    assert_eq!(gone["last_error"], "given up after 2d: the receiver answered 500");
    records(&stage, 2..=2).await;
    stage.settled().await;
    assert_eq!(taken(&stage).await, ["record.created 2"]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn while_secrets_change_over_both_sign_and_what_waits_follows_its_rule(pool: PgPool) {
    let stage = Stage::set(pool, &relay("record.*", "")).await;
    stage.connected(&[1]).await;
    answers(&stage, 503, 1_000).await;
    records(&stage, 1..=2).await;
    stage
        .until("it was tried", async || !stage.inbox("relay").await.is_empty())
        .await;
    // The receiver moves, and has a new secret.
    let both = format!("secret_previous = \"{OLD}\"");
    let moved = relay("record.*", &both)
        .replacen(OLD, NEW, 1)
        .replace("/inbox/relay", "/inbox/moved");
    stage.write_rules(&moved);
    let (status, said) = stage.order("rules/reload").await;
    assert_eq!(status, 200, "{said}");
    stage
        .until("both came", async || stage.inbox("moved").await.len() == 2)
        .await;
    let inbox = stage.inbox("moved").await;
    assert!(inbox.iter().all(|one| verifies(one, OLD) && verifies(one, NEW)));
    let signatures = &inbox[0].headers["webhook-signature"];
    assert_eq!(signatures.split(' ').count(), 2);
    stage.sandbox.clear_faults().await;
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_waits_to_be_relayed_outlives_the_connection_and_the_process(pool: PgPool) {
    let stage = Stage::set(pool, &relay("record.*", "")).await;
    stage.connected(&[1]).await;
    answers(&stage, 503, 1_000).await;
    records(&stage, 1..=5).await;
    stage.until("they wait", async || stage.jobs(1).await.len() == 6).await;
    stage.sandbox.disconnect(place(1)).await.expect("gone");
    stage
        .until("it is uninstalled", async || stage.status(1).await == "uninstalled")
        .await;
    let stage = stage.restarted().await;
    stage.sandbox.clear_faults().await;
    stage
        .until("all of them came", async || taken(&stage).await.len() == 5)
        .await;
    let wanted: Vec<String> = (1..=5).map(|number| format!("record.created {number}")).collect();
    assert_eq!(taken(&stage).await, wanted);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_receiver_that_is_down_is_left_alone_and_shown(pool: PgPool) {
    let stage = Stage::set(pool, &relay("record.*", "")).await;
    stage.connected(&[1]).await;
    let down = format!("bellhop_forwarding_receiver_down{{application=\"{APP}\",rule=\"relay\"}}");
    let shows = async |line: String| stage.metrics().await.contains(&line);
    assert!(shows(format!("{down} 0")).await);
    answers(&stage, 500, 1_000_000).await;
    records(&stage, 1..=3).await;
    stage
        .until("it is shown", async || shows(format!("{down} 1")).await)
        .await;
    let waiting = format!("bellhop_forwarding_waiting{{application=\"{APP}\",rule=\"relay\"}} 3");
    assert!(shows(waiting).await);
    let before = stage.inbox("relay").await.len();
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let tries = stage.inbox("relay").await.len() - before;
    assert!(tries <= 6, "{tries} tries, with waits that double from 50 ms");
    stage.sandbox.clear_faults().await;
    stage
        .until("all of them came", async || taken(&stage).await.len() == 3)
        .await;
    stage.settled().await;
    assert!(shows(format!("{down} 0")).await);
    assert!(
        shows(format!(
            "bellhop_forwarding_oldest_seconds{{application=\"{APP}\",rule=\"relay\"}} 0"
        ))
        .await
    );
    stage.end().await;
}
