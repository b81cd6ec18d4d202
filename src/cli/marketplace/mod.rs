//! `bellhop marketplace`: calls of the marketplace by hand. Each waits for its turn in the request budget that the
//! service uses too. Payments and refunds are not offered: money moves through the ledger only.

mod changing;
mod dictionaries;
mod hooks;
mod looking;
mod telephony;

use std::{fmt, process::ExitCode, sync::Arc};

use anyhow::{Result, anyhow};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    ConfigFile, Misused,
    output::tell,
    service::{Database, reachable},
    table::Table,
};
use crate::{
    app::{
        App,
        line::{Failure, Line},
        served::Served,
    },
    domain::{
        action::Priority,
        ids::{ApplicationId, LocationId, Place},
    },
    marketplace::{call::Call, calls::LimitError},
};

#[derive(Args)]
pub(super) struct Marketplace {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    config: ConfigFile,
    /// As JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// The locations where an application is connected, as the marketplace lists them.
    #[command(alias = "salons")]
    Locations(looking::Locations),
    /// Where an installation stands for the marketplace: status, payments, log.
    Status(At),
    /// What an application costs when the platform charges for it.
    Tariffs(looking::Tariffs),
    /// A link by which the owner pays through the platform.
    PaymentLink(looking::PaymentLink),
    /// Set the discount of a location for payments through the platform.
    Discount(changing::Discount),
    /// The webhook addresses of a location, of all applications.
    #[command(subcommand)]
    Hooks(hooks::Hooks),
    /// Consent in the name of the owner, as pressing Connect does.
    Grant(changing::Grant),
    /// Show a client's message in the chat of the cabinet.
    Message(changing::Message),
    /// Put a page of the application into the cabinet, or take it out.
    Frame(changing::FramePage),
    /// Draw attention to a page of the application in the cabinet.
    Highlight(changing::Highlight),
    /// Set the names that text messages come from.
    SenderNames(changing::SenderNames),
    /// Say whether a message channel can be used at a location.
    Channel(changing::ChannelState),
    /// Countries with their numbers and codes.
    Countries(dictionaries::Countries),
    /// Cities with their numbers.
    Cities(dictionaries::Cities),
    /// Kinds of business with their numbers.
    BusinessTypes(dictionaries::BusinessTypes),
    /// Telephone calls that the marketplace knows of.
    Calls(telephony::Calls),
    /// Turn the telephone line of a telephony system on or off.
    #[command(subcommand)]
    Voip(telephony::Voip),
}

/// An application at a location.
#[derive(Args, Clone, Copy)]
struct At {
    /// Number of the application.
    application: i64,
    /// Number of the location.
    location: i64,
}

impl At {
    fn place(self) -> Place {
        Place {
            application_id: ApplicationId(self.application),
            location_id: LocationId(self.location),
        }
    }
}

/// Leave to change something.
#[derive(Args, Clone, Copy)]
struct Leave {
    /// Do it. Without this, what would be sent is only shown.
    #[arg(long)]
    yes: bool,
}

/// What a command has to tell, for programs and for people.
struct Told {
    json: Value,
    text: String,
}

impl Told {
    fn new(json: Value, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { json, text }
    }

    fn list<const COLUMNS: usize>(items: Vec<Value>, table: &Table<COLUMNS>) -> Self {
        let text = match table.is_empty() {
            true => "Nothing to show.".to_owned(),
            false => table.lines().join("\n"),
        };
        Self::new(json!({"items": items, "next_cursor": null}), text)
    }
}

/// Where somebody calls from.
struct Desk<'a> {
    app: &'a App,
    json: bool,
}

impl Marketplace {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let config = self.config.load()?;
        let database = Database::visit(&config).await?;
        let app = App::build(config, &database.url, None).map_err(|error| Misused(format!("{error:#}")))?;
        let app = Arc::new(app);
        let done = match reachable(&app.pool).await {
            Ok(()) => self.with(&app).await,
            Err(error) => Err(error),
        };
        app.close().await;
        database.close().await?;
        done
    }

    async fn with(self, app: &App) -> Result<ExitCode> {
        let desk = Desk { app, json: self.json };
        match self.verb {
            Verb::Locations(verb) => verb.run(&desk).await,
            Verb::Status(at) => looking::status(&desk, at).await,
            Verb::Tariffs(verb) => verb.run(&desk).await,
            Verb::PaymentLink(verb) => verb.run(&desk).await,
            Verb::Discount(verb) => verb.run(&desk).await,
            Verb::Hooks(verb) => verb.run(&desk).await,
            Verb::Grant(verb) => verb.run(&desk).await,
            Verb::Message(verb) => verb.run(&desk).await,
            Verb::Frame(verb) => verb.run(&desk).await,
            Verb::Highlight(verb) => verb.run(&desk).await,
            Verb::SenderNames(verb) => verb.run(&desk).await,
            Verb::Channel(verb) => verb.run(&desk).await,
            Verb::Countries(verb) => verb.run(&desk).await,
            Verb::Cities(verb) => verb.run(&desk).await,
            Verb::BusinessTypes(verb) => verb.run(&desk).await,
            Verb::Calls(verb) => verb.run(&desk).await,
            Verb::Voip(verb) => verb.run(&desk).await,
        }
    }
}

impl<'a> Desk<'a> {
    fn served(&self, application: i64) -> Result<&'a Served> {
        let known = || {
            let ids = self.app.all_served().map(|served| served.id.to_string());
            ids.collect::<Vec<String>>().join(", ")
        };
        let served = self.app.served(ApplicationId(application));
        served.ok_or_else(|| {
            Misused(format!(
                "no application {application} is configured. Remedy: one of {}",
                known()
            ))
            .into()
        })
    }

    fn line(&self, served: &'a Served) -> Line<'a> {
        Line::new(self.app, served, Priority::Rule)
    }

    /// Sends a call that only reads, or that harms nobody when it is made twice.
    async fn ask<T>(&self, served: &'a Served, call: &Call<T>) -> Result<T> {
        self.line(served).send(call).await.map_err(|failure| failed(&failure))
    }

    /// Sends a call that changes something, when there is leave to; otherwise shows it.
    async fn change(&self, served: &'a Served, leave: Leave, call: Result<Call<()>, LimitError>) -> Result<ExitCode> {
        let call = call.map_err(Misused::of)?;
        if !leave.yes {
            return self.would_send(&call);
        }
        self.ask(served, &call).await?;
        self.tell(&Told::new(json!({"sent": true, "call": call.name()}), "Done."))
    }

    /// Shows a call instead of making it.
    fn would_send<T>(&self, call: &Call<T>) -> Result<ExitCode> {
        let shown = call.shown();
        let body = match &shown["body"] {
            Value::Null => String::new(),
            body => format!(" {body}"),
        };
        let (method, path) = (bare(&shown["method"]), bare(&shown["path"]));
        self.tell(&Told::new(
            json!({"sent": false, "would_send": shown}),
            format!("Would send: {method} {path}{body}\nNothing was sent; --yes does it."),
        ))?;
        Ok(ExitCode::from(2))
    }

    fn tell(&self, told: &Told) -> Result<ExitCode> {
        match self.json {
            true => tell(&told.json.to_string()),
            false => tell(&told.text),
        }
    }
}

fn bare(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn failed(failure: &Failure) -> anyhow::Error {
    anyhow!("{failure}")
}

/// A word of the marketplace's, as it may stand in a table.
fn or_empty(value: Option<&impl fmt::Display>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}
