//! What operators and Prometheus see.

use std::collections::BTreeSet;

use bellhop::sandbox::{Change, Fault, FaultKind, Forged, ForgedToken, Location, Pay, Place};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::stage::{APP, OPERATOR_TOKEN, SIBLING, Stage, TOKEN};

const RULES: &str = r#"
[[rule]]
name = "welcome"
on = "installation.activated"
[[rule.then]]
id = "link"
action = "create_payment_link"
[[rule.then]]
action = "set_discount"
percent = 20

[[rule]]
name = "record"
on = "record.*"
when = 'event.change == "deleted"'
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/record"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"#;

/// Asks the operator listener; status, headers as `name: value`, body.
async fn ask(stage: &Stage, path: &str, token: Option<&str>) -> (u16, Vec<String>, String) {
    let url = format!("http://127.0.0.1:{}/{path}", stage.service.listeners.operator.port());
    let mut request = stage.http.get(&url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let header = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
        format!("{name}: {}", value.to_str().unwrap_or("?"))
    };
    let headers = answer.headers().iter().map(header).collect();
    (status, headers, answer.text().await.expect("a body"))
}

/// The status and the `detail` of a refusal.
async fn refusal(stage: &Stage, path: &str) -> String {
    let (status, headers, body) = ask(stage, path, Some(OPERATOR_TOKEN)).await;
    assert!(
        headers.contains(&"content-type: application/problem+json".to_owned()),
        "{path}: {headers:?}"
    );
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(body["status"], status);
    format!("{status} {}", body["detail"].as_str().expect("text"))
}

