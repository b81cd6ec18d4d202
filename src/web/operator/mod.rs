//! What operators and Prometheus reach. Everything but metrics and probes needs a token of the operator's.

mod api;
mod console;
mod entry;
mod gauges;
mod orders;
mod plans;
mod probes;
mod problem;
mod rules;
mod wishes;

use actix_web::{HttpResponse, middleware::from_fn, web};

use self::problem::Problem;

/// All operator routes.
pub(super) fn routes(service: &mut web::ServiceConfig) {
    service
        .route("/livez", web::get().to(async || HttpResponse::Ok().body("ok\n")))
        .route("/readyz", web::get().to(probes::ready))
        .route("/metrics", web::get().to(gauges::metrics))
        .service(
            web::scope("/api/v1")
                .wrap(from_fn(entry::api))
                .configure(api::routes)
                .configure(rules::routes)
                .configure(plans::routes)
                .configure(orders::routes)
                .default_service(web::to(async || {
                    Problem::not_found("There is nothing at this address.")
                })),
        )
        .configure(console::routes);
}
