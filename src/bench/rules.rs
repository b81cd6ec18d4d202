//! The rules that events are judged by: twenty, of which one fires for every new appointment. A tenth of the load tells
//! of new appointments.

use std::net::SocketAddr;

/// Triggers of rules that have nothing to do with appointments: an own product has some of each kind.
const ELSEWHERE: [&str; 11] = [
    "installation.pending",
    "installation.activated",
    "installation.frozen",
    "installation.unfrozen",
    "installation.uninstalled",
    "payment.received",
    "payment.refunded",
    "trial.ended",
    "client.created",
    "client.updated",
    "goods_operations_sale.*",
];

/// Twenty rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RuleSet {
    /// Who takes the webhooks.
    pub(super) sink: SocketAddr,
    /// Whether five of the rules want to look into every appointment, new or not, and then fire for none; else they
    /// wait for events that do not come.
    pub(super) looks_at_all: bool,
}

impl RuleSet {
    /// The rules as they are written in a file.
    pub(super) fn text(self) -> String {
        let nothing = "event.data.attendance == -1";
        let mut rules = vec![("record.created".to_owned(), String::new())];
        rules.extend((0..3).map(|_| ("record.created".to_owned(), nothing.to_owned())));
        let five = if self.looks_at_all { "record.*" } else { "schedule.*" };
        rules.extend((0..5).map(|_| (five.to_owned(), nothing.to_owned())));
        rules.extend(ELSEWHERE.map(|trigger| (trigger.to_owned(), String::new())));
        let rules = rules.iter().enumerate();
        rules.map(|(number, (on, when))| self.rule(number, on, when)).collect()
    }

    fn rule(self, number: usize, on: &str, when: &str) -> String {
        let when = match when {
            "" => String::new(),
            condition => format!("when = '{condition}'\n"),
        };
        format!(
            "[[rule]]\nname = \"rule-{number}\"\non = \"{on}\"\n{when}[[rule.then]]\naction = \"send_webhook\"\n\
             url = \"http://{}/hook\"\nsecret = \"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\"\n\n",
            self.sink
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{self, SourceFile};

    #[test]
    fn there_are_twenty_rules_without_a_mistake() {
        for looks_at_all in [true, false] {
            let set = RuleSet {
                sink: ([127, 0, 0, 1], 80).into(),
                looks_at_all,
            };
            let file = SourceFile {
                name: "bench".to_owned(),
                text: set.text(),
            };
            let loaded = rules::RuleSet::load(&[file], &|_| Ok(None)).unwrap();
            assert_eq!(loaded.rules().len(), 20);
        }
    }
}
