//! The JSON API. Lists are newest first and paged by cursor. One table of operations makes both the routes and the
//! description at `openapi.json`, so that they cannot say different things.

pub(super) mod asked;
mod document;
mod events;
mod firings;
mod jobs;
mod ledger;
mod locations;
mod operation;
mod plans;
mod rules;

use actix_web::{Resource, web};
use serde_json::Value;

use self::operation::{Bellhop, Nothing, Operation, read};
use super::problem::Problem;

/// Where it is.
pub(super) const BASE: &str = "/api/v1";

/// The operations, in reading order. Where two addresses fit a request, the first one counts.
fn operations() -> Vec<Operation> {
    let mut all = locations::operations();
    all.extend(events::operations());
    all.extend(firings::operations());
    all.extend(jobs::operations());
    all.extend(ledger::operations());
    all.extend(rules::operations());
    all.extend(plans::operations());
    let about = ("describe_api", "This description: OpenAPI 3.1.");
    all.push(read("/openapi.json", about, description));
    all
}

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service
        .app_data(web::QueryConfig::default().error_handler(Problem::query))
        .app_data(web::PathConfig::default().error_handler(Problem::path))
        .app_data(web::JsonConfig::default().error_handler(Problem::body));
    for (path, operations) in by_path(operations()) {
        service.service(resource(path, operations));
    }
}

/// Operations of one address stand in one place, so that it knows which methods it takes.
fn by_path(operations: Vec<Operation>) -> Vec<(&'static str, Vec<Operation>)> {
    let mut paths: Vec<(&'static str, Vec<Operation>)> = Vec::new();
    for operation in operations {
        match paths.iter_mut().find(|(path, _)| *path == operation.path) {
            Some((_, same)) => same.push(operation),
            None => paths.push((operation.path, vec![operation])),
        }
    }
    paths
}

fn resource(path: &str, operations: Vec<Operation>) -> Resource {
    let mut allow = Vec::new();
    let mut resource = web::resource(path);
    for operation in operations {
        allow.extend(match operation.method.as_str() {
            "GET" => vec!["GET", "HEAD"],
            _ => vec!["POST"],
        });
        resource = resource.route(operation.route);
    }
    super::refuse_others(resource, allow.join(", "))
}

async fn description(_: Bellhop, _: Nothing, _: Nothing) -> Result<Value, Problem> {
    Ok(document::describe(&operations()))
}

/// The description of the API: OpenAPI 3.1.
pub fn openapi() -> Value {
    document::describe(&operations())
}
