//! The way into the marketplace's API: limits, faults, media type, tokens, the call log.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use actix_web::body::BodyStream;
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use chrono::Utc;
use serde_json::{Value, json};

use super::Sandbox;
use super::ask::Ask;
use super::calls::{Call, CallRecord};
use super::envelope::{Answer, Message};
use super::faults::{Fault, FaultKind};
use super::state::State;
use super::{dictionaries, install_api, marketplace_api, voip_api, webhooks_api};

/// Routes of both path layouts (contract 1.1).
pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::scope("/marketplace").configure(marketplace))
        .service(web::scope("/api/v1/marketplace").configure(marketplace))
        .service(web::scope("/api/v1").configure(business));
}

fn marketplace(config: &mut web::ServiceConfig) {
    let at = [
        ("/application/{application}/salons", Call::Salons, false),
        ("/application/{application}/tariffs", Call::Tariffs, false),
        ("/application/add_discount", Call::AddDiscount, true),
        ("/application/payment_link", Call::PaymentLink, false),
        ("/application/update_channel", Call::UpdateChannel, true),
        ("/application/new_message", Call::NewMessage, true),
        ("/application/install_frame", Call::InstallFrame, true),
        ("/application/toggle_highlight", Call::ToggleHighlight, true),
        ("/salon/{location}/application/{application}", Call::Status, false),
        (
            "/salon/{location}/application/{application}/uninstall",
            Call::Uninstall,
            true,
        ),
        ("/partner/callback", Call::Activate, true),
        ("/partner/callback/redirect", Call::ActivateRedirect, true),
        ("/partner/payment", Call::ReportPayment, true),
        ("/partner/payment/refund/{payment}", Call::Refund, true),
        ("/partner/short_names", Call::ShortNames, true),
    ];
    place(config, &at);
}

fn business(config: &mut web::ServiceConfig) {
    let at = [
        (
            "/company/{location}/marketplace/applications/{application}/grant_access",
            Call::GrantAccess,
            true,
        ),
        ("/hooks_settings/{location}", Call::HooksRead, false),
        ("/hooks_settings/{location}", Call::HooksWrite, true),
        ("/voip/integration", Call::Voip, true),
        ("/voip/integration/calls", Call::VoipCalls, false),
        ("/countries", Call::Countries, false),
        ("/cities", Call::Cities, false),
        ("/references/business_groups_with_types", Call::BusinessTypes, false),
    ];
    place(config, &at);
}

fn place(config: &mut web::ServiceConfig, at: &[(&str, Call, bool)]) {
    for &(path, call, post) in at {
        let method = if post { web::post() } else { web::get() };
        config.route(
            path,
            method.to(move |sandbox, request, body| run(call, sandbox, request, body)),
        );
    }
    config.default_service(web::to(nowhere));
}

async fn nowhere(sandbox: Data<Sandbox>) -> HttpResponse {
    sandbox.lock().failed(404, Message::Error).into_response()
}

/// What the client gets to see.
enum Outcome {
    Answer(Answer),
    Hang(Duration),
    Drop,
}

async fn run(call: Call, sandbox: Data<Sandbox>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let address = request
        .peer_addr()
        .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip());
    let outcome = {
        let mut state = sandbox.lock();
        let location_id = location_of(&request, &body);
        let (outcome, fault) = match state.windows.admit(address, Instant::now()) {
            Err(refused) => (Outcome::Answer(too_many(refused.retry_after)), None),
            Ok(()) => match state.faults.take_for_call(call.name(), location_id) {
                Some(fault) => faulty(&mut state, &fault, |state| perform(state, call, &request, &body)),
                None => (Outcome::Answer(perform(&mut state, call, &request, &body)), None),
            },
        };
        let accept = names(&request, state.brand.media_type());
        state.calls.push(CallRecord {
            at: Utc::now(),
            call: call.name(),
            method: request.method().to_string(),
            path: request.path().to_owned(),
            query: request.query_string().to_owned(),
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
            accept,
            location_id,
            status: match &outcome {
                Outcome::Answer(answer) => Some(answer.status),
                Outcome::Hang(_) | Outcome::Drop => None,
            },
            fault,
        });
        outcome
    };
    sandbox.send_callbacks();
    match outcome {
        Outcome::Answer(answer) => answer.into_response(),
        Outcome::Hang(time) => {
            tokio::time::sleep(time).await;
            closed()
        }
        Outcome::Drop => closed(),
    }
}

