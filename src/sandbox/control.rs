//! The control API over HTTP: the verbs of [`Sandbox`], as JSON under `/_sandbox`.

use std::time::Duration;

use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpResponse, Resource};
use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Sandbox;
use super::calls::Call;
use super::envelope::Answer;

/// The verbs, as `GET /_sandbox` lists them.
const VERBS: [(&str, &str); 21] = [
    ("POST applications", "add or replace an application"),
    ("POST locations", "add or replace a location; only the id is required"),
    (
        "POST connect",
        "the owner consents {application_id, location_ids, user?, shape?, follow?}",
    ),
    ("POST open", "the card is opened again: as connect, without a change"),
    ("POST disconnect", "the owner uninstalls {application_id, location_id}"),
    (
        "POST pay",
        "the owner pays through the platform {application_id, location_id, tariff_option_id?, amount?, discount?} or {link}",
    ),
    (
        "POST freeze",
        "the running period ends now {application_id, location_id}",
    ),
    ("POST refund", "a payment is given back {payment_id}"),
    (
        "POST change",
        "an entity changed {location_id, resource, resource_id?, status?, data?, raw_body?, copies?, array?, burst?, shuffle?, by_application?}",
    ),
    (
        "POST callback",
        "a callback made to order {application_id, location_id, event, token?, claimed_application_id?, string_ids?, event_type_key?, fields?, raw_body?, url?}",
    ),
    ("POST advance", "time passes {seconds?, hours?, days?}"),
    ("POST settle", "answers when nothing is queued or under way"),
    (
        "POST faults",
        "the next calls fail {call, kind, location_id?, status?, retry_after?, times?, after_effect?, hang_seconds?}",
    ),
    ("GET faults", "the faults not used up; DELETE forgets them"),
    ("GET truth", "everything the sandbox knows"),
    ("GET calls", "the calls that came, with counts"),
    ("POST reset-calls", "forgets calls and deliveries"),
    ("GET deliveries", "how callbacks and entity events fared"),
    ("GET mails", "the mails the mailbox took"),
    ("GET inbox", "the requests /inbox/{name} took"),
    ("GET chats", "the messages /telegram and /slack/{name} took"),
];

/// Time that passes.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Span {
    seconds: u64,
    hours: u64,
    days: u64,
}

impl Span {
    fn duration(&self) -> Result<Duration> {
        let hours = self.days.checked_mul(24).and_then(|days| days.checked_add(self.hours));
        let seconds = hours.and_then(|hours| hours.checked_mul(3600));
        let seconds = seconds.and_then(|seconds| seconds.checked_add(self.seconds));
        let seconds = seconds.context("too long a time")?;
        ensure!(seconds > 0, "give seconds, hours or days");
        Ok(Duration::from_secs(seconds))
    }
}

/// A payment to give back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refund {
    payment_id: i64,
}

/// A resource for one verb with a body.
macro_rules! post {
    ($path:literal, $sandbox:ident, $body:ident => $call:expr) => {
        web::resource($path).route(web::post().to(|$sandbox: Data<Sandbox>, body: Bytes| async move {
            answered(
                async {
                    let $body = parsed(&body)?;
                    $call.await
                }
                .await,
            )
        }))
    };
}

/// A resource for one verb that only reads.
macro_rules! get {
    ($path:literal, $sandbox:ident => $call:expr) => {
        web::resource($path).route(web::get().to(|$sandbox: Data<Sandbox>| async move { answered(Ok($call.await)) }))
    };
}

/// Routes of the control API.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    let scope = web::scope("/_sandbox")
        .route("", web::get().to(verbs))
        .route("/", web::get().to(verbs))
        .service(post!("/applications", sandbox, body => sandbox.put_application(body)))
        .service(post!("/locations", sandbox, body => sandbox.put_location(body)))
        .service(post!("/connect", sandbox, body => sandbox.connect(body)))
        .service(post!("/open", sandbox, body => sandbox.open(body)))
        .service(post!("/disconnect", sandbox, body => sandbox.disconnect(body)))
        .service(post!("/pay", sandbox, body => sandbox.pay(body)))
        .service(post!("/freeze", sandbox, body => sandbox.freeze(body)))
        .service(post!("/refund", sandbox, body => refund(&sandbox, body)))
        .service(post!("/change", sandbox, body => change(&sandbox, body)))
        .service(post!("/callback", sandbox, body => sandbox.callback(body)))
        .service(post!("/advance", sandbox, body => advance(&sandbox, body)))
        .service(post!("/settle", sandbox, body => settle(&sandbox, body)))
        .service(faults())
        .service(get!("/truth", sandbox => sandbox.truth()))
        .service(get!("/calls", sandbox => sandbox.calls()))
        .service(post!("/reset-calls", sandbox, body => reset_calls(&sandbox, body)))
        .service(get!("/deliveries", sandbox => sandbox.deliveries()))
        .service(get!("/mails", sandbox => sandbox.mails()))
        .service(get!("/inbox", sandbox => sandbox.inbox()))
        .service(get!("/chats", sandbox => sandbox.chats()))
        .default_service(web::to(nowhere));
    config.service(scope);
}

async fn verbs() -> HttpResponse {
    let verbs: Vec<Value> = VERBS
        .iter()
        .map(|(verb, what)| json!({"verb": verb, "what": what}))
        .collect();
    let calls: Vec<&str> = Call::ALL.iter().map(|call| call.name()).collect();
    answered(Ok(json!({"verbs": verbs, "calls": calls})))
}

async fn nowhere() -> HttpResponse {
    Answer::json(404, json!({"error": "no such verb; GET /_sandbox lists them"})).into_response()
}

fn faults() -> Resource {
    post!("/faults", sandbox, body => sandbox.fail(body))
        .route(web::get().to(|sandbox: Data<Sandbox>| async move { answered(Ok(sandbox.faults().await)) }))
        .route(web::delete().to(|sandbox: Data<Sandbox>| async move {
            sandbox.clear_faults().await;
            answered(Ok(()))
        }))
}

async fn refund(sandbox: &Sandbox, refund: Refund) -> Result<()> {
    sandbox.refund(refund.payment_id).await
}

async fn change(sandbox: &Sandbox, change: super::Change) -> Result<Value> {
    let queued = sandbox.change(change).await?;
    Ok(json!({"deliveries": queued}))
}

async fn advance(sandbox: &Sandbox, span: Span) -> Result<()> {
    sandbox.advance(span.duration()?).await
}

async fn settle(sandbox: &Sandbox, _: Value) -> Result<()> {
    sandbox.settle().await
}

async fn reset_calls(sandbox: &Sandbox, _: Value) -> Result<()> {
    sandbox.reset_calls().await;
    Ok(())
}

/// Reads a body; an empty one counts as `{}`.
fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).context("the body does not fit")
}

/// What a verb answered, or why it did nothing (400).
fn answered<T: Serialize>(outcome: Result<T>) -> HttpResponse {
    let printed = outcome.and_then(|value| Ok(serde_json::to_value(value)?));
    match printed {
        Ok(Value::Null) => Answer::json(200, json!({})).into_response(),
        Ok(value) => Answer::json(200, value).into_response(),
        Err(error) => Answer::json(400, json!({"error": format!("{error:#}")})).into_response(),
    }
}
