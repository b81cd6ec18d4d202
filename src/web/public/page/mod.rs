//! The looks of the owner's page. No script: the page reloads itself while something is under way. It may be framed by
//! the marketplace's card and by nobody else, and says nothing about the person.

mod accent;
mod language;
mod words;

use std::{sync::LazyLock, time::Duration};

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::Tz;
use minijinja::{Environment, Value, context};
use tracing::error;

pub(super) use self::words::Notice;
use self::words::{Date, Way, Words};
use crate::{
    app::served::Served,
    config::page::{Contact, Logo},
    domain::{ids::LocationId, signature::sha256_of},
    store::activations::Progress,
};

const STYLE: &str = include_str!("../../pages/connect.css");
/// What is under way is looked at so often; what waits for the marketplace to change its mind, or for somebody to act
/// elsewhere, less.
const REFRESH: Duration = Duration::from_secs(2);
const REFRESH_OF_FAILED: Duration = Duration::from_secs(10);
const REFRESH_OF_EXTERNAL: Duration = Duration::from_secs(60);
/// When the page itself could not be shown.
const TRY_AGAIN: Duration = Duration::from_secs(5);

static PAGES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    pages
        .add_template("connect.html", include_str!("../../pages/connect.html"))
        .expect("a template of ours");
    pages
});

/// One location on the page.
pub(super) struct Row {
    pub location: LocationId,
    /// Its name, when known.
    pub title: Option<String>,
    pub progress: Progress,
    pub continue_url: Option<String>,
    pub card_url: Option<String>,
    /// Until when somebody has to have done something.
    pub ends_at: Option<DateTime<Utc>>,
    /// Where its clocks are, when known.
    pub zone: Option<Tz>,
}

/// A page for one reader.
pub(super) struct Page<'s> {
    served: Option<&'s Served>,
    words: &'static Words,
}

/// What goes into the template.
struct Content {
    /// What a screen reader says first, and the browser's tab.
    title: String,
    status: StatusCode,
    refresh: Option<Duration>,
    tally: Option<String>,
    items: Vec<Value>,
}

impl<'s> Page<'s> {
    /// A page in the language that the browser asks for, about an application, if there is one.
    pub(super) fn for_reader(request: &HttpRequest, served: Option<&'s Served>) -> Self {
        let wanted = request.headers().get_all("Accept-Language");
        let wanted: Vec<&str> = wanted.filter_map(|value| value.to_str().ok()).collect();
        Self {
            served,
            words: language::preferred(&wanted.join(",")).words(),
        }
    }

    /// How some connections go.
    pub(super) fn progress(&self, rows: &[Row]) -> HttpResponse {
        let active = rows.iter().filter(|row| row.progress == Progress::Active).count();
        let tally = (rows.len() > 1).then(|| (self.words.tally)(active, rows.len()));
        let headline = rows.first().map_or("", |row| (self.words.state)(row.progress).headline);
        self.render(Content {
            title: tally.clone().unwrap_or_else(|| headline.to_owned()),
            status: StatusCode::OK,
            refresh: rows.iter().filter_map(|row| refresh(row.progress)).min(),
            tally,
            items: rows.iter().map(|row| self.row(row)).collect(),
        })
    }

    fn row(&self, row: &Row) -> Value {
        let said = (self.words.state)(row.progress);
        let (way, on) = way_on(row);
        let next = (self.words.next)(row.progress, way);
        let ends_at = row.ends_at.filter(|_| has_deadline(row.progress)).map(|at| {
            let date = date(at, row.zone);
            (self.words.deadline)(&date)
        });
        let unnamed = || format!("{} {}", self.words.location, row.location);
        context! {
            title => row.title.clone().unwrap_or_else(unnamed),
            look => look(row.progress),
            headline => said.headline, sentence => said.sentence, next, on, ends_at,
        }
    }

    /// One message, with the way to the application's card where there is one.
    pub(super) fn notice(&self, notice: Notice, on: Option<String>) -> HttpResponse {
        let said = (self.words.notice)(notice);
        let status = match notice {
            Notice::UnknownApplication => StatusCode::NOT_FOUND,
            Notice::NoLocation | Notice::Forged | Notice::TooOld => StatusCode::OK,
            Notice::Throttled | Notice::NotNoted | Notice::CannotLook => StatusCode::SERVICE_UNAVAILABLE,
        };
        let again = status == StatusCode::SERVICE_UNAVAILABLE;
        let item = context! {
            look => if again { "busy" } else { "wait" },
            headline => said.headline, sentence => said.sentence,
            next => if on.is_some() { self.words.open_card } else { said.next }, on,
        };
        let mut response = self.render(Content {
            title: said.headline.to_owned(),
            status,
            refresh: again.then_some(TRY_AGAIN),
            tally: None,
            items: vec![item],
        });
        if again {
            let (name, value) = (actix_web::http::header::RETRY_AFTER, TRY_AGAIN.as_secs());
            response.headers_mut().insert(name, value.into());
        }
        response
    }

