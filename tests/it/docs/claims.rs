//! Names and examples in the documents, tried on the real configuration, metrics and rules.

use std::fs;
use std::path::Path;

use bellhop::config::Config;
use bellhop::rules::{RuleSet, SourceFile, Trigger, read_bulk};

use super::markdown::Document;

/// Facts of rules that are not in every event, and a trigger that has them.
const SPECIAL: [(&str, &str); 8] = [
    ("event.due_at", "trial.ended"),
    ("event.silent_since", "silence\"\nfor = \"7d"),
    ("event.pending_since", "activation.expired"),
    ("event.payment", "payment.received"),
    ("event.resource", "record.*"),
    ("event.resource_id", "record.*"),
    ("event.change", "record.*"),
    ("event.data", "record.*"),
];

/// Names that look like a metric, a configuration key or an environment variable, and are none.
pub(crate) fn wrong_names(text: &str, codes: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    let words = || text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    for metric in words().filter_map(|word| word.strip_prefix("bellhop_")) {
        if !is_metric(metric) && !is_role(metric) {
            wrong.push(format!("there is no metric bellhop_{metric}"));
        }
    }
    for variable in words().filter(|word| word.starts_with("BELLHOP_") && word.contains("__")) {
        let path = variable.trim_start_matches("BELLHOP_").to_lowercase();
        let parts: Vec<&str> = path.split("__").filter(|part| part.parse::<usize>().is_err()).collect();
        let known = matches!(parts[..], [section, key] if is_section(section) && is_key(section, key));
        if !known {
            wrong.push(format!("{variable} sets nothing"));
        }
    }
    for code in codes {
        let Some((section, key)) = code.split_once('.') else {
            continue;
        };
        let plain = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        // `activation` is a section, and one trigger's family.
        let is_trigger = Trigger::names().contains(&code.as_str());
        if !is_trigger && plain(section) && plain(key) && key != "rs" && is_section(section) && !is_key(section, key) {
            wrong.push(format!("there is no configuration key {code}"));
        }
    }
    wrong
}

fn is_metric(name: &str) -> bool {
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/metrics.rs")).unwrap();
    source
        .lines()
        .any(|line| line.trim().starts_with(&format!("{name}: ")) && line.trim().ends_with(';'))
}

fn is_role(name: &str) -> bool {
    include_str!("../../../packaging/postgres/roles.sql").contains(&format!("create role bellhop_{name} "))
}

/// What the reader of the configuration says about a text.
fn said(text: &str) -> String {
    let read = Config::from_text(text, Path::new("."));
    read.err().map(|problems| problems.to_string()).unwrap_or_default()
}

fn is_section(name: &str) -> bool {
    !said(&format!("[{name}]")).contains(&format!("unknown field `{name}`"))
}

/// A list is the wrong type for nearly every key, but only an unknown key is called unknown.
fn is_key(section: &str, key: &str) -> bool {
    let unknown = format!("unknown field `{key}`");
    let table = said(&format!("[{section}]\n{key} = []"));
    let list = said(&format!("[[{section}]]\n{key} = []"));
    !table.contains(&unknown) && !list.contains(&unknown)
}

/// What a part of an application belongs to.
const BEFORE_A_PAGE: &str = "[server]\npublic_url = \"https://hooks.example.com\"\n\
    [security]\nhook_secret = \"a long random text\"\n\
    [[account]]\nname = \"main\"\npartner_token = \"a long random text\"\n\
    [[application]]\nid = 1\naccount = \"main\"\nname = \"Example\"\n";

/// A block of TOML is a configuration, rules, or parts of rules.
pub(crate) fn accepted(text: &str) -> Result<(), String> {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    if first.starts_with("[[rule]]") {
        return rules(text);
    }
    if first.starts_with("[bulk]") {
        return bulk(text);
    }
    if first.starts_with("[[rule.then]]") {
        let rule = "[[rule]]\nname = \"shown\"\non = \"installation.activated\"\n";
        return rules(&format!("{rule}{text}"));
    }
    if first.starts_with("[application.page]") {
        return configuration(&format!("{BEFORE_A_PAGE}{text}"));
    }
    if first.starts_with("on = ") {
        let step = "[[rule.then]]\naction = \"set_discount\"\npercent = 1\n";
        let parts = text.split("\n\n").enumerate();
        let rule = |(number, part)| format!("[[rule]]\nname = \"shown-{number}\"\n{part}\n{step}");
        return rules(&parts.map(rule).collect::<String>());
    }
    configuration(text)
}

fn rules(text: &str) -> Result<(), String> {
    let file = SourceFile {
        name: "example".to_owned(),
        text: text.to_owned(),
    };
    match RuleSet::load(&[file], &|_| Ok(None)) {
        Ok(_) => Ok(()),
        Err(mistakes) => {
            let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            Err(lines.join("\n"))
        }
    }
}

fn bulk(text: &str) -> Result<(), String> {
    let file = SourceFile {
        name: "example".to_owned(),
        text: text.to_owned(),
    };
    let mistakes = read_bulk(&file).err().unwrap_or_default();
    let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    if lines.is_empty() {
        Ok(())
    } else {
        Err(lines.join("\n"))
    }
}

/// A whole configuration, with a file for each secret it names.
fn configuration(text: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    for line in text.lines() {
        if let Some((_, file)) = line.split_once("_file = \"") {
            let file = folder.path().join(file.split('"').next().unwrap());
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "a secret that is long enough\n").unwrap();
        }
    }
    match Config::from_text(text, folder.path()) {
        Ok(_) => Ok(()),
        Err(problems) => Err(problems.to_string()),
    }
}

/// Triggers, facts and actions of the reference that rules refuse.
pub(crate) fn wrong_in_reference(document: &Document) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut triggers, mut facts) = (0, 0);
    for line in document.text.lines().filter(|line| line.starts_with("| `")) {
        let first = line.split('|').nth(1).unwrap_or_default();
        for name in first.split('`').skip(1).step_by(2) {
            let Some((root, _)) = name.split_once('.') else {
                continue;
            };
            let outcome =
                if ["event", "location", "application"].contains(&root) || line.contains("installation.status") {
                    facts += 1;
                    fact(name)
                } else {
                    triggers += 1;
                    trigger(name)
                };
            wrong.extend(outcome.err());
        }
    }
    assert!(triggers > 8 && facts > 25, "the tables are found: {triggers}, {facts}");
    wrong
}

fn trigger(name: &str) -> Result<(), String> {
    let before = if name.ends_with(".ending") {
        "before = \"1d\"\n"
    } else {
        ""
    };
    accepted(&format!("on = \"{name}\"\n{before}"))
}

fn fact(name: &str) -> Result<(), String> {
    let special = SPECIAL
        .iter()
        .find(|(prefix, _)| name == *prefix || name.starts_with(&format!("{prefix}.")));
    let on = special.map_or("installation.activated", |(_, on)| on);
    rules(&format!(
        "[[rule]]\nname = \"shown\"\non = \"{on}\"\n[[rule.then]]\naction = \"send_email\"\nto = \"a@example.com\"\n\
         subject = \"x\"\ntext = '{{% if {name} %}}yes{{% endif %}}'\n"
    ))
    .map_err(|why| format!("{name}: {why}"))
}
