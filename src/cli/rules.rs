use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    ConfigFile, Misused,
    output::{count, tell},
    table::Table,
};
use crate::app::served;

#[derive(Args)]
pub(super) struct Rules {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Read all rule files and tell every mistake.
    Check,
    /// Show the rules as they are understood.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Rules {
    pub(super) fn run(self) -> Result<ExitCode> {
        let config = self.config.load()?;
        let sets = served::rule_sets(&config).map_err(|error| Misused(format!("{error:#}")))?;
        let number: usize = sets.iter().map(|(_, set)| set.rules().len()).sum();
        let as_json = match self.verb {
            Verb::Check => {
                let (rules, applications) = (count(number, "rule"), count(sets.len(), "application"));
                return tell(&format!("{rules} of {applications}: no mistakes"));
            }
            Verb::List { json } => json,
        };
        let mut table = Table::new(&["application", "rule", "on", "once per", "mode", "actions"]);
        let mut items = Vec::new();
        for (id, rule) in sets
            .iter()
            .flat_map(|(id, set)| set.rules().iter().map(move |rule| (id, rule)))
        {
            let actions: Vec<&str> = rule.steps.iter().map(|step| step.action.name()).collect();
            let (on, once) = (rule.trigger.to_string(), rule.once_per.as_str());
            items.push(json!({"application_id": id, "rule": rule.name, "on": on, "once_per": once, "mode": rule.mode, "actions": actions}));
            table.row([
                id.to_string(),
                rule.name.clone(),
                on,
                once.to_owned(),
                rule.mode.to_string(),
                actions.join(", "),
            ]);
        }
        if as_json {
            return tell(&json!({"items": items, "next_cursor": null}).to_string());
        }
        table.print()?;
        Ok(ExitCode::SUCCESS)
    }
}
