//! The description of the API: OpenAPI 3.1, made of the table of operations and of the types they take and answer.

use actix_web::http::{Method, StatusCode};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{BASE, operation::Operation};
use crate::web::operator::problem::{CONTENT_TYPE, Written};

/// What may be refused, and what that means.
const REFUSALS: [(StatusCode, &str); 10] = [
    (
        StatusCode::BAD_REQUEST,
        "The request makes no sense; the detail says what does not.",
    ),
    (StatusCode::UNAUTHORIZED, "The token is missing or wrong."),
    (StatusCode::FORBIDDEN, "The token is one that may only read."),
    (StatusCode::NOT_FOUND, "There is no such thing."),
    (StatusCode::CONFLICT, "Things are not so that it could be done."),
    (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large."),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is not said to be JSON."),
    (
        StatusCode::UNPROCESSABLE_ENTITY,
        "The file has mistakes; all of them are told.",
    ),
    (StatusCode::INTERNAL_SERVER_ERROR, "It broke."),
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "The database does not answer, too many look at once, or there is too much to look through: `detail` says which.",
    ),
];

pub(super) fn describe(operations: &[Operation]) -> Value {
    // What is told stands where it is told, what is answered is shared by name.
    let mut told = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    told.meta_schema = None;
    let mut answered = SchemaSettings::draft2020_12().for_serialize();
    answered.meta_schema = None;
    answered.definitions_path = "/components/schemas".into();
    let mut schemas = (told.into_generator(), answered.into_generator());
    let mut paths = Map::new();
    for operation in operations {
        let path = format!("{BASE}{}", operation.path);
        let address = paths.entry(path).or_insert_with(|| json!({}));
        address[operation.method.as_str().to_lowercase()] = one(operation, &mut schemas);
    }
    let problem = schemas.1.subschema_for::<Written<'_>>();
    let refusals: Map<String, Value> = REFUSALS
        .iter()
        .map(|(status, what)| {
            let content = json!({CONTENT_TYPE: {"schema": problem}});
            (name(*status), json!({"description": what, "content": content}))
        })
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bellhop",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What operators see and do. Lists are newest first unless said, and paged by cursor; times are RFC 3339 in UTC.",
        },
        "servers": [{"url": "/"}],
        "security": [{"operator_token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"operator_token": {"type": "http", "scheme": "bearer"}},
            "responses": refusals,
            "schemas": schemas.1.take_definitions(true),
        },
    })
}

fn one(operation: &Operation, (told, answered): &mut (SchemaGenerator, SchemaGenerator)) -> Value {
    let mut parameters = parameters("path", (operation.place)(told).to_value());
    parameters.extend(self::parameters("query", (operation.query)(told).to_value()));
    let schema = (operation.answer)(answered);
    let mut responses = Map::new();
    for status in operation.answers {
        let what = match *status {
            StatusCode::CREATED => "It is there now.",
            StatusCode::ACCEPTED => "It is in the queue.",
            StatusCode::OK if operation.answers.contains(&StatusCode::CREATED) => {
                "What was asked for. There is nothing to keep, so nothing new is there."
            }
            _ => "What was asked for.",
        };
        let answer = json!({"description": what, "content": {"application/json": {"schema": schema}}});
        responses.insert(status.as_u16().to_string(), answer);
    }
    for status in refusals(operation) {
        let response = json!({"$ref": format!("#/components/responses/{}", name(status))});
        responses.insert(status.as_u16().to_string(), response);
    }
    let mut described = json!({
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.path.split('/').nth(1)],
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(body) = operation.body {
        let schema = plain(body(told).to_value());
        described["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": schema}}});
    }
    described
}

/// What an operation may refuse.
fn refusals(operation: &Operation) -> Vec<StatusCode> {
    let mut all = vec![
        StatusCode::BAD_REQUEST,
        StatusCode::UNAUTHORIZED,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    if operation.method == Method::POST {
        all.push(StatusCode::FORBIDDEN);
    }
    if operation.path.contains('{') {
        all.push(StatusCode::NOT_FOUND);
    }
    if operation.body.is_some() {
        all.extend([StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNSUPPORTED_MEDIA_TYPE]);
    }
    all.extend(operation.refusals);
    all.sort_unstable();
    all
}

/// A status as a word, such as `NotFound`.
fn name(status: StatusCode) -> String {
    status.canonical_reason().unwrap_or_default().replace(' ', "")
}

/// The fields of a struct as parameters.
fn parameters(place: &str, schema: Value) -> Vec<Value> {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let fields = schema["properties"].as_object().cloned().unwrap_or_default();
    let one = |(name, schema): (String, Value)| {
        let mut schema = plain(without_null(schema));
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let required = required.contains(&json!(name));
        json!({"name": name, "in": place, "required": required, "description": description, "schema": schema})
    };
    fields.into_iter().map(one).collect()
}

/// A parameter that may be left out cannot be null.
fn without_null(schema: Value) -> Value {
    let Value::Object(mut schema) = schema else {
        return schema;
    };
    let is_null = |one: &Value| one.is_null() || *one == json!("null") || *one == json!({"type": "null"});
    for key in ["type", "anyOf", "enum"] {
        let Some(Value::Array(mut some)) = schema.get(key).cloned() else {
            continue;
        };
        schema.remove(key);
        some.retain(|one| !is_null(one));
        match (key, some.as_slice()) {
            ("type", [only]) => drop(schema.insert(key.to_owned(), only.clone())),
            ("anyOf", [Value::Object(only)]) => {
                for (key, value) in only {
                    schema.entry(key).or_insert_with(|| value.clone());
                }
            }
            _ => drop(schema.insert(key.to_owned(), some.into())),
        }
    }
    schema.into()
}

/// No text holds a NUL: the database could not look for it. And what is null unless told is not worth telling.
fn plain(mut schema: Value) -> Value {
    let Some(fields) = schema.as_object_mut() else {
        return schema;
    };
    if fields.get("default") == Some(&Value::Null) {
        fields.remove("default");
    }
    let text = match fields.get("type") {
        Some(Value::Array(types)) => types.contains(&json!("string")),
        other => other == Some(&json!("string")),
    };
    let bare = ["enum", "const", "format", "pattern"]
        .iter()
        .all(|key| !fields.contains_key(*key));
    if text && bare {
        fields.insert("pattern".to_owned(), json!("^[^\\x00]*$"));
    }
    if let Some(Value::Object(inner)) = fields.get_mut("properties") {
        for field in inner.values_mut() {
            *field = plain(field.take());
        }
    }
    schema
}
