//! The JSON API. Lists are newest first and paged by cursor.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;

use super::{
    problem::Problem,
    wishes::{self, Wish},
};
use crate::{
    app::App,
    domain::{event::State, installation::Status},
    store::{ledger, looks::Hooks, reading},
};

/// Items on a page when nobody says how many.
const PAGE: i64 = 50;

/// The most items on a page.
const PAGE_LIMIT: i64 = 500;

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service
        .app_data(web::QueryConfig::default().error_handler(|error, _| Problem::invalid(error.to_string()).into()))
        .app_data(web::PathConfig::default().error_handler(|error, _| Problem::invalid(error.to_string()).into()))
        .route("/locations", web::get().to(locations))
        .route("/locations/{application_id}/{location_id}", web::get().to(location))
        .route(
            "/locations/{application_id}/{location_id}/activate",
            web::post().to(activate),
        )
        .route(
            "/locations/{application_id}/{location_id}/uninstall",
            web::post().to(uninstall),
        )
        .route(
            "/locations/{application_id}/{location_id}/reconcile",
            web::post().to(reconcile),
        )
        .route(
            "/locations/{application_id}/{location_id}/hooks/repair",
            web::post().to(repair_hooks),
        )
        .route("/events", web::get().to(events))
        .route("/events/{id}", web::get().to(event))
        .route("/jobs", web::get().to(jobs))
        .route("/jobs/{id}", web::get().to(job))
        .route("/ledger", web::get().to(ledger));
}

pub(super) fn limit(asked: Option<i64>) -> Result<i64, Problem> {
    match asked.unwrap_or(PAGE) {
        limit @ 1..=PAGE_LIMIT => Ok(limit),
        other => Err(Problem::invalid(format!(
            "limit={other}: write a number from 1 to {PAGE_LIMIT}"
        ))),
    }
}

const WRONG_CURSOR: &str = "cursor: hand back the next_cursor of the page before, unchanged";

/// A cursor that is a number.
pub(super) fn number(cursor: Option<&str>) -> Result<Option<i64>, Problem> {
    let wrong = |_| Problem::invalid(WRONG_CURSOR);
    cursor.map(|cursor| cursor.parse().map_err(wrong)).transpose()
}

/// A cursor that is an application and a location.
pub(super) fn place_cursor(cursor: Option<&str>) -> Result<Option<(i64, i64)>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    let (application, location) = cursor.split_once('.').ok_or_else(|| Problem::invalid(WRONG_CURSOR))?;
    Ok(number(Some(application))?.zip(number(Some(location))?))
}

