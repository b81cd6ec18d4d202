//! Firings: a rule that was applied to an occurrence, and its steps.

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
        self, PgPool,
        reading::{
            firings::{self, Filter, Firing, Outcome},
            jobs::{self, Job},
        },
    },
};

/// Steps of one firing that are shown; a rule has few.
const STEPS: i64 = 100;

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service
        .route("/firings", web::get().to(all))
        .route("/firings/{id}", web::get().to(one));
}

/// The jobs of a firing, in the order of its steps.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn jobs_of(pool: &PgPool, firing: &Firing) -> store::Result<Vec<Job>> {
    let filter = jobs::Filter {
        // Finished jobs are found by their place.
        application: Some(firing.application_id),
        location: Some(firing.location_id),
        firing: Some(firing.id),
        limit: STEPS,
        ..jobs::Filter::default()
    };
    let mut jobs = jobs::list(pool, &filter).await?.items;
    jobs.sort_by_key(|job| job.step);
    Ok(jobs)
}

async fn all(app: web::Data<App>, given: web::Query<Given>, visitor: Visitor) -> Result<HttpResponse, Refusal> {
    let names = ["application", "location", "rule", "result", "since", "until"];
    let asked = Asked::read("/firings", names, &given);
    let filter = Filter {
        application: asked.number("application")?,
        location: asked.number("location")?,
        rule: asked.text("rule"),
        result: asked.word("result", Outcome::ALL, Outcome::as_str)?,
        since: asked.moment("since")?,
        until: asked.moment("until")?,
        before: list::cursor(&given)?,
        limit: ROWS,
    };
    let found = firings::list(&*app.readers.look().await?, &filter).await?;
    let view = context! {
        items => Serde(found.items),
        applications => frame::applications(&app),
        results => Outcome::ALL.iter().map(|result| result.as_str()).collect::<Vec<_>>(),
        ..asked.view(&given, found.next_cursor.as_deref())
    };
    let page = Page {
        family: "/rules",
        template: "firings.html",
        title: "Firings",
    };
    Ok(page.show(&visitor, view))
}

async fn one(app: web::Data<App>, id: web::Path<i64>, visitor: Visitor) -> Result<HttpResponse, Refusal> {
    let look = app.readers.look().await?;
    let found = firings::of_numbers(&look, &[*id]).await?.pop();
    let firing = found.ok_or_else(|| Refusal::not_found(format!("There is no firing {id}.")))?;
    let jobs = jobs_of(&look, &firing).await?;
    let title = format!("Firing {id}");
    let page = Page {
        family: "/rules",
        template: "firing.html",
        title: &title,
    };
    Ok(page.show(&visitor, context! { firing => Serde(firing), jobs => Serde(jobs) }))
}
