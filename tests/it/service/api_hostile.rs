//! Values that nobody means well, for every parameter and every body that the description of the API names. Whatever
//! comes, the answer is one that the description tells of, and it is never an error of ours.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{
    contract::{self, Answer, Operation},
    stage::{APP, OPERATOR_TOKEN, Stage},
};

/// For whoever reads a text, a number, a date or a word.
const VALUES: [&str; 26] = [
    "",
    "0",
    "-1",
    "1",
    "18289",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "99999999999999999999999999999999",
    "1e309",
    "1.5",
    "NaN",
    "null",
    "true",
    "\0",
    "a\0b",
    "\u{fffd}\u{202e}",
    "'; drop table jobs; --",
    "%",
    "\\",
    "{}",
    "[]",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999+14:00",
    "-262143-01-01T00:00:00Z",
    "2026-02-30T25:61:61Z",
];

async fn ask(stage: &Stage, operation: &Operation, path: &str, body: Option<String>) -> Answer {
    let url = format!("http://127.0.0.1:{}{path}", stage.service.listeners.operator.port());
    let verb = operation.method.parse().expect("a method");
    let mut request = stage.http.request(verb, url).bearer_auth(OPERATOR_TOKEN);
    if let Some(body) = body {
        request = request.header("Content-Type", "application/json").body(body);
    }
    let answer = Answer::read(request.send().await.expect("an answer")).await;
    assert!(answer.status < 500, "{} {path}: {}", operation.method, answer.text);
    let described = operation.path.replace(['{', '}'], "");
    contract::fits(operation.method, &described, &answer);
    answer
}

fn encoded(value: &str) -> String {
    value.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The path with something sensible for each name.
fn sensible(operation: &Operation) -> String {
    operation
        .path
        .replace("{application_id}", &APP.to_string())
        .replace("{location_id}", "1")
        .replace("{rule}", "welcome")
        .replace("{id}", "1")
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn no_parameter_makes_the_service_fail(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let mut asked = 0;
    for operation in contract::operations() {
        for parameter in operation.described["parameters"].as_array().expect("a list") {
            let name = parameter["name"].as_str().expect("a name");
            for value in VALUES {
                let path = match parameter["in"].as_str() {
                    // An empty name makes another address.
                    Some("path") if value.is_empty() => continue,
                    Some("path") => {
                        let hole = format!("{{{name}}}");
                        let with = Operation {
                            path: operation.path.replace(&hole, &encoded(value)).leak(),
                            ..operation
                        };
                        sensible(&with)
                    }
                    Some("query") => format!("{}?{name}={}", sensible(&operation), encoded(value)),
                    other => panic!("{other:?}"),
                };
                let body = operation.described.get("requestBody").map(|_| "{}".to_owned());
                ask(&stage, &operation, &path, body).await;
                asked += 1;
            }
        }
    }
    assert!(asked > 1_000, "{asked}");
    stage.service.stop().await;
    stage.sandbox.stop().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn no_body_makes_the_service_fail(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let mut asked = 0;
    for operation in contract::operations() {
        let schema = &operation.described["requestBody"]["content"]["application/json"]["schema"];
        let Some(fields) = schema["properties"].as_object() else {
            continue;
        };
        let path = sensible(&operation);
        let mut bodies: Vec<String> = ["", "{", "[]", "null", "1", "\"\"", "{\"\\u0000\":1}", "{}", "{} {}"]
            .map(str::to_owned)
            .into();
        bodies.push("[".repeat(10_000));
        for name in fields.keys() {
            let values = VALUES.map(|value| json!(value)).into_iter();
            let others = [
                json!(null),
                json!([]),
                json!({}),
                json!([[1]]),
                json!(-1),
                json!(i64::MAX),
                json!(u64::MAX),
                json!(1e300),
                json!(true),
            ];
            for value in values.chain(others) {
                bodies.push(json!({name: value}).to_string());
                // Beside it what is needed.
                let mut whole = json!({"application": APP, "dry_run": true, "file": "", "confirm": ""});
                whole
                    .as_object_mut()
                    .expect("an object")
                    .retain(|key, _| fields.contains_key(key));
                whole[name] = value;
                bodies.push(whole.to_string());
            }
        }
        for body in bodies {
            ask(&stage, &operation, &path, Some(body)).await;
            asked += 1;
        }
    }
    assert!(asked > 1_000, "{asked}");
    stage.service.stop().await;
    stage.sandbox.stop().await;
}

/// Each word that the description allows is taken, and another one is not.
#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_words_of_the_description_are_those_of_the_service(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let mut words = 0;
    for operation in contract::operations() {
        for parameter in operation.described["parameters"].as_array().expect("a list") {
            let Some(allowed) = words_of(&parameter["schema"]) else {
                continue;
            };
            let name = parameter["name"].as_str().expect("a name");
            for word in &allowed {
                let answer = ask(&stage, &operation, &format!("{}?{name}={word}", operation.path), None).await;
                assert_eq!(answer.status, 200, "{name}={word}: {}", answer.text);
                words += 1;
            }
            let answer = ask(&stage, &operation, &format!("{}?{name}=other", operation.path), None).await;
            let detail = answer.json()["detail"].as_str().expect("a text").to_owned();
            assert_eq!(answer.status, 400);
            assert_eq!(detail, format!("{name}=other: write one of {}", allowed.join(", ")));
        }
    }
    assert!(words > 20, "{words}");
    stage.service.stop().await;
    stage.sandbox.stop().await;
}

fn words_of(schema: &Value) -> Option<Vec<&str>> {
    match (schema["enum"].as_array(), schema["oneOf"].as_array()) {
        (Some(words), _) => words.iter().map(Value::as_str).collect(),
        (None, Some(each)) => each.iter().map(|one| one["const"].as_str()).collect(),
        (None, None) => None,
    }
}
