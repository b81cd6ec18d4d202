//! `bellhop locations|events|jobs`: what the API shows, for a terminal. They read the database
//! directly, so they work while the service is down.

use std::process::ExitCode;

use anyhow::Result;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    ConfigFile, Misused,
    service::Database,
    table::{Table, or_dash},
};
use crate::store::{PgPool, reading};

#[derive(Args)]
struct Look {
    #[command(flatten)]
    config: ConfigFile,
    /// As JSON, with the fields of the API.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Locations {
    #[command(flatten)]
    look: Look,
    #[command(subcommand)]
    verb: LocationsVerb,
}

#[derive(Subcommand)]
enum LocationsVerb {
    /// Installations, by application and location.
    List {
        /// Of one application.
        #[arg(long)]
        application: Option<i64>,
        /// In one status: pending, active, frozen, uninstalled.
        #[arg(long)]
        status: Option<String>,
        /// Part of the name, or the number.
        #[arg(long)]
        q: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
    /// One installation: status, history, events, firings, jobs.
    Show {
        /// Number of the application.
        application: i64,
        /// Number of the location.
        location: i64,
    },
}

#[derive(Args)]
pub(super) struct Events {
    #[command(flatten)]
    look: Look,
    #[command(subcommand)]
    verb: EventsVerb,
}

#[derive(Subcommand)]
enum EventsVerb {
    /// Events, newest first.
    List {
        /// Of one application.
        #[arg(long)]
        application: Option<i64>,
        /// Of one location.
        #[arg(long)]
        location: Option<i64>,
        /// Of one kind, such as record.updated.
        #[arg(long)]
        kind: Option<String>,
        /// In one state: received, processed, failed, rejected, quarantined.
        #[arg(long)]
        state: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
    /// One event: what came, and what was decided about it, with reasons.
    Show {
        /// Number of the event.
        id: i64,
    },
}

#[derive(Args)]
pub(super) struct Jobs {
    #[command(flatten)]
    look: Look,
    #[command(subcommand)]
    verb: JobsVerb,
}

#[derive(Subcommand)]
enum JobsVerb {
    /// Jobs, newest first.
    List {
        /// Of one application.
        #[arg(long)]
        application: Option<i64>,
        /// Of one location.
        #[arg(long)]
        location: Option<i64>,
        /// In one state: available, running, completed, discarded, cancelled.
        #[arg(long)]
        state: Option<String>,
        /// Of one action, such as set_discount.
        #[arg(long)]
        action: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
    /// One job: every attempt with requests and answers.
    Show {
        /// Number of the job.
        id: i64,
    },
}

impl Look {
    /// Opens the database, looks, and closes it.
    async fn at<T>(&self, look: impl AsyncFnOnce(&PgPool) -> Result<T>) -> Result<T> {
        let config = self.config.load()?;
        let database = Database::visit(&config).await?;
        let pool = database.pool().await?;
        let result = look(&pool).await;
        pool.close().await;
        database.close().await?;
        result
    }

