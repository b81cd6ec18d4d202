//! `bellhop reconcile`: compare with the marketplace now, show what would be found, or plan how long it takes.

mod plan;

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::{Value, json};

use super::{
    ConfigFile, Misused,
    output::{count, tell},
    reading::explained,
    service::with_app,
    table::Table,
    terminal::Progress,
};
use crate::{
    app::{App, line::Failure, served::Served},
    domain::ids::LocationId,
    store::{self, reconciliations},
    workers::{Step, reconciler},
};

/// How often a round that somebody else works on is looked at.
const POLL: Duration = Duration::from_millis(500);

#[derive(Args)]
pub(super) struct Reconcile {
    #[command(flatten)]
    config: ConfigFile,
    /// Only of one application.
    #[arg(long, value_name = "NUMBER")]
    application: Option<i64>,
    /// Show what differs, and write nothing.
    #[arg(long, conflicts_with = "plan")]
    dry_run: bool,
    /// Show how long a round takes with the requests it may use. Nothing is asked of the marketplace.
    #[arg(long)]
    plan: bool,
    /// Plan for so many locations instead of those that are connected.
    #[arg(long, value_name = "NUMBER", requires = "plan")]
    locations: Option<u64>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Reconcile {
    pub(super) async fn run(self) -> Result<ExitCode> {
        with_app(self.config.load()?, async |app: &App| self.with(app).await).await
    }

    async fn with(&self, app: &App) -> Result<ExitCode> {
        let served: Vec<&Served> = app
            .all_served()
            .filter(|served| self.application.is_none_or(|wanted| served.id.0 == wanted))
            .collect();
        if let (Some(wanted), true) = (self.application, served.is_empty()) {
            return Err(Misused(format!("no application {wanted} is configured")).into());
        }
        match (self.plan, self.dry_run) {
            (true, _) => plan::show(app, &served, self.locations, self.json).await,
            (false, true) => self.preview(app, &served).await,
            (false, false) => self.now(app, &served).await,
        }
    }

    /// Rounds of the service and of this command share their work: whoever has the lease goes on with it.
    async fn now(&self, app: &App, served: &[&Served]) -> Result<ExitCode> {
        let began = store::now(&app.pool).await?;
        for served in served {
            reconciliations::ask(&app.pool, served.id).await.map_err(explained)?;
        }
        let mut items = Vec::new();
        let mut fine = true;
        for served in served {
            let item = round(app, served, began, &Progress::begin("Comparing")).await?;
            fine &= item["complete"] == true;
            items.push(item);
        }
        self.print(&items)?;
        Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn preview(&self, app: &App, served: &[&Served]) -> Result<ExitCode> {
        let mut items = Vec::new();
        let mut fine = true;
        for served in served {
            let mut differences = Vec::new();
            let mut problems = Vec::new();
            let progress = Progress::begin("Comparing");
            let mut looked = 0;
            let compared = reconciler::preview(app, served, |location_id, found| {
                looked += 1;
                progress.say(|| format!("{looked} locations"));
                match found {
                    Ok(kinds) => {
                        differences.extend(kinds.into_iter().map(|kind| difference(location_id, &kind.to_string())))
                    }
                    Err(error) => problems.push(format!("location {location_id}: {error}")),
                }
            });
            let compared = compared.await.map_err(|failure| failed(served, &failure))?;
            fine &= problems.is_empty();
            items.push(json!({
                "application_id": served.id, "looked": compared, "complete": problems.is_empty(),
                "differences": differences, "problems": problems,
            }));
        }
        self.print(&items)?;
        Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn print(&self, items: &[Value]) -> Result<ExitCode> {
        if self.json {
            return tell(&json!({"items": items, "next_cursor": null}).to_string());
        }
        let mut lines = Vec::new();
        for item in items {
            let differences = item["differences"].as_array().map_or(&[][..], Vec::as_slice);
            let looked = usize::try_from(item["looked"].as_u64().unwrap_or(0)).unwrap_or(0);
            lines.push(format!(
                "Application {}: looked at {}, found {}.",
                item["application_id"],
                count(looked, "location"),
                count(differences.len(), "difference")
            ));
            let mut table = Table::new(&["location", if self.dry_run { "would become" } else { "became" }]);
            for difference in differences {
                let kind = difference["kind"].as_str().unwrap_or_default().to_owned();
                table.row([difference["location_id"].to_string(), kind]);
            }
            if !table.is_empty() {
                lines.extend(table.lines());
            }
            let problems = item["problems"].as_array().map_or(&[][..], Vec::as_slice);
            lines.extend(problems.iter().filter_map(Value::as_str).map(str::to_owned));
        }
        if self.dry_run {
            lines.push("Nothing was written.".to_owned());
        }
        tell(&lines.join("\n"))
    }
}

fn difference(location_id: LocationId, kind: &str) -> Value {
    json!({"location_id": location_id, "kind": kind})
}

/// Works on the round that was asked for until it is over, whoever ends it.
async fn round(app: &App, served: &Served, began: DateTime<Utc>, progress: &Progress) -> Result<Value> {
    loop {
        let worked = reconciler::go_on(app, served).await?;
        let last = reconciliations::last(&app.pool, served.id).await?;
        let Some(last) = last.filter(|last| last.begun_at.is_some_and(|begun| begun >= began)) else {
            tokio::time::sleep(POLL).await;
            continue;
        };
        progress.say(|| {
            format!(
                "application {}: looked at {} of {}",
                served.id, last.looked, last.listed
            )
        });
        let rests = worked == Step::Idle && last.error.is_some();
        if last.is_over || rests {
            let found = reconciliations::found_since(&app.pool, served.id, began).await?;
            let differences: Vec<Value> = found
                .iter()
                .map(|(location, kind)| difference(*location, kind))
                .collect();
            return Ok(json!({
                "application_id": served.id, "listed": last.listed, "looked": last.looked,
                "complete": last.is_over && last.is_complete, "differences": differences,
                "problems": last.error.into_iter().collect::<Vec<String>>(),
            }));
        }
        if worked == Step::Idle {
            tokio::time::sleep(POLL).await;
        }
    }
}

fn failed(served: &Served, failure: &Failure) -> anyhow::Error {
    anyhow::anyhow!("application {}: {failure}", served.id)
}
