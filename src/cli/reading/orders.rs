use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::{Look, how_many, words};
use crate::{
    cli::{
        Misused,
        output::{count, tell},
        table::Table,
    },
    domain::{action::ACTION_NAMES, ids::JobId},
    store::{
        self, PgPool,
        jobs::{self, Obeyed, Order},
        reading::jobs::Filter,
    },
};

/// Which jobs, and whether it is meant.
#[derive(Args)]
pub(super) struct Orders {
    /// Numbers of jobs. Without any: those that the options name.
    #[arg(value_name = "NUMBER")]
    ids: Vec<i64>,
    /// Of one application.
    #[arg(long, value_name = "NUMBER", conflicts_with = "ids")]
    application: Option<i64>,
    /// Of one location.
    #[arg(long, value_name = "NUMBER", conflicts_with = "ids")]
    location: Option<i64>,
    /// In one state: for a retry `discarded` unless you say `cancelled`, for a cancellation `available`.
    #[arg(long, value_parser = words(["available", "discarded", "cancelled"]), conflicts_with = "ids")]
    state: Option<String>,
    /// Of one action.
    #[arg(long, value_parser = words(ACTION_NAMES), conflicts_with = "ids")]
    action: Option<String>,
    /// Of one rule.
    #[arg(long, value_name = "NAME", conflicts_with = "ids")]
    rule: Option<String>,
    /// At most so many, the oldest.
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = how_many())]
    limit: i64,
    /// Show what would become of them, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do it for jobs that are not named by their numbers.
    #[arg(long)]
    yes: bool,
}

/// What is wanted of jobs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Retry,
    Cancel,
}

impl Orders {
    pub(super) async fn run(self, look: &Look, wish: Wish) -> Result<ExitCode> {
        let named = [&self.state, &self.action, &self.rule].into_iter().any(Option::is_some);
        if self.ids.is_empty() && !named && self.application.is_none() && self.location.is_none() {
            let what =
                "name jobs by their numbers, or say which with --application, --location, --rule, --action, --state";
            return Err(Misused(what.to_owned()).into());
        }
        let order = match wish {
            Wish::Retry => Order::Retry {
                attempts: look.config.load()?.jobs.max_attempts,
            },
            Wish::Cancel => Order::Cancel,
        };
        let dry = self.dry_run || (self.ids.is_empty() && !self.yes);
        let (obeyed, more) = look
            .at(async |pool: &PgPool| self.obeyed(pool, order, dry).await)
            .await?;
        if look.json {
            tell(&json!({"items": obeyed, "next_cursor": null, "dry_run": dry, "more": more}).to_string())?;
        } else {
            show(&obeyed, dry)?;
            if more {
                tell("There are more: repeat it when these have moved.")?;
            }
        }
        let any_refused = obeyed.iter().any(|one| one.reason.is_some());
        match (dry, self.dry_run) {
            (true, false) => Err(Misused("nothing was changed; --yes does it".to_owned()).into()),
            (false, _) if any_refused => Ok(ExitCode::FAILURE),
            _ => Ok(ExitCode::SUCCESS),
        }
    }

    /// What became of each, and whether the options name more than these.
    async fn obeyed(&self, pool: &PgPool, order: Order, dry: bool) -> store::Result<(Vec<Obeyed>, bool)> {
        let (mut ids, mut more) = (self.ids.clone(), false);
        if ids.is_empty() {
            let filter = Filter {
                application: self.application,
                location: self.location,
                state: self.state.clone(),
                action: self.action.clone(),
                rule: self.rule.clone(),
                firing: None,
                before: None,
                limit: self.limit,
            };
            let meant = jobs::meant(pool, order, &filter).await?;
            (ids, more) = (meant.jobs.iter().map(|job| job.id).collect(), meant.more);
        }
        Ok((jobs::obey_all(pool, order, &ids, dry).await?, more))
    }
}

fn show(obeyed: &[Obeyed], dry: bool) -> Result<()> {
    let mut table = Table::new(&["job", if dry { "would be" } else { "is" }, "with", "reason"]);
    for one in obeyed {
        let with: Vec<String> = one.with.iter().map(|id| JobId(*id).to_string()).collect();
        table.row([
            one.job_id.to_string(),
            one.result.to_owned(),
            with.join(" "),
            one.reason.clone().unwrap_or_default(),
        ]);
    }
    table.print()?;
    let moved = obeyed.iter().filter(|one| one.reason.is_none()).count();
    tell(&format!("{} of {}.", count(moved, "job"), obeyed.len()))?;
    Ok(())
}
