//! The description of the API, held against what the running service answers. Every answer that a stage gets from the
//! API is checked, so each test of the service is one of the description too.

use std::sync::LazyLock;

use serde_json::{Value, json};

static DOCUMENT: LazyLock<Value> = LazyLock::new(bellhop::web::openapi);

/// An answer as it came.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) allow: Option<String>,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn read(answer: reqwest::Response) -> Self {
        let header = |name: &str| {
            let value = answer.headers().get(name)?;
            Some(value.to_str().expect("a text").to_owned())
        };
        Self {
            status: answer.status().as_u16(),
            content_type: header("content-type").unwrap_or_default(),
            allow: header("allow"),
            text: answer.text().await.expect("a body"),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("no JSON: {error}: {}", self.text))
    }
}

/// An operation of the description.
#[derive(Clone, Copy)]
pub(crate) struct Operation {
    /// In capitals.
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) described: &'static Value,
}

/// The description.
pub(crate) fn document() -> &'static Value {
    &DOCUMENT
}

/// All operations of the description.
pub(crate) fn operations() -> Vec<Operation> {
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let mut all = Vec::new();
    for (path, methods) in paths {
        for (method, described) in methods.as_object().expect("methods") {
            let method = match method.as_str() {
                "get" => "GET",
                "post" => "POST",
                other => panic!("{other} {path}"),
            };
            all.push(Operation {
                method,
                path,
                described,
            });
        }
    }
    all
}

/// Fails unless an answer is one that the description tells of: status, content type and body. `path` may have a query.
pub(crate) fn fits(method: &str, path: &str, answer: &Answer) {
    let plain = path.split('?').next().unwrap_or(path);
    let Some(operation) = operation(method, plain) else {
        panic!("{method} {path} is not described, and answered {}", answer.status);
    };
    let place = format!("{method} {path}: {}", answer.status);
    let response = &operation.described["responses"][answer.status.to_string()];
    assert!(response.is_object(), "{place} is not described: {}", answer.text);
    let response = resolved(response);
    let content = &response["content"][&answer.content_type];
    assert!(content.is_object(), "{place}: undescribed {}", answer.content_type);
    let mut schema =
        json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "components": DOCUMENT["components"]});
    // What has no schema of its own may be anything.
    for (key, value) in content["schema"].as_object().into_iter().flatten() {
        schema[key] = value.clone();
    }
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let body = answer.json();
    let wrong: Vec<String> = validator
        .iter_errors(&body)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{place}: {}\n{body}", wrong.join("\n"));
}

/// What a reference leads to; the thing itself when it is none.
pub(crate) fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(to) => {
            let pointer = to.strip_prefix('#').expect("a reference within");
            DOCUMENT
                .pointer(pointer)
                .unwrap_or_else(|| panic!("{to} leads nowhere"))
        }
        None => value,
    }
}

/// The operation that an address belongs to. An address without names wins.
fn operation(method: &str, path: &str) -> Option<Operation> {
    let same = |one: &&Operation| {
        let (described, asked) = (one.path.split('/'), path.split('/'));
        let equal = described.clone().count() == asked.clone().count();
        one.method == method && equal && described.zip(asked).all(|(d, a)| d.starts_with('{') || d == a)
    };
    let all = operations();
    let fitting = all.iter().filter(same);
    fitting.min_by_key(|one| one.path.matches('{').count()).copied()
}
