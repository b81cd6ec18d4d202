//! The rules in the JSON API.

use std::collections::HashMap;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::{api::limit, problem::Problem};
use crate::{
    app::{
        App,
        rulebook::{self, NotReloaded},
        steps,
    },
    config::Problems,
    domain::ids::ApplicationId,
    store::{holds, reading},
};

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service
        .route("/rules", web::get().to(list))
        .route("/rules/reload", web::post().to(reload))
        .route("/holds", web::get().to(holds))
        .route("/rules/{application_id}/{rule}/release", web::post().to(release))
        .route("/rules/{application_id}/{rule}/drop", web::post().to(drop_held));
}

/// The rules as they were loaded, with how often each has fired.
async fn list(app: web::Data<App>) -> Result<HttpResponse, Problem> {
    let fired = reading::rules::fired(&app.pool).await?;
    let fired: HashMap<_, _> = fired
        .iter()
        .map(|fired| ((fired.application_id, fired.rule.as_str()), fired))
        .collect();
    let held = holds::counts(&app.pool).await?;
    let held: HashMap<_, _> = held
        .iter()
        .map(|(id, rule, count)| ((*id, rule.as_str()), count))
        .collect();
    let rules = app.rulebook.now();
    let mut items = Vec::new();
    for (id, set) in rules.sets() {
        for rule in set.rules() {
            let fired = fired.get(&(id.0, rule.name.as_str()));
            let mut item = json!(rule.outline());
            item["application_id"] = json!(id);
            item["firings"] = json!(fired.map_or(0, |fired| fired.firings));
            item["shadow_firings"] = json!(fired.map_or(0, |fired| fired.shadow_firings));
            item["held"] = json!(held.get(&(id, rule.name.as_str())).map_or(0, |count| **count));
            item["last_fired_at"] = json!(fired.map(|fired| fired.last_fired_at));
            items.push(item);
        }
    }
    let whole = json!({"items": items, "next_cursor": null, "loaded_at": rules.loaded_at});
    Ok(HttpResponse::Ok().json(whole))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Amount {
    limit: Option<i64>,
}

/// What waits for a person, oldest first.
async fn holds(app: web::Data<App>, query: web::Query<Amount>) -> Result<HttpResponse, Problem> {
    let items = holds::list(&app.pool, None, limit(query.limit)?).await?;
    Ok(HttpResponse::Ok().json(json!({"items": items, "next_cursor": null})))
}

/// Does what a rule wanted beyond its cap.
async fn release(
    app: web::Data<App>,
    path: web::Path<(i64, String)>,
    query: web::Query<Amount>,
) -> Result<HttpResponse, Problem> {
    let (application, name) = path.into_inner();
    let application = ApplicationId(application);
    let rules = app.rulebook.now();
    let rule = rules.of(application).rules().iter().find(|rule| rule.name == name);
    let rule = rule.ok_or_else(|| {
        Problem::not_found(format!(
            "Application {application} has no rule `{name}` now, so nobody knows its steps. Give up what it holds, or load it again."
        ))
    })?;
    let (most, attempts) = (limit(query.limit)?, app.config.jobs.max_attempts);
    let released = steps::release(&app.pool, (application, rule), most, attempts).await?;
    app.wake.for_jobs();
    Ok(HttpResponse::Ok().json(json!({"released": released})))
}

/// Gives up what a rule wanted beyond its cap.
async fn drop_held(
    app: web::Data<App>,
    path: web::Path<(i64, String)>,
    query: web::Query<Amount>,
) -> Result<HttpResponse, Problem> {
    let (application, name) = path.into_inner();
    let of = (ApplicationId(application), name.as_str());
    let dropped = holds::drop_held(&app.pool, of, limit(query.limit)?).await?;
    Ok(HttpResponse::Ok().json(json!({"dropped": dropped})))
}

/// Reads the rule files again.
async fn reload(app: web::Data<App>) -> Result<HttpResponse, Problem> {
    match rulebook::reload(&app).await {
        Ok(rules) => Ok(HttpResponse::Ok().json(json!({"rules": rules.count(), "loaded_at": rules.loaded_at}))),
        Err(NotReloaded::Refused(Problems(mistakes))) => Err(Problem::refused_rules(mistakes)),
        Err(NotReloaded::Unplanned(error)) => Err(error.into()),
        Err(NotReloaded::Broken) => Err(Problem::broken(
            "Reading the rules broke off. The rules before are still in use.",
        )),
    }
}
