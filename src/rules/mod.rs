//! The decisions: which rules concern an event, whether they fire, and what their texts say.
//! Pure: files and secrets are read by the caller, and the time is one of the facts.
//!
//! A `RuleSet` is loaded whole or not at all, with every mistake of every file told at once.
//! For an event, `RuleSet::matching` names the rules, `Facts` gathers what they may look at,
//! and `judge` decides about each.

mod body;
mod bulk;
mod condition;
mod condition_check;
mod explain;
mod facts;
mod judge;
mod key;
mod load;
mod mistake;
mod path;
mod preview;
mod rule;
mod sample;
mod schema;
mod step;
mod table;
mod template;
mod together;
mod trigger;
mod vocabulary;

use std::{collections::HashSet, sync::Arc, time::Duration};

use secrecy::SecretString;

pub use self::{
    body::{default_webhook_body, forwarded_body},
    bulk::read_bulk,
    condition::Condition,
    explain::{Explanation, KnownFact, explain, explain_rule},
    facts::{ApplicationView, EventView, Facts, Subject},
    judge::{Decision, Objection, judge, judge_again, object, would},
    mistake::{Mistake, nearest},
    preview::{Preview, preview},
    rule::{Late, Mode, OncePer, Outline, Rule, Step},
    sample::Sample,
    schema::{bulk_schema, schema},
    template::{RenderError, render},
    trigger::{Family, Trigger, Word},
};
use crate::domain::{action::Action, event::Kind, moment::Moment};

/// A rule file, read by the caller.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Its name, for messages.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// The rules of one application.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    /// Rules of the sets before, whose names are not in this one: what they have begun goes on.
    retired: Vec<Arc<Rule>>,
    secrets: Vec<StepSecret>,
    /// Secrets of the sets before, of steps that are not in this one.
    retired_secrets: Vec<StepSecret>,
}

/// The secrets of a step: what signs its webhook, its bot's token, or its address. A step is known by what it does, so
/// that a job finds its secrets when the rule was edited meanwhile; by its place only where two steps do the same.
#[derive(Debug, Clone)]
struct StepSecret {
    rule: String,
    action: Action,
    number: usize,
    secrets: Vec<SecretString>,
}

impl StepSecret {
    fn is_of(&self, rule: &str, action: &Action) -> bool {
        self.rule == rule && self.action == *action
    }
}

impl RuleSet {
    /// Reads and checks the files. `secrets` reads the file a `secret_file` names; it may answer nothing where the rules
    /// are only checked. One mistake anywhere refuses the set; all of them are told.
    pub fn load(
        files: &[SourceFile],
        secrets: &dyn Fn(&str) -> Result<Option<String>, String>,
    ) -> Result<Self, Vec<Mistake>> {
        let mut set = Self::default();
        let mut mistakes = Vec::new();
        let mut names = HashSet::new();
        for file in files {
            let (rules, found) = load::read_file(file, secrets);
            mistakes.extend(found);
            let mut notebook = mistake::Notebook::new(file);
            for read in rules {
                let name = read.rule.name.clone();
                if !names.insert(name.clone()) {
                    notebook.note(
                        read.name_at,
                        format!("another rule is called `{name}` too"),
                        "choose another name; it is part of what makes a firing unique",
                    );
                }
                let of_steps = read.rule.steps.iter().zip(read.secrets).enumerate();
                let of_steps = of_steps.filter(|(_, (_, secrets))| !secrets.is_empty());
                set.secrets.extend(of_steps.map(|(number, (step, secrets))| StepSecret {
                    rule: name.clone(),
                    action: step.action.clone(),
                    number,
                    secrets,
                }));
                set.rules.push(Arc::new(read.rule));
            }
            mistakes.extend(notebook.into_mistakes());
        }
        if mistakes.is_empty() { Ok(set) } else { Err(mistakes) }
    }

    /// Takes over what the set before needs to finish: jobs of its rules go on with their secrets, as long as the
    /// process lives.
    pub fn remember(&mut self, before: &Self) {
        let gone = |rule: &&Arc<Rule>| self.rules.iter().all(|known| known.name != rule.name);
        self.retired = before
            .rules
            .iter()
            .chain(&before.retired)
            .filter(gone)
            .cloned()
            .collect();
        let gone = |one: &&StepSecret| !self.secrets.iter().any(|known| known.is_of(&one.rule, &one.action));
        let secrets = before.secrets.iter().chain(&before.retired_secrets);
        self.retired_secrets = secrets.filter(gone).cloned().collect();
    }

    /// All rules, in the order of the files.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// All rules, and behind them those of sets before.
    pub fn with_retired(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().chain(&self.retired).map(|rule| &**rule)
    }

    /// The rules that wait for this kind of event, those that are off included, so that these can
    /// be shown as skipped. `came` is the moment that the event reports, if it does.
    pub fn matching(&self, kind: &Kind, came: Option<Moment>) -> impl Iterator<Item = &Rule> {
        self.rules
            .iter()
            .map(|rule| &**rule)
            .filter(move |rule| rule.trigger.matches(kind, came.as_ref()))
    }

    /// The distinct moments that rules wait for, those that are only watched included.
    pub fn moments(&self) -> Vec<Moment> {
        let mut moments: Vec<Moment> = self
            .waiting()
            .filter_map(|rule| rule.trigger.moment().cloned())
            .collect();
        moments.sort_unstable();
        moments.dedup();
        moments
    }

    /// How late a moment may be at most for any of these rules; nothing later needs to be looked for.
    pub fn max_late(&self) -> Duration {
        self.waiting().map(|rule| rule.max_late).max().unwrap_or_default()
    }

    /// The secrets of a step, which is counted from 0; the first is the present one. None when the step is in no set
    /// that this process has seen.
    pub fn secrets_of<'s>(&'s self, rule: &str, number: usize, action: &Action) -> &'s [SecretString] {
        let at_its_place = |of: &'s [StepSecret]| {
            let mut same = of.iter().filter(|one| one.is_of(rule, action));
            let first = same.clone().next();
            same.find(|one| one.number == number).or(first)
        };
        let found = at_its_place(&self.secrets).or_else(|| at_its_place(&self.retired_secrets));
        found.map_or(&[], |one| &one.secrets)
    }

    /// The rules that forward events, also those of sets before, each with the address.
    pub fn forwarding(&self) -> impl Iterator<Item = (&Rule, &str)> {
        self.with_retired().filter_map(|rule| Some((rule, rule.forwards_to()?)))
    }

    /// Rules in use that wait for a moment.
    fn waiting(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|rule| &**rule).filter(|rule| match rule.mode {
            Mode::Live | Mode::Shadow => rule.trigger.moment().is_some(),
            Mode::Off => false,
        })
    }
}

#[cfg(test)]
mod tests;