/// A response whose body fails at once: the connection is closed with nothing written.
fn closed() -> HttpResponse {
    let failing = futures_util::stream::once(std::future::ready(Err::<Bytes, _>(std::io::Error::other(
        "dropped on demand",
    ))));
    HttpResponse::Ok().body(BodyStream::new(failing))
}

fn too_many(retry_after: Option<u64>) -> Answer {
    let answer = Answer::html(429, "Too Many Requests");
    match retry_after {
        Some(seconds) => answer.header("Retry-After", seconds.to_string()),
        None => answer,
    }
}

fn faulty(
    state: &mut State,
    fault: &Fault,
    perform: impl FnOnce(&mut State) -> Answer,
) -> (Outcome, Option<&'static str>) {
    let real = fault.takes_effect().then(|| perform(state));
    let generic = state.failed(fault.status.unwrap_or(500), Message::Error);
    (spoil(fault, real, generic), Some(fault.kind.as_str()))
}

/// The location in the path, the query or the body.
fn location_of(request: &HttpRequest, body: &Bytes) -> Option<i64> {
    let in_path = request.match_info().get("location").and_then(|id| id.parse().ok());
    let in_query = || {
        let mut query = url::form_urlencoded::parse(request.query_string().as_bytes());
        query
            .find(|(name, _)| name == "salon_id")
            .and_then(|(_, id)| id.parse().ok())
    };
    let in_body = || serde_json::from_slice::<Value>(body).ok()?.get("salon_id")?.as_i64();
    in_path.or_else(in_query).or_else(in_body)
}

/// Whether the request accepts the media type.
fn names(request: &HttpRequest, media_type: &str) -> bool {
    let accept = request.headers().get("accept").and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains(media_type))
}

/// Turns the real answer into what the fault makes of it.
fn spoil(fault: &Fault, real: Option<Answer>, generic: Answer) -> Outcome {
    let status = |default| fault.status.unwrap_or(default);
    let real_status = real.as_ref().map_or(200, |answer| answer.status);
    let with_meta = |meta: Value| {
        let mut answer = real.unwrap_or_else(|| Answer::ok(Value::Null));
        answer.set_meta(meta);
        Outcome::Answer(answer)
    };
    match fault.kind {
        // The last two are refused for calls when they are ordered.
        FaultKind::Status | FaultKind::Lost | FaultKind::Duplicate => Outcome::Answer(match fault.retry_after {
            Some(seconds) => generic.header("Retry-After", seconds.to_string()),
            None => generic,
        }),
        FaultKind::Html => Outcome::Answer(Answer::html(
            status(200),
            "<!DOCTYPE html><html><head><title>Marketplace</title></head><body>OK</body></html>",
        )),
        FaultKind::Empty => Outcome::Answer(Answer::bare(status(real_status))),
        FaultKind::SuccessFalse => Outcome::Answer(Answer {
            status: status(200),
            ..generic
        }),
        FaultKind::TimeoutAfterEffect | FaultKind::TimeoutBefore => Outcome::Hang(fault.hang()),
        FaultKind::MetaList => with_meta(json!([])),
        FaultKind::MetaObject => with_meta(json!({})),
        FaultKind::RateLimited => Outcome::Answer(too_many(fault.retry_after)),
        FaultKind::DropConnection => Outcome::Drop,
    }
}

fn perform(state: &mut State, call: Call, request: &HttpRequest, body: &Bytes) -> Answer {
    match admitted(state, call, request, body) {
        Ok(ask) => dispatch(state, &ask).unwrap_or_else(|refusal| refusal),
        Err(refusal) => refusal,
    }
}