    fn render(&self, content: Content) -> HttpResponse {
        let words = self.words;
        let brand = self.served.map(|served| &served.config.page);
        let name = self
            .served
            .map(|served| brand.and_then(|page| page.name.as_ref()).unwrap_or(&served.config.name));
        let accent = brand.and_then(|page| page.accent);
        let style = format!("{STYLE}{}", accent::style(accent));
        let logo = brand.and_then(|page| page.logo.as_ref());
        let view = context! {
            style => &style, lang => words.lang, name,
            title => name.map_or_else(|| content.title.clone(), |name| format!("{} · {name}", content.title)),
            refresh => content.refresh.map(|refresh| refresh.as_secs()),
            logo => logo.map(source),
            help => words.help,
            support => brand.and_then(|page| page.support.as_ref()).map(link),
            tally => content.tally, items => content.items,
        };
        let page = PAGES.get_template("connect.html").and_then(|page| page.render(view));
        let page = page.unwrap_or_else(|error| {
            error!(%error, "The owner's page could not be drawn");
            "<!doctype html><title>Please try again</title><p>Please open this page again.".to_owned()
        });
        HttpResponse::build(content.status)
            .content_type("text/html; charset=utf-8")
            .insert_header(("Content-Security-Policy", self.policy(&style, logo)))
            .insert_header(("Content-Language", words.lang))
            .insert_header(("Vary", "Accept-Language"))
            .insert_header(("Cache-Control", "no-store"))
            .insert_header(("Referrer-Policy", "no-referrer"))
            .insert_header(("X-Content-Type-Options", "nosniff"))
            .body(page)
    }

    /// The style is allowed by its hash, so that nothing else inline is.
    fn policy(&self, style: &str, logo: Option<&Logo>) -> String {
        let style = STANDARD.encode(sha256_of(style.as_bytes()));
        let images = match logo {
            Some(Logo::Address(url)) => format!("; img-src {}", url.origin().ascii_serialization()),
            Some(Logo::Inline { .. }) => "; img-src data:".to_owned(),
            Some(Logo::File(_)) | None => String::new(),
        };
        let frame = self
            .served
            .map_or("'none'", |served| served.account.brand.frame_ancestors());
        format!(
            "default-src 'none'; style-src 'sha256-{style}'{images}; base-uri 'none'; form-action 'none'; frame-ancestors {frame}"
        )
    }
}

/// The look of a state: its colour and its sign.
fn look(progress: Progress) -> &'static str {
    match progress {
        Progress::Requested | Progress::Activating => "busy",
        Progress::Active => "good",
        Progress::External | Progress::Frozen | Progress::NotConnected => "wait",
        Progress::Expired | Progress::Failed => "bad",
    }
}

/// How soon a state may be another one without anybody's doing on this page.
fn refresh(progress: Progress) -> Option<Duration> {
    match progress {
        Progress::Requested | Progress::Activating => Some(REFRESH),
        Progress::Failed => Some(REFRESH_OF_FAILED),
        Progress::External => Some(REFRESH_OF_EXTERNAL),
        Progress::Active | Progress::Frozen | Progress::NotConnected | Progress::Expired => None,
    }
}

/// Whether somebody still has to do something in time.
fn has_deadline(progress: Progress) -> bool {
    match progress {
        Progress::Requested | Progress::Activating | Progress::Failed | Progress::External => true,
        Progress::Active | Progress::Frozen | Progress::NotConnected | Progress::Expired => false,
    }
}

fn way_on(row: &Row) -> (Way, Option<&str>) {
    let card = row.card_url.as_deref().map(|url| (Way::Card, Some(url)));
    let product = row.continue_url.as_deref().map(|url| (Way::Product, Some(url)));
    let way = match row.progress {
        Progress::Active | Progress::External => product.or(card),
        Progress::Frozen | Progress::NotConnected | Progress::Expired => card,
        Progress::Requested | Progress::Activating | Progress::Failed => None,
    };
    way.unwrap_or((Way::Nowhere, None))
}

fn date(at: DateTime<Utc>, zone: Option<Tz>) -> Date {
    Date {
        local: zone.unwrap_or(Tz::UTC).from_utc_datetime(&at.naive_utc()).naive_local(),
        zone_known: zone.is_some(),
        left: at - Utc::now(),
    }
}

fn source(logo: &Logo) -> String {
    match logo {
        Logo::Inline { data, .. } => data.clone(),
        Logo::Address(url) => url.to_string(),
        Logo::File(_) => String::new(),
    }
}

fn link(contact: &Contact) -> Value {
    match contact {
        Contact::Mail(address) => context! { to => format!("mailto:{address}"), text => address },
        Contact::Web(url) => context! { to => url.as_str(), text => url.host_str() },
    }
}
