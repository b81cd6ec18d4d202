//! What an operator wants done by the JSON API: events judged once more, jobs tried again or given up.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::{
    api::{limit, word},
    problem::Problem,
};
use crate::{
    app::{
        App,
        replays::{self, Ask, MOST},
    },
    domain::{event::State, ids::JobId},
    store::{
        jobs::{self, Order},
        reading::{self, jobs::Filter},
    },
};

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service
        .app_data(web::JsonConfig::default().error_handler(|error, _| Problem::invalid(error.to_string()).into()))
        .route("/events/replay", web::post().to(replay_some))
        .route("/events/{id}/replay", web::post().to(replay_one))
        .route("/jobs/retry", web::post().to(retry_some))
        .route("/jobs/cancel", web::post().to(cancel_some))
        .route("/jobs/{id}/retry", web::post().to(retry_one))
        .route("/jobs/{id}/cancel", web::post().to(cancel_one));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct ReplayQuery {
    rule: Option<String>,
    force: bool,
    trust: bool,
    dry_run: bool,
}

/// Has one event judged once more.
async fn replay_one(
    app: web::Data<App>,
    path: web::Path<i64>,
    query: web::Query<ReplayQuery>,
) -> Result<HttpResponse, Problem> {
    let id = path.into_inner();
    if reading::events::show(&app.pool, id).await?.is_none() {
        return Err(Problem::not_found(format!("There is no event {id}.")));
    }
    let query = query.into_inner();
    let ask = Ask {
        ids: vec![id],
        rule: query.rule,
        force: query.force,
        trust: query.trust,
        ..Ask::default()
    };
    replay(&app, &ask, query.dry_run).await
}

#[derive(Deserialize)]
struct Replay {
    #[serde(flatten)]
    ask: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    dry_run: bool,
}

/// Has the events of a filter judged once more.
async fn replay_some(app: web::Data<App>, body: web::Json<Replay>) -> Result<HttpResponse, Problem> {
    let Replay { ask, dry_run } = body.into_inner();
    if ask
        .keys()
        .all(|key| ["force", "trust", "rule", "limit"].contains(&key.as_str()))
    {
        return Err(Problem::invalid(
            "Say which events: ids, or application, location, kind, state, since, until, after.",
        ));
    }
    let ask: Ask = serde_json::from_value(ask.into()).map_err(|error| Problem::invalid(error.to_string()))?;
    word("state", ask.state.as_deref(), State::ALL, State::as_str)?;
    if ask.limit.is_some_and(|limit| !(1..=MOST).contains(&limit)) {
        return Err(Problem::invalid(format!("limit: write a number from 1 to {MOST}")));
    }
    replay(&app, &ask, dry_run).await
}

async fn replay(app: &App, ask: &Ask, dry_run: bool) -> Result<HttpResponse, Problem> {
    if let Some(rule) = &ask.rule {
        let rules = app.rulebook.now();
        let mut all = rules.sets().flat_map(|(_, set)| set.rules());
        if !all.any(|known| known.name == *rule) {
            return Err(Problem::invalid(format!("rule: there is no rule `{rule}`")));
        }
    }
    match dry_run {
        true => Ok(HttpResponse::Ok().json(replays::foresee(app, ask).await?)),
        false => Ok(HttpResponse::Accepted().json(replays::begin(app, ask).await?)),
    }
}

/// Which jobs; as the list of jobs takes it.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Jobs {
    application: Option<i64>,
    location: Option<i64>,
    state: Option<String>,
    action: Option<String>,
    rule: Option<String>,
    limit: Option<i64>,
    dry_run: bool,
}

async fn retry_one(app: web::Data<App>, path: web::Path<i64>) -> Result<HttpResponse, Problem> {
    let order = retry(&app);
    one(&app, order, path.into_inner()).await
}

async fn cancel_one(app: web::Data<App>, path: web::Path<i64>) -> Result<HttpResponse, Problem> {
    one(&app, Order::Cancel, path.into_inner()).await
}

async fn retry_some(app: web::Data<App>, body: web::Json<Jobs>) -> Result<HttpResponse, Problem> {
    let order = retry(&app);
    some(&app, order, ("discarded", body.into_inner())).await
}

async fn cancel_some(app: web::Data<App>, body: web::Json<Jobs>) -> Result<HttpResponse, Problem> {
    some(&app, Order::Cancel, ("available", body.into_inner())).await
}

fn retry(app: &App) -> Order {
    Order::Retry {
        attempts: app.config.jobs.max_attempts,
    }
}

async fn one(app: &App, order: Order, id: i64) -> Result<HttpResponse, Problem> {
    if reading::jobs::show(&app.pool, id).await?.is_none() {
        return Err(Problem::not_found(format!("There is no job {id}.")));
    }
    let obeyed = jobs::obey(&app.pool, order, JobId(id), false).await?;
    match &obeyed.reason {
        Some(why) => Err(Problem::conflict(format!("Job {id} stays as it is: {why}."))),
        None => {
            app.wake.executor.notify_one();
            Ok(HttpResponse::Accepted().json(obeyed))
        }
    }
}

async fn some(app: &App, order: Order, (usual, wanted): (&str, Jobs)) -> Result<HttpResponse, Problem> {
    word("state", wanted.state.as_deref(), &reading::jobs::STATES, |state| state)?;
    let named = [&wanted.state, &wanted.action, &wanted.rule]
        .into_iter()
        .any(Option::is_some);
    if !named && wanted.application.is_none() && wanted.location.is_none() {
        return Err(Problem::invalid(
            "Say which jobs: application, location, state, action, rule.",
        ));
    }
    let filter = Filter {
        application: wanted.application,
        location: wanted.location,
        state: Some(wanted.state.unwrap_or_else(|| usual.to_owned())),
        action: wanted.action,
        rule: wanted.rule,
        before: None,
        limit: limit(wanted.limit)?,
    };
    let page = reading::jobs::list(&app.pool, &filter).await?;
    // The oldest first: what comes back keeps its order.
    let ids: Vec<i64> = page.items.iter().rev().map(|job| job.id).collect();
    let items = jobs::obey_all(&app.pool, order, &ids, wanted.dry_run).await?;
    app.wake.executor.notify_one();
    let more = page.next_cursor.is_some();
    Ok(HttpResponse::Ok().json(json!({"items": items, "dry_run": wanted.dry_run, "more": more})))
}
