//! The JSON Schema of rule files, for editors. It is made from the tables the reader uses. It says less
//! than the reader: conditions, texts, and what keys mean to each other are checked by that alone.

use serde_json::{Map, Value, json};

use super::{
    trigger::Trigger,
    vocabulary::{ACTIONS, BULK, Key, Need, RULE, STEP, Sort, Verb, has_secret},
};
use crate::domain::{
    event::{CALL, CALL_CHANGES, CHANGES, RESOURCES},
    span,
};

/// The schema, draft 7.
pub fn schema() -> Value {
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Rules of Bellhop",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "rule": {
                "description": "A rule: when something is to be done, on what condition, and what.",
                "type": "array",
                "items": object(RULE, properties(RULE)),
            },
        },
    })
}

/// The same for the file of a bulk action.
pub fn bulk_schema() -> Value {
    let mut bulk = object(BULK, properties(BULK));
    let open = ACTIONS.iter().filter(|verb| !has_secret(verb.name));
    bulk["properties"]["then"]["items"]["oneOf"] = open.map(step).collect::<Vec<Value>>().into();
    bulk["description"] = "A bulk action: what is to be done once, at which locations.".into();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A bulk action of Bellhop",
        "type": "object",
        "additionalProperties": false,
        "required": ["bulk"],
        "properties": {"bulk": bulk},
    })
}

fn object(keys: &[Key], properties: Map<String, Value>) -> Value {
    let required: Vec<&str> = keys
        .iter()
        .filter(|key| matches!(key.need, Need::Yes | Need::Told))
        .map(|key| key.name)
        .collect();
    json!({"type": "object", "additionalProperties": false, "properties": properties, "required": required})
}

fn properties(keys: &[Key]) -> Map<String, Value> {
    keys.iter()
        .map(|key| {
            let mut value = value(&key.sort);
            value["description"] = key.help.into();
            (key.name.to_owned(), value)
        })
        .collect()
}

fn step(verb: &Verb) -> Value {
    let mut all = properties(STEP);
    all.insert(
        "action".to_owned(),
        json!({"const": verb.name, "description": verb.help}),
    );
    all.extend(properties(verb.keys));
    let mut step = object(verb.keys, all);
    if let Some(required) = step["required"].as_array_mut() {
        required.push("action".into());
    }
    let alternatives: Vec<Value> = verb
        .keys
        .iter()
        .filter(|key| key.need == Need::OneOf)
        .map(|key| json!({"required": [key.name]}))
        .collect();
    if !alternatives.is_empty() {
        step["oneOf"] = alternatives.into();
    }
    step
}

fn value(sort: &Sort) -> Value {
    match sort {
        Sort::Text => json!({"type": "string"}),
        Sort::Shaped(pattern) => json!({"type": "string", "pattern": pattern}),
        Sort::Word(words) => json!({"type": "string", "enum": words()}),
        Sort::Trigger => {
            let either = |words: &[&str]| format!("({}|\\*)", words.join("|"));
            let told: Vec<&str> = RESOURCES.into_iter().filter(|resource| *resource != CALL).collect();
            let entity = format!("^{}\\.{}$", either(&told), either(&CHANGES));
            let call = format!("^{CALL}\\.{}$", either(&CALL_CHANGES));
            json!({"anyOf": [
                {"enum": Trigger::names()},
                {"type": "string", "pattern": entity},
                {"type": "string", "pattern": call},
            ]})
        }
        Sort::Duration => json!({"type": "string", "pattern": span::PATTERN}),
        Sort::Percent => json!({"type": "number", "minimum": 0, "maximum": 100}),
        Sort::Amount => json!({"type": "number", "minimum": 0}),
        Sort::Count(most) => json!({"type": "integer", "minimum": 1, "maximum": most}),
        Sort::Whole => json!({"type": "integer", "minimum": 1}),
        Sort::Flag => json!({"type": "boolean"}),
        Sort::Texts(most) => {
            json!({"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": most})
        }
        Sort::Steps => {
            json!({"type": "array", "items": {"oneOf": ACTIONS.iter().map(step).collect::<Vec<Value>>()}})
        }
    }
}
