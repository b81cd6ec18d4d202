//! The list of locations.

use actix_web::{HttpResponse, web};
use minijinja::{context, value::Serde};
use serde::Deserialize;

use super::{
    super::{api::asked, entry::Visitor},
    frame::{self, Page},
    list::{Asked, ROWS, filled},
    refusal::Refusal,
};
use crate::{
    app::App,
    domain::installation::Status,
    store::{
        looks::Hooks,
        reading::locations::{self, Filter},
    },
};

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service.route("/locations", web::get().to(list));
}

#[derive(Deserialize)]
struct Query {
    application: Option<String>,
    status: Option<String>,
    hooks: Option<String>,
    q: Option<String>,
    cursor: Option<String>,
}

async fn list(app: web::Data<App>, query: web::Query<Query>, visitor: Visitor) -> Result<HttpResponse, Refusal> {
    let query = query.into_inner();
    let (application, status) = (filled(query.application), filled(query.status));
    let (hooks, q) = (filled(query.hooks), filled(query.q));
    let filter = Filter {
        application: frame::number("application", application.as_deref())?,
        location: None,
        status: status.clone(),
        q: q.clone(),
        hooks: hooks.clone(),
        after: asked::two_numbers(query.cursor.as_deref()).map_err(|problem| Refusal::invalid(problem.to_string()))?,
        limit: ROWS,
    };
    let page = locations::list(&*app.readers.look().await?, &filter).await?;
    let asked = Asked::new(
        "/locations",
        [
            ("application", application.clone()),
            ("status", status.clone()),
            ("hooks", hooks.clone()),
            ("q", q.clone()),
        ],
    );
    let view = context! {
        items => Serde(page.items),
        next => asked.page(page.next_cursor.as_deref()),
        first => query.cursor.is_some().then(|| asked.first()),
        is_filtered => asked.is_filtered(),
        asked => context! { application, status, hooks, q },
        applications => frame::applications(&app),
        statuses => Status::ALL.iter().map(|status| status.as_str()).collect::<Vec<_>>(),
        hook_states => Hooks::ALL.iter().map(|state| state.as_str()).collect::<Vec<_>>(),
    };
    let page = Page {
        family: "/locations",
        template: "locations.html",
        title: "Locations",
    };
    Ok(page.show(&visitor, view))
}
