use actix_web::http::StatusCode;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    asked::{CURSOR, Numbered, PAGE_LIMIT, limit, named, number, word},
    operation::{Bellhop, Done, Nothing, Operation, order, order_with, read},
};
use crate::{
    app::{
        App,
        replays::{self, Ask, KEY_LENGTH, MOST, Report},
    },
    domain::event::{Source, State},
    store::reading::{
        Page,
        events::{self as reading, Detail, Event, Filter},
    },
    web::operator::{entry::orders, problem::Problem},
};

pub(super) fn operations() -> Vec<Operation> {
    let about = (
        "list_events",
        "Events, newest first. What reconciliation found has `source=reconciliation`.",
    );
    let all = read("/events", about, list);
    let about = (
        "replay_events",
        "Has the events of a filter judged once more; by default only what has not fired.",
    );
    let some = order_with("/events/replay", about, replay_some);
    let about = (
        "show_event",
        "One event: what came, what it says, and for every rule that was considered whether it fired, or why not.",
    );
    let one = read("/events/{id}", about, show);
    let about = (
        "replay_event",
        "Has one event judged once more; by default only what has not fired.",
    );
    let again = order("/events/{id}/replay", about, replay_one);
    let statuses = &[StatusCode::ACCEPTED, StatusCode::OK];
    let some = some.answers(statuses).refuses(&[StatusCode::NOT_FOUND]);
    vec![all, some, one, again.answers(statuses)]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    /// Of one application.
    application: Option<i64>,
    /// Of one location.
    location: Option<i64>,
    /// Of one kind, such as `record.updated`.
    kind: Option<String>,
    /// Learnt in one way.
    #[schemars(with = "Option<Source>")]
    source: Option<String>,
    /// In one state.
    #[schemars(with = "Option<State>")]
    state: Option<String>,
    /// Received at or after.
    since: Option<DateTime<Utc>>,
    /// Received before.
    until: Option<DateTime<Utc>>,
    /// At most so many; 50 unless told.
    #[schemars(range(min = 1, max = PAGE_LIMIT))]
    limit: Option<i64>,
    /// The `next_cursor` of the page before.
    #[schemars(regex(pattern = CURSOR))]
    cursor: Option<String>,
}

async fn list(app: Bellhop, _: Nothing, query: EventsQuery) -> Result<Page<Event>, Problem> {
    word("source", query.source.as_deref(), Source::ALL, Source::as_str)?;
    word("state", query.state.as_deref(), State::ALL, State::as_str)?;
    let filter = Filter {
        application: query.application,
        location: query.location,
        kind: query.kind,
        source: query.source,
        state: query.state,
        since: query.since,
        until: query.until,
        before: number(query.cursor.as_deref())?,
        limit: limit(query.limit)?,
    };
    Ok(reading::list(&*app.readers.look().await?, &filter).await?)
}

async fn show(app: Bellhop, Numbered { id }: Numbered, _: Nothing) -> Result<Detail, Problem> {
    let found = reading::show(&*app.readers.look().await?, id).await?;
    found.ok_or_else(|| unknown(id))
}

fn unknown(id: i64) -> Problem {
    Problem::not_found(format!("There is no event {id}."))
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct ReplayQuery {
    /// Only by this rule.
    rule: Option<String>,
    /// Also where it has fired before.
    force: bool,
    /// Take what was refused as genuine.
    trust: bool,
    /// A name of your own for this request, such as a UUID: when the same comes again, nothing is done.
    #[schemars(length(min = 1, max = KEY_LENGTH))]
    key: Option<String>,
    /// Only tell what it would come to.
    dry_run: bool,
}

async fn replay_one(app: Bellhop, Numbered { id }: Numbered, query: ReplayQuery) -> Result<Done<Report>, Problem> {
    if reading::show(&app.pool, id).await?.is_none() {
        return Err(unknown(id));
    }
    let ask = Ask {
        ids: vec![id],
        rule: query.rule,
        force: query.force,
        trust: query.trust,
        key: query.key,
        ..Ask::default()
    };
    replay(&app, &ask, query.dry_run).await
}

/// What says which events are meant; the other keys say on what terms.
const WHICH: [&str; 8] = [
    "ids",
    "application",
    "location",
    "kind",
    "state",
    "since",
    "until",
    "after",
];

/// Which events, and on what terms. At least one key has to say which.
#[derive(Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
#[schemars(extend("anyOf" = named(&WHICH)))]
struct Replay {
    #[serde(flatten)]
    #[schemars(with = "Ask")]
    ask: Map<String, Value>,
    /// Only tell what it would come to.
    #[serde(default)]
    dry_run: bool,
}

async fn replay_some(app: Bellhop, _: Nothing, body: Replay) -> Result<Done<Report>, Problem> {
    let Replay { ask, dry_run } = body;
    let says = |(key, value): (&String, &Value)| {
        WHICH.contains(&key.as_str()) && !value.is_null() && value.as_array().is_none_or(|ids| !ids.is_empty())
    };
    if !ask.iter().any(says) {
        let detail = format!("Say which events: one of {}.", WHICH.join(", "));
        return Err(Problem::invalid(detail));
    }
    let ask: Ask = serde_json::from_value(ask.into()).map_err(|error| Problem::invalid(error.to_string()))?;
    word("state", ask.state.as_deref(), State::ALL, State::as_str)?;
    if ask.limit.is_some_and(|limit| !(1..=MOST).contains(&limit)) {
        return Err(Problem::invalid(format!("limit: write a number from 1 to {MOST}")));
    }
    replay(&app, &ask, dry_run).await
}

async fn replay(app: &App, ask: &Ask, dry_run: bool) -> Result<Done<Report>, Problem> {
    let is_one = |key: &str| (1..=KEY_LENGTH).contains(&key.chars().count()) && !key.contains('\0');
    if ask.key.as_deref().is_some_and(|key| !is_one(key)) {
        return Err(Problem::invalid(format!(
            "key: write 1 to {KEY_LENGTH} characters, none of them NUL"
        )));
    }
    if let Some(rule) = &ask.rule {
        let rules = app.rulebook.now();
        let mut all = rules.sets().flat_map(|(_, set)| set.rules());
        if !all.any(|known| known.name == *rule) {
            return Err(Problem::not_found(format!("There is no rule `{rule}`.")));
        }
    }
    if dry_run {
        return Ok(Done::now(replays::foresee(app, ask).await?));
    }
    let report = replays::begin(app, ask).await?;
    orders::replay(ask, &report);
    Ok(Done::queued(report))
}
