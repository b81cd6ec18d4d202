use actix_web::{HttpResponse, web};
use minijinja::{context, value::Serde};

use super::{
    super::{super::entry::Visitor, firings, frame, list::Given, refusal::Refusal},
    order, page,
};
use crate::{
    app::App,
    domain::{action::Action, ids::JobId},
    store::{
        jobs::{self, Order},
        reading::{firings as stored, jobs as reading, ledger},
    },
};

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service
        .route("/jobs/{id}", web::get().to(show))
        .route("/jobs/{id}/{order}", web::post().to(obey));
}

async fn show(
    app: web::Data<App>,
    id: web::Path<i64>,
    given: web::Query<Given>,
    visitor: Visitor,
) -> Result<HttpResponse, Refusal> {
    let look = app.readers.look().await?;
    let found = reading::show(&look, *id).await?;
    let detail = found.ok_or_else(|| unknown(*id))?;
    let job = &detail.job;
    let numbers: Vec<i64> = job.firing_id.into_iter().collect();
    let firing = stored::of_numbers(&look, &numbers).await?.pop();
    let steps = match &firing {
        Some(firing) => firings::jobs_of(&look, firing).await?,
        None => Vec::new(),
    };
    let is_of_connection = Action::OF_CONNECTIONS.contains(&job.action.as_str());
    let may = |state: bool| state && !is_of_connection;
    let title = format!("Job {id}");
    let view = context! {
        firing => Serde(firing),
        steps => Serde(steps),
        money => Serde(ledger::of_job(&look, job.id).await?),
        is_of_connection,
        can_retry => may(matches!(job.state.as_str(), "discarded" | "cancelled")),
        can_hasten => may(job.state == "available" && job.attempts > 0),
        can_cancel => may(job.state == "available"),
        done => given.get("done"),
        job => Serde(&detail),
    };
    Ok(page("job.html", &title).show(&visitor, view))
}

fn unknown(id: i64) -> Refusal {
    Refusal::not_found(format!("There is no job {id}. Old ones are dropped with their day."))
}

async fn obey(app: web::Data<App>, path: web::Path<(i64, String)>) -> Result<HttpResponse, Refusal> {
    let (id, word) = path.into_inner();
    let order = order(&app, &word)?;
    if reading::show(&app.pool, id).await?.is_none() {
        return Err(unknown(id));
    }
    let obeyed = jobs::obey(&app.pool, order, JobId(id), false).await?;
    if let Some(why) = obeyed.reason {
        return Err(Refusal::conflict(format!("Job {id} stays as it is: {why}.")));
    }
    app.wake.for_jobs();
    let done = match order {
        Order::Retry { .. } => "retried",
        Order::Cancel => "cancelled",
    };
    Ok(frame::see(&format!("/jobs/{id}?done={done}")))
}
