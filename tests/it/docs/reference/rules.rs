use std::{collections::BTreeSet, fmt::Write, fs};

use serde_json::Value;

use super::{headings, printed, root, row, text, type_of};

const BEGINNING: &str = "# Rule reference

Every key, trigger, fact and action of rule files. Made from the program by `make reference`; [rules.md](../rules.md)
explains them by example, `bellhop schema rules` is the same for editors, and `bellhop rules explain` shows a rule to
begin with for each trigger.

## `[[rule]]`

";

/// Keys that every step has.
const OF_STEPS: [&str; 3] = ["id", "after", "when"];

/// The whole reference.
pub(super) fn made() -> String {
    let schema = printed(&["schema", "rules"]);
    let rule = &schema["properties"]["rule"]["items"];
    let mut whole = BEGINNING.to_owned();
    keys(&mut whole, rule, |name| name != "then");
    triggers(&mut whole);
    let steps = rule["properties"]["then"]["items"]["oneOf"].as_array().unwrap();
    whole.push_str("\n## `[[rule.then]]`\n\nThe steps, in their order. Each has an action, and may have:\n\n");
    keys(&mut whole, &steps[0], |name| OF_STEPS.contains(&name));
    for step in steps {
        let action = &step["properties"]["action"];
        let name = text(action, "const");
        write!(whole, "\n### `{name}`\n\n{}\n\n", text(action, "description")).unwrap();
        if step["properties"].as_object().unwrap().len() > OF_STEPS.len() + 1 {
            keys(&mut whole, step, |name| name != "action" && !OF_STEPS.contains(&name));
            whole.push('\n');
        }
        if let Some(file) = example(name) {
            writeln!(whole, "In use: [{file}](../../examples/rules/{file})").unwrap();
        }
    }
    while whole.ends_with("\n\n") {
        whole.pop();
    }
    whole
}

fn keys(into: &mut String, table: &Value, wanted: impl Fn(&str) -> bool) {
    let required: Vec<&str> = table["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    headings(into, &["key", "meaning", "type", ""]);
    for (name, key) in table["properties"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| wanted(name))
    {
        let needed = if required.contains(&name.as_str()) {
            "required"
        } else {
            ""
        };
        // What triggers there are stands below.
        let kind = if name == "on" {
            "trigger, see below".to_owned()
        } else {
            type_of(key, &Value::Null)
        };
        row(into, &[&format!("`{name}`"), text(key, "description"), &kind, needed]);
    }
}

/// The facts of all triggers, then of each what it knows besides.
fn triggers(into: &mut String) {
    let listed = printed(&["rules", "explain", "--json"]);
    let names: Vec<&str> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let explained: Vec<(&str, Value)> = names
        .iter()
        .map(|name| (*name, printed(&["rules", "explain", name, "--json"])))
        .collect();
    let facts_of = |explained: &Value| -> BTreeSet<String> {
        let facts = explained["facts"].as_array().unwrap().iter();
        facts.map(|fact| text(fact, "fact").to_owned()).collect()
    };
    let common = explained
        .iter()
        .map(|(_, one)| facts_of(one))
        .reduce(|all, one| &all & &one)
        .unwrap();
    into.push_str(
        "\n## Facts\n\nWhat conditions (`when`) and texts may name, with any trigger. What is not always there is asked for with \
         `has(…)`.\n\n",
    );
    facts(into, &explained[0].1, |fact| common.contains(fact));
    into.push_str(
        "\n## Triggers\n\nWhat `on` may be, and what is known then besides. Entity events are written `record.updated`, \
         `client.*` or `*.created`; calls `call.ringing`, `call.ended`.\n\n",
    );
    headings(into, &["trigger", "facts besides"]);
    for (name, one) in &explained {
        let besides = one["facts"].as_array().unwrap().iter().map(|fact| text(fact, "fact"));
        let besides: Vec<String> = besides
            .filter(|fact| !common.contains(*fact))
            .map(|fact| format!("`{fact}`"))
            .collect();
        row(into, &[&format!("`{name}`"), &besides.join(", ")]);
    }
}

fn facts(into: &mut String, explained: &Value, wanted: impl Fn(&str) -> bool) {
    headings(into, &["fact", "type", "", "example"]);
    for fact in explained["facts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|fact| wanted(text(fact, "fact")))
    {
        let always = if fact["always"] == true { "always" } else { "" };
        row(
            into,
            &[
                &format!("`{}`", text(fact, "fact")),
                text(fact, "type"),
                always,
                &format!("`{}`", fact["example"]),
            ],
        );
    }
}

/// The first of the example rules with this action.
fn example(action: &str) -> Option<String> {
    let listed = fs::read_dir(root().join("examples/rules")).unwrap();
    let mut files: Vec<_> = listed.map(|file| file.unwrap().path()).collect();
    files.sort();
    let file = files.iter().find(|file| {
        let rules = fs::read_to_string(file).unwrap();
        rules.lines().any(|line| line == format!("action = \"{action}\""))
    })?;
    Some(file.file_name()?.to_str()?.to_owned())
}
