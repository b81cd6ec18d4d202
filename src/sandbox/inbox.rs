//! An inbox for outgoing webhooks: `POST /inbox/{name}` records whatever comes.

use std::collections::BTreeMap;

use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Sandbox;
use super::envelope::Answer;

/// A request the inbox received.
#[derive(Debug, Clone, Serialize)]
pub struct Received {
    /// When, on the real clock.
    pub at: DateTime<Utc>,
    /// Which inbox.
    pub name: String,
    /// HTTP method.
    pub method: String,
    /// Query string.
    pub query: String,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body as it came; what is not UTF-8 is replaced.
    pub body: String,
    /// What was answered.
    pub status: u16,
}

/// Records the request and answers 200, or what a fault says.
pub(super) async fn receive(
    sandbox: Data<Sandbox>,
    name: Path<String>,
    request: HttpRequest,
    body: Bytes,
) -> HttpResponse {
    let name = name.into_inner();
    let headers = request.headers().iter().map(|(header, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (header.as_str().to_owned(), value)
    });
    let mut state = sandbox.lock();
    let fault = state.faults.take_for("inbox", &name, None);
    let status = fault.as_ref().map_or(200, |fault| fault.status.unwrap_or(500));
    state.inbox.push(Received {
        at: Utc::now(),
        name,
        method: request.method().to_string(),
        query: request.query_string().to_owned(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
        status,
    });
    let answer = Answer::json(status, serde_json::json!({"ok": status < 300}));
    match fault.and_then(|fault| fault.retry_after) {
        Some(seconds) => answer.header("Retry-After", seconds.to_string()),
        None => answer,
    }
    .into_response()
}