    fn show(&self, thing: &impl Serialize) -> Result<ExitCode> {
        let text = if self.json {
            serde_json::to_string(thing)?
        } else {
            toml_like(&serde_json::to_value(thing)?)
        };
        println!("{text}");
        Ok(ExitCode::SUCCESS)
    }
}

/// Details for people: one line a field, lists one line an item, bodies as they are.
fn toml_like(value: &serde_json::Value) -> String {
    let serde_json::Value::Object(fields) = value else {
        return value.to_string();
    };
    let mut lines = Vec::new();
    for (name, value) in fields {
        match value {
            serde_json::Value::Null => {}
            serde_json::Value::String(text) => lines.push(format!("{name:<20} {text}")),
            serde_json::Value::Array(items) if items.is_empty() => {}
            serde_json::Value::Array(items) => {
                lines.push(format!("{name}:"));
                lines.extend(items.iter().map(|item| format!("  - {item}")));
            }
            other => lines.push(format!("{name:<20} {other}")),
        }
    }
    lines.join("\n")
}

fn time(at: Option<DateTime<Utc>>) -> String {
    or_dash(at.map(|at| at.format("%Y-%m-%d %H:%M:%S")))
}

fn none(what: &str) -> anyhow::Error {
    Misused(format!("there is no {what}")).into()
}

impl Locations {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let look = self.look;
        match self.verb {
            LocationsVerb::Show { application, location } => {
                let found = look
                    .at(async |pool: &PgPool| Ok(reading::locations::show(pool, application, location).await?))
                    .await?;
                look.show(&found.ok_or_else(|| none(&format!("application {application} at location {location}")))?)
            }
            LocationsVerb::List {
                application,
                status,
                q,
                limit,
            } => {
                let filter = reading::locations::Filter {
                    application,
                    status,
                    q,
                    after: None,
                    limit,
                };
                let page = look
                    .at(async |pool: &PgPool| Ok(reading::locations::list(pool, &filter).await?))
                    .await?;
                if look.json {
                    return look.show(&page);
                }
                let headings = [
                    "application",
                    "location",
                    "title",
                    "status",
                    "generation",
                    "trial ends",
                    "paid until",
                    "connection",
                ];
                let mut table = Table::new(&headings);
                for item in page.items {
                    table.row([
                        item.application_id.to_string(),
                        item.location_id.to_string(),
                        or_dash(item.title),
                        or_dash(item.status),
                        item.generation.to_string(),
                        time(item.trial_ends_at),
                        time(item.paid_until),
                        or_dash(item.connection),
                    ]);
                }
                table.print()?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl Events {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let look = self.look;
        match self.verb {
            EventsVerb::Show { id } => {
                let found = look
                    .at(async |pool: &PgPool| Ok(reading::events::show(pool, id).await?))
                    .await?;
                look.show(&found.ok_or_else(|| none(&format!("event {id}")))?)
            }
            EventsVerb::List {
                application,
                location,
                kind,
                state,
                limit,
            } => {
                let filter = reading::events::Filter {
                    application,
                    location,
                    kind,
                    state,
                    limit,
                    ..Default::default()
                };
                let page = look
                    .at(async |pool: &PgPool| Ok(reading::events::list(pool, &filter).await?))
                    .await?;
                if look.json {
                    return look.show(&page);
                }
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
                for item in page.items {
                    table.row([
                        item.id.to_string(),
                        time(Some(item.received_at)),
                        item.application_id.to_string(),
                        or_dash(item.location_id),
                        item.kind,
                        item.source,
                        item.state,
                        item.reason.unwrap_or_default(),
                    ]);
                }
                table.print()?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl Jobs {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let look = self.look;
        match self.verb {
            JobsVerb::Show { id } => {
                let found = look
                    .at(async |pool: &PgPool| Ok(reading::jobs::show(pool, id).await?))
                    .await?;
                look.show(&found.ok_or_else(|| none(&format!("job {id}")))?)
            }
            JobsVerb::List {
                application,
                location,
                state,
                action,
                limit,
            } => {
                let filter = reading::jobs::Filter {
                    application,
                    location,
                    state,
                    action,
                    limit,
                    ..Default::default()
                };
                let page = look
                    .at(async |pool: &PgPool| Ok(reading::jobs::list(pool, &filter).await?))
                    .await?;
                if look.json {
                    return look.show(&page);
                }
                let mut table = Table::new(&[
                    "id",
                    "created",
                    "application",
                    "location",
                    "rule",
                    "action",
                    "state",
                    "attempts",
                    "error",
                ]);
                for item in page.items {
                    table.row([
                        item.id.to_string(),
                        time(Some(item.created_at)),
                        item.application_id.to_string(),
                        item.location_id.to_string(),
                        or_dash(item.rule),
                        item.action,
                        item.state,
                        format!("{}/{}", item.attempts, item.max_attempts),
                        item.last_error.unwrap_or_default(),
                    ]);
                }
                table.print()?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
