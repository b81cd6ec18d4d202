//! The doors of the marketplace: webhooks and lifecycle callbacks. A 2xx means durable; 503 means
//! not; nothing genuine gets a 4xx.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde_json::{Value, json};

use super::wire::{self, Door, Key};
use crate::{
    app::App,
    domain::{
        ids::{ApplicationId, LocationId, Place},
        signature::{application_hook_key, hook_key, same_secret},
    },
};

/// A body that has not arrived by then will not: the sender has given up (contract 7.3).
const BODY_WITHIN: Duration = Duration::from_secs(20);

/// `POST /apps/{application_id}/callback`
pub(super) async fn callback(
    app: web::Data<App>,
    path: web::Path<i64>,
    request: HttpRequest,
    body: web::Payload,
) -> HttpResponse {
    let address = Address {
        application_id: ApplicationId(path.into_inner()),
        location_id: None,
        key: Key::Absent,
    };
    take(&app, address, &request, body).await
}

/// `POST /apps/{application_id}/hooks/{location_id}/{key}`
pub(super) async fn location_hooks(
    app: web::Data<App>,
    path: web::Path<(i64, i64, String)>,
    request: HttpRequest,
    body: web::Payload,
) -> HttpResponse {
    let (application, location, key) = path.into_inner();
    let place = Place {
        application_id: ApplicationId(application),
        location_id: LocationId(location),
    };
    let right = app
        .hook_secrets()
        .any(|secret| same_secret(&key, &hook_key(secret, place)));
    let address = Address {
        application_id: place.application_id,
        location_id: Some(place.location_id),
        key: if right { Key::Right } else { Key::Wrong },
    };
    take(&app, address, &request, body).await
}

/// `POST /apps/{application_id}/hooks/{key}`
pub(super) async fn application_hooks(
    app: web::Data<App>,
    path: web::Path<(i64, String)>,
    request: HttpRequest,
    body: web::Payload,
) -> HttpResponse {
    let (application, key) = path.into_inner();
    let application = ApplicationId(application);
    let right = app
        .hook_secrets()
        .any(|secret| same_secret(&key, &application_hook_key(secret, application)));
    let address = Address {
        application_id: application,
        location_id: None,
        key: if right { Key::Right } else { Key::Wrong },
    };
    take(&app, address, &request, body).await
}

/// The cabinet probes an address with GET before it saves it (contract 7.2).
pub(super) async fn probe() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body("Bellhop listens here.\n")
}

/// What the address of a delivery says.
struct Address {
    application_id: ApplicationId,
    location_id: Option<LocationId>,
    key: Key,
}

async fn take(app: &App, address: Address, request: &HttpRequest, body: web::Payload) -> HttpResponse {
    let body = tokio::time::timeout(BODY_WITHIN, body.to_bytes_limited(app.config.server.body_limit));
    let body = match body.await {
        Ok(Ok(Ok(body))) => body,
        unread => {
            let (result, status, message) = match unread {
                Ok(Err(_)) => ("refused", StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
                Ok(Ok(_)) => ("refused", StatusCode::BAD_REQUEST, "the body broke off"),
                Err(_) => (
                    "unavailable",
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the body did not arrive; please send it again",
                ),
            };
            app.intake.count_unread(address.application_id, result);
            return answer(status, message);
        }
    };
    let served = app.served(address.application_id);
    let hook_id = header(request, "x-hook-id").filter(|id| !id.trim().is_empty());
    let door = Door {
        application_id: address.application_id,
        location_id: address.location_id,
        key: address.key,
        ours: served.is_some(),
        partner_token: served.map_or("", |served| served.partner_token()),
        tokens: app.all_served().map(|served| served.partner_token()).collect(),
        signature_key: served.map_or("", |served| served.signature_key()),
        accept_unverified: served.is_some_and(|served| served.config.accept_unverified),
        headers: kept_headers(request),
        hook_id,
    };
    match app.intake.accept(wire::recognise(&door, &body)).await {
        Ok(_) => HttpResponse::Ok().json(json!({"success": true})),
        Err(_) => answer(StatusCode::SERVICE_UNAVAILABLE, "not stored; please send it again"),
    }
}

fn answer(status: StatusCode, message: &'static str) -> HttpResponse {
    HttpResponse::build(status).json(json!({"success": false, "message": message}))
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// Headers that help somebody who looks at an event. `Authorization` is a constant shared by all
/// receivers (contract 7.3): it proves nothing and is not kept.
fn kept_headers(request: &HttpRequest) -> Value {
    let kept = ["content-type", "user-agent", "x-hook-id"];
    kept.iter()
        .filter_map(|name| Some(((*name).to_owned(), Value::from(header(request, name)?))))
        .collect()
}
