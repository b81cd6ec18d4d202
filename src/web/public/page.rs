//! The words and the looks of the owner's page. No script: the page reloads itself while something
//! is under way. It may be framed by the marketplace's card and by nobody else.

use std::{sync::LazyLock, time::Duration};

use actix_web::{HttpResponse, http::StatusCode};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use minijinja::{Environment, context};
use tracing::error;

use crate::{app::served::Served, domain::signature::sha256_of, store::activations::Progress};

const STYLE: &str = include_str!("../pages/connect.css");

static PAGES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    pages
        .add_template("connect.html", include_str!("../pages/connect.html"))
        .expect("a template of ours");
    pages
});

/// The style is allowed by its hash, so that nothing else inline is.
static STYLE_HASH: LazyLock<String> = LazyLock::new(|| STANDARD.encode(sha256_of(STYLE.as_bytes())));

/// One location on the page.
pub(super) struct Row {
    pub title: String,
    pub progress: Progress,
    pub continue_url: Option<String>,
    pub card_url: Option<String>,
    pub ends_at: Option<DateTime<Utc>>,
}

/// The page of a connection.
pub(super) struct View {
    pub rows: Vec<Row>,
    pub refresh: Duration,
}

/// What the owner is told: a word for the look, a headline, a sentence.
fn words(progress: Progress) -> (&'static str, &'static str, &'static str) {
    match progress {
        Progress::Requested => ("busy", "Looking", "We are asking the marketplace about this location."),
        Progress::Activating => (
            "busy",
            "Connecting",
            "This takes a few seconds. It goes on even when you close this page.",
        ),
        Progress::External => (
            "wait",
            "One step left",
            "Finish your registration to start using the application.",
        ),
        Progress::Active => ("good", "Connected", "Everything is set up."),
        Progress::Frozen => (
            "wait",
            "Paused",
            "The trial or the paid period is over. Pay in the marketplace to go on.",
        ),
        Progress::NotConnected => (
            "wait",
            "Not connected",
            "The marketplace says that this location is not connected. Press Connect there first.",
        ),
        Progress::Expired => (
            "bad",
            "Please connect again",
            "The time to finish this connection is over. Press Connect in the marketplace once more.",
        ),
        Progress::Failed => (
            "bad",
            "Still trying",
            "The marketplace refused the connection. We have been told, and keep trying by ourselves.",
        ),
    }
}

fn under_way(progress: Progress) -> bool {
    match progress {
        Progress::Requested | Progress::Activating | Progress::Failed => true,
        Progress::External | Progress::Active | Progress::Frozen | Progress::NotConnected | Progress::Expired => false,
    }
}

/// Whether somebody still has to do something in time.
fn has_deadline(progress: Progress) -> bool {
    match progress {
        Progress::Requested | Progress::Activating | Progress::Failed | Progress::External => true,
        Progress::Active | Progress::Frozen | Progress::NotConnected | Progress::Expired => false,
    }
}

/// How the connection goes.
pub(super) fn progress(served: &Served, view: &View) -> HttpResponse {
    let rows: Vec<_> = view
        .rows
        .iter()
        .map(|row| {
            let (look, headline, sentence) = words(row.progress);
            let on = match row.progress {
                Progress::Active | Progress::External => row.continue_url.as_ref().or(row.card_url.as_ref()),
                Progress::Frozen | Progress::NotConnected | Progress::Expired => row.card_url.as_ref(),
                Progress::Requested | Progress::Activating | Progress::Failed => None,
            };
            let ends_at = row
                .ends_at
                .filter(|_| has_deadline(row.progress))
                .map(|at| at.format("%H:%M UTC on %-d %B").to_string());
            context! { title => &row.title, look, headline, sentence, on, ends_at }
        })
        .collect();
    let busy = view.rows.iter().any(|row| under_way(row.progress));
    let refresh = busy.then_some(view.refresh.as_secs());
    render(
        StatusCode::OK,
        Some(served),
        context! { name => &served.config.name, rows, refresh },
    )
}

/// One sentence.
pub(super) fn message(status: StatusCode, served: Option<&Served>, headline: &str, text: &str) -> HttpResponse {
    render(status, served, context! { name => headline, text })
}

/// It did not work now; the page tries again by itself.
pub(super) fn busy(served: &Served, text: &str) -> HttpResponse {
    let view = context! { name => &served.config.name, text, refresh => 5 };
    let mut response = render(StatusCode::SERVICE_UNAVAILABLE, Some(served), view);
    response.headers_mut().insert(
        actix_web::http::header::RETRY_AFTER,
        actix_web::http::header::HeaderValue::from_static("5"),
    );
    response
}

fn render(status: StatusCode, served: Option<&Served>, view: minijinja::Value) -> HttpResponse {
    let frame = served.map_or("'none'", |served| served.account.brand.frame_ancestors());
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors {frame}",
        *STYLE_HASH
    );
    let page = PAGES
        .get_template("connect.html")
        .and_then(|page| page.render(context! { style => STYLE, ..view }));
    let page = page.unwrap_or_else(|error| {
        error!(%error, "The owner's page could not be drawn");
        "<!doctype html><title>Please try again</title><p>Please open this page again.".to_owned()
    });
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header(("Content-Security-Policy", policy))
        .insert_header(("Cache-Control", "no-store"))
        .insert_header(("Referrer-Policy", "no-referrer"))
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .body(page)
}
