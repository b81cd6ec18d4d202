use std::time::Duration;

use schemars::JsonSchema;
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
        /// It is judged, and what it would do is written down and not done.
        Shadow = "shadow",
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
    /// How often it may fire on a UTC day; what goes beyond is held for a person.
    pub cap_per_day: Option<u32>,
    /// What it does, in order.
    pub steps: Vec<Step>,
    /// Name of the file it stands in.
    pub file: String,
    /// Line of its table in that file.
    pub line: usize,
}

/// A rule in a line, as the API and the terminal list it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Outline {
    /// Its name.
    pub rule: String,
    /// Its trigger.
    pub on: String,
    /// How often it may fire.
    pub once_per: OncePer,
    /// Its condition as it stands in the file.
    pub when: Option<String>,
    /// Whether it works.
    pub mode: Mode,
    /// How often it may fire on a day.
    pub cap_per_day: Option<u32>,
    /// The names of its actions, in order.
    pub actions: Vec<&'static str>,
    /// Name of the file it stands in.
    pub file: String,
    /// Line of its table in that file.
    pub line: usize,
}

impl Rule {
    /// Whether one of its steps waits: its firings do not stand in each other's way then.
    pub fn waits(&self) -> bool {
        self.steps.iter().any(|step| step.after.is_some())
    }

    /// Where it forwards events to. Such a rule does nothing else.
    pub fn forwards_to(&self) -> Option<&str> {
        self.steps.iter().find_map(|step| match &step.action {
            Action::ForwardEvent { url, .. } => Some(url.as_str()),
            _ => None,
        })
    }

    /// Its outline.
    pub fn outline(&self) -> Outline {
        Outline {
            rule: self.name.clone(),
            on: self.trigger.to_string(),
            once_per: self.once_per,
            when: self.when.as_ref().map(|when| when.source().to_owned()),
            mode: self.mode,
            cap_per_day: self.cap_per_day,
            actions: self.steps.iter().map(|step| step.action.name()).collect(),
            file: self.file.clone(),
            line: self.line,
        }
    }
}

/// One action of a rule.
#[derive(Debug)]
pub struct Step {
    /// The name under which later steps find its result.
    pub id: Option<String>,
    /// How long it waits after the step before it is done; the first one after the rule has fired.
    pub after: Option<Duration>,
    /// On what condition it is done; asked when it runs.
    pub when: Option<Condition>,
    /// What it does.
    pub action: Action,
}
