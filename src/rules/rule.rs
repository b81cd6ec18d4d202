use std::time::Duration;

use serde::Serialize;

use super::{condition::Condition, trigger::Trigger};
use crate::domain::{action::Action, event::words};

words! {
    /// How often a rule may fire.
    OncePer {
        /// For every occurrence of its trigger.
        Occurrence = "occurrence",
        /// Once for a connection; again after a reinstall.
        Installation = "installation",
        /// Once for a location, for ever.
        Location = "location",
    }
}

words! {
    /// Whether a rule works.
    Mode {
        /// It works.
        Live = "live",
        /// It is read and checked, and does nothing.
        Off = "off",
    }
}

words! {
    /// What to do about a moment that passed while nobody was watching.
    Late {
        /// Act, when it is not later than `max_late`.
        Run = "run",
        /// Do not act.
        Skip = "skip",
    }
}

/// Trigger, condition and actions.
#[derive(Debug)]
pub struct Rule {
    /// Its name, unique in the set; part of the firing key, so a renamed rule is a new one.
    pub name: String,
    /// What it waits for.
    pub trigger: Trigger,
    /// How often it may fire.
    pub once_per: OncePer,
    /// On what condition.
    pub when: Option<Condition>,
    /// Whether it works.
    pub mode: Mode,
    /// What to do about late moments.
    pub late: Late,
    /// How late a moment may be.
    pub max_late: Duration,
    /// Whether its steps go on when the application is uninstalled.
    pub keep_after_uninstall: bool,
    /// What it does, in order.
    pub steps: Vec<Step>,
    /// Name of the file it stands in.
    pub file: String,
    /// Line of its table in that file.
    pub line: usize,
}

/// A rule in a line, as the API and the terminal list it.
#[derive(Debug, Serialize)]
pub struct Outline<'r> {
    /// Its name.
    pub rule: &'r str,
    /// Its trigger.
    pub on: String,
    /// How often it may fire.
    pub once_per: OncePer,
    /// Its condition as it stands in the file.
    pub when: Option<&'r str>,
    /// Whether it works.
    pub mode: Mode,
    /// The names of its actions, in order.
    pub actions: Vec<&'static str>,
    /// Name of the file it stands in.
    pub file: &'r str,
    /// Line of its table in that file.
    pub line: usize,
}

impl Rule {
    /// Its outline.
    pub fn outline(&self) -> Outline<'_> {
        Outline {
            rule: &self.name,
            on: self.trigger.to_string(),
            once_per: self.once_per,
            when: self.when.as_ref().map(Condition::source),
            mode: self.mode,
            actions: self.steps.iter().map(|step| step.action.name()).collect(),
            file: &self.file,
            line: self.line,
        }
    }
}

/// One action of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The name under which later steps find its result.
    pub id: Option<String>,
    /// What it does.
    pub action: Action,
}
