//! The decisions: which rules concern an event, whether they fire, and what their texts say.
//! Pure: files and secrets are read by the caller, and the time is one of the facts.
//!
//! A `RuleSet` is loaded whole or not at all, with every mistake of every file told at once.
//! For an event, `RuleSet::matching` names the rules, `Facts` gathers what they may look at,
//! and `judge` decides about each.

mod body;
mod condition;
mod condition_check;
mod explain;
mod facts;
mod judge;
mod key;
mod load;
mod mistake;
mod path;
mod rule;
mod sample;
mod step;
mod table;
mod template;
mod trigger;

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use secrecy::SecretString;

pub use self::{
    body::default_webhook_body,
    condition::Condition,
    explain::{Explanation, KnownFact, explain, explain_rule},
    facts::{ApplicationView, EventView, Facts, Subject},
    judge::{Decision, judge},
    mistake::{Mistake, nearest},
    rule::{Late, Mode, OncePer, Outline, Rule, Step},
    template::{RenderError, render},
    trigger::{Trigger, Word},
};
use crate::domain::{event::Kind, moment::Moment};

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
    rules: Vec<Rule>,
    secrets: HashMap<(String, usize), SecretString>,
}

impl RuleSet {
    /// Reads and checks the files. `secrets` reads the file a `secret_file` names. One mistake
    /// anywhere refuses the set; all of them are told.
    pub fn load(files: &[SourceFile], secrets: &dyn Fn(&str) -> Result<String, String>) -> Result<Self, Vec<Mistake>> {
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
                set.secrets.extend(
                    read.secrets
                        .into_iter()
                        .enumerate()
                        .filter_map(|(step, secret)| Some(((name.clone(), step), secret?))),
                );
                set.rules.push(read.rule);
            }
            mistakes.extend(notebook.into_mistakes());
        }
        if mistakes.is_empty() { Ok(set) } else { Err(mistakes) }
    }

    /// All rules, in the order of the files.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rules that wait for this kind of event, those that are off included, so that these can
    /// be shown as skipped. `moment_before` tells moments of one kind apart.
    pub fn matching(&self, kind: &Kind, moment_before: Option<Duration>) -> impl Iterator<Item = &Rule> {
        self.rules
            .iter()
            .filter(move |rule| rule.trigger.matches(kind, moment_before))
    }

    /// The distinct moments that live rules wait for.
    pub fn moments(&self) -> Vec<Moment> {
        let mut moments: Vec<Moment> = self.waiting().filter_map(|rule| rule.trigger.moment()).collect();
        moments.sort_unstable();
        moments.dedup();
        moments
    }

    /// How late a moment may be at most for any live rule; nothing later needs to be looked for.
    pub fn max_late(&self) -> Duration {
        self.waiting().map(|rule| rule.max_late).max().unwrap_or_default()
    }

    /// The secret that signs the webhook of a step, counted from 0.
    pub fn webhook_secret(&self, rule: &str, step: usize) -> Option<&SecretString> {
        self.secrets.get(&(rule.to_owned(), step))
    }

    /// Live rules that wait for a moment.
    fn waiting(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| match rule.mode {
            Mode::Live => rule.trigger.moment().is_some(),
            Mode::Off => false,
        })
    }
}

#[cfg(test)]
mod tests;
