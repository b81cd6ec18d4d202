//! What operators and Prometheus reach. Everything but metrics and probes needs the operator's token.

mod api;
mod gauges;
mod orders;
mod plans;
mod probes;
mod problem;
mod rules;

use actix_web::{
    Error, HttpResponse,
    body::BoxBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header,
    middleware::{Next, from_fn},
    web,
};

use self::problem::Problem;
use crate::{app::App, config::value::Secret, domain::signature::same_secret};

/// All operator routes.
pub(super) fn routes(service: &mut web::ServiceConfig) {
    service
        .route("/livez", web::get().to(async || HttpResponse::Ok().body("ok\n")))
        .route("/readyz", web::get().to(probes::ready))
        .route("/metrics", web::get().to(gauges::metrics))
        .service(
            web::scope("/api/v1")
                .wrap(from_fn(token))
                .configure(api::routes)
                .configure(rules::routes)
                .configure(plans::routes)
                .configure(orders::routes),
        )
        .default_service(web::to(async || {
            Problem::not_found("There is nothing at this address.")
        }));
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
