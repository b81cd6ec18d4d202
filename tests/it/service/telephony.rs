//! The door of telephony systems, and what the marketplace is told of calls.

use bellhop::{
    domain::{ids::ApplicationId, signature::calls_key},
    sandbox::{Fault, FaultKind},
};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::stage::{APP, HOOK_SECRET, Stage, TOKEN};

const CRM_TOKEN: &str = "00000000-0000-4000-8000-000000000001";
const CALLER: &str = "+4930555000111";
const FORMER_SECRET: &str = "the hook secret before this one";

const RULES: &str = r#"
[[rule]]
name = "missed"
on = "call.ended"
when = 'event.data.direction == "incoming" && !event.data.answered'
[[rule.then]]
action = "set_discount"
percent = 5
"#;

async fn stage(pool: PgPool) -> Stage {
    stage_with(pool, &[]).await
}

async fn stage_with(pool: PgPool, more: &[(&str, &str)]) -> Stage {
    let system = format!("[[application.telephony]]\nname = \"reception\"\nlocation = 1\ncrm_token = \"{CRM_TOKEN}\"");
    let secret = format!("hook_secret = \"{HOOK_SECRET}\"");
    let secrets = format!("{secret}\nhook_secret_previous = \"{FORMER_SECRET}\"");
    let rules = "rules = [\"rules.toml\"]";
    let edits = [(rules, format!("{rules}\n{system}")), (secret.as_str(), secrets)];
    let mut edits: Vec<(&str, &str)> = edits.iter().map(|(line, other)| (*line, other.as_str())).collect();
    edits.extend_from_slice(more);
    let stage = Stage::set_edited(pool, RULES, |_| {}, &edits).await;
    let enabled = stage
        .http
        .post(format!("{}/api/v1/voip/integration", stage.sandbox.url()))
        .header("Accept", "application/vnd.api.v2+json")
        .header("Content-Type", "application/json")
        .header("Authorization", format!("Bearer {TOKEN}"))
        .body(json!({"command": "setup", "type": "enable", "crm_token": CRM_TOKEN}).to_string())
        .send()
        .await
        .expect("an answer");
    assert_eq!(enabled.status(), 202);
    stage.sandbox.reset_calls().await;
    stage
}

fn door(stage: &Stage, secret: &str) -> String {
    let key = calls_key(secret, ApplicationId(APP), "reception");
    stage.url(&format!("apps/{APP}/calls/{key}"))
}

fn call(state: &str, changes: &Value) -> Value {
    let mut call = json!({
        "call_id": "c-1", "state": state, "direction": "incoming", "from": CALLER, "to": "100", "user": "sip-1",
        "started_at": "2026-06-01T09:05:00+03:00", "duration_seconds": 12, "answered": false,
        "recording_url": "https://pbx.example.com/recordings/1",
    });
    let changes = changes.as_object().cloned().unwrap_or_default();
    call.as_object_mut().expect("an object").extend(changes);
    call
}

