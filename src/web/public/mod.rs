//! What the marketplace and the owners' browsers reach.

mod body;
mod calls;
mod connect;
mod doors;
mod page;
mod redirect;

use actix_web::{HttpRequest, HttpResponse, web};

pub(super) use self::body::Room;
use super::connections::Ticket;

/// All public routes.
pub(super) fn routes(service: &mut web::ServiceConfig) {
    service
        .service(
            web::resource("/apps/{application_id}/callback")
                .route(web::get().to(doors::probe))
                .route(web::head().to(doors::probe))
                .route(web::post().to(doors::callback)),
        )
        .service(
            web::resource("/apps/{application_id}/hooks/{location_id}/{key}")
                .route(web::get().to(doors::probe))
                .route(web::head().to(doors::probe))
                .route(web::post().to(doors::location_hooks)),
        )
        .service(
            web::resource("/apps/{application_id}/hooks/{key}")
                .route(web::get().to(doors::probe))
                .route(web::head().to(doors::probe))
                .route(web::post().to(doors::application_hooks)),
        )
        .service(
            web::resource("/apps/{application_id}/calls/{key}")
                .route(web::get().to(doors::probe))
                .route(web::head().to(doors::probe))
                .route(web::post().to(calls::take)),
        )
        .route("/apps/{application_id}/connect", web::get().to(connect::open))
        .route("/apps/{application_id}/connect", web::head().to(connect::head))
        .route(
            "/apps/{application_id}/connect/progress/{token}",
            web::get().to(connect::progress),
        )
        .route("/healthz", web::get().to(health));
}

/// For balancers: 200 until this process is about to end.
async fn health(request: HttpRequest) -> HttpResponse {
    if request.conn_data::<Ticket>().is_some_and(Ticket::closing) {
        HttpResponse::ServiceUnavailable().body("about to end\n")
    } else {
        HttpResponse::Ok().body("ok\n")
    }
}
