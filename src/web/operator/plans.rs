//! Bulk actions in the JSON API.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::{
    api::{limit, number},
    problem::Problem,
};
use crate::{
    app::{
        App,
        plans::{self, NotApplied, NotPlanned},
    },
    domain::ids::ApplicationId,
    rules::SourceFile,
    store::reading::plans::{self as reading, Filter},
};

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service
        .route("/plans", web::get().to(list))
        .route("/plans", web::post().to(draw_up))
        .route("/plans/{id}", web::get().to(show))
        .route("/plans/{id}/apply", web::post().to(apply));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlansQuery {
    application: Option<i64>,
    limit: Option<i64>,
    cursor: Option<String>,
}

async fn list(app: web::Data<App>, query: web::Query<PlansQuery>) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let filter = Filter {
        application: query.application,
        before: number(query.cursor.as_deref())?,
        limit: limit(query.limit)?,
    };
    Ok(HttpResponse::Ok().json(reading::list(&app.pool, &filter).await?))
}

async fn show(app: web::Data<App>, path: web::Path<i64>) -> Result<HttpResponse, Problem> {
    let id = path.into_inner();
    let found = reading::show(&app.pool, id).await?;
    Ok(HttpResponse::Ok().json(found.ok_or_else(|| Problem::not_found(format!("There is no plan {id}.")))?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPlan {
    application: i64,
    /// The file of the bulk action, as text.
    file: String,
}

/// Works out what a bulk action would do. Nothing is done.
async fn draw_up(app: web::Data<App>, new: web::Json<NewPlan>) -> Result<HttpResponse, Problem> {
    let NewPlan { application, file } = new.into_inner();
    let file = SourceFile {
        name: "file".to_owned(),
        text: file,
    };
    match plans::draw_up(&app, ApplicationId(application), &file).await {
        Ok(outlook) => Ok(HttpResponse::Created().json(outlook)),
        Err(NotPlanned::Refused(mistakes)) => Err(Problem::refused_plan(mistakes)),
        Err(NotPlanned::Store(error)) => Err(error.into()),
        Err(why @ NotPlanned::Unknown(_)) => Err(Problem::not_found(why.to_string())),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirmation {
    confirm: String,
}

async fn apply(
    app: web::Data<App>,
    path: web::Path<i64>,
    said: web::Json<Confirmation>,
) -> Result<HttpResponse, Problem> {
    let id = path.into_inner();
    match plans::apply(&app.pool, id, &said.confirm).await {
        Ok(locations) => {
            app.wake.processor.notify_one();
            Ok(HttpResponse::Accepted().json(json!({"plan_id": id, "locations": locations})))
        }
        Err(NotApplied::Store(error)) => Err(error.into()),
        Err(why @ NotApplied::Unknown(_)) => Err(Problem::not_found(why.to_string())),
        Err(why) => Err(Problem::conflict(why.to_string())),
    }
}
