//! The references are made of the program's own schemas, its example of a configuration and the examples of rules.
//! `make reference` writes them anew; the test holds the files against the program.

mod configuration;
mod rules;

use std::{fmt::Write, fs, process::Command};

use serde_json::Value;

use super::{refreshing, root};

/// What the program prints as JSON.
fn printed(args: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_bellhop")).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A row of a table; a cell may hold a bar.
fn row(into: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells
        .iter()
        .map(|cell| cell.replace('|', "\\|").replace('\n', " "))
        .collect();
    writeln!(into, "| {} |", cells.join(" | ")).unwrap();
}

fn headings(into: &mut String, names: &[&str]) {
    row(into, names);
    row(into, &vec!["---"; names.len()]);
}

/// How a value is written, by its schema.
fn type_of(schema: &Value, definitions: &Value) -> String {
    if let Some(target) = schema["$ref"].as_str() {
        let name = target.rsplit('/').next().unwrap();
        let known = [
            ("duration", "duration, such as `\"20s\"`"),
            ("bytes", "bytes, such as `\"256MiB\"`"),
            ("address", "address and port"),
            ("secret", "secret"),
            ("colour", "colour, `\"#rrggbb\"`"),
        ];
        let known = known.into_iter().find(|(of, _)| *of == name);
        return known.map_or_else(
            || type_of(&definitions[name], definitions),
            |(_, words)| words.to_owned(),
        );
    }
    for inner in ["allOf", "anyOf", "oneOf"] {
        let Some(all) = schema[inner].as_array() else { continue };
        let words: Vec<String> = all
            .iter()
            .filter(|one| one["type"] != "null")
            .map(|one| type_of(one, definitions))
            .collect();
        return words.join(", ");
    }
    if let Some(word) = schema["const"].as_str() {
        return format!("`\"{word}\"`");
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        return words.join(", ");
    }
    let name = match &schema["type"] {
        Value::Array(types) => types.iter().find(|one| *one != "null").cloned().unwrap_or_default(),
        one => one.clone(),
    };
    let bounds = match (&schema["minimum"], &schema["maximum"]) {
        (Value::Number(least), Value::Number(most)) => format!(", {least} to {most}"),
        _ => String::new(),
    };
    match name.as_str() {
        Some("integer") => format!("whole number{bounds}"),
        Some("number") => format!("number{bounds}"),
        Some("boolean") => "`true` or `false`".to_owned(),
        Some("array") => format!("list of {}", type_of(&schema["items"], definitions)),
        Some("object") => "table".to_owned(),
        Some("string") if schema["pattern"] == "^[0-9]+(ms|s|m|h|d|w)$" => "duration, such as `\"3d\"`".to_owned(),
        _ => "text".to_owned(),
    }
}

fn text<'v>(schema: &'v Value, key: &str) -> &'v str {
    schema[key].as_str().unwrap_or("")
}

#[test]
fn the_references_are_those_of_this_program() {
    let folder = root().join("docs/reference");
    for (name, made) in [("configuration.md", configuration::made()), ("rules.md", rules::made())] {
        let file = folder.join(name);
        if refreshing() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&file, &made).unwrap();
        }
        let there = fs::read_to_string(&file).unwrap_or_default();
        let differs = there.lines().zip(made.lines()).position(|(there, made)| there != made);
        assert!(
            there == made,
            "{name} is not what the program says (line {differs:?}): run `make reference`"
        );
    }
}
