//! Telephony by hand: the line, and the calls that the marketplace knows of.

use std::process::ExitCode;

use anyhow::Result;
use chrono::NaiveDate;
use clap::{Args, Subcommand, builder::PossibleValuesParser};
use secrecy::SecretString;
use serde_json::json;

use super::{At, Desk, Leave, Told, or_empty};
use crate::{
    cli::{Misused, table::Table},
    config::value::Secret,
    domain::phone_call::Direction,
    marketplace::calls::telephony::{self, Filter},
};

/// The ends of calls that the marketplace knows (contract V2).
const STATUSES: [&str; 7] = [
    "success",
    "missed",
    "cancel",
    "busy",
    "notallowed",
    "notavailable",
    "notfound",
];

#[derive(Args)]
pub(super) struct Calls {
    #[command(flatten)]
    at: At,
    /// First day, such as 2026-06-01.
    #[arg(long, value_name = "DAY")]
    from: NaiveDate,
    /// Last day.
    #[arg(long, value_name = "DAY")]
    to: NaiveDate,
    /// Only of this caller.
    #[arg(long, value_name = "NUMBER")]
    phone: Option<String>,
    /// Only in this direction; may be said several times.
    #[arg(long, value_parser = PossibleValuesParser::new(Direction::ALL.iter().map(|one| one.as_str())))]
    direction: Vec<String>,
    /// Only with this end; may be said several times.
    #[arg(long, value_parser = PossibleValuesParser::new(STATUSES))]
    status: Vec<String>,
    /// Which page.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    page: u32,
    /// Calls on a page.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: u32,
    /// Send the filter as the body of the request too, as the marketplace's documents show it.
    #[arg(long)]
    in_body: bool,
}

impl Calls {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<ExitCode> {
        let served = desk.served(self.at.application)?;
        if self.from > self.to {
            return Err(Misused("--from is later than --to. Remedy: the other way round".to_owned()).into());
        }
        let filter = Filter {
            location_id: self.at.place().location_id,
            from: self.from,
            to: self.to,
            phone: self.phone.clone(),
            directions: self
                .direction
                .iter()
                .filter_map(|word| Direction::parse(word))
                .collect(),
            statuses: self.status.clone(),
            page: Some((self.page, self.limit)),
        };
        let found = desk.ask(served, &telephony::calls(&filter, self.in_body)).await?;
        let mut table = Table::new(&[
            "call",
            "at",
            "direction",
            "phone",
            "status",
            "seconds",
            "client",
            "recording",
        ]);
        let mut items = Vec::new();
        for call in found {
            let at = call
                .started_at
                .map(|at| at.wall_clock().format("%Y-%m-%d %H:%M:%S").to_string());
            table.row([
                or_empty(call.id.as_ref()),
                or_empty(at.as_ref()),
                or_empty(call.direction.as_ref()),
                or_empty(call.phone.as_ref()),
                or_empty(call.status.as_ref()),
                or_empty(call.duration_seconds.as_ref()),
                or_empty(call.client_id.as_ref()),
                or_empty(call.recording.as_ref()),
            ]);
            items.push(json!({
                "id": call.id, "started_at": at, "direction": call.direction, "phone": call.phone,
                "status": call.status, "duration_seconds": call.duration_seconds, "client_id": call.client_id,
                "recording_url": call.recording,
            }));
        }
        desk.tell(&Told::list(items, &table))
    }
}

#[derive(Subcommand)]
pub(super) enum Voip {
    /// Turn the line on: what is told of calls counts from now on.
    Enable(Line),
    /// Turn the line off: what is told of calls, the marketplace accepts and forgets.
    Disable(Line),
}

#[derive(Args)]
pub(super) struct Line {
    /// Number of the application.
    application: i64,
    /// Name of the telephony system in the configuration.
    system: String,
    #[command(flatten)]
    leave: Leave,
}

impl Voip {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<ExitCode> {
        let (line, enabled) = match self {
            Self::Enable(line) => (line, true),
            Self::Disable(line) => (line, false),
        };
        let served = desk.served(line.application)?;
        let systems = &served.config.telephony;
        let Some(system) = systems.iter().find(|system| system.name == line.system) else {
            let names: Vec<&str> = systems.iter().map(|system| system.name.as_str()).collect();
            let remedy = match names.is_empty() {
                true => "add [[application.telephony]] to the configuration".to_owned(),
                false => format!("one of {}", names.join(", ")),
            };
            return Err(Misused(format!("there is no telephony `{}`. Remedy: {remedy}", line.system)).into());
        };
        let token = system.crm_token.as_ref().map_or("", Secret::expose);
        let call = telephony::setup(&SecretString::from(token), enabled);
        desk.change(served, line.leave, Ok(call)).await
    }
}
