use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use crate::{app::App, store, web::connections::Ticket};

/// The workers that step all the time, each by itself at least every `jobs.poll`.
const WORKERS: [&str; 3] = ["processor", "executor", "scheduler"];

/// A worker that is silent for so long is not fine.
const STALLED_SECONDS: f64 = 120.0;

/// A database that takes longer is not fine.
const PATIENCE: Duration = Duration::from_secs(2);

/// `GET /readyz`: 200, or 503 with the reasons.
pub(super) async fn ready(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    let reasons = why_not(&app, &request).await;
    if reasons.is_empty() {
        HttpResponse::Ok().json(json!({"ready": true}))
    } else {
        HttpResponse::ServiceUnavailable().json(json!({"ready": false, "reasons": reasons}))
    }
}

/// Why this process is not ready; nothing when it is.
pub(super) async fn why_not(app: &App, request: &HttpRequest) -> Vec<String> {
    let mut reasons = match tokio::time::timeout(PATIENCE, reasons(app)).await {
        Ok(reasons) => reasons,
        Err(_) => vec![format!("database: no answer within {PATIENCE:?}")],
    };
    if request.conn_data::<Ticket>().is_some_and(Ticket::closing) {
        reasons.push("this process was asked to end".to_owned());
    }
    spool(app, &mut reasons);
    reasons
}

async fn reasons(app: &App) -> Vec<String> {
    let mut reasons = database(app).await;
    for worker in WORKERS {
        if let Some(seconds) = app
            .metrics
            .seconds_since_step(worker)
            .filter(|seconds| *seconds > STALLED_SECONDS)
        {
            reasons.push(format!(
                "workers: the {worker} has not finished a step for {seconds:.0} s"
            ));
        }
    }
    reasons
}

/// A spool that is being emptied is no reason; one that waits for the database tells what is in it.
fn spool(app: &App, reasons: &mut Vec<String>) {
    if let Some(why) = app.intake.spool_trouble() {
        reasons.push(format!("spool: it takes no deliveries: {why}"));
    }
    let waiting = app.intake.spooled().map_or(0, |content| content.events);
    if waiting > 0 && !reasons.is_empty() {
        reasons.push(format!(
            "spool: {waiting} deliveries wait on this machine's disk for the database"
        ));
    }
}

async fn database(app: &App) -> Vec<String> {
    match store::pending_migrations(&app.pool).await {
        Ok(pending) => pending
            .into_iter()
            .map(|name| format!("migrations: {name} is not applied"))
            .collect(),
        Err(error) => vec![format!("database: {error}")],
    }
}
