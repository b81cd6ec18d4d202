//! Money: what was meant to move, and what became of it.

use actix_web::{HttpResponse, web};
use minijinja::{Value, context, value::Serde};

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
    let state = asked.word("state", &State::ALL, State::as_str)?;
    let filter = Filter {
        application: asked.number("application")?,
        location: asked.number("location")?,
        settled: state.is_none(),
        state,
        before: list::cursor(&given)?,
        limit: ROWS,
    };
    let look = app.readers.look().await?;
    // What is not settled stands before the first page of a list that is not of one state, and on no other.
    let mut open: Vec<Entry> = Vec::new();
    let mut more: Vec<Value> = Vec::new();
    if filter.state.is_none() && filter.before.is_none() {
        for state in [State::Unknown, State::Intended].map(State::as_str) {
            let filter = Filter {
                state: Some(state.to_owned()),
                settled: false,
                ..filter.clone()
            };
            let found = ledger::list(&look, &filter).await?;
            if found.next_cursor.is_some() {
                more.push(context! { state, address => asked.with("state", state) });
            }
            open.extend(found.items);
        }
    }
    let found = ledger::list(&look, &filter).await?;
    let view = context! {
        has_unknown => open.iter().chain(&found.items).any(|entry| entry.state == State::Unknown.as_str()),
        open => Serde(open),
        more,
        rows => ROWS,
        items => Serde(found.items),
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
