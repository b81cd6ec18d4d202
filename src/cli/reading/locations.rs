use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::{Look, events, how_many, jobs, ledger, stamp, time, words};
use crate::{
    cli::{
        sheet::{Sheet, one_line},
        table::{Table, or_dash},
    },
    domain::installation::Status,
    store::{
        PgPool,
        looks::Hooks,
        reading::locations::{self, Detail, Filter, Location},
    },
};

#[derive(Args)]
pub(in crate::cli) struct Locations {
    #[command(flatten)]
    look: Look,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Installations, by application and location.
    List {
        /// Of one application.
        #[arg(long, value_name = "NUMBER")]
        application: Option<i64>,
        /// In one status.
        #[arg(long, value_parser = words(Status::ALL.iter().map(|status| status.as_str())))]
        status: Option<String>,
        /// Part of the name, or the number.
        #[arg(long, value_name = "TEXT")]
        q: Option<String>,
        /// Active ones whose webhook settings said so when they were last read.
        #[arg(long, value_parser = words(Hooks::ALL.iter().map(|hooks| hooks.as_str())))]
        hooks: Option<String>,
        /// At most so many.
        #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = how_many())]
        limit: i64,
    },
    /// One installation: status, history, payments, ledger, firings, jobs, events.
    Show {
        /// Number of the application.
        application: i64,
        /// Number of the location.
        location: i64,
    },
}

impl Locations {
    pub(in crate::cli) async fn run(self) -> Result<ExitCode> {
        let look = self.look;
        match self.verb {
            Verb::Show { application, location } => {
                let found = look
                    .at(async |pool: &PgPool| locations::show(pool, application, location).await)
                    .await?;
                let what = format!("application {application} at location {location}");
                look.show(found, &what, sheet)
            }
            Verb::List {
                application,
                status,
                q,
                hooks,
                limit,
            } => {
                let filter = Filter {
                    application,
                    location: None,
                    status,
                    q,
                    hooks,
                    after: None,
                    limit,
                };
                let page = look
                    .at(async |pool: &PgPool| locations::list(pool, &filter).await)
                    .await?;
                look.list(&page, table)
            }
        }
    }
}

fn table(items: &[Location]) -> Table<8> {
    let mut table = Table::new(&[
        "application",
        "location",
        "title",
        "status",
        "generation",
        "trial ends",
        "paid until",
        "connection",
    ]);
    for item in items {
        table.row([
            item.application_id.to_string(),
            item.location_id.to_string(),
            or_dash(item.title.as_ref()),
            or_dash(item.status.as_ref()),
            item.generation.to_string(),
            time(item.trial_ends_at),
            time(item.paid_until),
            or_dash(item.connection.as_ref()),
        ]);
    }
    table
}

fn sheet(found: &Detail) -> Sheet {
    let item = &found.installation;
    let title = item
        .title
        .as_ref()
        .map_or_else(String::new, |title| format!(" \"{title}\""));
    let mut sheet = Sheet::new(&format!(
        "Application {} at location {}{title}",
        item.application_id, item.location_id
    ));
    let status = item.status.as_deref().unwrap_or("not known yet");
    let since = item
        .status_since
        .map_or_else(String::new, |since| format!(" since {}", stamp(since)));
    sheet.field("status", Some(format!("{status}{since}")));
    sheet.field("generation", Some(item.generation));
    sheet.field("connection", item.connection.as_ref());
    sheet.field("", item.connection_message.as_ref());
    sheet.field("webhooks", item.hooks.as_ref());
    sheet.field("connected", item.connected_at.map(stamp));
    sheet.field("activated", item.activated_at.map(stamp));
    sheet.field("trial ends", item.trial_ends_at.map(stamp));
    sheet.field("paid until", item.paid_until.map(stamp));
    sheet.field("has paid", Some(if item.has_paid { "yes" } else { "no" }));
    marks(&mut sheet, found);
    let mut history = Table::new(&["at", "from", "to", "generation", "learnt from", "event"]);
    for step in &found.history {
        history.row([
            stamp(step.at),
            step.from.clone(),
            step.to.clone(),
            step.generation.to_string(),
            step.source.clone(),
            step.event_id.to_string(),
        ]);
    }
    sheet.table("History", &history);
    sheet.begin("Payments");
    for payment in &found.payments {
        sheet.block(2, &one_line(payment));
    }
    if found.payments.is_empty() {
        sheet.block(2, "none");
    }
    sheet.table("Ledger, newest first", &ledger::of_location(&found.ledger));
    sheet.table("Firings, newest first", &firings(found));
    sheet.table("Jobs, newest first", &jobs::of_location(&found.jobs));
    sheet.table("Events, newest first", &events::of_location(&found.events));
    sheet.json("The place", found.location.as_ref());
    sheet
}

/// What was set by rules, and what was taken away.
fn marks(sheet: &mut Sheet, found: &Detail) {
    let tags: Vec<&str> = found.tags.iter().map(|tag| tag.tag.as_str()).collect();
    sheet.field("tags", (!tags.is_empty()).then(|| tags.join(", ")));
    for erasure in &found.erasures {
        let (before, at, by) = (
            stamp(erasure.erased_before),
            stamp(erasure.erased_at),
            &erasure.asked_by,
        );
        sheet.field(
            "erased",
            Some(format!("personal data before {before}, at {at}, by {by}")),
        );
    }
}

fn firings(found: &Detail) -> Table<8> {
    let mut table = Table::new(&[
        "id",
        "fired",
        "rule",
        "result",
        "kind",
        "event",
        "generation",
        "results",
    ]);
    for firing in &found.firings {
        table.row([
            firing.id.to_string(),
            stamp(firing.fired_at),
            firing.rule.clone(),
            firing.result.clone(),
            firing.kind.clone(),
            firing.event_id.to_string(),
            firing.generation.to_string(),
            one_line(&firing.results),
        ]);
    }
    table
}
