//! Rules as they are loaded, with what they did, and what waits because of their caps.

mod orders;

use std::time::Duration;

use actix_web::{HttpResponse, web};
use chrono::Utc;
use minijinja::{Value, context, value::Serde};

use super::{
    super::entry::Visitor,
    frame::{self, Page},
    list::Given,
    refusal::Refusal,
};
use crate::{
    app::{App, rulebook::Rules},
    domain::{action::BULK, ids::ApplicationId},
    rules::{Outline, Rule},
    store::{
        self, PgPool, holds,
        reading::{
            firings,
            rules::{self, Tally},
        },
    },
};

/// Where the list is.
const ADDRESS: &str = "/rules";

/// Counting, or looking for the last firings, may take so long.
const COUNTING: Duration = Duration::from_secs(2);

/// Held firings that are shown.
const HELD: i64 = 50;

/// Firings that are shown beside a rule.
const LATELY: i64 = 10;

/// Over which time one can count: its word, and seconds.
const TIMES: [(&str, i64); 3] = [("hour", 3_600), ("day", 86_400), ("week", 7 * 86_400)];

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service
        .route(ADDRESS, web::get().to(all))
        .route("/rules/{application_id}/{rule}", web::get().to(one))
        .configure(orders::routes);
}

/// A page of this family.
fn page<'t>(template: &'static str, title: &'t str) -> Page<'t> {
    Page {
        family: ADDRESS,
        template,
        title,
    }
}

/// The time that is asked for, or a day.
fn time(given: &Given) -> Result<(&'static str, i64), Refusal> {
    let word = given.get("over").map_or("day", String::as_str);
    let mut times = TIMES.into_iter();
    let found = times.find(|(known, _)| *known == word);
    found.ok_or_else(|| Refusal::invalid(format!("over={word}: write hour, day or week.")))
}

async fn tallies(pool: &PgPool, seconds: i64) -> store::Result<Option<Vec<Tally>>> {
    let since = Utc::now() - chrono::TimeDelta::seconds(seconds);
    rules::tally(pool, since, COUNTING).await
}

/// How often each thing was said by a rule; nothing where counting took too long.
fn counts(tallies: Option<&[Tally]>, application: ApplicationId, rule: &str) -> Value {
    let Some(tallies) = tallies else { return Value::from(()) };
    let of = |result: &str| -> i64 {
        let said = tallies
            .iter()
            .filter(|said| said.application_id == application.0 && said.rule == rule);
        said.filter(|said| said.result == result).map(|said| said.count).sum()
    };
    context! {
        fired => of("fired"),
        shadow => of("shadow"),
        skipped => of("skipped"),
        held => of("held"),
        given_up => of("given_up"),
    }
}

fn known<'r>(rules: &'r Rules, application: ApplicationId, name: &str) -> Option<&'r Rule> {
    let mut all = rules.of(application).rules().iter();
    all.find(|rule| rule.name == name).map(|rule| &**rule)
}

async fn all(app: web::Data<App>, given: web::Query<Given>, visitor: Visitor) -> Result<HttpResponse, Refusal> {
    let (over, seconds) = time(&given)?;
    let look = app.readers.look().await?;
    let tallies = tallies(&look, seconds).await?;
    let held = holds::counts(&*look).await?;
    let waiting = |application: ApplicationId, rule: &str| {
        let of = held.iter().find(|(id, name, _)| *id == application && name == rule);
        of.map_or(0, |(.., count)| *count)
    };
    let rules = app.rulebook.now();
    let row = |application: ApplicationId, outline: Outline| {
        context! {
            counts => counts(tallies.as_deref(), application, &outline.rule),
            waiting => waiting(application, &outline.rule),
            outline => Serde(outline),
        }
    };
    let sets: Vec<Value> = app
        .all_served()
        .map(|served| {
            let rules = rules
                .of(served.id)
                .rules()
                .iter()
                .map(|rule| row(served.id, rule.outline()));
            context! { id => served.id.0, name => &served.config.name, rules => rules.collect::<Vec<_>>() }
        })
        .collect();
    let gone: Vec<Value> = held
        .iter()
        .filter(|(id, name, _)| known(&rules, *id, name).is_none())
        .map(|(id, name, count)| context! { application => id.0, rule => name, count })
        .collect();
    let last = app.rulebook.last_reloading();
    let view = context! {
        sets,
        gone,
        over,
        times => TIMES.map(|(word, _)| word),
        is_counted => tallies.is_some(),
        count => rules.count(),
        loaded_at => rules.loaded_at.to_rfc3339(),
        last => last.map(|last| context! { at => last.at.to_rfc3339(), result => last.result, problem => last.problem }),
        done => given.get("done"),
    };
    Ok(page("rules.html", "Rules").show(&visitor, view))
}

async fn one(
    app: web::Data<App>,
    path: web::Path<(i64, String)>,
    given: web::Query<Given>,
    visitor: Visitor,
) -> Result<HttpResponse, Refusal> {
    let (id, name) = path.into_inner();
    let application = ApplicationId(id);
    let (over, seconds) = time(&given)?;
    let rules = app.rulebook.now();
    let outline = known(&rules, application, &name).map(Rule::outline);
    let look = app.readers.look().await?;
    let held = holds::list(&look, Some((application, &name)), (HELD, None)).await?;
    let lately = firings::lately(&look, (id, &name), LATELY, COUNTING).await?;
    let has_none = lately.as_ref().is_some_and(Vec::is_empty);
    if outline.is_none() && held.items.is_empty() && has_none {
        return Err(Refusal::not_found(format!("Application {id} has no rule `{name}`.")));
    }
    let tallies = tallies(&look, seconds).await?;
    let mine = |said: &&Tally| said.application_id == id && said.rule == name && said.result == "skipped";
    let skipped: Vec<Value> = tallies
        .iter()
        .flatten()
        .filter(mine)
        .map(|said| context! { reason => &said.reason, count => said.count })
        .collect();
    let waiting = holds::counts(&*look).await?;
    let waiting = waiting.iter().find(|(of, rule, _)| *of == application && *rule == name);
    let view = context! {
        application => id,
        rule => &name,
        outline => Serde(outline),
        // What its own name is, without what tells it from those of rules.
        bulk => name.strip_prefix(BULK),
        counts => counts(tallies.as_deref(), application, &name),
        skipped,
        over,
        times => TIMES.map(|(word, _)| word),
        held => Serde(held.items),
        waiting => waiting.map_or(0, |(.., count)| *count),
        most => orders::MOST,
        lately => Serde(lately),
        done => given.get("done"),
        how_many => frame::number("number", given.get("number").map(String::as_str))?,
    };
    Ok(page("rule.html", &name).show(&visitor, view))
}
