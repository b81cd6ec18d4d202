//! One event, judged once more: what that would come to is shown first, on the very terms that are then confirmed.

use actix_web::{HttpResponse, http::Method, web};
use minijinja::{context, value::Serde};
use serde::Deserialize;

use super::{
    super::{super::entry::Visitor, frame, guard::Form, list::filled, refusal::Refusal},
    found, page,
};
use crate::{
    app::{
        App,
        replays::{self, Ask, KEY_LENGTH},
    },
    domain::ids::ApplicationId,
};

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service
        .route("/events/{id}/replay", web::get().to(foresee))
        .route("/events/{id}/replay", web::post().to(begin));
}

/// On what terms. A box that is not ticked is not sent.
#[derive(Deserialize)]
struct Terms {
    rule: Option<String>,
    force: Option<String>,
    trust: Option<String>,
    /// A form that is sent twice, by a double click or by going back, is one request.
    key: Option<String>,
}

impl Terms {
    fn ask(self, app: &App, id: i64, application: i64) -> Result<Ask, Refusal> {
        let rule = filled(self.rule);
        if let Some(rule) = rule
            .as_deref()
            .filter(|rule| !names(app, application).iter().any(|name| name == rule))
        {
            return Err(Refusal::not_found(format!(
                "Application {application} has no rule `{rule}`."
            )));
        }
        Ok(Ask {
            ids: vec![id],
            rule,
            force: filled(self.force).is_some(),
            trust: filled(self.trust).is_some(),
            key: filled(self.key).map(own_key).filter(|key| !key.is_empty()),
            ..Ask::default()
        })
    }
}

/// A key as our forms have it, whatever was sent.
fn own_key(sent: String) -> String {
    sent.chars().filter(char::is_ascii_hexdigit).take(KEY_LENGTH).collect()
}

/// The rules of an application.
fn names(app: &App, application: i64) -> Vec<String> {
    let rules = app.rulebook.now();
    let rules = rules.of(ApplicationId(application)).rules();
    rules.iter().map(|rule| rule.name.clone()).collect()
}

async fn foresee(
    app: web::Data<App>,
    id: web::Path<i64>,
    terms: web::Query<Terms>,
    visitor: Visitor,
) -> Result<HttpResponse, Refusal> {
    if !visitor.role.may(&Method::POST) {
        return Err(Refusal::reader());
    }
    let event = found(&app, *id).await?.event;
    let ask = terms.into_inner().ask(&app, *id, event.application_id)?;
    let report = replays::foresee(&app, &ask).await?;
    let title = format!("Judge event {id} once more");
    let view = context! {
        rules => names(&app, event.application_id),
        event => Serde(event),
        ask => context! { rule => ask.rule, force => ask.force, trust => ask.trust },
        key => format!("{:032x}", fastrand::u128(..)),
        report => Serde(report),
    };
    Ok(page("event_replay.html", &title).show(&visitor, view))
}

async fn begin(app: web::Data<App>, id: web::Path<i64>, terms: Form<Terms>) -> Result<HttpResponse, Refusal> {
    let event = found(&app, *id).await?.event;
    let ask = terms.0.ask(&app, *id, event.application_id)?;
    let report = replays::begin(&app, &ask).await?;
    if report.events == 0 {
        let why: Vec<&str> = report.refused.keys().map(String::as_str).collect();
        return Err(Refusal::conflict(format!(
            "Event {id} stays as it is: {}.",
            why.join("; ")
        )));
    }
    Ok(frame::see(&format!("/events/{id}?done=replayed")))
}
