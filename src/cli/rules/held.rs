//! `bellhop rules held`: what waits because a rule has fired as often as its cap allows. Works beside a running
//! service and without one.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::of_configuration;
use crate::{
    app::steps,
    cli::{
        ConfigFile, Misused,
        output::{count, tell},
        reading::explained,
        service::Database,
        table::Table,
    },
    domain::ids::ApplicationId,
    store::{PgPool, holds},
};

#[derive(Args)]
pub(super) struct Held {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// As JSON, with the fields of the API.
    #[arg(long)]
    json: bool,
    /// At most so many.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
}

#[derive(Subcommand)]
enum Verb {
    /// Do what a rule wanted, the oldest first.
    Release(Which),
    /// Give up what a rule wanted. It will not fire for these occurrences again.
    Drop(Which),
}

#[derive(Args)]
struct Which {
    /// The rule.
    rule: String,
    /// Of which application. May be left out when there is one.
    #[arg(long, value_name = "NUMBER")]
    application: Option<i64>,
    /// At most so many; all of them unless told.
    #[arg(long, value_name = "NUMBER", default_value_t = i64::MAX, hide_default_value = true, value_parser = clap::value_parser!(i64).range(1..))]
    limit: i64,
}

impl Held {
    pub(super) async fn run(self, config: &ConfigFile) -> Result<ExitCode> {
        let config = config.load()?;
        let of = |which: &Which| -> Result<ApplicationId> {
            match (which.application, config.applications.as_slice()) {
                (Some(id), _) => Ok(ApplicationId(id)),
                (None, [only]) => Ok(only.id),
                (None, _) => {
                    Err(Misused("there are several applications: name one with --application".to_owned()).into())
                }
            }
        };
        match &self.verb {
            None => {
                let database = Database::visit(&config).await?;
                let page = database
                    .with_pool(async |pool: &PgPool| {
                        holds::list(pool, None, (self.limit, None)).await.map_err(explained)
                    })
                    .await?;
                if self.json {
                    return tell(&json!(page).to_string());
                }
                table(&page.items).print()?;
                Ok(ExitCode::SUCCESS)
            }
            Some(Verb::Release(which)) => {
                let application = of(which)?;
                let sets = of_configuration(&config)?;
                let set = sets.iter().find(|(id, _)| *id == application);
                let rule = set.and_then(|(_, set)| set.rules().iter().find(|rule| rule.name == which.rule));
                let Some(rule) = rule else {
                    let what = format!(
                        "application {application} has no rule `{}`, so nobody knows its steps; give up what it holds with \
                         `bellhop rules held drop {}`, or put it back",
                        which.rule, which.rule
                    );
                    return Err(Misused(what).into());
                };
                let attempts = config.jobs.max_attempts;
                let database = Database::visit(&config).await?;
                let released = database
                    .with_pool(async |pool: &PgPool| {
                        let release = steps::release(pool, (application, rule), which.limit, attempts);
                        release.await.map_err(explained)
                    })
                    .await?;
                tell(&format!("Released: {}.", count(usize::try_from(released)?, "firing")))
            }
            Some(Verb::Drop(which)) => {
                let application = of(which)?;
                let database = Database::visit(&config).await?;
                let dropped = database
                    .with_pool(async |pool: &PgPool| {
                        let dropping = holds::drop_held(pool, (application, &which.rule), which.limit);
                        dropping.await.map_err(explained)
                    })
                    .await?;
                tell(&format!("Given up: {}.", count(usize::try_from(dropped)?, "firing")))
            }
        }
    }
}

fn table(items: &[holds::Held]) -> Table<7> {
    let mut table = Table::new(&[
        "firing",
        "held since",
        "application",
        "location",
        "rule",
        "kind",
        "event",
    ]);
    for item in items {
        table.row([
            item.firing_id.to_string(),
            item.held_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            item.application_id.to_string(),
            item.location_id.to_string(),
            item.rule.clone(),
            item.kind.clone(),
            item.event_id.to_string(),
        ]);
    }
    table
}
