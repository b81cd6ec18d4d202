//! What stands before every page: who comes, from where, and whether a form is one of ours. Pages only hear of
//! requests that passed, so none of them can forget a check.

use std::future::{Ready, ready};

use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError,
    body::BoxBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::header::{self, HeaderName},
    middleware::Next,
    web,
};
use chrono::Utc;
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    super::entry::{self, Role, Visitor, site},
    assets, entrance,
    refusal::Refusal,
};
use crate::{app::App, domain::signature::same_secret};

/// No script, nothing from elsewhere, in no frame; forms lead to us only.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

/// What no page of ours needs.
const NO_FEATURES: &str = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()";

/// Lets in who may come, and sends whoever has to log in there. Every answer gets the headers of the console.
pub(super) async fn guard(mut request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse, Error> {
    let mut response = match enter(&mut request).await {
        Ok(orders) => {
            let response = next.call(request).await?;
            if let Some(role) = orders {
                entry::orders::tell("console", role, response.request(), response.status().as_u16());
            }
            response
        }
        Err(refused) => request.into_response(refused),
    };
    let headers = response.headers_mut();
    if !headers.contains_key(header::CACHE_CONTROL) {
        entry::set(headers, header::CACHE_CONTROL, "no-store");
    }
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // With `no-referrer` browsers would hide from us that our own forms are ours.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("permissions-policy"), NO_FEATURES),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        entry::set(headers, name, value);
    }
    Ok(response)
}

/// Whoever sends a form that may change something is told with their role.
async fn enter(request: &mut ServiceRequest) -> Result<Option<Role>, HttpResponse> {
    let Some(app) = request.app_data::<web::Data<App>>().cloned() else {
        return Err(Refusal::broken().error_response());
    };
    let refused = |refusal: Refusal| refusal.error_response();
    site::check(request, entry::is_open(&app.config.operator)).map_err(|why| refused(Refusal::forbidden(why)))?;
    let visitor = Visitor::of(&app, request, Utc::now().timestamp());
    let is_for_all = request.path() == entrance::ADDRESS || assets::is_one(request.path());
    let changes = entry::changes(request.method());
    match &visitor {
        None if !is_for_all => return Err(entrance::way_in(request)),
        Some(visitor) if changes && !is_for_all => {
            let may = visitor.role.may(request.method()) || request.path() == entrance::WAY_OUT;
            if !may {
                return Err(refused(Refusal::reader()));
            }
        }
        Some(_) | None => {}
    }
    // Not before it is known who sends it: whoever may not come holds nothing here.
    let body = match changes && !assets::is_one(request.path()) {
        true => sent(request).await.ok_or_else(|| refused(Refusal::form()))?,
        false => String::new(),
    };
    let mut orders = None;
    if let Some(visitor) = visitor {
        if changes && !is_for_all {
            orders = Some(visitor.role);
            let key = field::<FormKey>(&body).map(|form| form.form_key).unwrap_or_default();
            if !same_secret(&key, &visitor.form_key) {
                return Err(refused(Refusal::form()));
            }
        }
        request.extensions_mut().insert(visitor);
    }
    request.extensions_mut().insert(Sent(body));
    Ok(orders)
}

/// The body, if it comes whole, in time, and is none too large.
async fn sent(request: &mut ServiceRequest) -> Option<String> {
    entry::body::in_time(request);
    request.extract::<String>().await.ok()
}

/// The body of a form that was let in.
struct Sent(String);

#[derive(Deserialize)]
struct FormKey {
    #[serde(default)]
    form_key: String,
}

fn field<T: DeserializeOwned>(body: &str) -> Option<T> {
    web::Query::<T>::from_query(body).ok().map(web::Query::into_inner)
}

/// The fields of a form. Unknown ones, such as the key of the form, are left out.
pub(super) struct Form<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Form<T> {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        let read = extensions.get::<Sent>().and_then(|sent| field(&sent.0));
        ready(read.map(Self).ok_or_else(Refusal::form))
    }
}

impl FromRequest for Visitor {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let visitor = request.extensions().get::<Self>().cloned();
        ready(visitor.ok_or_else(Refusal::broken))
    }
}
