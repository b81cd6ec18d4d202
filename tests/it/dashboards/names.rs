//! What is asked for exists, and what exists is asked for: metrics in code, dashboards, alerts and documents.

use std::{collections::BTreeSet, fs};

use bellhop::metrics::Metrics;
use serde_json::Value;

use super::{
    dashboards,
    language::{rule_expressions, series},
    root, rules, runbook,
};

/// Of Prometheus itself, and of the process collector that every exporter on Linux has.
const NOT_OURS: [&str; 7] = [
    "up",
    "ALERTS",
    "process_start_time_seconds",
    "process_open_fds",
    "process_max_fds",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
];

/// Metrics that no dashboard and no alert asks for, and what they are for.
const FOR_THE_CURIOUS: [(&str, &str); 6] = [
    (
        "bellhop_events_total",
        "which kinds of events come by which way: for a query by hand",
    ),
    (
        "bellhop_payments_total",
        "how many payments there were: the dashboards show what they come to",
    ),
    (
        "bellhop_rules_reloads_total",
        "how often rules were replaced: the dashboards show the last time",
    ),
    (
        "bellhop_partitions_dropped_total",
        "that old days go: large tables are what would be noticed",
    ),
    (
        "bellhop_places_erased_total",
        "that retention works: nothing is wrong when nothing is due",
    ),
    (
        "bellhop_figures_last_read_timestamp_seconds",
        "whether figures of the database are of now, when they look as if nothing moved",
    ),
];

/// Every series name that Bellhop can show. A metric with labels is not rendered before it is
/// touched, so the names are those of the fields, which become names by a prefix.
fn names() -> BTreeSet<String> {
    let source = fs::read_to_string(root().join("src/metrics.rs")).unwrap();
    let (_, declared) = source.split_once("\nmetrics! {\n").unwrap();
    let (declared, _) = declared.split_once("\n}\n").unwrap();
    let mut names = BTreeSet::new();
    for line in declared.lines().map(str::trim).filter(|line| !line.starts_with("///")) {
        let (name, kind) = line.split_once(": ").unwrap();
        let name = format!("bellhop_{name}");
        if kind.starts_with("Histogram") {
            names.extend(["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")));
        } else {
            names.insert(name);
        }
    }
    names
}

/// The values of a key, wherever it stands.
fn strings<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_str() {
                    Some(text) if name == key => found.push(text),
                    _ => strings(field, key, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, key, found)),
        _ => {}
    }
}

/// Everything that is asked for, and by whom.
fn asked() -> Vec<(String, String)> {
    let of_rules = rule_expressions(&rules()).into_iter();
    let mut asked: Vec<(String, String)> = of_rules.map(|text| ("the alert rules".to_owned(), text)).collect();
    for (name, dashboard) in &dashboards() {
        let (mut expressions, mut variables) = (Vec::new(), Vec::new());
        strings(dashboard, "expr", &mut expressions);
        strings(&dashboard["templating"], "query", &mut variables);
        let variables = variables.into_iter().filter(|query| query.starts_with("label_values("));
        // The second argument is a label.
        let variables = variables.map(|query| query.rsplit_once(',').unwrap().0);
        let all = expressions.into_iter().chain(variables);
        asked.extend(all.map(|text| (name.clone(), text.to_owned())));
    }
    assert!(asked.len() > 100);
    asked
}

#[test]
fn every_series_that_is_asked_for_exists() {
    let names = names();
    for rendered in Metrics::new().render().lines() {
        let name = rendered
            .strip_prefix("# TYPE bellhop_")
            .and_then(|rest| rest.split_once(' '));
        let Some((name, kind)) = name else { continue };
        let ending = if kind == "histogram" { "_bucket" } else { "" };
        assert!(
            names.contains(&format!("bellhop_{name}{ending}")),
            "{name} was read wrongly"
        );
    }
    let rules = rules();
    let recorded: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- record: "))
        .collect();
    for (from, expression) in &asked() {
        for name in series(expression) {
            let known = names.contains(name) || NOT_OURS.contains(&name) || recorded.contains(&name);
            assert!(known, "{from}: nothing is called {name}, in {expression}");
        }
    }
}

#[test]
fn every_metric_is_asked_for_or_says_what_it_is_for() {
    let asked = asked();
    let asked: BTreeSet<&str> = asked.iter().flat_map(|(_, expression)| series(expression)).collect();
    for name in names() {
        let part = ["_sum", "_count"].iter().any(|part| {
            let histogram = name.strip_suffix(part).map(|name| format!("{name}_bucket"));
            histogram.is_some_and(|bucket| names().contains(&bucket))
        });
        let curious = FOR_THE_CURIOUS
            .iter()
            .any(|(curious, why)| *curious == name && !why.is_empty());
        let is_asked = asked.contains(name.as_str());
        assert!(
            part || is_asked != curious,
            "{name}: either asked for, or in the list of those that are not"
        );
    }
}

/// What stands in quotes and begins like a title is one: of a panel, of marks upon panels, or of what others show.
#[test]
fn every_panel_that_somebody_is_sent_to_exists() {
    const ELSEWHERE: [&str; 1] = ["The rules were not replaced"];
    let mut titles: BTreeSet<String> = ELSEWHERE.map(str::to_owned).into();
    for (_, dashboard) in &dashboards() {
        let mut found = Vec::new();
        strings(&dashboard["panels"], "title", &mut found);
        strings(&dashboard["annotations"], "name", &mut found);
        titles.extend(found.into_iter().map(str::to_owned));
    }
    let told: Vec<String> = rules()
        .lines()
        .filter(|line| !line.contains("summary:") && !line.contains('='))
        .map(|line| format!("{} ", line.trim()))
        .collect();
    for text in [runbook().replace('\n', " "), told.concat()] {
        let quoted = text.split('"').skip(1).step_by(2);
        for title in quoted.filter(|title| title.starts_with(|first: char| first.is_ascii_uppercase())) {
            assert!(titles.contains(title), "there is no panel \"{title}\"");
        }
    }
}
