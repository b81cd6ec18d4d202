//! The receiver that Bellhop is compared with: the same door, the same checks, one INSERT for each request. What a
//! careful developer writes in an afternoon, with the same libraries and as many threads and connections.

use std::net::SocketAddr;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::json;
use sqlx::{PgPool, postgres::PgPoolOptions};

use super::{database::ONE_INSERT, payload::HOOK_SECRET};
use crate::domain::{
    ids::{ApplicationId, LocationId, Place},
    signature::{hook_key, same_secret, sha256},
};

/// As `server.threads` by default.
const THREADS: usize = 2;
/// As `database.connections` by default.
const CONNECTIONS: u32 = 16;

/// The fields of a delivery that are columns.
#[derive(Deserialize)]
struct Envelope<'a> {
    company_id: i64,
    resource: &'a str,
    resource_id: i64,
    status: &'a str,
}

/// Runs the reference receiver until the process is ended.
///
/// # Errors
/// When the database does not answer or the address is taken.
pub async fn serve(database_url: &str, listen: SocketAddr) -> Result<()> {
    let pool = PgPoolOptions::new()
        .min_connections(CONNECTIONS)
        .max_connections(CONNECTIONS);
    let pool = web::Data::new(pool.connect(database_url).await?);
    let service = move || {
        App::new()
            .app_data(pool.clone())
            .route("/readyz", web::get().to(async || HttpResponse::Ok().body("ok\n")))
            .route("/apps/{application}/hooks/{location}/{key}", web::post().to(take))
    };
    let server = HttpServer::new(service)
        .workers(THREADS)
        .disable_signals()
        .bind(listen)?;
    server.run().await.context("the reference receiver")
}

async fn take(
    pool: web::Data<PgPool>,
    path: web::Path<(i64, i64, String)>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    let (application, location, key) = path.into_inner();
    let place = Place {
        application_id: ApplicationId(application),
        location_id: LocationId(location),
    };
    if !same_secret(&key, &hook_key(HOOK_SECRET, place)) {
        return HttpResponse::Forbidden().finish();
    }
    let Ok(envelope) = serde_json::from_slice::<Envelope>(&body) else {
        return HttpResponse::BadRequest().finish();
    };
    let digest = sha256(&[&application.to_be_bytes(), &location.to_be_bytes(), &body]);
    let agent = request
        .headers()
        .get("user-agent")
        .and_then(|value| value.to_str().ok());
    let stored = sqlx::query(ONE_INSERT)
        .bind(application)
        .bind(envelope.company_id)
        .bind(format!("{}.{}", envelope.resource, envelope.status))
        .bind(envelope.resource_id)
        .bind(digest.as_slice())
        .bind(json!({"content-type": "application/json", "user-agent": agent}))
        .bind(&body[..])
        .execute(pool.get_ref())
        .await;
    match stored {
        Ok(_) => HttpResponse::Ok().json(json!({"success": true})),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}
