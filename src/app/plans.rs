//! Bulk actions: what one would do is worked out and stored as a plan, and a plan is applied by whoever says what it
//! does. From there on it is work like any other: an event for each location, whose condition is asked once more.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use thiserror::Error;

use super::{App, line::UNPROVEN_SHARE, served::Served};
use crate::{
    domain::{
        action::{Action, BULK},
        event::{Kind, Source},
        ids::{ApplicationId, EventId, Place},
        installation::{Installation, NOT_INSTALLED},
        location::Location,
        signature::sha256,
    },
    rules::{self, Decision, EventView, Facts, Preview, Rule, SourceFile, Subject},
    store::{
        self, PgPool, PgTransaction, firings, installations, past,
        plans::{self, NewPlan},
        tags,
    },
};

/// Locations that are shown with their steps.
const SHOWN: usize = 5;

/// Keys that are looked for in one statement.
const KEYS: usize = 5_000;

/// A location that is shown.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PlannedLocation")]
pub struct Shown {
    /// Which.
    pub location_id: i64,
    /// Its name, when known.
    pub title: Option<String>,
    /// What would be done.
    pub steps: Vec<Preview>,
}

/// What a bulk action would do.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Outlook {
    /// The number of the plan; none when it concerns no location.
    pub plan_id: Option<i64>,
    /// The application.
    pub application_id: i64,
    /// The bulk action.
    pub name: String,
    /// What has to be said to apply it.
    pub confirmation: String,
    /// What tells whether it is the same, hex.
    pub digest: String,
    /// The locations it concerns.
    pub locations: Vec<i64>,
    /// Locations it does not concern, by reason.
    pub left_out: BTreeMap<String, i64>,
    /// Locations where a step would be given up, because a text cannot be written.
    pub given_up: i64,
    /// Requests to the marketplace, by action.
    pub requests: BTreeMap<&'static str, u64>,
    /// How many minutes of the share of the budget that bulk actions have that takes.
    pub minutes: u64,
    /// Payments that would be reported, by currency.
    pub money: BTreeMap<String, Decimal>,
    /// The first locations, with what would be done there.
    pub first: Vec<Shown>,
}

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum NotPlanned {
    /// No such application is served here.
    #[error("no application {0} is configured")]
    Unknown(ApplicationId),
    /// The file has mistakes.
    #[error("{}", .0.join("\n"))]
    Refused(Vec<String>),
    /// The database does not answer.
    #[error("the database: {0}")]
    Store(#[from] store::Error),
}

/// Why a plan was not applied. Nothing has happened.
#[derive(Debug, Error)]
pub enum NotApplied {
    /// There is none.
    #[error("there is no plan {0}")]
    Unknown(i64),
    /// What was said is not what it does.
    #[error("that is not what plan {0} does; `bellhop plan show {0}` tells what to confirm")]
    OtherWords(i64),
    /// It was applied.
    #[error("plan {0} was applied before, at {1}")]
    Before(i64, DateTime<Utc>),
    /// It is too old.
    #[error("plan {0} is older than a day, and things have changed since; make a new one")]
    Expired(i64),
    /// It is not what was shown any more.
    #[error("plan {0} was changed since it was shown; make a new one")]
    Changed(i64),
    /// This version does not understand it.
    #[error("plan {0} cannot be read by this version: {1}")]
    Unreadable(i64, String),
    /// The database does not answer.
    #[error("the database: {0}")]
    Store(#[from] store::Error),
}

/// The rule of a plan's file.
///
/// # Errors
/// With every mistake in it; another version may have understood it.
pub fn rule(id: i64, source: &str) -> Result<Rule, String> {
    let file = SourceFile {
        name: format!("plan {id}"),
        text: source.to_owned(),
    };
    rules::read_bulk(&file).map_err(|mistakes| {
        let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        mistakes.join("; ")
    })
}

/// Works out what a bulk action would do at every known location of an application, and stores that as a plan. Nobody is
/// called.
///
/// # Errors
/// When the file has mistakes, or the database does not answer.
pub async fn draw_up(app: &App, application: ApplicationId, file: &SourceFile) -> Result<Outlook, NotPlanned> {
    let served = app.served(application).ok_or(NotPlanned::Unknown(application))?;
    let rule = rules::read_bulk(file)
        .map_err(|mistakes| NotPlanned::Refused(mistakes.iter().map(ToString::to_string).collect()))?;
    let mut tx = past::read_only(&app.pool).await?;
    let mut outlook = look(&mut tx, served, &rule).await?;
    tx.rollback().await?;
    outlook.digest = digest(application, &file.text, &outlook.locations);
    if outlook.locations.is_empty() {
        return Ok(outlook);
    }
    let new = NewPlan {
        application,
        name: &outlook.name,
        source: &file.text,
        digest: &outlook.digest,
        confirmation: &outlook.confirmation,
        locations: &outlook.locations,
        left_out: &json!(outlook.left_out),
        requests: i64::try_from(outlook.requests.values().sum::<u64>()).unwrap_or(i64::MAX),
        money: &json!(outlook.money),
    };
    outlook.plan_id = Some(plans::add(&app.pool, &new).await?);
    Ok(outlook)
}

/// Applies a plan: asks for it at each of its locations. Two who do this at once, and one who does it twice, do it once.
/// Returns at how many.
///
/// # Errors
/// When it must not be applied, or the database does not answer.
pub async fn apply(pool: &PgPool, id: i64, confirmation: &str) -> Result<usize, NotApplied> {
    let mut tx = pool.begin().await?;
    let plan = plans::lock(&mut tx, id).await?.ok_or(NotApplied::Unknown(id))?;
    if let Some(at) = plan.applied_at {
        return Err(NotApplied::Before(id, at));
    }
    if plan.confirmation != confirmation.trim() {
        return Err(NotApplied::OtherWords(id));
    }
    if plan.expired {
        return Err(NotApplied::Expired(id));
    }
    if plan.digest != digest(plan.application, &plan.source, &plan.locations) {
        return Err(NotApplied::Changed(id));
    }
    rule(id, &plan.source).map_err(|why| NotApplied::Unreadable(id, why))?;
    plans::apply(&mut tx, id).await?;
    tx.commit().await?;
    Ok(plan.locations.len())
}

fn digest(application: ApplicationId, source: &str, locations: &[i64]) -> String {
    let locations: Vec<u8> = locations.iter().flat_map(|location| location.to_be_bytes()).collect();
    hex::encode(sha256(&[
        &application.0.to_be_bytes(),
        &sha256(&[source.as_bytes()]),
        &locations,
    ]))
}

async fn look(tx: &mut PgTransaction<'_>, served: &Served, rule: &Rule) -> store::Result<Outlook> {
    let places = past::places(tx, served.id).await?;
    let known = installations::read(tx, &places).await?;
    let known: HashMap<Place, Installation> = known.into_iter().map(|known| (known.place, known)).collect();
    let locations: HashMap<Place, Location> = installations::locations(tx, &places).await?.into_iter().collect();
    let tags = tags::read(tx, &places).await?;
    let now = store::now(&mut **tx).await?;
    let view = EventView {
        id: EventId(0),
        kind: Kind::BulkRequested,
        source: Source::Operator,
        at: now,
        subject: Subject::Status,
    };
    let mut outlook = Outlook {
        application_id: served.id.0,
        name: rule.name.strip_prefix(BULK).unwrap_or(&rule.name).to_owned(),
        ..Outlook::default()
    };
    for some in places.chunks(KEYS) {
        let asked = some.iter().filter_map(|place| known.get(place)).map(|installation| {
            let place = installation.place;
            let location = locations.get(&place).cloned();
            let location = location.unwrap_or_else(|| Location::unknown(place.location_id));
            (installation, location)
        });
        let asked: Vec<(&Installation, Location)> = asked.collect();
        let facts: Vec<Facts<'_>> = asked
            .iter()
            .map(|(installation, location)| {
                let tags = tags.get(&installation.place).map_or(&[][..], Vec::as_slice);
                Facts::new(&view, installation, location, &served.view, now).with_tags(tags)
            })
            .collect();
        let says: Vec<Decision> = asked
            .iter()
            .zip(&facts)
            .map(|((one, _), facts)| say(rule, one, facts))
            .collect();
        let keys: Vec<String> = says
            .iter()
            .filter_map(|said| match said {
                Decision::Fire { key, .. } => Some(key.clone()),
                Decision::Skip { .. } => None,
            })
            .collect();
        let taken: HashSet<String> = firings::taken(tx, &keys).await?.into_iter().collect();
        for (((_, location), facts), said) in asked.iter().zip(&facts).zip(says) {
            match said {
                Decision::Skip { reason } => outlook.leave_out(reason),
                Decision::Fire { key, .. } if taken.contains(&key) => {
                    outlook.leave_out("done before under this name".to_owned());
                }
                Decision::Fire { .. } => outlook.concern(rule, location, facts),
            }
        }
    }
    let requests: u64 = outlook.requests.values().sum();
    let a_minute = (f64::from(served.limits.per_minute) * UNPROVEN_SHARE).max(1.0);
    outlook.minutes = (requests as f64 / a_minute).ceil() as u64;
    outlook.confirmation = confirmation(rule, outlook.locations.len());
    Ok(outlook)
}

/// What a person has to say.
fn confirmation(rule: &Rule, locations: usize) -> String {
    let actions: Vec<&str> = rule.steps.iter().map(|step| step.action.name()).collect();
    let ending = if locations == 1 { "" } else { "s" };
    format!("{} at {locations} location{ending}", actions.join(", "))
}

fn say(rule: &Rule, installation: &Installation, facts: &Facts<'_>) -> Decision {
    match installation.is_there() {
        true => rules::judge(rule, facts),
        false => Decision::Skip {
            reason: NOT_INSTALLED.to_owned(),
        },
    }
}

impl Outlook {
    fn leave_out(&mut self, reason: String) {
        *self.left_out.entry(reason).or_default() += 1;
    }

    fn concern(&mut self, rule: &Rule, location: &Location, facts: &Facts<'_>) {
        self.locations.push(location.id.0);
        let steps = rules::preview(rule, facts);
        for (step, shown) in rule.steps.iter().zip(&steps) {
            if shown.problem.is_some() {
                // What comes after a step that is given up is cancelled.
                self.given_up += 1;
                break;
            }
            *self.requests.entry(step.action.name()).or_default() += u64::from(step.action.requests());
            if let Action::ReportPayment { amount, currency, .. } = &step.action {
                *self.money.entry(currency.clone()).or_default() += amount;
            }
        }
        if self.first.len() < SHOWN {
            self.first.push(Shown {
                location_id: location.id.0,
                title: location.title.clone(),
                steps,
            });
        }
    }
}