/// The values of a field over all pages of a list.
async fn all_pages(stage: &Stage, path: &str, field: &str) -> Vec<Vec<i64>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = stage.api(&format!("{path}{cursor}")).await;
        let items = page["items"].as_array().expect("a list");
        pages.push(
            items
                .iter()
                .map(|item| item[field].as_i64().expect("a number"))
                .collect(),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
    }
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_api_is_for_who_has_the_token_and_says_what_is_wrong_with_a_question(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    for path in ["api/v1/locations", "api/v1/events/1", "api/v1/rules", "api/v1/nothing"] {
        for token in [None, Some("wrong"), Some(TOKEN), Some("")] {
            let (status, headers, body) = ask(&stage, path, token).await;
            assert_eq!(status, 401, "{path}");
            assert!(headers.contains(&"www-authenticate: Bearer".to_owned()), "{headers:?}");
            assert!(
                headers.contains(&"content-type: application/problem+json".to_owned()),
                "{headers:?}"
            );
            assert!(!body.contains(OPERATOR_TOKEN));
        }
    }
    let url = format!(
        "http://127.0.0.1:{}/api/v1/locations/{APP}/1/activate",
        stage.service.listeners.operator.port()
    );
    let answer = stage.http.post(&url).send().await.expect("an answer");
    assert_eq!(answer.status(), 401);

    let wrong = [
        (
            "api/v1/locations?status=freezed",
            "400 status=freezed: write one of pending, active, frozen, uninstalled",
        ),
        (
            "api/v1/events?state=new",
            "400 state=new: write one of received, processed, failed, rejected, quarantined",
        ),
        (
            "api/v1/jobs?state=done",
            "400 state=done: write one of available, running, completed, discarded, cancelled",
        ),
        ("api/v1/jobs?limit=0", "400 limit=0: write a number from 1 to 500"),
        ("api/v1/events?limit=501", "400 limit=501: write a number from 1 to 500"),
        (
            "api/v1/events?cursor=x",
            "400 cursor: hand back the next_cursor of the page before, unchanged",
        ),
        (
            "api/v1/locations?cursor=1",
            "400 cursor: hand back the next_cursor of the page before, unchanged",
        ),
        ("api/v1/jobs/999999", "404 There is no job 999999."),
        ("api/v1/events/999999", "404 There is no event 999999."),
        (
            "api/v1/locations/18289/5",
            "404 Nothing is known of application 18289 at location 5.",
        ),
        ("api/v1/nothing", "404 There is nothing at this address."),
    ];
    for (path, said) in wrong {
        assert_eq!(refusal(&stage, path).await, said, "{path}");
    }
    for path in [
        "api/v1/jobs?colour=red",
        "api/v1/events?since=yesterday",
        "api/v1/events/abc",
        "api/v1/locations?application=x",
    ] {
        let said = refusal(&stage, path).await;
        assert!(said.starts_with("400 "), "{path}: {said}");
    }
    assert!(
        refusal(&stage, "api/v1/jobs?colour=red")
            .await
            .contains("unknown field `colour`")
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn lists_are_filtered_and_their_pages_neither_overlap_nor_miss_anything(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let locations: Vec<i64> = (11..=17).collect();
    stage.connected(&locations).await;
    let pages = all_pages(&stage, "locations?limit=3", "location_id").await;
    assert_eq!(pages, [vec![11, 12, 13], vec![14, 15, 16], vec![17]]);

    // What comes while somebody turns pages does not shift them: 3 events of each location.
    let first = stage.api("events?limit=8").await;
    let burst = Change {
        burst: Some(5),
        ..Change::new(12, "client", "update")
    };
    stage.sandbox.change(burst).await.expect("changed");
    stage.settled().await;
    let cursor = first["next_cursor"].as_str().expect("a cursor").to_owned();
    let rest = all_pages(
        &stage,
        &format!("events?limit=8&until={}", "2100-01-01T00:00:00Z"),
        "id",
    )
    .await;
    assert_eq!(rest.iter().map(Vec::len).collect::<Vec<_>>(), [8, 8, 8, 2]);
    let second = stage.api(&format!("events?limit=8&cursor={cursor}")).await;
    let id = |item: &Value| item["id"].as_i64().expect("a number");
    let oldest = id(&first["items"][7]);
    assert!(
        second["items"]
            .as_array()
            .expect("a list")
            .iter()
            .all(|item| id(item) < oldest)
    );
    let jobs: Vec<i64> = all_pages(&stage, "jobs?limit=2", "id").await.concat();
    assert_eq!(jobs.iter().collect::<BTreeSet<_>>().len(), 7);
    assert!(jobs.is_sorted_by(|newer, older| newer > older), "{jobs:?}");

    let count = async |path: &str| stage.api(path).await["items"].as_array().expect("a list").len();
    assert_eq!(count("events?kind=client.updated&location=12").await, 5);
    assert_eq!(count("events?kind=client.updated&location=13").await, 0);
    assert_eq!(count("events?state=processed&limit=100").await, 26);
    assert_eq!(count("events?since=2100-01-01T00:00:00Z").await, 0);
    assert_eq!(count("events?application=18290").await, 0);
    assert_eq!(count("jobs?action=activate&state=completed").await, 7);
    assert_eq!(count("jobs?action=activate&state=running").await, 0);
    assert_eq!(count("locations?status=active&application=18289").await, 7);
    assert_eq!(count("locations?status=frozen").await, 0);
    assert_eq!(count("locations?q=14").await, 1);
    assert_eq!(count("locations?q=salon%2015").await, 1);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_location_an_event_and_a_job_tell_their_whole_story(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    // A name that contains the number of another place must not be taken for it.
    let near = Location {
        title: "Salon 7 and more".to_owned(),
        ..Location::new(70)
    };
    stage.connected(&[7]).await;
    stage.sandbox.put_location(near).await.expect("a location");
    stage
        .sandbox
        .change(Change::new(7, "record", "update"))
        .await
        .expect("changed");
    stage.settled().await;
    stage
        .sandbox
        .pay(Pay {
            application_id: APP,
            location_id: 7,
            ..Pay::default()
        })
        .await
        .expect("paid");
    stage.settled().await;

    let seen = stage.location(7).await;
    assert_eq!(
        [
            &seen["title"],
            &seen["status"],
            &seen["generation"],
            &seen["has_paid"],
            &seen["connection"]
        ],
        [
            &json!("Salon 7"),
            &json!("active"),
            &json!(1),
            &json!(true),
            &json!("active")
        ]
    );
    for date in ["connected_at", "activated_at", "trial_ends_at", "paid_until"] {
        assert!(
            seen[date].as_str().expect(date).ends_with('Z'),
            "{date}: {}",
            seen[date]
        );
    }
    assert_eq!(seen["location"]["email"], "salon-7@example.com");
    let moves: Vec<String> = seen["history"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|step| format!("{} {} {}", step["from"], step["to"], step["source"]).replace('"', ""))
        .collect();
    assert_eq!(moves, ["uninstalled pending activation", "pending active activation"]);
    assert_eq!(seen["payments"][0]["amount"], "40");
    assert_eq!(seen["firings"][0]["rule"], "welcome");
    let link = stage.sandbox.link(APP, 7).await.expect("a link").link.payment_links[0]
        .url
        .clone();
    assert_eq!(seen["firings"][0]["results"]["link"]["url"], link);

    let page = stage.api("events?kind=record.updated").await;
    let event = stage.api(&format!("events/{}", page["items"][0]["id"])).await;
    assert_eq!(
        [&event["state"], &event["source"], &event["kind"]],
        ["processed", "webhook", "record.updated"]
    );
    assert_eq!(event["decisions"][0]["rule"], "record");
    assert_eq!(event["decisions"][0]["result"], "skipped");
    assert_eq!(
        event["decisions"][0]["reason"],
        "condition is false: event.change == \"deleted\""
    );
    let body: Value = serde_json::from_str(event["body"].as_str().expect("text")).expect("JSON");
    assert_eq!(body["resource_id"], event["resource_id"]);
    assert!(event["headers"]["x-hook-id"].is_string(), "{}", event["headers"]);

    let page = stage.api("events?kind=payment.received&state=processed").await;
    let reported = page["items"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|item| item["source"] == "callback");
    let callback = stage
        .api(&format!("events/{}", reported.expect("a callback")["id"]))
        .await;
    assert!(
        !callback.to_string().contains(TOKEN),
        "tokens are removed before anything is stored"
    );
    assert_eq!(callback["fact"]["fact"], "payment_reported");
    let rules = stage.api("rules").await;
    assert_eq!(
        rules["items"][0]["actions"],
        json!(["create_payment_link", "set_discount"])
    );
    assert_eq!(rules["items"][1]["when"], "event.change == \"deleted\"");

    // The same numbers at another application are another installation.
    assert_eq!(
        refusal(&stage, &format!("api/v1/locations/{SIBLING}/7"))
            .await
            .split(' ')
            .next(),
        Some("404")
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_metrics_tell_the_story_and_what_is_empty_reads_zero(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    let (_, _, before) = ask(&stage, "metrics", None).await;
    for line in [
        "bellhop_events_unprocessed 0",
        "bellhop_events_oldest_unprocessed_seconds 0",
        "bellhop_job_oldest_due_seconds 0",
        "bellhop_jobs{action=\"activate\",state=\"available\"} 0",
        "bellhop_jobs{action=\"set_discount\",state=\"running\"} 0",
        "bellhop_installations{application=\"18289\",status=\"active\"} 0",
        "bellhop_activation_deadline_seconds{application=\"18289\"} inf",
        "bellhop_database_up 1",
    ] {
        assert!(before.lines().any(|one| one == line), "{line} is not in:\n{before}");
    }
    stage
        .sandbox
        .fail(Fault::new("add_discount", FaultKind::Status).status(403))
        .await
        .expect("a fault");
    stage.connected(&[1, 2]).await;
    stage
        .sandbox
        .change(Change::new(1, "record", "delete"))
        .await
        .expect("changed");
    let mut forged = Forged::new(APP, 1, "uninstall");
    forged.token = ForgedToken::Wrong;
    stage.sandbox.callback(forged).await.expect("sent");
    let place = Place {
        application_id: APP,
        location_id: 2,
    };
    stage.sandbox.freeze(place).await.expect("frozen");
    stage.settled().await;
    let (status, headers, text) = ask(&stage, "metrics", None).await;
    assert_eq!(status, 200);
    assert!(
        headers
            .iter()
            .any(|header| header.starts_with("content-type: text/plain; version=0.0.4")),
        "{headers:?}"
    );
    for line in [
        "bellhop_installations{application=\"18289\",status=\"active\"} 1",
        "bellhop_installations{application=\"18289\",status=\"frozen\"} 1",
        "bellhop_installation_transitions_total{application=\"18289\",from=\"active\",source=\"callback\",to=\"frozen\"} 1",
        "bellhop_firings_total{application=\"18289\",result=\"fired\",rule=\"welcome\"} 2",
        "bellhop_firings_total{application=\"18289\",result=\"fired\",rule=\"record\"} 1",
        "bellhop_jobs_discarded_last_day{action=\"set_discount\"} 1",
        "bellhop_job_attempts_total{action=\"set_discount\",application=\"18289\",outcome=\"discard\"} 1",
        "bellhop_job_attempts_total{action=\"set_discount\",application=\"18289\",outcome=\"done\"} 1",
        "bellhop_marketplace_requests_total{call=\"activate\",status=\"201\"} 2",
        "bellhop_marketplace_requests_total{call=\"add_discount\",status=\"403\"} 1",
        "bellhop_deliveries_total{application=\"18289\",kind=\"record.deleted\",result=\"accepted\"} 1",
        "bellhop_deliveries_total{application=\"18289\",kind=\"installation.uninstalled\",result=\"rejected\"} 1",
        "bellhop_events_total{application=\"18289\",kind=\"installation.activated\",source=\"activation\"} 2",
        "bellhop_jobs{action=\"set_discount\",state=\"available\"} 0",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in:\n{text}");
    }
    // Those of reconciliation, ledger, spool and circuit are tried where they are at home.
    let families: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let wanted = "deliveries_total delivery_ack_seconds events_total event_lag_seconds events_unprocessed \
        events_oldest_unprocessed_seconds installations installation_transitions_total firings_total jobs \
        job_oldest_due_seconds job_attempts_total job_duration_seconds marketplace_requests_total \
        marketplace_request_seconds marketplace_budget_wait_seconds activation_deadline_seconds \
        database_pool_connections workers worker_last_step_timestamp_seconds build_info";
    let missing: Vec<&str> = wanted
        .split_whitespace()
        .filter(|name| !families.contains(&format!("bellhop_{name}")[..]))
        .collect();
    assert_eq!(missing, [""; 0]);
    assert!(text.contains("\nbellhop_workers 7\n"), "{text}");
    for worker in ["processor", "replayer", "executor", "scheduler", "reconciler", "pruner"] {
        let line = format!("bellhop_worker_last_step_timestamp_seconds{{worker=\"{worker}\"}}");
        assert!(text.contains(&line), "{line}");
    }
    // No location ever becomes a label, nor does a token; one table has the name.
    let text = text.replace("{table=\"locations\"}", "");
    assert!(!text.contains(TOKEN) && !text.contains("location"), "{text}");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn without_its_database_it_lives_but_is_not_ready_and_says_why(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let (status, _, body) = ask(&stage, "readyz", None).await;
    assert_eq!((status, &body[..]), (200, r#"{"ready":true}"#));
    assert_eq!(ask(&stage, "livez", None).await.0, 200);

    stage.without_database().await;
    let (status, _, body) = ask(&stage, "readyz", None).await;
    assert_eq!(status, 503);
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(body["ready"], false);
    assert!(
        body["reasons"][0].as_str().expect("a reason").starts_with("database: "),
        "{body}"
    );
    assert_eq!(ask(&stage, "livez", None).await.0, 200);
    let (status, _, text) = ask(&stage, "metrics", None).await;
    assert_eq!(status, 200);
    assert!(text.lines().any(|line| line == "bellhop_database_up 0"));
    assert!(refusal(&stage, "api/v1/locations").await.starts_with("503 "));
    stage.service.stop().await;
    stage.sandbox.stop().await;
}
