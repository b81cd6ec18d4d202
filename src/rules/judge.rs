use std::time::Duration;

use super::{
    facts::{Facts, Subject},
    key::firing_key,
    rule::{Late, Mode, OncePer, Rule},
    table::shorten_to,
};
use crate::domain::span;

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
        /// Why, for people.
        reason: String,
    },
}

/// Decides about an event whose kind the rule matches ([`super::RuleSet::matching`]). The moment
/// of the decision is part of the facts.
pub fn judge(rule: &Rule, facts: &Facts<'_>) -> Decision {
    decision(rule, facts, reason_to_skip(rule, facts))
}

/// The same for a rule that is tried: whatever its mode is, as if it worked.
pub fn would(rule: &Rule, facts: &Facts<'_>) -> Decision {
    decision(rule, facts, reason_not_to_fire(rule, facts))
}

fn decision(rule: &Rule, facts: &Facts<'_>, reason: Option<String>) -> Decision {
    match reason {
        Some(reason) => Decision::Skip { reason },
        None => Decision::Fire {
            key: firing_key(rule, facts),
            once: rule.once_per,
        },
    }
}

fn reason_to_skip(rule: &Rule, facts: &Facts<'_>) -> Option<String> {
    match rule.mode {
        Mode::Off => Some("the rule is off".to_owned()),
        Mode::Live => reason_not_to_fire(rule, facts),
    }
}

fn reason_not_to_fire(rule: &Rule, facts: &Facts<'_>) -> Option<String> {
    if let Some(reason) = too_late(rule, facts) {
        return Some(reason);
    }
    let condition = rule.when.as_ref()?;
    match condition.holds(facts) {
        Ok(true) => None,
        Ok(false) => Some(format!("condition is false: {}", condition.source())),
        Err(why) => Some(format!("condition failed: {}", shorten_to(200, &why))),
    }
}

fn too_late(rule: &Rule, facts: &Facts<'_>) -> Option<String> {
    let Subject::Moment { due_at, .. } = &facts.event.subject else {
        return None;
    };
    let late = (facts.now - due_at).to_std().unwrap_or_default();
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
