//! How a page is drawn: the templates, what each of them can use, and what surrounds it.

use std::sync::LazyLock;

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use minijinja::{
    Environment, Output, State, UndefinedBehavior, Value, context, escape_formatter, syntax::SyntaxConfig,
};
use tracing::error;

use super::{super::entry::Visitor, assets, refusal::Refusal, shown, words};
use crate::app::App;

/// Writes a value into a page: what cannot be seen is written out, then everything is escaped. So no template can forget
/// that a name or a text comes from outside.
fn write(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    match value.as_str() {
        Some(text) if !value.is_safe() => escape_formatter(out, state, &shown::visible(text).into()),
        Some(_) | None => escape_formatter(out, state, value),
    }
}

/// The families of pages, in the order of the navigation: address and name.
const PAGES: [(&str, &str); 7] = [
    ("/", "Start"),
    ("/locations", "Locations"),
    ("/events", "Events"),
    ("/jobs", "Jobs"),
    ("/rules", "Rules"),
    ("/reconciliation", "Reconciliation"),
    ("/ledger", "Ledger"),
];

/// A template and where it is.
macro_rules! templates {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../pages/console/", $name)))),+]
    };
}

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    // A misspelt name is a mistake that tests find, and no empty space on a page.
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    let lines = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(lines.expect("a syntax"));
    for (name, text) in templates![
        "layout.html",
        "parts.html",
        "login.html",
        "refusal.html",
        "start.html",
        "locations.html",
        "location.html",
        "uninstall.html",
        "events.html",
        "event.html",
        "event_replay.html",
        "jobs.html",
        "job.html",
        "jobs_bulk.html",
        "jobs_done.html",
        "rules.html",
        "rule.html",
        "firings.html",
        "firing.html",
        "reconciling.html",
        "ledger.html",
    ] {
        environment.add_template(name, text).expect("a template of ours");
    }
    environment.set_formatter(write);
    words::teach(&mut environment);
    environment.add_global("style", assets::STYLE.address.clone());
    environment.add_global("icon", assets::ICON.address.clone());
    environment
});

/// A page that somebody sees who was let in.
pub(super) struct Page<'a> {
    /// The address of its family, as it stands in [`PAGES`].
    pub family: &'static str,
    /// Its template.
    pub template: &'static str,
    /// What the browser calls it.
    pub title: &'a str,
}

impl Page<'_> {
    /// Draws it with what its template needs.
    pub(super) fn show(&self, visitor: &Visitor, view: Value) -> HttpResponse {
        let visitor = context! {
            role => visitor.role.as_str(),
            may_change => visitor.role.may(&actix_web::http::Method::POST),
            form_key => &visitor.form_key,
            has_session => visitor.has_session,
        };
        let families: Vec<Value> = PAGES
            .iter()
            .map(|(address, name)| context! { address => *address, name => *name, is_here => *address == self.family })
            .collect();
        draw(
            StatusCode::OK,
            self.template,
            self.title,
            context! { visitor, families, ..view },
        )
    }
}

/// Draws a page, also for somebody who was not let in.
pub(super) fn draw(status: StatusCode, template: &str, title: &str, view: Value) -> HttpResponse {
    let page = TEMPLATES
        .get_template(template)
        .and_then(|page| page.render(context! { title, ..view }));
    match page {
        Ok(page) => HttpResponse::build(status)
            .content_type("text/html; charset=utf-8")
            .body(page),
        Err(error) => {
            // The alternate form names template and line.
            error!(
                error = format!("{error:#}"),
                template, "A page of the console could not be drawn"
            );
            let page = "<!doctype html><title>It broke</title><p>This page could not be drawn; the log says why.";
            HttpResponse::InternalServerError()
                .content_type("text/html; charset=utf-8")
                .body(page)
        }
    }
}

/// Sends the browser to another page.
pub(super) fn see(address: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, address))
        .finish()
}

/// Gives the browser a cookie.
pub(super) fn add_cookie(response: &mut HttpResponse, cookie: &str) {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// The applications of this process, for a choice in a form.
pub(super) fn applications(app: &App) -> Vec<Value> {
    app.all_served()
        .map(|served| context! { id => served.id.0, name => &served.config.name })
        .collect()
}

/// A field that is a number.
pub(super) fn number(name: &str, field: Option<&str>) -> Result<Option<i64>, Refusal> {
    let wrong = |_| Refusal::invalid(format!("{name}: that is no number."));
    field.map(|field| field.parse().map_err(wrong)).transpose()
}

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody as _;

    use super::*;

    #[test]
    fn no_page_shows_a_foreign_text_as_something_else() {
        let foreign = "<b>\u{202e}gnp\u{200b}.exe";
        let view = context! { headline => foreign, text => foreign };
        let page = draw(StatusCode::OK, "refusal.html", foreign, view).into_body();
        let page = page.try_into_bytes().expect("a whole page");
        let page = std::str::from_utf8(&page).expect("text");
        assert_eq!(page.matches("&lt;b&gt;\\u{202e}gnp\\u{200b}.exe").count(), 3, "{page}");
        assert!(!page.contains(['\u{202e}', '\u{200b}']), "{page}");
    }
}
