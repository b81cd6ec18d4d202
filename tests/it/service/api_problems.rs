//! The description of the API is sound, and whatever is refused is told as RFC 9457 wants it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{
    contract::{self, Answer},
    stage::{APP, OPERATOR_TOKEN, Stage},
};

/// A request with everything that may be wrong about it.
struct Request<'r> {
    method: &'r str,
    path: &'r str,
    content_type: Option<&'r str>,
    body: String,
}

fn plain<'r>(method: &'r str, path: &'r str) -> Request<'r> {
    Request {
        method,
        path,
        content_type: None,
        body: String::new(),
    }
}

fn said<'r>(path: &'r str, body: impl Into<String>) -> Request<'r> {
    Request {
        content_type: Some("application/json"),
        body: body.into(),
        ..plain("POST", path)
    }
}

async fn ask(stage: &Stage, request: Request<'_>) -> Answer {
    let url = format!(
        "http://127.0.0.1:{}{}",
        stage.service.listeners.operator.port(),
        request.path
    );
    let verb = request.method.parse().expect("a method");
    let mut asked = stage
        .http
        .request(verb, url)
        .bearer_auth(OPERATOR_TOKEN)
        .body(request.body);
    if let Some(content_type) = request.content_type {
        asked = asked.header("Content-Type", content_type);
    }
    Answer::read(asked.send().await.expect("an answer")).await
}

/// What a refusal says, when it is written as RFC 9457 wants it.
fn problem(path: &str, answer: &Answer) -> String {
    assert_eq!(
        answer.content_type, "application/problem+json",
        "{path}: {}",
        answer.text
    );
    let body = answer.json();
    let title = reqwest::StatusCode::from_u16(answer.status)
        .expect("a status")
        .canonical_reason();
    assert_eq!(body["type"], "about:blank", "{path}");
    assert_eq!(body["title"], json!(title), "{path}");
    assert_eq!(body["status"], answer.status, "{path}");
    let asked = path.split('?').next().expect("a path");
    assert_eq!(body["instance"], asked, "{path}");
    body["detail"].as_str().expect("a detail").to_owned()
}

#[test]
fn the_description_is_made_of_valid_schemas_and_leads_nowhere_else() {
    let document = contract::document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut schemas: Vec<&Value> = document["components"]["schemas"]
        .as_object()
        .expect("schemas")
        .values()
        .collect();
    let mut names = BTreeSet::new();
    for operation in contract::operations() {
        let described = operation.described;
        let name = described["operationId"].as_str().expect("a name");
        assert!(names.insert(name), "{name} is there twice");
        assert!(!described["summary"].as_str().expect("a summary").is_empty());
        let parameters = described["parameters"].as_array().expect("a list");
        let told: BTreeSet<&str> = parameters
            .iter()
            .filter(|one| one["in"] == "path")
            .filter_map(|one| one["name"].as_str())
            .collect();
        let named: BTreeSet<&str> = operation
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        assert_eq!(told, named, "{}", operation.path);
        for parameter in parameters {
            assert_eq!(parameter["required"], parameter["in"] == "path", "{name}: {parameter}");
            assert!(parameter["description"].is_string(), "{name}: {parameter}");
            schemas.push(&parameter["schema"]);
        }
        if let Some(body) = described.get("requestBody") {
            schemas.push(&body["content"]["application/json"]["schema"]);
        }
        for (status, response) in described["responses"].as_object().expect("responses") {
            let response = contract::resolved(response);
            assert!(response["description"].is_string(), "{name} {status}");
            let contents = response["content"].as_object().expect("contents");
            schemas.extend(contents.values().map(|content| &content["schema"]));
        }
    }
    assert!(
        names.len() > 20 && schemas.len() > 100,
        "{} {}",
        names.len(),
        schemas.len()
    );
    for schema in schemas {
        if let Err(error) = jsonschema::draft202012::meta::validate(schema) {
            panic!("{error}: {schema}");
        }
    }
    references(document);
}

