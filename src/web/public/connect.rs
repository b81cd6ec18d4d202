//! What the owner sees after pressing Connect. Opening the page changes nothing by itself: it only
//! makes Bellhop look at the status, and the status decides (contract 7.1).

use std::time::{Duration, Instant};

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use chrono::{DateTime, Utc};
use serde_json::json;
use tracing::warn;

use super::{
    page::{self, Row, View},
    redirect::{self, Redirect, UserData},
};
use crate::{
    app::{App, served::Served},
    domain::{
        event::{Fact, Kind, Source, State},
        ids::{ApplicationId, LocationId},
        signature::{progress_token, read_progress_token, sha256},
    },
    store::{self, activations, events::Delivery},
};

/// The page may be followed for this long.
const FOLLOW_SECONDS: i64 = 2 * 60 * 60;

/// `GET /apps/{application_id}/connect`
pub(super) async fn open(app: web::Data<App>, path: web::Path<i64>, request: HttpRequest) -> HttpResponse {
    let application_id = ApplicationId(path.into_inner());
    let Some(served) = app.served(application_id) else {
        return page::message(
            StatusCode::NOT_FOUND,
            None,
            "Unknown application",
            "This address belongs to no application.",
        );
    };
    let redirect = redirect::read(request.query_string(), &served.signature_keys().collect::<Vec<_>>());
    if redirect.locations.is_empty() {
        let text = "This page opens by itself when you press Connect in the marketplace.";
        return page::message(StatusCode::OK, Some(served), &served.config.name, text);
    }
    if redirect.user_data == UserData::Absent && !app.unsigned.admit(Instant::now()) {
        return page::busy(
            served,
            "Many connections are being made right now. This page tries again by itself.",
        );
    }
    let deliveries = redirect
        .locations
        .iter()
        .map(|location| delivery(application_id, *location, &redirect))
        .collect();
    if app.intake.accept(deliveries).await.is_err() {
        return page::busy(
            served,
            "We could not note your connection. This page tries again by itself.",
        );
    }
    if redirect.user_data == UserData::Forged {
        let text =
            "The link that brought you here could not be verified. Please press Connect in the marketplace once more.";
        return page::message(StatusCode::OK, Some(served), "Please connect again", text);
    }
    let expires = Utc::now().timestamp() + FOLLOW_SECONDS;
    let token = progress_token(app.hook_secret(), application_id, &redirect.locations, expires);
    HttpResponse::SeeOther()
        .insert_header(("Location", format!("connect/progress/{token}")))
        .insert_header(("Cache-Control", "no-store"))
        .insert_header(("Referrer-Policy", "no-referrer"))
        .finish()
}

fn delivery(application_id: ApplicationId, location: LocationId, redirect: &Redirect) -> Delivery {
    let body = redirect.kept.clone().into_bytes();
    let numbers = [application_id.0.to_be_bytes(), location.0.to_be_bytes()];
    let digest = sha256(&[b"connect", &numbers[0], &numbers[1], &body]);
    let forged = redirect.user_data == UserData::Forged;
    Delivery {
        // Every opening counts: the same address is opened again after a disconnection that nobody may
        // have told us of. Looks that wait are merged, and a look changes nothing by itself.
        key: None,
        application_id,
        location_id: Some(location),
        kind: Kind::ConnectOpened,
        source: Source::Connect,
        verdict: if forged { State::Rejected } else { State::Received },
        reason: forged.then_some("user_data_sign does not match".into()),
        resource_id: None,
        digest,
        fact: (!forged).then_some(Fact::ConnectOpened {
            signed: redirect.user_data == UserData::Signed,
        }),
        headers: json!({}),
        body,
        arrived_at: None,
    }
}

/// `GET /apps/{application_id}/connect/progress/{token}`
pub(super) async fn progress(app: web::Data<App>, path: web::Path<(i64, String)>) -> HttpResponse {
    let (application, token) = path.into_inner();
    let application_id = ApplicationId(application);
    let Some(served) = app.served(application_id) else {
        return page::message(
            StatusCode::NOT_FOUND,
            None,
            "Unknown application",
            "This address belongs to no application.",
        );
    };
    let secrets = app.hook_secrets();
    let now = Utc::now().timestamp();
    let locations = secrets
        .filter_map(|secret| read_progress_token(secret, application_id, &token, now))
        .next();
    let Some(locations) = locations else {
        let text =
            "This page is too old to follow the connection. Please open the application in the marketplace again.";
        return page::message(StatusCode::OK, Some(served), "Please open it again", text);
    };
    match view(&app, served, &locations).await {
        Ok(view) => page::progress(served, &view),
        Err(error) => {
            warn!(%error, application_id = %served.id, "The page of a connection could not be shown");
            page::busy(
                served,
                "We cannot look at your connection right now. It goes on by itself, and so does this page.",
            )
        }
    }
}

async fn view(app: &App, served: &Served, locations: &[LocationId]) -> store::Result<View> {
    let rows: Vec<Row> = activations::of(&app.pool, served.id, locations)
        .await?
        .into_iter()
        .map(|activation| Row {
            title: activation
                .title
                .unwrap_or_else(|| format!("Location {}", activation.location_id)),
            progress: activation.progress,
            continue_url: served.continue_url(activation.location_id),
            card_url: served.account.brand.card_url(activation.location_id.0, served.id.0),
            ends_at: activation.pending_since.map(|since| deadline(app, since)),
        })
        .collect();
    Ok(View {
        rows,
        refresh: Duration::from_secs(2),
    })
}

/// What the documents promise, as long as that lies ahead; then the last moment at which the
/// marketplace still takes it (contract 8).
fn deadline(app: &App, since: DateTime<Utc>) -> DateTime<Utc> {
    let clocks = &app.config.activation;
    let safe = since + clocks.safe;
    if safe > Utc::now() { safe } else { since + clocks.limit }
}

/// `HEAD` of the registration address: some probes send it. Changes nothing.
pub(super) async fn head() -> HttpResponse {
    HttpResponse::Ok().finish()
}
