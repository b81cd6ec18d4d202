use actix_web::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    asked::{At, PAGE_LIMIT, limit, two_numbers, word},
    operation::{Bellhop, Done, Nothing, Operation, order, read},
};
use crate::{
    app::App,
    domain::{ids::Place, installation::Status},
    store::{
        looks::Hooks,
        reading::{
            self, Page,
            jobs::Job,
            locations::{Detail, Filter, Location},
        },
    },
    web::operator::{
        problem::Problem,
        wishes::{self, Wish},
    },
};

pub(super) fn operations() -> Vec<Operation> {
    let about = ("list_locations", "Installations, by application and location.");
    let all = read("/locations", about, list);
    let about = (
        "show_location",
        "One installation: history, payments, and the last 50 events, firings, jobs and money movements.",
    );
    let one = read("/locations/{application_id}/{location_id}", about, show);
    let about = (
        "activate_location",
        "Activates a connection now, for applications whose own product finishes the registration first.",
    );
    let activate = order("/locations/{application_id}/{location_id}/activate", about, activate);
    let about = (
        "uninstall_location",
        "Disconnects the application from the location now.",
    );
    let uninstall = order("/locations/{application_id}/{location_id}/uninstall", about, uninstall);
    let about = ("reconcile_location", "Compares the location with the marketplace now.");
    let reconcile = order("/locations/{application_id}/{location_id}/reconcile", about, reconcile);
    let about = (
        "repair_hooks",
        "Puts our address back into the webhook settings of the location.",
    );
    let repair = order(
        "/locations/{application_id}/{location_id}/hooks/repair",
        about,
        repair_hooks,
    );
    let mut operations = vec![all, one];
    let orders = [activate, uninstall, reconcile, repair];
    operations.extend(orders.map(|order| order.answers(&[StatusCode::ACCEPTED])));
    operations
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LocationsQuery {
    /// Of one application.
    application: Option<i64>,
    /// In one status.
    #[schemars(with = "Option<Status>")]
    status: Option<String>,
    /// Part of the name, or the number.
    q: Option<String>,
    /// Active ones whose webhook settings said so when they were last read.
    #[schemars(with = "Option<Hooks>")]
    hooks: Option<String>,
    /// At most so many; 50 unless told.
    #[schemars(range(min = 1, max = PAGE_LIMIT))]
    limit: Option<i64>,
    /// The `next_cursor` of the page before.
    #[schemars(regex(pattern = r"^[0-9]{1,18}\.[0-9]{1,18}$"))]
    cursor: Option<String>,
}

async fn list(app: Bellhop, _: Nothing, query: LocationsQuery) -> Result<Page<Location>, Problem> {
    word("status", query.status.as_deref(), Status::ALL, Status::as_str)?;
    word("hooks", query.hooks.as_deref(), Hooks::ALL, Hooks::as_str)?;
    let filter = Filter {
        application: query.application,
        location: None,
        status: query.status,
        q: query.q,
        hooks: query.hooks,
        after: two_numbers(query.cursor.as_deref())?,
        limit: limit(query.limit)?,
    };
    Ok(reading::locations::list(&*app.readers.look().await?, &filter).await?)
}

async fn show(app: Bellhop, at: At, _: Nothing) -> Result<Detail, Problem> {
    let found = reading::locations::show(&*app.readers.look().await?, at.application_id, at.location_id).await?;
    found.ok_or_else(|| Problem::unknown_location(place(at)))
}

fn place(at: At) -> Place {
    wishes::place((at.application_id, at.location_id))
}

/// A job that does what was asked for. When one of its kind was waiting already, that one.
#[derive(Serialize, JsonSchema)]
struct Queued {
    /// Its number.
    job_id: i64,
    /// The job as it is now.
    job: Job,
}

async fn enqueue(app: &App, at: At, wish: Wish) -> Result<Done<Queued>, Problem> {
    let id = wishes::queue(app, place(at), wish).await?;
    let found = reading::jobs::show(&app.pool, id).await?;
    let found = found.ok_or_else(|| Problem::not_found(format!("Job {id} is gone.")))?;
    Ok(Done::queued(Queued {
        job_id: id,
        job: found.job,
    }))
}

async fn activate(app: Bellhop, at: At, _: Nothing) -> Result<Done<Queued>, Problem> {
    enqueue(&app, at, Wish::Activate).await
}

async fn reconcile(app: Bellhop, at: At, _: Nothing) -> Result<Done<Queued>, Problem> {
    enqueue(&app, at, Wish::Compare).await
}

async fn uninstall(app: Bellhop, at: At, _: Nothing) -> Result<Done<Queued>, Problem> {
    enqueue(&app, at, Wish::Uninstall).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RepairQuery {
    /// Also when that changes what other applications get.
    #[serde(default)]
    force: bool,
}

async fn repair_hooks(app: Bellhop, at: At, query: RepairQuery) -> Result<Done<Queued>, Problem> {
    enqueue(&app, at, Wish::RepairHooks { force: query.force }).await
}
