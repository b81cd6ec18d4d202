//! Comparing with the marketplace: how the last round of each application went, and what it found.

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
    domain::{event::Source, ids::ApplicationId, span},
    store::{
        reading::events::{self, Filter},
        reconciliations,
    },
};

/// Where it is.
const ADDRESS: &str = "/reconciliation";

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service
        .route(ADDRESS, web::get().to(show))
        .route("/reconciliation/{application_id}", web::post().to(compare));
}

async fn show(app: web::Data<App>, given: web::Query<Given>, visitor: Visitor) -> Result<HttpResponse, Refusal> {
    let look = app.readers.look().await?;
    let mut rounds: Vec<Value> = Vec::new();
    for served in app.all_served() {
        let last = reconciliations::last(&look, served.id).await?;
        let last = last.map(|last| {
            context! {
                begun_at => last.begun_at.map(|at| at.to_rfc3339()),
                is_over => last.is_over,
                is_complete => last.is_complete,
                listed => last.listed,
                looked => last.looked,
                differences => last.differences,
                error => last.error,
            }
        });
        rounds.push(context! { id => served.id.0, name => &served.config.name, last });
    }
    let asked = Asked::read(ADDRESS, ["application", "location", "since", "until"], &given);
    let filter = Filter {
        application: asked.number("application")?,
        location: asked.number("location")?,
        source: Some(Source::Reconciliation.as_str().to_owned()),
        since: asked.moment("since")?,
        until: asked.moment("until")?,
        before: list::cursor(&given)?,
        limit: ROWS,
        ..Filter::default()
    };
    let found = events::list(&look, &filter).await?;
    let view = context! {
        rounds,
        is_enabled => app.config.reconcile.enabled,
        interval => span::show(app.config.reconcile.interval),
        items => Serde(found.items),
        applications => frame::applications(&app),
        is_asked => given.contains_key("done"),
        ..asked.view(&given, found.next_cursor.as_deref())
    };
    let page = Page {
        family: ADDRESS,
        template: "reconciling.html",
        title: "Reconciliation",
    };
    Ok(page.show(&visitor, view))
}

async fn compare(app: web::Data<App>, id: web::Path<i64>) -> Result<HttpResponse, Refusal> {
    let application = ApplicationId(*id);
    if app.served(application).is_none() {
        return Err(Refusal::not_found(format!("Application {id} is not configured here.")));
    }
    if !app.config.reconcile.enabled {
        return Err(Refusal::conflict(
            "Comparing is switched off: reconcile.enabled is false. `bellhop reconcile` compares once all the same.",
        ));
    }
    reconciliations::ask(&app.pool, application).await?;
    Ok(frame::see("/reconciliation?done=asked"))
}
