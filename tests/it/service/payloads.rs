//! Every delivery shape that was seen or documented goes through its door and ends where the index
//! beside the files says. Files that are not in the index are tried too: they must be answered and
//! come to some end.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;
use serde_json::Value;
use sqlx::PgPool;

use super::stage::{APP, Stage};

/// The other applications that the bodies name as their own. 7002, which one body names, is not ours.
const OTHERS: &str = r#"
[[application]]
id = 7
account = "main"
name = "Seven"
[[application]]
id = 123
account = "main"
name = "One two three"
[[application]]
id = 7001
account = "main"
name = "Seven thousand one"
"#;

const EVERYTHING: &str = r#"
[[rule]]
name = "everything"
on = "*.*"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/all"
secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
"#;

/// What the index says about a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// The application whose callback URL is used, when it is not the one in the body.
    application: Option<i64>,
    /// The answer of a redirect; 200 for everything else.
    answer: Option<u16>,
    /// The events it becomes: `location kind source state reason`.
    events: Vec<String>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/payloads")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).expect("a readable file")
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn every_sample_goes_through_its_door_and_ends_as_the_index_says(pool: PgPool) {
    let stage = Stage::set_with(pool, EVERYTHING, |_| {}, OTHERS).await;
    let index: BTreeMap<String, Expected> = serde_json::from_slice(&read("expected.json")).expect("an index");
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .filter(|name| name != "expected.json")
        .collect();
    names.sort();
    for name in index.keys() {
        assert!(names.contains(name), "the index names {name}, which is not there");
    }
    let mut sent = Vec::new();
    for name in &names {
        let before = last_event(&stage).await;
        let application = index.get(name).and_then(|expected| expected.application);
        let answer = send(&stage, name, application).await;
        sent.push((name, answer, before, last_event(&stage).await));
    }
    stage.settled().await;
    let mut differences = Vec::new();
    for (name, answer, before, after) in sent {
        let events = deliveries(&stage, before, after).await;
        match index.get(name) {
            Some(expected) if answer != expected.answer.unwrap_or(200) || events != expected.events => {
                differences.push(format!("{name}: {answer} {events:#?}"));
            }
            Some(_) => {}
            None => {
                let ended = events.iter().all(|event| !event.contains(" received"));
                if !(200..400).contains(&answer) || !ended {
                    differences.push(format!("{name}, which is not in the index: {answer} {events:#?}"));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    stage.end().await;
}

async fn send(stage: &Stage, name: &str, application: Option<i64>) -> u16 {
    let bytes = read(name);
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if name.starts_with("redirect-") {
        let query = body["query_string"].as_str().expect("a query");
        return stage.open(&stage.url(&format!("apps/{APP}/connect?{query}"))).await.0;
    }
    if name.starts_with("lifecycle-") {
        let application = application.or(body["application_id"].as_i64()).unwrap_or(APP);
        let url = stage.url(&format!("apps/{application}/callback"));
        return stage.post(&url, bytes).await.0;
    }
    if body["_wrapper"] == Value::Bool(true) {
        let raw = body["raw_body"].as_str().unwrap_or_default().to_owned();
        let inner = serde_json::from_str(&raw).unwrap_or_default();
        let mut request = stage.http.post(stage.hook(location_of(&inner))).body(raw);
        for (name, value) in body["headers"].as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().unwrap_or_default());
        }
        return request.send().await.expect("an answer").status().as_u16();
    }
    stage.post(&stage.hook(location_of(&body)), bytes).await.0
}

/// The location of an entity event, or of the first in a list.
fn location_of(body: &Value) -> i64 {
    let first = body.get(0).unwrap_or(body);
    first["company_id"].as_i64().unwrap_or(1)
}

async fn last_event(stage: &Stage) -> i64 {
    sqlx::query_scalar("select coalesce(max(id), 0) from events")
        .fetch_one(&stage.pool)
        .await
        .expect("a number")
}

/// What a delivery became; not what Bellhop found out afterwards by itself.
async fn deliveries(stage: &Stage, after: i64, until: i64) -> Vec<String> {
    sqlx::query_scalar(
        "select concat_ws(' ', coalesce(e.location_id::text, '-'), e.kind, e.source,
                case when e.verdict <> 'received' then e.verdict else coalesce(o.state, 'received') end,
                coalesce(e.reason, o.note))
         from events e left join outcomes o on o.event_id = e.id
         where e.id > $1 and e.id <= $2 and e.source in ('connect', 'callback', 'webhook') order by e.id",
    )
    .bind(after)
    .bind(until)
    .fetch_all(&stage.pool)
    .await
    .expect("events")
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_wrapped_delivery_keeps_the_headers_that_help_and_its_bytes(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    for _ in 0..2 {
        assert_eq!(send(&stage, "record-create_headers-omnichannel.json", None).await, 200);
    }
    stage.settled().await;
    let page = stage.api("events?location=100011&kind=record.created").await;
    assert_eq!(page["items"].as_array().expect("a list").len(), 1);
    let event = stage.api(&format!("events/{}", page["items"][0]["id"])).await;
    let id = "11111111-1111-4111-8111-111111111111";
    assert_eq!(
        event["headers"],
        serde_json::json!({"user-agent": "GuzzleHttp/7", "x-hook-id": id})
    );
    let wrapper: Value = serde_json::from_slice(&read("record-create_headers-omnichannel.json")).expect("JSON");
    assert_eq!(event["body"], wrapper["raw_body"]);
    stage.end().await;
}
