use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    body::{default_webhook_body, forwarded_body},
    facts::Facts,
    rule::{Rule, Step},
    step::result_fields,
    template::render,
};
use crate::domain::{action::Action, span};

/// A step as it would be done, with its texts written.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Preview {
    /// The name of its action.
    pub action: &'static str,
    /// What it would be done with, under the keys of rule files.
    pub parameters: Map<String, Value>,
    /// How long it would wait after the step before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// What it would ask before it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Why it would be given up: a text that cannot be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Writes the texts of all steps, as if every step before had done its work. What only the
/// marketplace can answer is shown by its name: `<link.url>`.
pub fn preview(rule: &Rule, facts: &Facts<'_>) -> Vec<Preview> {
    let mut results = Map::new();
    let mut steps = Vec::new();
    for step in &rule.steps {
        steps.push(one(step, facts, &results));
        if let Some(id) = &step.id {
            let fields = result_fields(&step.action).iter();
            let fields: Map<String, Value> = fields
                .map(|field| ((*field).to_owned(), format!("<{id}.{field}>").into()))
                .collect();
            results.insert(id.clone(), fields.into());
        }
    }
    steps
}

fn one(step: &Step, facts: &Facts<'_>, results: &Map<String, Value>) -> Preview {
    let action = &step.action;
    let mut problem = None;
    let mut parameters = match serde_json::to_value(action) {
        Ok(Value::Object(parameters)) => parameters,
        Ok(_) | Err(_) => Map::new(),
    };
    parameters.remove("action");
    parameters.retain(|_, value| !value.is_null());
    for value in parameters.values_mut() {
        write(value, facts, results, &mut problem);
    }
    if let Action::SendWebhook { body: None, .. } = action {
        parameters.insert("body".to_owned(), default_webhook_body(facts, results));
    }
    if let Action::ForwardEvent { retry_for_seconds, .. } = action {
        let retry_for = span::write(Duration::from_secs(*retry_for_seconds));
        parameters.remove("retry_for_seconds");
        parameters.insert("retry_for".to_owned(), retry_for.into());
        let body = serde_json::from_str(&forwarded_body(facts, None)).unwrap_or_default();
        parameters.insert("body".to_owned(), body);
    }
    Preview {
        action: action.name(),
        parameters,
        after: step.after.map(span::show),
        when: step.when.as_ref().map(|when| when.source().to_owned()),
        problem,
    }
}

/// Texts are the only parameters with something to write; a text without `{{ … }}` stays as it is.
fn write(value: &mut Value, facts: &Facts<'_>, results: &Map<String, Value>, problem: &mut Option<String>) {
    match value {
        Value::String(text) => match render(text, facts, results) {
            Ok(written) => *text = written,
            Err(error) => *problem = problem.take().or_else(|| Some(error.to_string())),
        },
        Value::Array(list) => list.iter_mut().for_each(|one| write(one, facts, results, problem)),
        Value::Object(map) => map.values_mut().for_each(|one| write(one, facts, results, problem)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
