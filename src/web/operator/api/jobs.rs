use actix_web::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    asked::{CURSOR, Numbered, PAGE_LIMIT, limit, named, number, word},
    operation::{Bellhop, Done, Nothing, Operation, order, order_with, read},
};
use crate::{
    app::App,
    domain::ids::JobId,
    store::{
        jobs::{self, Obeyed, Order},
        reading::{
            Page,
            jobs::{self as reading, Detail, Filter, Job, State},
        },
    },
    web::operator::{entry::orders, problem::Problem},
};

pub(super) fn operations() -> Vec<Operation> {
    let about = ("list_jobs", "Jobs, waiting and finished ones together, newest first.");
    let all = read("/jobs", about, list);
    let about = (
        "retry_jobs",
        "Has the jobs of a filter tried again, the oldest first; those that were discarded, unless told.",
    );
    let retry_all = order_with("/jobs/retry", about, retry_some);
    let about = (
        "cancel_jobs",
        "Gives the jobs of a filter up, the oldest first; those that wait, unless told.",
    );
    let cancel_all = order_with("/jobs/cancel", about, cancel_some);
    let about = (
        "show_job",
        "One job: what it was told, and every attempt with requests, answers and durations.",
    );
    let one = read("/jobs/{id}", about, show);
    let about = (
        "retry_job",
        "Has one job tried again, with the steps that waited for it.",
    );
    let retry = order("/jobs/{id}/retry", about, retry_one);
    let about = ("cancel_job", "Gives one job up, with the steps that wait for it.");
    let cancel = order("/jobs/{id}/cancel", about, cancel_one);
    let mut operations = vec![all, retry_all, cancel_all, one];
    operations.extend([retry, cancel].map(|order| {
        let order = order.answers(&[StatusCode::ACCEPTED]);
        order.refuses(&[StatusCode::CONFLICT])
    }));
    operations
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct JobsQuery {
    /// Of one application.
    application: Option<i64>,
    /// Of one location.
    location: Option<i64>,
    /// In one state.
    #[schemars(with = "Option<State>")]
    state: Option<String>,
    /// Of one action, such as `set_discount`.
    action: Option<String>,
    /// Of one rule.
    rule: Option<String>,
    /// Of one firing.
    firing: Option<i64>,
    /// At most so many; 50 unless told.
    #[schemars(range(min = 1, max = PAGE_LIMIT))]
    limit: Option<i64>,
    /// The `next_cursor` of the page before.
    #[schemars(regex(pattern = CURSOR))]
    cursor: Option<String>,
}

async fn list(app: Bellhop, _: Nothing, query: JobsQuery) -> Result<Page<Job>, Problem> {
    word("state", query.state.as_deref(), State::ALL, State::as_str)?;
    let filter = Filter {
        application: query.application,
        location: query.location,
        state: query.state,
        action: query.action,
        rule: query.rule,
        firing: query.firing,
        before: number(query.cursor.as_deref())?,
        limit: limit(query.limit)?,
    };
    Ok(reading::list(&*app.readers.look().await?, &filter).await?)
}

async fn show(app: Bellhop, Numbered { id }: Numbered, _: Nothing) -> Result<Detail, Problem> {
    let found = reading::show(&*app.readers.look().await?, id).await?;
    found.ok_or_else(|| unknown(id))
}

fn unknown(id: i64) -> Problem {
    Problem::not_found(format!("There is no job {id}."))
}

async fn retry_one(app: Bellhop, Numbered { id }: Numbered, _: Nothing) -> Result<Done<Obeyed>, Problem> {
    one(&app, retry(&app), id).await
}

async fn cancel_one(app: Bellhop, Numbered { id }: Numbered, _: Nothing) -> Result<Done<Obeyed>, Problem> {
    one(&app, Order::Cancel, id).await
}

async fn retry_some(app: Bellhop, _: Nothing, wanted: Jobs) -> Result<Done<ObeyedAll>, Problem> {
    some(&app, retry(&app), wanted).await
}

async fn cancel_some(app: Bellhop, _: Nothing, wanted: Jobs) -> Result<Done<ObeyedAll>, Problem> {
    some(&app, Order::Cancel, wanted).await
}

fn retry(app: &App) -> Order {
    Order::Retry {
        attempts: app.config.jobs.max_attempts,
    }
}

async fn one(app: &App, order: Order, id: i64) -> Result<Done<Obeyed>, Problem> {
    if reading::show(&app.pool, id).await?.is_none() {
        return Err(unknown(id));
    }
    let obeyed = jobs::obey(&app.pool, order, JobId(id), false).await?;
    match &obeyed.reason {
        Some(why) => Err(Problem::conflict(format!("Job {id} stays as it is: {why}."))),
        None => {
            app.wake.for_jobs();
            Ok(Done::queued(obeyed))
        }
    }
}

/// What says which jobs are meant.
const WHICH: [&str; 6] = ["application", "location", "state", "action", "rule", "firing"];

/// Which jobs. At least one key has to say which.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("anyOf" = named(&WHICH)))]
struct Jobs {
    /// Of one application.
    application: Option<i64>,
    /// Of one location.
    location: Option<i64>,
    /// In one state.
    #[schemars(with = "Option<State>")]
    state: Option<String>,
    /// Of one action, such as `set_discount`.
    action: Option<String>,
    /// Of one rule.
    rule: Option<String>,
    /// Of one firing.
    firing: Option<i64>,
    /// At most so many, the oldest; 50 unless told.
    #[schemars(range(min = 1, max = PAGE_LIMIT))]
    limit: Option<i64>,
    /// Only tell what would become of them.
    dry_run: bool,
}

/// What became of several jobs, or would.
#[derive(Serialize, JsonSchema)]
struct ObeyedAll {
    /// One by one.
    items: Vec<Obeyed>,
    /// Nothing was done.
    dry_run: bool,
    /// There are more than these: repeat.
    more: bool,
}

async fn some(app: &App, order: Order, wanted: Jobs) -> Result<Done<ObeyedAll>, Problem> {
    word("state", wanted.state.as_deref(), State::ALL, State::as_str)?;
    let texts = [&wanted.state, &wanted.action, &wanted.rule];
    let numbers = [wanted.application, wanted.location, wanted.firing];
    if texts.into_iter().all(Option::is_none) && numbers.iter().all(Option::is_none) {
        let detail = format!("Say which jobs: one of {}.", WHICH.join(", "));
        return Err(Problem::invalid(detail));
    }
    let filter = Filter {
        application: wanted.application,
        location: wanted.location,
        state: wanted.state,
        action: wanted.action,
        rule: wanted.rule,
        firing: wanted.firing,
        before: None,
        limit: limit(wanted.limit)?,
    };
    let meant = jobs::meant(&*app.readers.look().await?, order, &filter).await?;
    let ids: Vec<i64> = meant.jobs.iter().map(|job| job.id).collect();
    let items = jobs::obey_all(&app.pool, order, &ids, wanted.dry_run).await?;
    if !wanted.dry_run {
        orders::jobs(order, &filter, &items);
    }
    app.wake.for_jobs();
    Ok(Done::now(ObeyedAll {
        items,
        dry_run: wanted.dry_run,
        more: meant.more,
    }))
}
