//! What operators and Prometheus reach. Everything but metrics and probes needs the operator's token.

mod api;
mod gauges;
mod probes;
mod problem;

use actix_web::{
    Error, HttpResponse, Resource, Route,
    body::BoxBody,
    dev::{ServiceRequest, ServiceResponse},
    guard,
    http::header,
    middleware::{Next, from_fn},
    web,
};

pub use self::api::openapi;
use self::problem::Problem;
use crate::{app::App, config::value::Secret, domain::signature::same_secret};

/// All operator routes.
pub(super) fn routes(service: &mut web::ServiceConfig) {
    service
        .service(probe("/livez").route(seen().to(async || HttpResponse::Ok().body("ok\n"))))
        .service(probe("/readyz").route(seen().to(probes::ready)))
        .service(probe("/metrics").route(seen().to(gauges::metrics)))
        .service(
            web::scope(api::BASE)
                .wrap(from_fn(token))
                .wrap(from_fn(problem::located))
                .configure(api::routes),
        )
        .default_service(web::to(async || {
            Problem::not_found("There is nothing at this address.")
        }));
}

/// What takes `GET` and `HEAD`.
fn seen() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

fn probe(path: &str) -> Resource {
    refuse_others(web::resource(path), "GET, HEAD".to_owned())
}

/// An address that tells which methods it takes, when it is asked by another one.
fn refuse_others(resource: Resource, allow: String) -> Resource {
    resource.default_service(web::to(move || {
        let refused = Problem::not_allowed(&allow);
        async move { refused }
    }))
}

/// Refuses who has not the operator's token. Without one configured the listener is on this machine
/// only, and open.
async fn token(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse, Error> {
    let token = request
        .app_data::<web::Data<App>>()
        .and_then(|app| app.config.operator.token.clone());
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let given = given
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default()
        .to_owned();
    let admitted = token
        .as_ref()
        .map(Secret::expose)
        .is_none_or(|token| same_secret(token, given.trim()));
    if admitted {
        next.call(request).await
    } else {
        Err(Problem::unauthorized().into())
    }
}
