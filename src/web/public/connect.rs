//! What the owner sees after pressing Connect. Opening the page changes nothing by itself: it only
//! makes Bellhop look at the status, and the status decides (contract 7.1).

use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde_json::json;
use tracing::warn;

use super::{
    page::{Notice, Page, Row},
    redirect::{self, Redirect, UserData},
};
use crate::{
    app::{App, served::Served},
    domain::{
        event::{Fact, Kind, Source, State},
        ids::{ApplicationId, LocationId},
        signature::{progress_token, read_progress_token, sha256},
    },
    store::{
        self,
        activations::{self, Activation},
        events::Delivery,
    },
};

/// The page may be followed for this long.
const FOLLOW_SECONDS: i64 = 2 * 60 * 60;

/// `GET /apps/{application_id}/connect`
pub(super) async fn open(app: web::Data<App>, path: web::Path<i64>, request: HttpRequest) -> HttpResponse {
    let application_id = ApplicationId(path.into_inner());
    let served = app.served(application_id);
    let page = Page::for_reader(&request, served);
    let Some(served) = served else {
        return page.notice(Notice::UnknownApplication, None);
    };
    let redirect = redirect::read(request.query_string(), &served.signature_keys().collect::<Vec<_>>());
    if redirect.locations.is_empty() {
        return page.notice(Notice::NoLocation, None);
    }
    let places = redirect.locations.len();
    if redirect.user_data == UserData::Absent && !app.unsigned.admit(Instant::now(), places) {
        return page.notice(Notice::Throttled, None);
    }
    let deliveries = redirect
        .locations
        .iter()
        .map(|location| delivery(application_id, *location, &redirect))
        .collect();
    if app.intake.accept(deliveries).await.is_err() {
        return page.notice(Notice::NotNoted, None);
    }
    if redirect.user_data == UserData::Forged {
        let card = match redirect.locations[..] {
            [location] => served.account.brand.card_url(location.0, served.id.0),
            _ => None,
        };
        return page.notice(Notice::Forged, card);
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
pub(super) async fn progress(
    app: web::Data<App>,
    path: web::Path<(i64, String)>,
    request: HttpRequest,
) -> HttpResponse {
    let (application, token) = path.into_inner();
    let application_id = ApplicationId(application);
    let served = app.served(application_id);
    let page = Page::for_reader(&request, served);
    let Some(served) = served else {
        return page.notice(Notice::UnknownApplication, None);
    };
    let secrets = app.hook_secrets();
    let now = Utc::now().timestamp();
    let locations = secrets
        .filter_map(|secret| read_progress_token(secret, application_id, &token, now))
        .next();
    let Some(locations) = locations else {
        return page.notice(Notice::TooOld, None);
    };
    match rows(&app, served, &locations).await {
        Ok(rows) => page.progress(&rows),
        Err(error) => {
            warn!(%error, application_id = %served.id, "The page of a connection could not be shown");
            page.notice(Notice::CannotLook, None)
        }
    }
}

async fn rows(app: &App, served: &Served, locations: &[LocationId]) -> store::Result<Vec<Row>> {
    let found = activations::of(&app.pool, served.id, locations).await?;
    let row = |activation: Activation| Row {
        location: activation.location_id,
        title: activation.title,
        progress: activation.progress,
        continue_url: served.continue_url(activation.location_id),
        card_url: served.account.brand.card_url(activation.location_id.0, served.id.0),
        ends_at: activation.pending_since.map(|since| deadline(app, since)),
        zone: activation.timezone_name.and_then(|zone| zone.parse().ok()),
    };
    Ok(found.into_iter().map(row).collect())
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
