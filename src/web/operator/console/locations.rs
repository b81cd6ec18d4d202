//! The list of locations.

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
    domain::installation::Status,
    store::{
        looks::Hooks,
        reading::locations::{self, Filter},
    },
};

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service.route("/locations", web::get().to(all));
}

async fn all(app: web::Data<App>, given: web::Query<Given>, visitor: Visitor) -> Result<HttpResponse, Refusal> {
    let asked = Asked::read("/locations", ["application", "status", "hooks", "q"], &given);
    let filter = Filter {
        application: asked.number("application")?,
        location: None,
        status: asked.word("status", Status::ALL, Status::as_str)?,
        q: asked.text("q"),
        hooks: asked.word("hooks", Hooks::ALL, Hooks::as_str)?,
        after: list::two_numbers(&given)?,
        limit: ROWS,
    };
    let found = locations::list(&*app.readers.look().await?, &filter).await?;
    let view = context! {
        items => Serde(found.items),
        applications => frame::applications(&app),
        statuses => Status::ALL.iter().map(|status| status.as_str()).collect::<Vec<_>>(),
        hook_states => Hooks::ALL.iter().map(|state| state.as_str()).collect::<Vec<_>>(),
        ..asked.view(&given, found.next_cursor.as_deref())
    };
    let page = Page {
        family: "/locations",
        template: "locations.html",
        title: "Locations",
    };
    Ok(page.show(&visitor, view))
}