/// Checks media type and tokens, and reads the call.
fn admitted(state: &State, call: Call, request: &HttpRequest, body: &Bytes) -> Result<Ask, Answer> {
    let header = |name: &str| {
        let value = request.headers().get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    };
    let media_type = state.brand.media_type();
    if !names(request, media_type) {
        let message = format!("The Accept header must name {media_type}.");
        return Err(Answer::failed(400, &message));
    }
    let (partner, user) = tokens(header("authorization"));
    if partner != Some(state.partner_token.as_str()) {
        return Err(state.failed(401, Message::AuthenticationNeeded));
    }
    let is_json = header("content-type").starts_with("application/json");
    let id = |name: &str| -> Result<Option<i64>, Answer> {
        match request.match_info().get(name).map(str::parse) {
            None => Ok(None),
            Some(Ok(id)) => Ok(Some(id)),
            Some(Err(_)) => Err(state.failed(404, Message::Error)),
        }
    };
    let user_of = user.and_then(|token| {
        let mut applications = state.applications.values();
        applications.find(|app| app.system_user_token == token)
    });
    let owner_of = user.and_then(|token| {
        let mut locations = state.locations.values();
        locations.find(|location| location.owner_token == token)
    });
    if call.needs_user() && user_of.is_none() {
        return Err(state.failed(401, Message::NoUser));
    }
    Ok(Ask {
        call,
        location: id("location")?,
        application: id("application")?,
        payment: id("payment")?,
        query: url::form_urlencoded::parse(request.query_string().as_bytes())
            .into_owned()
            .collect(),
        body: read_body(state, is_json, body)?,
        user_of: user_of.map(|application| application.id),
        owner_of: owner_of.map(|location| location.id),
        now: Utc::now(),
    })
}

/// A body that does not call itself JSON counts as not sent.
fn read_body(state: &State, is_json: bool, body: &Bytes) -> Result<Value, Answer> {
    if body.is_empty() || !is_json {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).map_err(|_| state.failed(400, Message::Error))
}

/// Reads `Bearer <partner token>, User <user token>`.
fn tokens(header: &str) -> (Option<&str>, Option<&str>) {
    let mut partner = None;
    let mut user = None;
    for part in header.split(',') {
        match part.trim().split_once(' ') {
            Some(("Bearer", token)) => partner = Some(token.trim()),
            Some(("User", token)) if !token.trim().is_empty() => user = Some(token.trim()),
            _ => {}
        }
    }
    (partner, user)
}

fn dispatch(state: &mut State, ask: &Ask) -> Result<Answer, Answer> {
    match ask.call {
        Call::Salons => marketplace_api::salons(state, ask),
        Call::Tariffs => marketplace_api::tariffs(state, ask),
        Call::AddDiscount => marketplace_api::add_discount(state, ask),
        Call::PaymentLink => marketplace_api::payment_link(state, ask),
        Call::UpdateChannel => marketplace_api::update_channel(state, ask),
        Call::ShortNames => marketplace_api::short_names(state, ask),
        Call::NewMessage => marketplace_api::new_message(state, ask),
        Call::InstallFrame => marketplace_api::install_frame(state, ask),
        Call::ToggleHighlight => marketplace_api::toggle_highlight(state, ask),
        Call::GrantAccess => install_api::grant_access(state, ask),
        Call::Status => install_api::status(state, ask),
        Call::Uninstall => install_api::uninstall(state, ask),
        Call::Activate => install_api::activate(state, ask),
        Call::ActivateRedirect => install_api::activate_redirect(state, ask),
        Call::ReportPayment => install_api::report_payment(state, ask),
        Call::Refund => install_api::refund(state, ask),
        Call::HooksRead => webhooks_api::read(state, ask),
        Call::HooksWrite => webhooks_api::write(state, ask),
        Call::Voip => voip_api::command(state, ask),
        Call::VoipCalls => voip_api::calls(state, ask),
        Call::Countries => Ok(dictionaries::countries()),
        Call::Cities => Ok(dictionaries::cities(state, ask)),
        Call::BusinessTypes => Ok(dictionaries::business_types()),
    }
}
