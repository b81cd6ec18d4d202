//! Money: what was meant to move, and what became of it.

use actix_web::{HttpResponse, web};
use minijinja::{context, value::Serde};

use super::{
    super::entry::Visitor,
    frame::{self, Page},
    list::{self, Asked, Given, ROWS},
    refusal::Refusal,
};
use crate::{
    app::App,
    store::{
        ledger::State,
        reading::ledger::{self, Entry, Filter},
    },
};

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service.route("/ledger", web::get().to(show));
}

async fn show(app: web::Data<App>, given: web::Query<Given>, visitor: Visitor) -> Result<HttpResponse, Refusal> {
    let asked = Asked::read("/ledger", ["application", "location", "state"], &given);
    let filter = Filter {
        application: asked.number("application")?,
        location: asked.number("location")?,
        state: asked.word("state", &State::ALL, State::as_str)?,
        before: list::cursor(&given)?,
        limit: ROWS,
    };
    let look = app.readers.look().await?;
    let found = ledger::list(&look, &filter).await?;
    // What is not settled stands first, on the first page of a list that is not of one state.
    let mut open: Vec<Entry> = Vec::new();
    if filter.state.is_none() && filter.before.is_none() {
        for state in [State::Unknown, State::Intended] {
            let filter = Filter {
                state: Some(state.as_str().to_owned()),
                ..filter.clone()
            };
            open.extend(ledger::list(&look, &filter).await?.items);
        }
    }
    let listed = |entry: &Entry| open.iter().any(|one| one.id == entry.id);
    let items: Vec<Entry> = found.items.into_iter().filter(|entry| !listed(entry)).collect();
    let view = context! {
        has_unknown => open.iter().chain(&items).any(|entry| entry.state == State::Unknown.as_str()),
        open => Serde(open),
        items => Serde(items),
        applications => frame::applications(&app),
        states => State::ALL.map(State::as_str),
        ..asked.view(&given, found.next_cursor.as_deref())
    };
    let page = Page {
        family: "/ledger",
        template: "ledger.html",
        title: "Ledger",
    };
    Ok(page.show(&visitor, view))
}
