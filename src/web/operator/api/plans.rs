use actix_web::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    asked::{CURSOR, Numbered, PAGE_LIMIT, limit, number},
    operation::{Bellhop, Done, Nothing, Operation, order_with, read},
};
use crate::{
    app::plans::{self, NotApplied, NotPlanned, Outlook},
    domain::ids::ApplicationId,
    rules::SourceFile,
    store::reading::{
        Page,
        plans::{self as reading, Detail, Filter, Plan},
    },
    web::operator::problem::Problem,
};

pub(super) fn operations() -> Vec<Operation> {
    let about = (
        "list_plans",
        "Bulk actions that were planned, newest first, and how far they are.",
    );
    let all = read("/plans", about, list);
    let about = (
        "draw_up_plan",
        "Works out what a bulk action would do, and keeps that as a plan. Nothing is done.",
    );
    let new = order_with("/plans", about, draw_up)
        .answers(&[StatusCode::CREATED, StatusCode::OK])
        .refuses(&[StatusCode::NOT_FOUND, StatusCode::UNPROCESSABLE_ENTITY]);
    let about = ("show_plan", "One plan, and what became of each location.");
    let one = read("/plans/{id}", about, show);
    let about = ("apply_plan", "Does what a plan says, when it is told exactly that.");
    let apply = order_with("/plans/{id}/apply", about, apply)
        .answers(&[StatusCode::ACCEPTED])
        .refuses(&[StatusCode::CONFLICT]);
    vec![all, new, one, apply]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PlansQuery {
    /// Of one application.
    application: Option<i64>,
    /// At most so many; 50 unless told.
    #[schemars(range(min = 1, max = PAGE_LIMIT))]
    limit: Option<i64>,
    /// The `next_cursor` of the page before.
    #[schemars(regex(pattern = CURSOR))]
    cursor: Option<String>,
}

async fn list(app: Bellhop, _: Nothing, query: PlansQuery) -> Result<Page<Plan>, Problem> {
    let filter = Filter {
        id: None,
        application: query.application,
        before: number(query.cursor.as_deref())?,
        limit: limit(query.limit)?,
    };
    Ok(reading::list(&*app.readers.look().await?, &filter).await?)
}

async fn show(app: Bellhop, Numbered { id }: Numbered, _: Nothing) -> Result<Detail, Problem> {
    let found = reading::show(&*app.readers.look().await?, id).await?;
    found.ok_or_else(|| Problem::not_found(format!("There is no plan {id}.")))
}

/// What is to be planned.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewPlan {
    /// Of which application.
    application: ApplicationId,
    /// The file of the bulk action, as text.
    file: String,
}

async fn draw_up(app: Bellhop, _: Nothing, new: NewPlan) -> Result<Done<Outlook>, Problem> {
    let file = SourceFile {
        name: "file".to_owned(),
        text: new.file,
    };
    match plans::draw_up(&app, new.application, &file).await {
        Ok(outlook) if outlook.plan_id.is_none() => Ok(Done::now(outlook)),
        Ok(outlook) => Ok(Done::made(outlook)),
        Err(NotPlanned::Refused(mistakes)) => Err(Problem::refused_plan(mistakes)),
        Err(NotPlanned::Store(error)) => Err(error.into()),
        Err(why @ NotPlanned::Unknown(_)) => Err(Problem::not_found(why.to_string())),
    }
}

/// That a plan is meant.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Confirmation {
    /// What it does: the `confirmation` of the plan.
    confirm: String,
}

#[derive(Serialize, JsonSchema)]
struct Applied {
    /// The plan.
    plan_id: i64,
    /// Locations where it is asked for now.
    locations: usize,
}

async fn apply(app: Bellhop, Numbered { id }: Numbered, said: Confirmation) -> Result<Done<Applied>, Problem> {
    match plans::apply(&app.pool, id, &said.confirm).await {
        Ok(locations) => {
            app.wake.processor.notify_one();
            Ok(Done::queued(Applied { plan_id: id, locations }))
        }
        Err(NotApplied::Store(error)) => Err(error.into()),
        Err(why @ NotApplied::Unknown(_)) => Err(Problem::not_found(why.to_string())),
        Err(why) => Err(Problem::conflict(why.to_string())),
    }
}
