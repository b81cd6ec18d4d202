//! `bellhop rules …`: for whoever writes rules. Only a backtest needs a database, and nothing a running service.

mod backtest;
mod explain;
mod held;
mod trial;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    ConfigFile, Misused,
    output::{count, tell},
    sheet::Sheet,
    table::Table,
};
use crate::{
    app::served,
    config::Config,
    domain::ids::ApplicationId,
    rules::{Preview, Rule, RuleSet, SourceFile},
};

#[derive(Args)]
pub(super) struct Rules {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Read rule files and tell every mistake.
    Check {
        /// Rule files, read as the rules of one application; no configuration is needed, and secrets need not be there.
        /// Without any: those of the configuration.
        files: Vec<PathBuf>,
    },
    /// Show the rules as they are understood.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what the rules of a trigger can refer to, and a rule to begin with.
    Explain {
        /// A trigger, or the name of a rule in the configuration. Without it: all triggers.
        #[arg(value_name = "TRIGGER|RULE")]
        what: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Try rules on an event: would they fire, and if not, why?
    Test(trial::Trial),
    /// Try rules on the events that are stored: where would they have fired, and at which cost? Changes nothing.
    Backtest(backtest::Backtest),
    /// What rules want beyond their cap: show it, do it, or give it up.
    Held(held::Held),
}

impl Rules {
    pub(super) async fn run(self) -> Result<ExitCode> {
        match self.verb {
            Verb::Check { files } if files.is_empty() => check(&configured(&self.config)?),
            Verb::Check { files } => {
                let set = read(&files)?;
                let (rules, files) = (count(set.rules().len(), "rule"), count(files.len(), "file"));
                tell(&format!("{rules} in {files}: no mistakes"))
            }
            Verb::List { json } => list(&configured(&self.config)?, json),
            Verb::Test(trial) => trial.run(),
            Verb::Backtest(backtest) => backtest.run(&self.config).await,
            Verb::Held(held) => held.run(&self.config).await,
            Verb::Explain { what, json } => explain::run(&self.config, what.as_deref(), json),
        }
    }
}

type Sets = Vec<(ApplicationId, RuleSet)>;

/// The rules of each application of the configuration.
fn configured(config: &ConfigFile) -> Result<Sets> {
    of_configuration(&config.load()?)
}

fn of_configuration(config: &Config) -> Result<Sets> {
    served::rule_sets(config).map_err(|problems| Misused::of(problems).into())
}

/// Rules that are to be tried, and the applications they are tried for.
struct Chosen(Vec<(ApplicationId, Arc<Rule>)>);

impl Chosen {
    /// The rules of a file, for every application; without one those that the applications have.
    fn read(config: &Config, file: Option<&Path>, name: Option<&str>) -> Result<Self> {
        let named = |rule: &Arc<Rule>| name.is_none_or(|name| rule.name == name);
        let mut chosen = Vec::new();
        match file {
            Some(file) => {
                let set = read(&[file.to_owned()])?;
                for application in &config.applications {
                    let rules = set.rules().iter().filter(|rule| named(rule));
                    chosen.extend(rules.map(|rule| (application.id, Arc::clone(rule))));
                }
            }
            None => {
                for (id, set) in of_configuration(config)? {
                    let rules = set.rules().iter().filter(|rule| named(rule));
                    chosen.extend(rules.map(|rule| (id, Arc::clone(rule))));
                }
            }
        }
        Ok(Self(chosen))
    }

    /// Those of one application, when one is named.
    fn of(mut self, application: Option<i64>) -> Result<Self> {
        self.0
            .retain(|(id, _)| application.is_none_or(|application| id.0 == application));
        if self.0.is_empty() {
            return Err(Misused("there is no such rule; see `bellhop rules list`".to_owned()).into());
        }
        Ok(self)
    }

    fn rules(&self) -> impl Iterator<Item = (ApplicationId, &Rule)> {
        self.0.iter().map(|(id, rule)| (*id, &**rule))
    }
}

/// Steps with their texts written.
pub(super) fn show_steps(sheet: &mut Sheet, steps: &[Preview]) {
    for step in steps {
        sheet.block(4, step.action);
        if let Some(after) = &step.after {
            sheet.block(6, &format!("after {after}"));
        }
        if let Some(when) = &step.when {
            sheet.block(6, &format!("when {when}"));
        }
        sheet.value(6, &Value::Object(step.parameters.clone()));
        if let Some(problem) = &step.problem {
            sheet.block(6, &format!("given up: {problem}"));
        }
    }
}

/// The rules of some files, without a configuration.
fn read(files: &[PathBuf]) -> Result<RuleSet> {
    let mut problems = Vec::new();
    let mut sources = Vec::new();
    for file in files {
        let name = file.display().to_string();
        match std::fs::read_to_string(file) {
            Ok(text) => sources.push(SourceFile { name, text }),
            Err(error) => problems.push(format!("{name}: cannot be read: {error}; correct the path")),
        }
    }
    match RuleSet::load(&sources, &|_| Ok(None)) {
        Ok(set) if problems.is_empty() => return Ok(set),
        Ok(_) => {}
        Err(mistakes) => problems.extend(mistakes.iter().map(ToString::to_string)),
    }
    Err(Misused(problems.join("\n")).into())
}

fn check(sets: &Sets) -> Result<ExitCode> {
    let number: usize = sets.iter().map(|(_, set)| set.rules().len()).sum();
    let (rules, applications) = (count(number, "rule"), count(sets.len(), "application"));
    tell(&format!("{rules} of {applications}: no mistakes"))
}

fn list(sets: &Sets, as_json: bool) -> Result<ExitCode> {
    let mut table = Table::new(&["application", "rule", "on", "once per", "mode", "actions", "where"]);
    let mut items = Vec::new();
    for (id, set) in sets {
        for rule in set.rules().iter().map(|rule| rule.outline()) {
            let mut item = json!(rule);
            item["application_id"] = json!(id);
            items.push(item);
            table.row([
                id.to_string(),
                rule.rule.clone(),
                rule.on.clone(),
                rule.once_per.to_string(),
                rule.mode.to_string(),
                rule.actions.join(", "),
                format!("{}:{}", rule.file, rule.line),
            ]);
        }
    }
    if as_json {
        return tell(&json!({"items": items, "next_cursor": null}).to_string());
    }
    table.print()?;
    Ok(ExitCode::SUCCESS)
}
