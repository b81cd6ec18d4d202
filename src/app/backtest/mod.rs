//! What a rule would have done about the events that are stored. Reads in a transaction that cannot
//! change anything, and calls nobody.

mod replay;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Serialize;

use self::replay::{History, Known, Replay};
use crate::{
    config::Application,
    domain::{
        action::Action,
        event::Kind,
        ids::{ApplicationId, EventId, LocationId},
        moment::Moment,
    },
    rules::{ApplicationView, Preview, Rule, Trigger},
    store::{
        self, PgPool, PgTransaction, installations,
        past::{self, Wanted},
        tags,
    },
};

/// Events read at once.
const PAGE: i64 = 2000;

/// Nothing is written with an event, and what is stored does not tell a silence from a pause of Bellhop itself.
const NO_SILENCE: &str =
    "it is not known when Bellhop itself was away, and what was sent meanwhile would look like silence";

/// A firing that would have been.
#[derive(Debug, Serialize)]
pub struct Would {
    /// Where.
    pub application_id: ApplicationId,
    /// Where.
    pub location_id: LocationId,
    /// When.
    pub at: DateTime<Utc>,
    /// The event; none for a moment that was computed from the dates.
    pub event_id: Option<EventId>,
    /// What it is about.
    pub kind: Kind,
    /// Its firing key.
    pub key: String,
    /// What would have been done.
    pub steps: Vec<Preview>,
}

/// What a rule would have done, where, and at which cost.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The rule.
    pub rule: String,
    /// What it waits for.
    pub on: String,
    /// Why nothing can be said about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cannot: Option<&'static str>,
    /// Events and moments it was asked about.
    pub considered: u64,
    /// How often it would have fired.
    pub fired: u64,
    /// How often a rule of this name really fired for events of this time.
    pub really_fired: i64,
    /// Why it would not have fired, and how often.
    pub skipped: BTreeMap<String, u64>,
    /// Steps that would have been given up, because a text cannot be written.
    pub given_up: u64,
    /// Requests to the marketplace, by action.
    pub requests: BTreeMap<&'static str, u64>,
    /// Payments that would have been reported, by currency.
    pub payments: BTreeMap<String, Decimal>,
    /// Locations whose past is not known from its beginning: conditions saw them as they are now.
    pub seen_as_now: BTreeSet<LocationId>,
    /// The firings that were found first, by time.
    pub firings: Vec<Would>,
    /// How many of these to keep.
    #[serde(skip)]
    most: usize,
}

impl Report {
    fn fire(&mut self, rule: &Rule, would: Would) {
        self.fired += 1;
        for (step, shown) in rule.steps.iter().zip(&would.steps) {
            if shown.problem.is_some() {
                // What comes after a step that is given up is cancelled.
                self.given_up += 1;
                break;
            }
            *self.requests.entry(step.action.name()).or_default() += u64::from(step.action.requests());
            if let Action::ReportPayment { amount, currency, .. } = &step.action {
                *self.payments.entry(currency.clone()).or_default() += amount;
            }
        }
        if self.firings.len() < self.most {
            self.firings.push(would);
        }
    }
}

/// After how many events it is told how many there were.
const TOLD: u64 = 1000;

/// Which time to look at, and how many firings to show.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// From here on.
    pub since: DateTime<Utc>,
    /// Up to here.
    pub until: DateTime<Utc>,
    /// Firings to keep in the report; all are counted.
    pub most: usize,
}

/// Asks a rule about everything that is stored of an application, and tells now and then how many events that
/// were.
///
/// # Errors
/// When the database does not answer.
pub async fn run(
    pool: &PgPool,
    application: &Application,
    rule: &Rule,
    span: Span,
    so_far: impl Fn(u64),
) -> store::Result<Report> {
    let mut tx = past::read_only(pool).await?;
    let known = known(&mut tx, application, span).await?;
    let report = Report {
        rule: rule.name.clone(),
        on: rule.trigger.to_string(),
        really_fired: past::fired(&mut tx, (application.id, &rule.name), (span.since, span.until)).await?,
        most: span.most,
        ..Report::default()
    };
    if let Some(Moment::Silence { .. }) = rule.trigger.moment() {
        return Ok(Report {
            cannot: Some(NO_SILENCE),
            ..report
        });
    }
    let mut replay = Replay::new(rule, &known, application.trial_days, report);
    let kinds = match &rule.trigger {
        Trigger::Entity { resource, change } => Some(past::pattern(&resource.to_string(), &change.to_string())),
        _ => None,
    };
    let wanted = wanted(application.id, (span.since, span.until), kinds);
    let mut seen = 0_u64;
    each(&mut tx, &wanted, |event| {
        seen += 1;
        if seen.is_multiple_of(TOLD) {
            so_far(seen);
        }
        replay.take(event);
    })
    .await?;
    tx.rollback().await?;
    Ok(replay.end())
}

fn wanted(application: ApplicationId, (since, until): (DateTime<Utc>, DateTime<Utc>), kinds: Option<String>) -> Wanted {
    Wanted {
        application,
        since,
        until,
        kinds,
        limit: PAGE,
    }
}

async fn each(
    tx: &mut PgTransaction<'_>,
    wanted: &Wanted,
    mut take: impl FnMut(&store::inbox::Waiting),
) -> store::Result<()> {
    let mut after = EventId(0);
    loop {
        let page = past::next(tx, wanted, after).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.id;
        page.iter().for_each(&mut take);
    }
}

async fn known(tx: &mut PgTransaction<'_>, application: &Application, span: Span) -> store::Result<Known> {
    let now = store::now(&mut **tx).await?;
    let places = past::places(tx, application.id).await?;
    let present = installations::read(tx, &places).await?;
    let present: HashMap<_, _> = present.into_iter().map(|known| (known.place, known)).collect();
    let locations = installations::locations(tx, &places).await?;
    let tags = tags::read(tx, &places).await?;
    let mut history = History::new(application.trial_days);
    each(tx, &wanted(application.id, (now, now), None), |event| {
        history.take(event)
    })
    .await?;
    Ok(Known {
        application: ApplicationView {
            id: application.id,
            name: application.name.clone(),
        },
        since: span.since,
        until: span.until.min(now),
        complete: history.complete(&present),
        present,
        locations: locations.into_iter().collect(),
        tags,
    })
}
