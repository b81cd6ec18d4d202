use std::time::Duration;

use super::{
    facts::{Facts, Subject},
    key::firing_key,
    rule::{Late, Mode, OncePer, Rule, Step},
};
use crate::domain::{action::Action, event::Cause, span};

/// How late a moment may be with `late = "skip"`: the scheduler looks every few seconds, and a
/// restart takes a while.
const PUNCTUAL: Duration = Duration::from_secs(15 * 60);

/// What a rule does about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It fires, unless the key has fired before.
    Fire {
        /// The firing key.
        key: String,
        /// What the key stands for.
        once: OncePer,
    },
    /// It does nothing.
    Skip {
        /// Why, as a word.
        cause: Cause,
        /// Why, for people.
        reason: String,
    },
}

/// Decides about an event whose kind the rule matches ([`super::RuleSet::matching`]). The moment
/// of the decision is part of the facts.
pub fn judge(rule: &Rule, facts: &Facts<'_>) -> Decision {
    decision(rule, facts, reason_to_skip(rule, facts))
}

/// The same for an event that a person wants to have judged once more, however late that is.
pub fn judge_again(rule: &Rule, facts: &Facts<'_>) -> Decision {
    let reason = match rule.mode {
        Mode::Off => Some(off()),
        Mode::Live | Mode::Shadow => rule.when.as_ref().and_then(|when| when.objection(facts)),
    };
    decision(rule, facts, reason)
}

/// The same for a rule that is tried: whatever its mode is, as if it worked.
pub fn would(rule: &Rule, facts: &Facts<'_>) -> Decision {
    decision(rule, facts, reason_not_to_fire(rule, facts))
}

fn decision(rule: &Rule, facts: &Facts<'_>, reason: Option<(Cause, String)>) -> Decision {
    match reason {
        Some((cause, reason)) => Decision::Skip { cause, reason },
        None => Decision::Fire {
            key: firing_key(rule, facts),
            once: rule.once_per,
        },
    }
}

fn off() -> (Cause, String) {
    (Cause::Off, "the rule is off".to_owned())
}

fn reason_to_skip(rule: &Rule, facts: &Facts<'_>) -> Option<(Cause, String)> {
    match rule.mode {
        Mode::Off => Some(off()),
        Mode::Live | Mode::Shadow => reason_not_to_fire(rule, facts),
    }
}

fn reason_not_to_fire(rule: &Rule, facts: &Facts<'_>) -> Option<(Cause, String)> {
    if let Some(reason) = too_late(rule, facts) {
        return Some((Cause::Late, reason));
    }
    rule.when.as_ref()?.objection(facts)
}

/// What a step of a rule has to say against being done now.
pub enum Objection {
    /// Its condition does not hold. The reason.
    Condition(String),
    /// The rule has no such step any more, so nobody knows its condition.
    Unknown,
}

/// Asks the condition of a step, known by its number and what it does.
pub fn object(rule: Option<&Rule>, (number, action): (i16, &Action), facts: &Facts<'_>) -> Option<Objection> {
    let steps = rule.map(|rule| &rule.steps[..]).unwrap_or_default();
    // When the rule was edited meanwhile, it may stand elsewhere.
    let same = |step: &&Step| step.action == *action;
    let there = usize::try_from(number)
        .ok()
        .and_then(|number| steps.get(number))
        .filter(same);
    let Some(step) = there.or_else(|| steps.iter().find(same)) else {
        return Some(Objection::Unknown);
    };
    let (_, reason) = step.when.as_ref()?.objection(facts)?;
    Some(Objection::Condition(reason))
}

fn too_late(rule: &Rule, facts: &Facts<'_>) -> Option<String> {
    let Subject::Moment(came) = &facts.event.subject else {
        return None;
    };
    let late = (facts.now - came.due_at).to_std().unwrap_or_default();
    match rule.late {
        Late::Skip if late > PUNCTUAL => Some(format!("late by {}, and late = \"skip\"", span::show(late))),
        Late::Run if late > rule.max_late => Some(format!(
            "late by {}, max_late {}",
            span::show(late),
            span::show(rule.max_late)
        )),
        Late::Skip | Late::Run => None,
    }
}
