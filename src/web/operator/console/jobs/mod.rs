//! Jobs: what waits, what was done, what was given up, and what a person does about it.

mod bulk;
mod one;

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
    domain::action::ACTION_NAMES,
    store::{
        jobs::Order,
        reading::jobs::{self, Filter, State},
    },
};

/// Where the list is.
const ADDRESS: &str = "/jobs";

/// What a list of jobs is asked by.
const FIELDS: [&str; 6] = ["state", "action", "rule", "application", "location", "firing"];

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service
        .route(ADDRESS, web::get().to(all))
        .configure(bulk::routes)
        .configure(one::routes);
}

/// A page of this family.
fn page<'t>(template: &'static str, title: &'t str) -> Page<'t> {
    Page {
        family: ADDRESS,
        template,
        title,
    }
}

/// What somebody wants done, by its word in the address.
fn order(app: &App, word: &str) -> Result<Order, Refusal> {
    match word {
        "retry" => Ok(Order::Retry {
            attempts: app.config.jobs.max_attempts,
        }),
        "cancel" => Ok(Order::Cancel),
        _ => Err(Refusal::nothing_here()),
    }
}

fn filter(asked: &Asked) -> Result<Filter, Refusal> {
    Ok(Filter {
        application: asked.number("application")?,
        location: asked.number("location")?,
        state: asked.word("state", State::ALL, State::as_str)?,
        action: asked.text("action"),
        rule: asked.text("rule"),
        firing: asked.number("firing")?,
        before: None,
        limit: ROWS,
    })
}

async fn all(app: web::Data<App>, given: web::Query<Given>, visitor: Visitor) -> Result<HttpResponse, Refusal> {
    let asked = Asked::read(ADDRESS, FIELDS, &given);
    let filter = Filter {
        before: list::cursor(&given)?,
        ..filter(&asked)?
    };
    let found = jobs::list(&*app.readers.look().await?, &filter).await?;
    let view = context! {
        items => Serde(found.items),
        applications => frame::applications(&app),
        states => State::ALL.iter().map(|state| state.as_str()).collect::<Vec<_>>(),
        actions => ACTION_NAMES,
        bulk => bulk::offers(&asked),
        ..asked.view(&given, found.next_cursor.as_deref())
    };
    Ok(page("jobs.html", "Jobs").show(&visitor, view))
}
