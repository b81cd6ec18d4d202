//! What a rule can refer to, for people. Everything here is read off the sample event that conditions
//! and texts are checked against, so it cannot say other things than the check.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::{
    facts::{Fact, Group},
    rule::Rule,
    sample::Sample,
    step::result_fields,
    trigger::Trigger,
};

/// What conditions and texts can refer to.
#[derive(Debug, Serialize)]
pub struct KnownFact {
    /// As it is written: `event.payment.amount`.
    #[serde(rename = "fact")]
    pub path: String,
    /// What sort of value it is, in words.
    #[serde(rename = "type")]
    pub sort: &'static str,
    /// Whether every event of the trigger has it. What may be missing is asked for with `has(…)`.
    pub always: bool,
    /// A value as texts and webhooks write it.
    pub example: Value,
}

/// What there is to know about a trigger before a rule is written.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// As rules write it after `on =`; for a rule also what it adds, such as `3d before`.
    #[serde(rename = "on")]
    pub trigger: String,
    /// Everything that can be referred to.
    pub facts: Vec<KnownFact>,
    /// Results of steps, as later steps refer to them: `link.url`.
    pub results: Vec<String>,
    /// A whole rule to begin with.
    pub example: String,
}

/// Explains a trigger.
///
/// # Errors
/// With what is wrong and what to do, when there is no such trigger.
pub fn explain(trigger: &str) -> Result<Explanation, String> {
    let trigger = Trigger::example(trigger).map_err(|(what, remedy)| format!("{what}; {remedy}"))?;
    let facts = facts_of(&trigger);
    Ok(Explanation {
        trigger: trigger.word(),
        example: example(&trigger, &facts),
        results: Vec::new(),
        facts,
    })
}

/// Explains what a rule can refer to.
pub fn explain_rule(rule: &Rule) -> Explanation {
    let facts = facts_of(&rule.trigger);
    let results = rule
        .steps
        .iter()
        .filter_map(|step| Some((step.id.as_ref()?, &step.action)));
    Explanation {
        trigger: rule.trigger.to_string(),
        example: example(&rule.trigger, &facts),
        results: results
            .flat_map(|(id, action)| result_fields(action).iter().map(move |field| format!("{id}.{field}")))
            .collect(),
        facts,
    }
}

fn facts_of(trigger: &Trigger) -> Vec<KnownFact> {
    let (mut all, mut certain) = (Vec::new(), Vec::new());
    flatten("", Sample::of(trigger).facts().tree(), &mut all);
    flatten("", Sample::bare(trigger).facts().tree(), &mut certain);
    for fact in &mut all {
        fact.always = certain.iter().any(|known| known.path == fact.path);
    }
    all
}

fn flatten(parent: &str, group: Group, known: &mut Vec<KnownFact>) {
    for (name, fact) in group {
        let path = if parent.is_empty() {
            name.to_owned()
        } else {
            format!("{parent}.{name}")
        };
        let sort = match &fact {
            Fact::Whole(_) => "whole number",
            Fact::Text(_) => "text",
            Fact::Texts(_) => "list of texts",
            Fact::Flag(_) => "true or false",
            Fact::Money(_) => "amount",
            Fact::Time(_) => "time",
            Fact::Foreign(_) => "whatever was sent",
            Fact::Group(_) => "",
        };
        match fact {
            Fact::Group(inner) => flatten(&path, inner, known),
            other => known.push(KnownFact {
                path,
                sort,
                always: true,
                example: other.into_json(),
            }),
        }
    }
}

/// A rule that tells us by mail what happened, with what only events of its trigger say.
fn example(trigger: &Trigger, facts: &[KnownFact]) -> String {
    let own = |fact: &&KnownFact| {
        fact.path
            .strip_prefix("event.")
            .is_some_and(|name| !["id", "kind", "source", "at"].contains(&name))
    };
    let mut text = String::new();
    for fact in facts.iter().filter(own) {
        let path = &fact.path;
        // A text has no sample of what was sent, and prints nothing that may be missing without asking.
        let value = match (fact.sort, fact.always) {
            ("whatever was sent", _) => format!("{path} | tojson"),
            (_, true) => path.clone(),
            (_, false) => format!("{path} | default(\"not known\")"),
        };
        let _ = writeln!(text, "{path}: {{{{ {value} }}}}");
    }
    if text.is_empty() {
        text = "It is {{ installation.status }} now.\n".to_owned();
    }
    format!(
        "[[rule]]\nname = \"example\"\n{}\nwhen = '{}'\n\n[[rule.then]]\naction = \"send_email\"\n\
         to = \"team@example.com\"\n\
         subject = \"{{{{ event.kind }}}} at {{{{ location.title | default(location.id) }}}}\"\ntext = \"\"\"\n{text}\"\"\"\n",
        trigger.head(),
        condition(facts),
    )
}

/// A condition on what is particular about the trigger.
fn condition(facts: &[KnownFact]) -> &'static str {
    let is_there = |path: &str| facts.iter().any(|fact| fact.path == path);
    if is_there("event.payment.amount") {
        "event.payment.amount > 0.0"
    } else if is_there("event.data") {
        "has(event.data.id)"
    } else {
        "!installation.has_paid && has(location.email)"
    }
}
