use std::process::ExitCode;

use anyhow::Result;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::{Look, how_many, replay::Replay, stamp, time, took, words};
use crate::{
    cli::{
        sheet::Sheet,
        table::{Table, or_dash},
    },
    domain::event::{Source, State},
    store::{
        PgPool,
        reading::events::{self, Detail, Event, Filter},
    },
};

#[derive(Args)]
pub(in crate::cli) struct Events {
    #[command(flatten)]
    look: Look,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Args)]
struct Which {
    /// Of one application.
    #[arg(long, value_name = "NUMBER")]
    application: Option<i64>,
    /// Of one location.
    #[arg(long, value_name = "NUMBER")]
    location: Option<i64>,
    /// Of one kind, such as record.updated.
    #[arg(long)]
    kind: Option<String>,
    /// Learnt in one way: what no callback told is `--source reconciliation`.
    #[arg(long, value_parser = words(Source::ALL.iter().map(|source| source.as_str())))]
    source: Option<String>,
    /// In one state.
    #[arg(long, value_parser = words(State::ALL.iter().map(|state| state.as_str())))]
    state: Option<String>,
    /// Received at or after, such as 2026-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// Received before.
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
    /// At most so many.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = how_many())]
    limit: i64,
}

#[derive(Subcommand)]
enum Verb {
    /// Events, newest first.
    List(Which),
    /// One event: what came, and what was decided about it, with reasons.
    Show {
        /// Number of the event.
        id: i64,
    },
    /// Have the rules judge events once more, as everything is now.
    Replay(Box<Replay>),
}

impl Events {
    pub(in crate::cli) async fn run(self) -> Result<ExitCode> {
        let look = self.look;
        match self.verb {
            Verb::Show { id } => {
                let found = look.at(async |pool: &PgPool| events::show(pool, id).await).await?;
                look.show(found, &format!("event {id}"), sheet)
            }
            Verb::Replay(replay) => replay.run(&look).await,
            Verb::List(which) => {
                let filter = Filter {
                    application: which.application,
                    location: which.location,
                    kind: which.kind,
                    source: which.source,
                    state: which.state,
                    since: which.since,
                    until: which.until,
                    before: None,
                    limit: which.limit,
                };
                let page = look.at(async |pool: &PgPool| events::list(pool, &filter).await).await?;
                look.list(&page, table)
            }
        }
    }
}

fn table(items: &[Event]) -> Table<8> {
    let mut table = Table::new(&[
        "id",
        "received",
        "application",
        "location",
        "kind",
        "source",
        "state",
        "reason",
    ]);
    for item in items {
        table.row([
            item.id.to_string(),
            stamp(item.received_at),
            item.application_id.to_string(),
            or_dash(item.location_id),
            item.kind.clone(),
            item.source.clone(),
            item.state.clone(),
            item.reason.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// The same where application and location are known.
pub(super) fn of_location(items: &[Event]) -> Table<6> {
    let mut table = Table::new(&["id", "received", "kind", "source", "state", "reason"]);
    for item in items {
        table.row([
            item.id.to_string(),
            stamp(item.received_at),
            item.kind.clone(),
            item.source.clone(),
            item.state.clone(),
            item.reason.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// What a person had done with it.
fn replays(sheet: &mut Sheet, found: &Detail) {
    if found.replays.is_empty() {
        return;
    }
    let mut table = Table::new(&["replay", "asked", "judged", "became", "note"]);
    for replay in &found.replays {
        table.row([
            replay.replay_id.to_string(),
            stamp(replay.asked_at),
            time(replay.judged_at),
            or_dash(replay.became),
            replay.note.clone().unwrap_or_default(),
        ]);
    }
    sheet.table("Replays", &table);
}

fn sheet(found: &Detail) -> Sheet {
    let event = &found.event;
    let mut sheet = Sheet::new(&format!("Event {}: {}", event.id, event.kind));
    sheet.field("application", Some(event.application_id));
    sheet.field("location", event.location_id);
    sheet.field("resource", event.resource_id);
    sheet.field("source", Some(&event.source));
    sheet.field("made of event", found.made_of);
    sheet.field("state", Some(&event.state));
    sheet.field("reason", event.reason.as_ref());
    sheet.field("true since", Some(stamp(found.occurred_at)));
    sheet.field("received", Some(stamp(event.received_at)));
    let judged = |at| format!("{} ({} later)", stamp(at), took(event.received_at, at));
    sheet.field("judged", found.decided_at.map(judged));
    let mut decisions = Table::new(&["rule", "result", "firing", "reason"]);
    for decision in &found.decisions {
        decisions.row([
            decision.rule.clone(),
            match decision.replay_id {
                Some(replay) => format!("{} in replay {replay}", decision.result),
                None => decision.result.clone(),
            },
            or_dash(decision.firing_id),
            decision.reason.clone().unwrap_or_default(),
        ]);
    }
    sheet.table("Decisions", &decisions);
    replays(&mut sheet, found);
    sheet.json("Fact", found.fact.as_ref());
    sheet.json("Headers", found.headers.as_ref());
    match found.body.as_deref() {
        None | Some("") => {}
        Some(body) => match serde_json::from_str::<Value>(body) {
            Ok(json) => sheet.note("Body", &format!("{json:#}")),
            Err(_) => sheet.note("Body (not JSON)", body),
        },
    }
    sheet
}
