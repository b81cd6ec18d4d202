//! Webhook addresses of a location by hand: looking, and the repair that the service does.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{At, Desk, Leave, Told};
use crate::{
    app::hooks::Addresses,
    cli::{output::count, table::Table},
    domain::action::Action,
    marketplace::calls::hooks::{self, HookAddress, HookSettings},
    store::{
        jobs::{self, NewJob},
        looks, reading,
    },
};

/// How long a repair is waited for; then its number is told.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked at.
const POLL: Duration = Duration::from_millis(200);

#[derive(Subcommand)]
pub(super) enum Hooks {
    /// Show the addresses, and what each gets.
    Show(At),
    /// Put our address back where it is missing, and take nothing from others.
    Repair(Repair),
}

#[derive(Args)]
pub(super) struct Repair {
    #[command(flatten)]
    at: At,
    /// Also when the addresses of other applications would get something else than now.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    leave: Leave,
}

impl Hooks {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<ExitCode> {
        match self {
            Self::Show(at) => show(desk, *at).await,
            Self::Repair(repair) => repair.run(desk).await,
        }
    }
}

async fn read(desk: &Desk<'_>, at: At) -> Result<(Addresses, HookSettings)> {
    let served = desk.served(at.application)?;
    let settings = desk.ask(served, &hooks::settings(at.place().location_id)).await?;
    Ok((Addresses::of(desk.app, at.place()), settings))
}

async fn show(desk: &Desk<'_>, at: At) -> Result<ExitCode> {
    let (ours, settings) = read(desk, at).await?;
    let mut table = Table::new(&["whose", "active", "gets", "address"]);
    let mut items = Vec::new();
    for address in &settings.addresses {
        let whose = ours.whose(&address.url);
        let active = if address.active { "yes" } else { "no" };
        table.row([whose.to_owned(), active.to_owned(), gets(address), address.url.clone()]);
        items.push(json!({
            "url": address.url, "whose": whose, "active": address.active, "self_sending": address.self_sending,
            "resources": address.resources,
        }));
    }
    let stand = ours.stand(&settings);
    let mut told = Told::list(items, &table);
    told.json["hooks"] = json!(stand);
    told.text.push_str(match stand {
        looks::Hooks::Registered => "\nEvents of this location come to us.",
        looks::Hooks::Former => "\nEvents of this location come to us by an address of the former hook secret.",
        looks::Hooks::Missing | looks::Hooks::Refused => "\nEvents of this location do not come to us.",
    });
    desk.tell(&told)
}

/// What an address gets, in few words.
fn gets(address: &HookAddress) -> String {
    let (on, off): (Vec<_>, Vec<_>) = address.resources.iter().partition(|(_, sent)| **sent);
    let names = |list: &[(&String, &bool)]| {
        let names: Vec<&str> = list.iter().map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    };
    match (on.len(), off.len()) {
        (0, _) => "nothing".to_owned(),
        (_, 0) => "everything".to_owned(),
        (some, few) if few < some => format!("all but {}", names(&off)),
        _ => names(&on),
    }
}

impl Repair {
    async fn run(&self, desk: &Desk<'_>) -> Result<ExitCode> {
        if !self.leave.yes {
            return self.preview(desk).await;
        }
        let served = desk.served(self.at.application)?;
        let action = Action::RepairHooks { force: self.force };
        let pool = &desk.app.pool;
        let id = jobs::enqueue_alone(pool, &NewJob::hooks_repair(self.at.place(), &action)).await?;
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let found = reading::jobs::show(pool, id.0).await?;
            let ended = found.filter(|found| found.job.finished_at.is_some());
            if let Some(ended) = ended {
                return tell_end(desk, &ended.job);
            }
            tokio::time::sleep(POLL).await;
        }
        desk.tell(&Told::new(
            json!({"job_id": id, "state": "available", "application_id": served.id}),
            format!("Job {id} is queued, and nobody has ended it yet: `bellhop jobs show {id}` tells how it goes."),
        ))
    }

    /// What would be written, as things stand now.
    async fn preview(&self, desk: &Desk<'_>) -> Result<ExitCode> {
        let (ours, settings) = read(desk, self.at).await?;
        let (json, text) = match ours.repair(&settings) {
            Ok(None) => (
                json!({}),
                "Our address is there already; nothing would be written.".to_owned(),
            ),
            Err(full) => (
                json!({"problem": full.to_string()}),
                format!("Nothing would be written: {full}."),
            ),
            Ok(Some(merge)) => {
                let disturbed: Vec<String> = merge.disturbed.iter().map(ToString::to_string).collect();
                let mut lines = vec![format!(
                    "Would write {} in all: ours, and {} of others.",
                    count(merge.urls.len(), "URL"),
                    merge.urls.len() - 1
                )];
                if !merge.removed.is_empty() {
                    lines.push("An address of the former hook secret would go.".to_owned());
                }
                lines.extend(disturbed.iter().map(|one| format!("  {one}")));
                if !disturbed.is_empty() && !self.force {
                    lines.push("So nothing would be written without --force.".to_owned());
                }
                let json = json!({
                    "addresses": merge.urls.len(), "removed": merge.removed.len(), "changed_for_others": disturbed,
                });
                (json, lines.join("\n"))
            }
        };
        desk.tell(&Told::new(
            json!({"sent": false, "hooks": ours.stand(&settings), "would_write": json}),
            format!("{text}\nNothing was written; --yes does it."),
        ))?;
        Ok(ExitCode::from(2))
    }
}

fn tell_end(desk: &Desk<'_>, job: &reading::jobs::Job) -> Result<ExitCode> {
    let result = job.result.clone().unwrap_or_default();
    let text = match (job.state.as_str(), &result["repaired"]) {
        ("completed", Value::Bool(true)) => "Repaired: events of this location come to us again.".to_owned(),
        ("completed", _) => "Our address was there already; nothing was written.".to_owned(),
        _ => {
            let why = job.last_error.as_deref().unwrap_or("no reason is known");
            format!("Not repaired: {why}")
        }
    };
    let json = json!({"job_id": job.id, "state": job.state, "result": result, "error": job.last_error});
    desk.tell(&Told::new(json, text))?;
    Ok(match job.state.as_str() {
        "completed" => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}