async fn told(stage: &Stage, call: &Value) -> Value {
    let (status, body) = stage.post(&door(stage, HOOK_SECRET), call.to_string()).await;
    assert_eq!(status, 200, "{body}");
    stage.settled().await;
    serde_json::from_str(&body).expect("JSON")
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_marketplace_is_told_of_each_call_once_and_rules_see_it(pool: PgPool) {
    let stage = stage(pool).await;
    stage.connected(&[1]).await;
    for _ in 0..2 {
        assert_eq!(
            told(&stage, &call("ringing", &json!({}))).await,
            json!({"success": true})
        );
    }
    for _ in 0..2 {
        // The same call, however it is told of the second time.
        told(&stage, &call("ended", &json!({"at": fastrand::u32(..)}))).await;
    }
    let truth = stage.sandbox.truth().await;
    let rings: Vec<&str> = truth.phone_rings.iter().map(|ring| ring.phone.as_str()).collect();
    assert_eq!(rings, [CALLER]);
    let ended = serde_json::to_value(&truth.phone_calls).expect("JSON");
    assert_eq!(ended.as_array().map(Vec::len), Some(1), "{ended}");
    for (field, value) in [
        ("phone", json!(CALLER)),
        ("diversion", json!("100")),
        ("user", json!("sip-1")),
        ("call_id", json!("c-1")),
        ("kind", json!("incoming")),
        ("status", json!("missed")),
        ("duration", json!(12.0)),
        ("link", json!("https://pbx.example.com/recordings/1")),
        ("call_date", json!("2026-06-01T06:05:00Z")),
    ] {
        assert_eq!(ended[0][field], value, "{field}");
    }
    let jobs = stage.jobs(1).await;
    assert!(jobs.contains(&"- announce_call completed 1".to_owned()), "{jobs:?}");
    assert!(jobs.contains(&"- log_call completed 1".to_owned()), "{jobs:?}");
    assert!(jobs.contains(&"missed set_discount completed 1".to_owned()), "{jobs:?}");
    let events = stage.events(1).await;
    let calls: Vec<&String> = events.iter().filter(|event| event.contains("telephony")).collect();
    assert_eq!(
        calls,
        ["call.ringing telephony processed", "call.ended telephony processed"]
    );
    let metrics = stage.metrics().await;
    let counted =
        format!("bellhop_deliveries_total{{application=\"{APP}\",kind=\"call.ended\",result=\"duplicate\"}} 1\n");
    assert!(metrics.contains(&counted), "{metrics}");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn only_incoming_calls_ring_and_all_calls_are_kept(pool: PgPool) {
    let stage = stage(pool).await;
    stage.connected(&[1]).await;
    for direction in ["outgoing", "internal", "incoming"] {
        let changes = json!({"call_id": direction, "direction": direction, "answered": true});
        told(&stage, &call("ringing", &changes)).await;
        told(&stage, &call("ended", &changes)).await;
    }
    let truth = stage.sandbox.truth().await;
    assert_eq!(truth.phone_rings.len(), 1);
    let kinds: Vec<&str> = truth.phone_calls.iter().map(|call| call.kind.as_str()).collect();
    assert_eq!(kinds, ["outgoing", "internal", "incoming"]);
    assert!(truth.phone_calls.iter().all(|call| call.status == "success"));
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_phone_that_rang_long_ago_is_given_up_visibly_and_a_call_is_told_of_later(pool: PgPool) {
    let database = pool.clone();
    let stage = stage(pool).await;
    stage.connected(&[1]).await;
    stage
        .sandbox
        .fail(Fault::new("voip", FaultKind::Status).times(10_000))
        .await
        .expect("a fault");
    for state in ["ringing", "ended"] {
        let (status, _) = stage
            .post(&door(&stage, HOOK_SECRET), call(state, &json!({})).to_string())
            .await;
        assert_eq!(status, 200);
    }
    let of = async |action: &str| {
        let page = stage.api(&format!("jobs?location=1&action={action}")).await;
        page["items"][0].clone()
    };
    stage
        .until("both were tried", async || {
            of("announce_call").await["attempts"].as_i64() > Some(0)
                && of("log_call").await["attempts"].as_i64() > Some(0)
        })
        .await;
    // No test waits for a minute.
    sqlx::query("update events set occurred_at = occurred_at - interval '2 minutes' where kind like 'call.%'")
        .execute(&database)
        .await
        .expect("aged");
    stage
        .until("it is too late", async || {
            of("announce_call").await["state"] == "discarded"
        })
        .await;
    let why = of("announce_call").await["last_error"].clone();
    assert!(
        why.as_str()
            .is_some_and(|why| why.starts_with("too late: the phone rang 12")),
        "{why}"
    );
    assert_ne!(of("log_call").await["state"], "discarded");
    stage.sandbox.clear_faults().await;
    stage
        .until("it is told of", async || of("log_call").await["state"] == "completed")
        .await;
    let truth = stage.sandbox.truth().await;
    assert_eq!((truth.phone_rings.len(), truth.phone_calls.len()), (0, 1));
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn of_a_location_where_the_application_is_not_active_nothing_is_told(pool: PgPool) {
    let stage = stage(pool).await;
    told(&stage, &call("ended", &json!({}))).await;
    let job = stage.api("jobs?location=1&action=log_call").await["items"][0].clone();
    assert_eq!(job["state"], "completed");
    let because = "the application is uninstalled at this location";
    assert_eq!(job["result"], json!({"sent": false, "because": because}));
    assert_eq!(stage.called("voip").await, 0);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn junk_is_kept_and_answered_and_a_wrong_key_changes_nothing(pool: PgPool) {
    let stage = stage(pool).await;
    stage.connected(&[1]).await;
    let said = told(&stage, &call("busy", &json!({}))).await;
    assert_eq!(said["not_understood"], "`state` must be \"ringing\" or \"ended\"");
    let right = door(&stage, HOOK_SECRET);
    assert_eq!(stage.post(&right, "{\"call_id\": ").await.0, 200);
    assert_eq!(stage.post(&right, vec![b' '; 2 << 20]).await.0, 413);
    let wrong = stage.url(&format!("apps/{APP}/calls/wrong"));
    let ended = call("ended", &json!({})).to_string();
    let (status, answer) = stage.post(&wrong, ended.clone()).await;
    assert_eq!((status, answer.as_str()), (200, "{\"success\":true}"));
    assert_eq!(stage.post(&stage.url("apps/7/calls/wrong"), ended.clone()).await.0, 200);
    assert_eq!(stage.open(&wrong).await.0, 200, "a probe");
    stage.settled().await;
    let events = stage.all_events().await;
    let kept: Vec<&String> = events.iter().filter(|event| event.contains("telephony")).collect();
    assert_eq!(
        kept,
        [
            "1 unknown telephony quarantined `state` must be \"ringing\" or \"ended\"",
            "1 unknown telephony quarantined not JSON",
            "- unknown telephony quarantined the key of the address is wrong",
            "- unknown telephony quarantined no application of this number is configured here",
        ]
    );
    assert_eq!(stage.called("voip").await, 0);
    // The address of the secret before is still good.
    assert_eq!(stage.post(&door(&stage, FORMER_SECRET), ended).await.0, 200);
    stage.settled().await;
    assert_eq!(stage.sandbox.truth().await.phone_calls.len(), 1);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn numbers_of_callers_stand_in_the_event_alone(pool: PgPool) {
    let database = pool.clone();
    let stage = stage(pool).await;
    stage.connected(&[1]).await;
    told(&stage, &call("ringing", &json!({}))).await;
    told(&stage, &call("ended", &json!({"note": CRM_TOKEN}))).await;
    let number = &CALLER[1..];
    for table in [
        "jobs",
        "finished_jobs",
        "attempts",
        "firings",
        "decisions",
        "outcomes",
        "ledger",
    ] {
        let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "select count(*) from {table} t where t::text like '%{number}%' or t::text like '%{CRM_TOKEN}%'"
        )))
        .fetch_one(&database)
        .await
        .expect("a count");
        assert_eq!(found, 0, "{table}");
    }
    let bodies: Vec<Vec<u8>> = sqlx::query_scalar("select body from events where kind like 'call.%' order by id")
        .fetch_all(&database)
        .await
        .expect("bodies");
    let bodies: Vec<String> = bodies
        .iter()
        .map(|body| String::from_utf8_lossy(body).into_owned())
        .collect();
    assert!(
        bodies
            .iter()
            .all(|body| body.contains(CALLER) && !body.contains(CRM_TOKEN)),
        "{bodies:?}"
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_is_not_durable_is_answered_503_and_counts_when_it_comes_again(pool: PgPool) {
    let database = pool.clone();
    let more = [
        (
            "public_url = \"http://127.0.0.1:1\"",
            "public_url = \"http://127.0.0.1:1\"\nack_deadline = \"300ms\"",
        ),
        ("[operator]", "[spool]\nenabled = false\n[operator]"),
    ];
    let stage = stage_with(pool, &more).await;
    stage.connected(&[1]).await;
    for rename in [
        "alter table events rename to events_away",
        "alter table events_away rename to events",
    ] {
        sqlx::query(rename).execute(&database).await.expect("renamed");
        let ended = call("ended", &json!({})).to_string();
        let (status, body) = stage.post(&door(&stage, HOOK_SECRET), ended).await;
        assert_eq!(status, if rename.ends_with("away") { 503 } else { 200 }, "{body}");
    }
    stage.settled().await;
    assert_eq!(stage.sandbox.truth().await.phone_calls.len(), 1);
    stage.end().await;
}
