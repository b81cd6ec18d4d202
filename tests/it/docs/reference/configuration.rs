use std::{collections::BTreeMap, fmt::Write};

use serde_json::Value;

use super::{headings, printed, row, text, type_of};

const EXAMPLE: &str = include_str!("../../../../bellhop.example.toml");

const BEGINNING: &str = "# Configuration reference

Every key of `bellhop.toml`, with its type, its default and an example. Made from the program by `make reference`;
[bellhop.example.toml](../../bellhop.example.toml) explains more, `bellhop schema config` is the same for editors, and
`bellhop check` shows what is in effect.

Each key can come from the environment instead, with two underscores between its parts: `BELLHOP_SERVER__LISTEN` is
`server.listen`, `BELLHOP_ACCOUNT__0__PARTNER_TOKEN` the `partner_token` of the first `[[account]]`. Of a secret and its
`…_file` one is set. Relative paths count from the folder of the file.
";

/// The whole reference.
pub(super) fn made() -> String {
    let schema = printed(&["schema", "config"]);
    let mut whole = BEGINNING.to_owned();
    sections(&mut whole, &schema, "", &schema);
    whole
}

/// The sections among the keys of a table, each followed by those inside it.
fn sections(into: &mut String, table: &Value, path: &str, schema: &Value) {
    for (name, key) in table["properties"].as_object().unwrap() {
        let Some((section, many)) = section(key, schema) else {
            continue;
        };
        let path = format!("{path}{}{name}", if path.is_empty() { "" } else { "." });
        let heading = if many {
            format!("[[{path}]]")
        } else {
            format!("[{path}]")
        };
        write!(into, "\n## `{heading}`\n\n{}\n\n", text(key, "description")).unwrap();
        keys(into, section, &path, schema);
        sections(into, section, &path, schema);
    }
}

/// The table that a key holds, and whether there may be several.
fn section<'s>(key: &'s Value, schema: &'s Value) -> Option<(&'s Value, bool)> {
    let inner = ["allOf", "anyOf"]
        .into_iter()
        .find_map(|word| key[word][0]["$ref"].as_str());
    let target = inner
        .or_else(|| key["$ref"].as_str())
        .or_else(|| key["items"]["$ref"].as_str())?;
    let definition = &schema["definitions"][target.rsplit('/').next()?];
    (definition["type"] == "object").then_some((definition, key["type"] == "array"))
}

fn keys(into: &mut String, table: &Value, path: &str, schema: &Value) {
    let examples = examples(path);
    let required: Vec<&str> = table["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    headings(into, &["key", "meaning", "type", "default", "example"]);
    for (name, key) in table["properties"].as_object().unwrap() {
        if section(key, schema).is_some() {
            continue;
        }
        let default = match &key["default"] {
            _ if required.contains(&name.as_str()) => "required".to_owned(),
            Value::Null => String::new(),
            Value::String(empty) if empty.is_empty() => String::new(),
            value => format!("`{value}`"),
        };
        let example = examples.get(name.as_str()).map(|example| format!("`{example}`"));
        let example = example.filter(|example| *example != default).unwrap_or_default();
        row(
            into,
            &[
                &format!("`{name}`"),
                text(key, "description"),
                &type_of(key, &schema["definitions"]),
                &default,
                &example,
            ],
        );
    }
}

/// The values of a section's keys in the example, also of those that are commented out.
fn examples(path: &str) -> BTreeMap<&'static str, &'static str> {
    let lines = EXAMPLE.lines().map(|line| line.strip_prefix('#').unwrap_or(line));
    let is_header = |line: &str| line.starts_with('[') && line.ends_with(']');
    lines
        .skip_while(|line| !is_header(line) || line.trim_matches(['[', ']']) != path)
        .skip(1)
        .take_while(|line| !is_header(line))
        .filter_map(|line| line.split_once(" = "))
        .filter(|(key, _)| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        .collect()
}
