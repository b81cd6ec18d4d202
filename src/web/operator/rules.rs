//! The rules in the JSON API.

use std::collections::HashMap;

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::problem::Problem;
use crate::{
    app::{
        App,
        rulebook::{self, NotReloaded},
    },
    config::Problems,
    store::reading,
};

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service
        .route("/rules", web::get().to(list))
        .route("/rules/reload", web::post().to(reload));
}

/// The rules as they were loaded, with how often each has fired.
async fn list(app: web::Data<App>) -> Result<HttpResponse, Problem> {
    let fired = reading::rules::fired(&app.pool).await?;
    let fired: HashMap<_, _> = fired
        .iter()
        .map(|fired| ((fired.application_id, fired.rule.as_str()), fired))
        .collect();
    let rules = app.rulebook.now();
    let mut items = Vec::new();
    for (id, set) in rules.sets() {
        for rule in set.rules() {
            let fired = fired.get(&(id.0, rule.name.as_str()));
            let mut item = json!(rule.outline());
            item["application_id"] = json!(id);
            item["firings"] = json!(fired.map_or(0, |fired| fired.firings));
            item["last_fired_at"] = json!(fired.map(|fired| fired.last_fired_at));
            items.push(item);
        }
    }
    let whole = json!({"items": items, "next_cursor": null, "loaded_at": rules.loaded_at});
    Ok(HttpResponse::Ok().json(whole))
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
