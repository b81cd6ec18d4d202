use std::collections::HashMap;

use actix_web::http::StatusCode;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    asked::{CURSOR, PAGE_LIMIT, limit, number},
    operation::{Bellhop, Done, Nothing, Operation, order, read},
};
use crate::{
    app::{
        rulebook::{self, NotReloaded},
        steps,
    },
    config::Problems,
    domain::ids::ApplicationId,
    rules::Outline,
    store::{
        holds::{self, Held},
        reading::{self, Page},
    },
    web::operator::problem::Problem,
};

pub(super) fn operations() -> Vec<Operation> {
    let about = (
        "list_rules",
        "The rules as they were loaded, with how often each has fired.",
    );
    let all = read("/rules", about, list);
    let about = (
        "reload_rules",
        "Reads the rule files again. A set with mistakes is refused as a whole.",
    );
    let reload = order("/rules/reload", about, reload)
        .refuses(&[StatusCode::UNPROCESSABLE_ENTITY, StatusCode::INTERNAL_SERVER_ERROR]);
    let about = (
        "list_holds",
        "Firings beyond the cap of their rule, which wait for a person; oldest first.",
    );
    let holds = read("/holds", about, list_holds);
    let about = (
        "release_rule",
        "Does what a rule wanted beyond its cap, the oldest first.",
    );
    let release = order("/rules/{application_id}/{rule}/release", about, release);
    let about = (
        "drop_rule",
        "Gives up what a rule wanted beyond its cap, the oldest first.",
    );
    let drop = order("/rules/{application_id}/{rule}/drop", about, drop_held);
    vec![all, reload, holds, release, drop]
}

/// A rule with how often it has fired, as far as firings are kept.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Rule")]
struct Counted {
    /// Application.
    application_id: ApplicationId,
    /// As it stands in its file.
    #[serde(flatten)]
    outline: Outline,
    /// How often it has fired.
    firings: i64,
    /// How often it would have fired while it was only watched.
    shadow_firings: i64,
    /// Firings that wait for a person.
    held: i64,
    /// When it fired last.
    last_fired_at: Option<DateTime<Utc>>,
}

#[derive(Serialize, JsonSchema)]
struct Rules {
    /// The rules, in the order of their files.
    items: Vec<Counted>,
    /// There is one page only.
    next_cursor: Option<String>,
    /// When they were loaded.
    loaded_at: DateTime<Utc>,
}

async fn list(app: Bellhop, _: Nothing, _: Nothing) -> Result<Rules, Problem> {
    let look = app.readers.look().await?;
    let fired = reading::rules::fired(&look).await?;
    let fired: HashMap<_, _> = fired
        .iter()
        .map(|fired| ((fired.application_id, fired.rule.as_str()), fired))
        .collect();
    let held = holds::counts(&*look).await?;
    let held: HashMap<_, _> = held
        .iter()
        .map(|(id, rule, count)| ((*id, rule.as_str()), *count))
        .collect();
    let rules = app.rulebook.now();
    let counted = |(application_id, outline): (ApplicationId, Outline)| {
        let fired = fired.get(&(application_id.0, outline.rule.as_str()));
        Counted {
            application_id,
            firings: fired.map_or(0, |fired| fired.firings),
            shadow_firings: fired.map_or(0, |fired| fired.shadow_firings),
            held: held.get(&(application_id, outline.rule.as_str())).copied().unwrap_or(0),
            last_fired_at: fired.map(|fired| fired.last_fired_at),
            outline,
        }
    };
    let all = rules
        .sets()
        .flat_map(|(id, set)| set.rules().iter().map(move |rule| (id, rule.outline())));
    Ok(Rules {
        items: all.map(counted).collect(),
        next_cursor: None,
        loaded_at: rules.loaded_at,
    })
}

#[derive(Serialize, JsonSchema)]
struct Reloaded {
    /// How many there are.
    rules: usize,
    /// When they were loaded.
    loaded_at: DateTime<Utc>,
}

async fn reload(app: Bellhop, _: Nothing, _: Nothing) -> Result<Done<Reloaded>, Problem> {
    match rulebook::reload(&app).await {
        Ok(rules) => Ok(Done::now(Reloaded {
            rules: rules.count(),
            loaded_at: rules.loaded_at,
        })),
        Err(NotReloaded::Refused(Problems(mistakes))) => Err(Problem::refused_rules(mistakes)),
        Err(NotReloaded::Unplanned(error)) => Err(error.into()),
        Err(NotReloaded::Broken) => Err(Problem::broken(
            "Reading the rules broke off. The rules before are still in use.",
        )),
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HoldsQuery {
    /// At most so many; 50 unless told.
    #[schemars(range(min = 1, max = PAGE_LIMIT))]
    limit: Option<i64>,
    /// The `next_cursor` of the page before.
    #[schemars(regex(pattern = CURSOR))]
    cursor: Option<String>,
}

async fn list_holds(app: Bellhop, _: Nothing, query: HoldsQuery) -> Result<Page<Held>, Problem> {
    let page = (limit(query.limit)?, number(query.cursor.as_deref())?);
    Ok(holds::list(&*app.readers.look().await?, None, page).await?)
}

/// A rule of an application.
#[derive(Deserialize, JsonSchema)]
struct OfRule {
    /// Application.
    #[schemars(example = 18289)]
    application_id: ApplicationId,
    /// Name of the rule.
    rule: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Amount {
    /// At most so many; 50 unless told.
    #[schemars(range(min = 1, max = PAGE_LIMIT))]
    limit: Option<i64>,
}

#[derive(Serialize, JsonSchema)]
struct Released {
    /// Firings whose steps are in the queue now.
    released: u64,
}

async fn release(app: Bellhop, of: OfRule, query: Amount) -> Result<Done<Released>, Problem> {
    let rules = app.rulebook.now();
    let mut known = rules.of(of.application_id).rules().iter();
    let rule = known.find(|rule| rule.name == of.rule).ok_or_else(|| {
        Problem::not_found(format!(
            "Application {} has no rule `{}` now, so nobody knows its steps. Give up what it holds, or load it again.",
            of.application_id, of.rule
        ))
    })?;
    let (most, attempts) = (limit(query.limit)?, app.config.jobs.max_attempts);
    let released = steps::release(&app.pool, (of.application_id, rule), most, attempts).await?;
    app.wake.for_jobs();
    Ok(Done::now(Released { released }))
}

#[derive(Serialize, JsonSchema)]
struct Dropped {
    /// Firings whose steps will not be done.
    dropped: u64,
}

async fn drop_held(app: Bellhop, of: OfRule, query: Amount) -> Result<Done<Dropped>, Problem> {
    let rule = (of.application_id, of.rule.as_str());
    let dropped = holds::drop_held(&app.pool, rule, limit(query.limit)?).await?;
    Ok(Done::now(Dropped { dropped }))
}
