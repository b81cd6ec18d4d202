use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::{
    super::{frame, guard::Form, refusal::Refusal},
    known,
};
use crate::{
    app::{App, rulebook, steps},
    domain::ids::ApplicationId,
    store::holds,
};

/// The most firings at once.
pub(super) const MOST: i64 = 500;

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service
        .route("/rules/reload", web::post().to(reload))
        .route("/rules/{application_id}/{rule}/release", web::post().to(release))
        .route("/rules/{application_id}/{rule}/drop", web::post().to(drop_held));
}

/// The page shows how it ended.
async fn reload(app: web::Data<App>) -> HttpResponse {
    let reloaded = rulebook::reload(&app).await;
    let word = reloaded.map_or_else(|why| why.as_str(), |_| "loaded");
    frame::see(&format!("/rules?done={word}"))
}

/// How many of the held firings, the oldest first.
#[derive(Deserialize)]
struct Amount {
    number: Option<String>,
}

impl Amount {
    fn read(&self) -> Result<i64, Refusal> {
        match frame::number("number", self.number.as_deref().map(str::trim))? {
            Some(number @ 1..=MOST) => Ok(number),
            Some(_) | None => Err(Refusal::invalid(format!("number: write how many, from 1 to {MOST}."))),
        }
    }
}

fn back((application, rule): (ApplicationId, &str), done: &str, number: u64) -> HttpResponse {
    frame::see(&format!("/rules/{application}/{rule}?done={done}&number={number}"))
}

async fn release(
    app: web::Data<App>,
    path: web::Path<(i64, String)>,
    amount: Form<Amount>,
) -> Result<HttpResponse, Refusal> {
    let (application, name) = (ApplicationId(path.0), &path.1);
    let most = amount.0.read()?;
    let rules = app.rulebook.now();
    let rule = known(&rules, application, name).ok_or_else(|| {
        Refusal::conflict(format!(
            "Application {application} has no rule `{name}` now, so nobody knows its steps. Give up what it holds, or load it again."
        ))
    })?;
    let released = steps::release(&app.pool, (application, rule), most, app.config.jobs.max_attempts).await?;
    app.wake.for_jobs();
    Ok(back((application, &rule.name), "released", released))
}

async fn drop_held(
    app: web::Data<App>,
    path: web::Path<(i64, String)>,
    amount: Form<Amount>,
) -> Result<HttpResponse, Refusal> {
    let (application, name) = (ApplicationId(path.0), &path.1);
    let most = amount.0.read()?;
    let dropped = holds::drop_held(&app.pool, (application, name), most).await?;
    if dropped == 0 {
        // Also where the name is an invention: it does not get into an address.
        return Err(Refusal::conflict("Nothing is held by this rule any more."));
    }
    Ok(back((application, name), "dropped", dropped))
}
