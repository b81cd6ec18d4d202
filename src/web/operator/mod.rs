//! What operators and Prometheus reach. Everything but metrics and probes needs a token of the operator's.

mod api;
mod console;
mod entry;
mod gauges;
mod probes;
mod problem;
mod wishes;

use actix_web::{
    Error, HttpResponse, Resource, Route, Scope,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    guard,
    middleware::from_fn,
    web,
};

pub use self::api::openapi;
use self::problem::Problem;

/// All operator routes.
pub(super) fn routes(service: &mut web::ServiceConfig) {
    service
        .service(probe("/livez").route(seen().to(async || HttpResponse::Ok().body("ok\n"))))
        .service(probe("/readyz").route(seen().to(probes::ready)))
        .service(probe("/metrics").route(seen().to(gauges::metrics)))
        .service(for_programs(api::BASE).configure(api::routes))
        .service(for_programs("/api"))
        .configure(console::routes);
}

/// Below this path programs ask, and are answered in JSON, also where there is nothing.
fn for_programs(
    path: &str,
) -> Scope<impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse, Error = Error, InitError = ()>>
{
    web::scope(path)
        .default_service(web::to(async || {
            Problem::not_found("There is nothing at this address.")
        }))
        .wrap(from_fn(problem::located))
        .wrap(from_fn(entry::api))
}

/// What takes `GET` and `HEAD`.
fn seen() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

fn probe(
    path: &str,
) -> Resource<impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse, Error = Error, InitError = ()>>
{
    refuse_others(web::resource(path), "GET, HEAD".to_owned()).wrap(from_fn(entry::probe))
}

/// An address that tells which methods it takes, when it is asked by another one.
fn refuse_others(resource: Resource, allow: String) -> Resource {
    resource.default_service(web::to(move || {
        let refused = Problem::not_allowed(&allow);
        async move { refused }
    }))
}
