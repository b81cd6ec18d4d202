use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::{
    ConfigFile, Misused, output::tell, reading::explained, service::Database, table::Table, terminal::Progress,
};
use crate::{
    domain::{
        ids::{ApplicationId, LocationId, Place},
        installation::Status,
    },
    store::{
        self, PgPool,
        erasing::{self, AskedBy, Extent, Known, Order},
        jobs::{self, Cancel},
    },
};

#[derive(Args)]
pub(super) struct Erase {
    #[command(flatten)]
    config: ConfigFile,
    /// Number of the application.
    #[arg(long, value_name = "NUMBER")]
    application: i64,
    /// Number of the location.
    #[arg(long, value_name = "NUMBER")]
    location: i64,
    /// Do it. Without this, what would go is only counted.
    #[arg(long)]
    yes: bool,
    /// Even while the location is connected: what it sends from now on is stored again.
    #[arg(long)]
    connected: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Erase {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let config = self.config.load()?;
        let database = Database::visit(&config).await?;
        database.with_pool(async |pool: &PgPool| self.at(pool).await).await
    }

    async fn at(&self, pool: &PgPool) -> Result<ExitCode> {
        let place = Place {
            application_id: ApplicationId(self.application),
            location_id: LocationId(self.location),
        };
        let known = erasing::known(pool, place).await.map_err(explained)?;
        if known.status.is_none() && known.extent.is_empty() {
            let Self {
                application, location, ..
            } = self;
            return Err(Misused(format!(
                "nothing is known of application {application} at location {location}"
            ))
            .into());
        }
        if !self.yes {
            self.show(&known, &known.extent)?;
            // As of every command that would have changed something: a script that forgot --yes must not go on.
            return Ok(ExitCode::from(2));
        }
        if let Some(status) = self.in_the_way(&known) {
            return Err(Misused(format!(
                "the location is {status}. Remedy: erase it when it is uninstalled; --connected erases what is there \
                 so far, and what it sends from now on is stored again"
            ))
            .into());
        }
        if !is_connected(&known) {
            let mut tx = pool.begin().await?;
            let which = Cancel::Rules { place, except: &[] };
            jobs::cancel(&mut tx, &which, "the location was erased").await?;
            tx.commit().await?;
        }
        let order = Order {
            place,
            since: None,
            before: store::now(pool).await?,
            asked_by: AskedBy::Operator,
        };
        let progress = Progress::begin("Erasing");
        let gone = erasing::erase(pool, &order, |so_far| {
            progress.say(|| {
                format!(
                    "so far {} events, {} jobs, {} attempts, {} firings",
                    so_far.events, so_far.jobs, so_far.attempts, so_far.firings
                )
            });
        });
        let gone = gone.await?;
        drop(progress);
        let left = erasing::known(pool, place).await?;
        self.show(&left, &gone)
    }

    /// The status that forbids it.
    fn in_the_way<'k>(&self, known: &'k Known) -> Option<&'k str> {
        known
            .status
            .as_deref()
            .filter(|_| is_connected(known) && !self.connected)
    }

    fn show(&self, known: &Known, rows: &Extent) -> Result<ExitCode> {
        let rows = serde_json::to_value(rows)?;
        if self.json {
            return tell(
                &json!({
                    "application_id": self.application, "location_id": self.location, "status": known.status,
                    "erased": self.yes, "rows": rows, "in_use": known.in_use,
                })
                .to_string(),
            );
        }
        let status = known.status.as_deref().unwrap_or("never connected");
        let mut lines = vec![format!(
            "Application {} at location {}: {status}",
            self.application, self.location
        )];
        let done = if self.yes { "erased" } else { "to erase" };
        let mut table = Table::new(&["rows of", done]);
        for (name, count) in rows.as_object().into_iter().flatten() {
            table.row([name.clone(), Value::to_string(count)]);
        }
        lines.extend(table.lines());
        if known.in_use > 0 {
            lines.push(format!(
                "{} events are in use: not judged yet, or a job still needs them. Erase again when that is over.",
                known.in_use
            ));
        }
        if !self.yes {
            if let Some(status) = self.in_the_way(known) {
                lines.push(format!("The location is {status}; only --connected erases it now."));
            }
            lines.push("Nothing was erased; --yes does it.".to_owned());
        }
        lines.push("What stays: status and history of the installation, payments, keys of firings.".to_owned());
        tell(&lines.join("\n"))
    }
}

fn is_connected(known: &Known) -> bool {
    let status = known.status.as_deref().and_then(Status::parse);
    status.is_some_and(|status| status != Status::Uninstalled)
}
