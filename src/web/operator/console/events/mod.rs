//! Events: what came, what was decided about it and why, and what came of that.

mod replaying;

use actix_web::{HttpResponse, web};
use minijinja::{Value, context, value::Serde};

use super::{
    super::entry::Visitor,
    firings,
    frame::{self, Page},
    list::{self, Asked, Given, ROWS},
    refusal::Refusal,
    shown::Shown,
};
use crate::{
    app::App,
    domain::event::{Source, State},
    store::reading::{
        events::{self, Decision, Detail, Filter},
        firings as stored,
    },
};

/// Where the list is.
const ADDRESS: &str = "/events";

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service
        .route(ADDRESS, web::get().to(all))
        .route("/events/{id}", web::get().to(one))
        .configure(replaying::routes);
}

/// A page of this family.
fn page<'t>(template: &'static str, title: &'t str) -> Page<'t> {
    Page {
        family: ADDRESS,
        template,
        title,
    }
}

async fn all(app: web::Data<App>, given: web::Query<Given>, visitor: Visitor) -> Result<HttpResponse, Refusal> {
    let names = ["application", "location", "kind", "state", "source", "since", "until"];
    let asked = Asked::read(ADDRESS, names, &given);
    let filter = Filter {
        application: asked.number("application")?,
        location: asked.number("location")?,
        kind: asked.text("kind"),
        source: asked.word("source", Source::ALL, Source::as_str)?,
        state: asked.word("state", State::ALL, State::as_str)?,
        since: asked.moment("since")?,
        until: asked.moment("until")?,
        before: list::cursor(&given)?,
        limit: ROWS,
    };
    let found = events::list(&*app.readers.look().await?, &filter).await?;
    let view = context! {
        items => Serde(found.items),
        applications => frame::applications(&app),
        states => words(State::ALL, State::as_str),
        sources => words(Source::ALL, Source::as_str),
        ..asked.view(&given, found.next_cursor.as_deref())
    };
    Ok(page("events.html", "Events").show(&visitor, view))
}

fn words<T: Copy>(all: &[T], as_str: fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|one| as_str(*one)).collect()
}

async fn found(app: &App, id: i64) -> Result<Detail, Refusal> {
    let found = events::show(&*app.readers.look().await?, id).await?;
    found.ok_or_else(|| Refusal::not_found(format!("There is no event {id}. Old ones are dropped with their day.")))
}

async fn one(
    app: web::Data<App>,
    id: web::Path<i64>,
    given: web::Query<Given>,
    visitor: Visitor,
) -> Result<HttpResponse, Refusal> {
    let event = found(&app, *id).await?;
    let mut numbers: Vec<i64> = event.decisions.iter().filter_map(|said| said.firing_id).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let mut came = Vec::new();
    let look = app.readers.look().await?;
    for firing in stored::of_numbers(&look, &numbers).await? {
        let jobs = firings::jobs_of(&look, &firing).await?;
        came.push(context! { firing => Serde(firing), jobs => Serde(jobs) });
    }
    let title = format!("Event {id}");
    let view = context! {
        body => event.body.as_deref().map(|body| Serde(Shown::body(body))),
        judgements => judgements(&event.decisions),
        came,
        is_asked => given.get("done").is_some_and(|done| done == "replayed"),
        event => Serde(&event),
    };
    Ok(page("event.html", &title).show(&visitor, view))
}

/// What was decided, apart for the first judgement and for each replay.
fn judgements(decisions: &[Decision]) -> Vec<Value> {
    let mut replays: Vec<Option<i64>> = decisions.iter().map(|said| said.replay_id).collect();
    replays.sort_unstable();
    replays.dedup();
    let of = |replay: Option<i64>| {
        let said = decisions.iter().filter(|said| said.replay_id == replay);
        context! { replay, decisions => said.map(|said| Serde(said).into()).collect::<Vec<Value>>() }
    };
    replays.into_iter().map(of).collect()
}
