//! What is drawn and alarmed exists: `grafana/` and `docs/runbook.md` against the metrics.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use bellhop::metrics::Metrics;
use serde_json::Value;

/// Of Prometheus itself, and of the process collector that every exporter on Linux has.
const NOT_OURS: [&str; 5] = [
    "up",
    "ALERTS",
    "process_start_time_seconds",
    "process_open_fds",
    "process_max_fds",
];

/// Words of the query language that look like names.
const LANGUAGE: [&str; 8] = ["and", "or", "unless", "on", "by", "group_left", "offset", "Inf"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn dashboards() -> Vec<(PathBuf, Value)> {
    let files = fs::read_dir(root().join("grafana/dashboards")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> = files
        .filter(|file| file.extension().is_some_and(|ending| ending == "json"))
        .collect();
    assert!(!files.is_empty());
    let read = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap();
        let parsed = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        (file, parsed)
    };
    files.into_iter().map(read).collect()
}

fn rules() -> String {
    fs::read_to_string(root().join("grafana/alerts/bellhop.rules.yml")).unwrap()
}

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

/// Every word of an expression that can only be a series: no function, no label, no language.
fn series(expression: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut rest = expression;
    let mut labels = 0;
    // Words in the brackets after `by`, `on` and `group_left` are labels.
    let mut before = "";
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let end = rest[1..].find('"').unwrap() + 2;
            rest = &rest[end..];
        } else if first.is_ascii_alphabetic() || first == '$' {
            let end = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || "_:$".contains(c)))
                .unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let call = ["(", "by ("].iter().any(|next| after.trim_start().starts_with(next));
            if labels == 0 && !call && !word.starts_with('$') && !LANGUAGE.contains(&word) {
                found.insert(word);
            }
            (before, rest) = (word, after);
        } else if first.is_ascii_digit() {
            let end = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))
                .unwrap_or(rest.len());
            rest = &rest[end..];
        } else {
            match first {
                '{' | '[' => labels += 1,
                '(' if labels > 0 || ["by", "on", "group_left"].contains(&before) => labels += 1,
                '}' | ']' => labels -= 1,
                ')' if labels > 0 => labels -= 1,
                _ => {}
            }
            if !first.is_whitespace() {
                before = "";
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    found
}

/// The expressions of the rules, each as one line.
fn rule_expressions(rules: &str) -> Vec<String> {
    let mut expressions = Vec::new();
    let mut lines = rules.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(expression) = line.trim_start().strip_prefix("expr: ") else {
            continue;
        };
        let depth = line.len() - line.trim_start().len();
        let mut whole = expression.trim_start_matches(">-").to_owned();
        while let Some(more) = lines.next_if(|next| next.len() - next.trim_start().len() > depth) {
            whole.push(' ');
            whole.push_str(more.trim());
        }
        expressions.push(whole);
    }
    expressions
}

#[test]
fn words_of_an_expression_are_told_apart() {
    let expression = r#"sum by (job, application) (rate(bellhop_a_total{result=~"x|y"}[$__rate_interval]) > 1e3)
        and on (job, instance) up offset 10m == 1 or bellhop:b < +Inf unless bellhop_c"#;
    let found: Vec<&str> = series(expression).into_iter().collect();
    assert_eq!(found, ["bellhop:b", "bellhop_a_total", "bellhop_c", "up"]);
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
    let mut asked: Vec<(String, String)> = rule_expressions(&rules)
        .into_iter()
        .map(|expression| ("the alert rules".to_owned(), expression))
        .collect();
    for (file, dashboard) in &dashboards() {
        let (mut expressions, mut variables) = (Vec::new(), Vec::new());
        strings(dashboard, "expr", &mut expressions);
        strings(&dashboard["templating"], "query", &mut variables);
        let variables = variables.into_iter().filter(|query| query.starts_with("label_values("));
        // The second argument is a label.
        let variables = variables.map(|query| query.rsplit_once(',').unwrap().0);
        let from = file.display().to_string();
        asked.extend(
            expressions
                .into_iter()
                .chain(variables)
                .map(|text| (from.clone(), text.to_owned())),
        );
    }
    assert!(asked.len() > 50);
    for (from, expression) in &asked {
        for name in series(expression) {
            let known = names.contains(name) || NOT_OURS.contains(&name) || recorded.contains(&name);
            assert!(known, "{from}: nothing is called {name}, in {expression}");
        }
    }
}

#[test]
fn every_panel_says_what_it_shows() {
    for (file, dashboard) in &dashboards() {
        let file = file.display();
        assert_eq!(dashboard["schemaVersion"], 42, "{file}");
        let panels = dashboard["panels"].as_array().unwrap();
        for panel in panels {
            let title = panel["title"].as_str().unwrap_or_default();
            assert!(!title.is_empty(), "{file}: panel {} has no title", panel["id"]);
            if panel["type"] == "row" {
                continue;
            }
            let here = format!("{file}: \"{title}\"");
            let defaults = &panel["fieldConfig"]["defaults"];
            for (what, text) in [
                ("description", &panel["description"]),
                ("unit", &defaults["unit"]),
                ("text for an empty panel", &defaults["noValue"]),
            ] {
                assert!(
                    text.as_str().is_some_and(|text| !text.is_empty()),
                    "{here} has no {what}"
                );
            }
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{here}");
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{here} asks nothing");
            for target in targets {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{here}");
                // What can be told apart is filtered, and what cannot says so.
                let expression = target["expr"].as_str().unwrap();
                let description = panel["description"].as_str().unwrap();
                let open = expression.contains("$application")
                    || description.contains("ot filtered by application")
                    || ["bellhop_build_info", "bellhop_worker", "bellhop_database", "up{"]
                        .iter()
                        .any(|name| expression.contains(name));
                assert!(open, "{here} does not tell whether it is filtered by application");
            }
        }
    }
}

#[test]
fn panels_lie_beside_each_other() {
    for (file, dashboard) in &dashboards() {
        let file = file.display();
        let mut taken = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = &panel["title"];
            assert!(
                ids.insert(panel["id"].as_u64().unwrap()),
                "{file}: the number of {title} is taken"
            );
            let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
            assert!(
                side("w") > 0 && side("h") > 0 && side("x") + side("w") <= 24,
                "{file}: {title}"
            );
            for x in side("x")..side("x") + side("w") {
                for y in side("y")..side("y") + side("h") {
                    assert!(taken.insert((x, y)), "{file}: {title} lies upon another panel");
                }
            }
        }
    }
}

#[test]
fn every_alert_has_its_page_in_the_runbook_and_its_tests() {
    let rules = rules();
    let runbook = fs::read_to_string(root().join("docs/runbook.md")).unwrap();
    let tests = ["bellhop.test.yml", "bellhop.days.test.yml"]
        .map(|name| fs::read_to_string(root().join("grafana/alerts").join(name)).unwrap())
        .concat();
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() > 20);
    for alert in &alerts {
        let anchor = format!("runbook_url: docs/runbook.md#{}\n", alert.to_lowercase());
        assert_eq!(rules.matches(&anchor).count(), 1, "{alert} points to its page");
        assert!(
            runbook.contains(&format!("\n### {alert}\n")),
            "docs/runbook.md has no section on {alert}"
        );
        assert!(tests.contains(&format!("\"{alert}\"")), "no test lets {alert} fire");
    }
    for section in runbook.lines().filter_map(|line| line.strip_prefix("### ")) {
        assert!(
            alerts.contains(&section),
            "docs/runbook.md: there is no alert {section}"
        );
    }
}