/// One of the words, or nothing.
pub(super) fn word<T>(key: &str, given: Option<&str>, all: &[T], as_str: fn(T) -> &'static str) -> Result<(), Problem>
where
    T: Copy,
{
    match given {
        Some(given) if !all.iter().any(|one| as_str(*one) == given) => {
            let words: Vec<&str> = all.iter().map(|one| as_str(*one)).collect();
            Err(Problem::invalid(format!(
                "{key}={given}: write one of {}",
                words.join(", ")
            )))
        }
        Some(_) | None => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LocationsQuery {
    application: Option<i64>,
    status: Option<String>,
    q: Option<String>,
    hooks: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

async fn locations(app: web::Data<App>, query: web::Query<LocationsQuery>) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    word("status", query.status.as_deref(), Status::ALL, Status::as_str)?;
    word("hooks", query.hooks.as_deref(), Hooks::ALL, Hooks::as_str)?;
    let filter = reading::locations::Filter {
        application: query.application,
        status: query.status,
        q: query.q,
        hooks: query.hooks,
        after: place_cursor(query.cursor.as_deref())?,
        limit: limit(query.limit)?,
    };
    Ok(HttpResponse::Ok().json(reading::locations::list(&app.pool, &filter).await?))
}

async fn location(app: web::Data<App>, path: web::Path<(i64, i64)>) -> Result<HttpResponse, Problem> {
    let (application, location) = path.into_inner();
    let found = reading::locations::show(&app.pool, application, location).await?;
    let found = found.ok_or_else(|| Problem::unknown_location(wishes::place((application, location))))?;
    Ok(HttpResponse::Ok().json(found))
}

/// Queues what is wanted at a location.
async fn queue(app: &App, path: (i64, i64), wish: Wish) -> Result<HttpResponse, Problem> {
    let id = wishes::queue(app, wishes::place(path), wish).await?;
    Ok(HttpResponse::Accepted().json(json!({"job_id": id})))
}

/// Activates a connection now. For applications whose own product finishes the registration first.
async fn activate(app: web::Data<App>, path: web::Path<(i64, i64)>) -> Result<HttpResponse, Problem> {
    queue(&app, *path, Wish::Activate).await
}

/// Looks at the status of a location now.
async fn reconcile(app: web::Data<App>, path: web::Path<(i64, i64)>) -> Result<HttpResponse, Problem> {
    queue(&app, *path, Wish::Compare).await
}

/// Disconnects the application from a location now.
async fn uninstall(app: web::Data<App>, path: web::Path<(i64, i64)>) -> Result<HttpResponse, Problem> {
    queue(&app, *path, Wish::Uninstall).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RepairQuery {
    #[serde(default)]
    force: bool,
}

/// Puts our address back into the webhook settings of a location. With `force=true` also when that changes what other
/// applications get.
async fn repair_hooks(
    app: web::Data<App>,
    path: web::Path<(i64, i64)>,
    query: web::Query<RepairQuery>,
) -> Result<HttpResponse, Problem> {
    queue(&app, *path, Wish::RepairHooks { force: query.force }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    application: Option<i64>,
    location: Option<i64>,
    kind: Option<String>,
    state: Option<String>,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    limit: Option<i64>,
    cursor: Option<String>,
}

async fn events(app: web::Data<App>, query: web::Query<EventsQuery>) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    word("state", query.state.as_deref(), State::ALL, State::as_str)?;
    let filter = reading::events::Filter {
        application: query.application,
        location: query.location,
        kind: query.kind,
        state: query.state,
        since: query.since,
        until: query.until,
        before: number(query.cursor.as_deref())?,
        limit: limit(query.limit)?,
    };
    Ok(HttpResponse::Ok().json(reading::events::list(&app.pool, &filter).await?))
}

async fn event(app: web::Data<App>, path: web::Path<i64>) -> Result<HttpResponse, Problem> {
    let id = path.into_inner();
    let found = reading::events::show(&app.pool, id).await?;
    Ok(HttpResponse::Ok().json(found.ok_or_else(|| Problem::not_found(format!("There is no event {id}.")))?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JobsQuery {
    application: Option<i64>,
    location: Option<i64>,
    state: Option<String>,
    action: Option<String>,
    rule: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

async fn jobs(app: web::Data<App>, query: web::Query<JobsQuery>) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    word("state", query.state.as_deref(), &reading::jobs::STATES, |state| state)?;
    let filter = reading::jobs::Filter {
        application: query.application,
        location: query.location,
        state: query.state,
        action: query.action,
        rule: query.rule,
        before: number(query.cursor.as_deref())?,
        limit: limit(query.limit)?,
    };
    Ok(HttpResponse::Ok().json(reading::jobs::list(&app.pool, &filter).await?))
}

async fn job(app: web::Data<App>, path: web::Path<i64>) -> Result<HttpResponse, Problem> {
    let id = path.into_inner();
    let found = reading::jobs::show(&app.pool, id).await?;
    Ok(HttpResponse::Ok().json(found.ok_or_else(|| Problem::not_found(format!("There is no job {id}.")))?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LedgerQuery {
    application: Option<i64>,
    location: Option<i64>,
    state: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

async fn ledger(app: web::Data<App>, query: web::Query<LedgerQuery>) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    word(
        "state",
        query.state.as_deref(),
        &ledger::State::ALL,
        ledger::State::as_str,
    )?;
    let filter = reading::ledger::Filter {
        application: query.application,
        location: query.location,
        state: query.state,
        before: number(query.cursor.as_deref())?,
        limit: limit(query.limit)?,
    };
    Ok(HttpResponse::Ok().json(reading::ledger::list(&app.pool, &filter).await?))
}
