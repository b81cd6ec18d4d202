//! The doors of the marketplace: webhooks and lifecycle callbacks. A 2xx means durable; 503 means
//! not; nothing genuine gets a 4xx.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web,
};
use serde_json::{Value, json};

use super::body::{self, Body, Room, Unread};
use crate::{
    app::App,
    domain::{
        ids::{ApplicationId, LocationId, Place},
        signature::{application_hook_key, hook_key, same_secret},
    },
    intake::wire::{self, Door, Key},
};

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
    let served = app.served(address.application_id);
    let believed = address.key == Key::Right || served.is_some_and(|served| served.config.accept_unverified);
    let body = match read(app, address.application_id, request, body, believed).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let hook_id = text_of(request, "x-hook-id").filter(|id| !id.trim().is_empty());
    let door = Door {
        application_id: address.application_id,
        location_id: address.location_id,
        key: address.key,
        ours: served.is_some(),
        partner_tokens: served.iter().flat_map(|served| served.partner_tokens()).collect(),
        tokens: app.all_served().flat_map(|served| served.partner_tokens()).collect(),
        signature_keys: served.iter().flat_map(|served| served.signature_keys()).collect(),
        accept_unverified: served.is_some_and(|served| served.config.accept_unverified),
        headers: kept_headers(request),
        hook_id,
        vouched: false,
    };
    match app.intake.accept(wire::recognise(&door, &body.bytes)).await {
        Ok(_) => HttpResponse::Ok().json(json!({"success": true})),
        Err(_) => not_stored(),
    }
}

/// Reads a body, or answers why not. Who is believed has room that strangers cannot take.
pub(super) async fn read(
    app: &App,
    application_id: ApplicationId,
    request: &HttpRequest,
    body: web::Payload,
    believed: bool,
) -> Result<Body, HttpResponse> {
    let room: &Room = request
        .app_data::<web::Data<Room>>()
        .expect("it is set where the listeners are opened");
    let body = body::read(room, request, body, app.config.server.body_limit, !believed).await;
    body.map_err(|unread| {
        let answer = unread_answer(unread);
        let result = if answer.status().is_client_error() {
            "refused"
        } else {
            "unavailable"
        };
        app.intake.count_unread(application_id, result);
        answer
    })
}

/// The answer when nobody knows whether it is durable.
pub(super) fn not_stored() -> HttpResponse {
    answer(StatusCode::SERVICE_UNAVAILABLE, "not stored; please send it again")
}

fn unread_answer(unread: Unread) -> HttpResponse {
    match unread {
        Unread::TooLarge => answer(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        Unread::Compressed => {
            let mut refused = answer(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body is compressed; send it plain",
            );
            let plain = HeaderValue::from_static("identity");
            refused.headers_mut().insert(header::ACCEPT_ENCODING, plain);
            refused
        }
        Unread::BrokeOff => answer(StatusCode::BAD_REQUEST, "the body broke off"),
        Unread::Late => answer(
            StatusCode::SERVICE_UNAVAILABLE,
            "the body did not arrive; please send it again",
        ),
        Unread::NoRoom => answer(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many large bodies at once; please send it again",
        ),
    }
}

fn answer(status: StatusCode, message: &'static str) -> HttpResponse {
    let mut answer = HttpResponse::build(status);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.insert_header((header::RETRY_AFTER, "5"));
    }
    answer.json(json!({"success": false, "message": message}))
}

fn text_of<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// Headers that help somebody who looks at an event. `Authorization` is a constant shared by all
/// receivers (contract 7.3): it proves nothing and is not kept.
pub(super) fn kept_headers(request: &HttpRequest) -> Value {
    let kept = ["content-type", "user-agent", "x-hook-id"];
    kept.iter()
        .filter_map(|name| Some(((*name).to_owned(), Value::from(text_of(request, name)?))))
        .collect()
}
