use std::process::ExitCode;

use anyhow::Result;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};

use super::{Look, how_many, stamp, words};
use crate::{
    cli::{sheet::one_line, table::Table},
    store::{
        PgPool,
        reading::firings::{self, Filter, Firing, Outcome},
    },
};

#[derive(Args)]
pub(in crate::cli) struct Firings {
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
    /// Of one rule.
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// With one result.
    #[arg(long, value_parser = words(Outcome::ALL.iter().map(|outcome| outcome.as_str())))]
    result: Option<String>,
    /// Fired at or after, such as 2026-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// Fired before.
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
    /// At most so many.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = how_many())]
    limit: i64,
}

#[derive(Subcommand)]
enum Verb {
    /// Firings, newest first; also of rules that are only watched, and such that wait for a person.
    List(Which),
}

impl Firings {
    pub(in crate::cli) async fn run(self) -> Result<ExitCode> {
        let look = self.look;
        let Verb::List(which) = self.verb;
        let filter = Filter {
            application: which.application,
            location: which.location,
            rule: which.rule,
            result: which.result,
            since: which.since,
            until: which.until,
            before: None,
            limit: which.limit,
        };
        let page = look
            .at(async |pool: &PgPool| firings::list(pool, &filter).await)
            .await?;
        look.list(&page, table)
    }
}

fn table(items: &[Firing]) -> Table<9> {
    let mut table = Table::new(&[
        "id",
        "fired",
        "application",
        "location",
        "rule",
        "result",
        "kind",
        "event",
        "results",
    ]);
    for item in items {
        table.row([
            item.id.to_string(),
            stamp(item.fired_at),
            item.application_id.to_string(),
            item.location_id.to_string(),
            item.rule.clone(),
            item.result.clone(),
            item.kind.clone(),
            item.event_id.to_string(),
            one_line(&item.results),
        ]);
    }
    table
}