/// Every reference leads somewhere.
fn references(value: &'static Value) {
    if value["$ref"].is_string() {
        contract::resolved(value);
    }
    match value {
        Value::Array(items) => items.iter().for_each(references),
        Value::Object(fields) => fields.values().for_each(references),
        _ => {}
    }
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_service_describes_its_api(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    assert_eq!(&stage.api("openapi.json").await, contract::document());
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_an_address_does_not_take_is_refused_with_what_it_takes(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let probes = ["/metrics", "/livez", "/readyz"].map(|path| (path.to_owned(), "GET, HEAD".to_owned()));
    let mut addresses: Vec<(String, String)> = probes.into();
    for path in contract::document()["paths"].as_object().expect("paths").keys() {
        let of_path = contract::operations().into_iter().filter(|one| one.path == path);
        let mut methods: Vec<&str> = of_path
            .map(|one| if one.method == "GET" { "GET, HEAD" } else { "POST" })
            .collect();
        methods.sort_unstable();
        let path = path
            .replace("{id}", "1")
            .replace("{rule}", "r")
            .replace("{application_id}", "1")
            .replace("{location_id}", "1");
        addresses.push((path, methods.join(", ")));
    }
    for (path, allow) in &addresses {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            if allow.split(", ").any(|one| one == method) {
                continue;
            }
            let answer = ask(&stage, plain(method, path)).await;
            assert_eq!(answer.status, 405, "{method} {path}: {}", answer.text);
            assert_eq!(answer.allow.as_ref(), Some(allow), "{method} {path}");
            if method != "HEAD" {
                assert_eq!(problem(path, &answer), format!("This address takes {allow} only."));
            }
        }
    }
    // Who only wants to know whether it is there is told.
    for path in ["/api/v1/events", "/livez"] {
        let answer = ask(&stage, plain("HEAD", path)).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, ""), "{path}");
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn every_refusal_is_a_problem_that_says_what_is_wrong(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let large = format!("{{\"application\":{APP},\"file\":\"{}\"}}", "x".repeat(3_000_000));
    let form = Request {
        content_type: Some("application/x-www-form-urlencoded"),
        ..said("/api/v1/jobs/retry", "application=1")
    };
    let untold = Request {
        content_type: None,
        ..said("/api/v1/jobs/retry", "{\"application\":1}")
    };
    let json = "Send the body as JSON: Content-Type: application/json";
    let wrong = [
        (plain("GET", "/api/v2"), 404, "There is nothing at this address."),
        (plain("GET", "/api/v1/"), 404, "There is nothing at this address."),
        (
            plain("DELETE", "/api/v1/nothing"),
            404,
            "There is nothing at this address.",
        ),
        (plain("GET", "/api/v1/events?kind=%00"), 400, "A text holds a character"),
        (
            plain("GET", "/api/v1/events?since=-262143-01-01T00:00:00Z"),
            400,
            "A text holds a character that cannot be stored, or a date",
        ),
        (
            plain("GET", "/api/v1/events?limit=1&limit=2"),
            400,
            "Query deserialize error: duplicate field `limit`",
        ),
        (
            plain("GET", "/api/v1/firings?result=done"),
            400,
            "result=done: write one of fired, shadow, held, dropped",
        ),
        (
            plain("GET", "/api/v1/events?source=rumour"),
            400,
            "source=rumour: write one of connect, callback",
        ),
        (
            plain("GET", "/api/v1/rules?colour=red"),
            400,
            "Query deserialize error: unknown field `colour`",
        ),
        (
            plain("POST", "/api/v1/rules/reload?x=1"),
            400,
            "Query deserialize error: unknown field `x`",
        ),
        (
            plain("GET", "/api/v1/jobs/99999999999999999999"),
            400,
            "Path deserialize error: can not parse",
        ),
        (plain("GET", "/api/v1/holds?cursor=-1"), 400, "cursor: hand back"),
        (
            plain("GET", "/api/v1/plans/9223372036854775807"),
            404,
            "There is no plan 9223372036854775807.",
        ),
        (
            plain("POST", "/api/v1/locations/18289/-1/activate"),
            404,
            "Nothing is known of application 18289 at location -1.",
        ),
        (plain("POST", "/api/v1/events/1/replay"), 404, "There is no event 1."),
        (said("/api/v1/jobs/retry", "{"), 400, "Json deserialize error"),
        (
            said("/api/v1/jobs/retry", "{\"limit\":3}"),
            400,
            "Say which jobs: one of application, location, state, action, rule, firing.",
        ),
        (
            said("/api/v1/events/replay", "{\"colour\":3}"),
            400,
            "Say which events: one of ids, application",
        ),
        (
            said("/api/v1/events/replay", "{\"rule\":\"r\",\"ids\":[1]}"),
            404,
            "There is no rule `r`.",
        ),
        (said("/api/v1/events/replay", "{\"ids\":[]}"), 400, "Say which events"),
        (
            said("/api/v1/events/replay", "{\"application\":null}"),
            400,
            "Say which events",
        ),
        (said("/api/v1/plans", large), 413, "JSON payload"),
        (
            said("/api/v1/plans", format!("{{\"application\":{APP},\"file\":\"?\"}}")),
            422,
            "The file has mistakes.",
        ),
        (
            said("/api/v1/plans/1/apply", "{\"confirm\":\"\"}"),
            404,
            "there is no plan 1",
        ),
        (form, 415, json),
        (untold, 415, json),
    ];
    for (request, status, detail) in wrong {
        let place = request.path.to_owned();
        let answer = ask(&stage, request).await;
        assert_eq!(answer.status, status, "{place}: {}", answer.text);
        let told = problem(&place, &answer);
        assert!(told.starts_with(detail), "{place}: {told}");
    }
    let url = stage.operator_url("jobs");
    let answer = Answer::read(stage.http.get(&url).send().await.expect("an answer")).await;
    assert_eq!(
        problem("/api/v1/jobs", &answer),
        "Send the operator token: Authorization: Bearer <operator.token>"
    );
    contract::fits("GET", "/api/v1/jobs", &answer);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn without_the_database_each_list_says_so(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    for table in ["installations", "events", "firings", "jobs", "ledger", "holds", "plans"] {
        let away = sqlx::AssertSqlSafe(format!("alter table {table} rename to {table}_away"));
        sqlx::query(away).execute(&stage.pool).await.expect("renamed");
    }
    for path in [
        "locations",
        "locations/18289/1",
        "events",
        "events/1",
        "firings",
        "jobs",
        "jobs/1",
        "ledger",
        "holds",
        "rules",
        "plans",
    ] {
        let answer = stage.asked("GET", path, None).await;
        assert_eq!(answer.status, 503, "{path}");
        let detail = problem(&format!("/api/v1/{path}"), &answer);
        assert_eq!(detail, "The database does not answer; the log says why.");
    }
    stage.service.stop().await;
    stage.sandbox.stop().await;
}
