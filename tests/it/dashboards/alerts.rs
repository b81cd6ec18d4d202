//! Every alert has a page in the runbook, a unit test, and fires where it should and nowhere else.

use std::{fs, process::Stdio};

use tokio::process::Command;

use super::{alert_names, provoked::FIRED_BY_A_RUNNING_BELLHOP, root, rules, runbook};

/// What a page tells.
const PARTS: [&str; 3] = ["- **Confirm", "**Do:**", "- **Over:**"];

fn unit_tests() -> String {
    let file = |name: &str| fs::read_to_string(root().join("grafana/alerts").join(name)).unwrap();
    ["bellhop.test.yml", "bellhop.days.test.yml"].map(file).concat()
}

#[test]
fn every_alert_has_its_page_in_the_runbook_and_its_tests() {
    let (rules, runbook, tests) = (rules(), runbook(), unit_tests());
    let alerts = alert_names(&rules);
    assert!(alerts.len() > 40);
    for alert in &alerts {
        let anchor = format!("runbook_url: docs/runbook.md#{}\n", alert.to_lowercase());
        assert_eq!(rules.matches(&anchor).count(), 1, "{alert} points to its page");
        let page = runbook.split_once(&format!("\n### {alert}\n"));
        let page = page
            .unwrap_or_else(|| panic!("docs/runbook.md has no section on {alert}"))
            .1;
        let page = page.split("\n### ").next().unwrap();
        let page = page.replace("**Confirm and do:**", "**Confirm** **Do:**");
        for part in PARTS {
            assert!(page.contains(part), "docs/runbook.md: {alert} has no {part}");
        }
        assert!(tests.contains(&format!("\"{alert}\"")), "no test lets {alert} fire");
    }
    for section in runbook.lines().filter_map(|line| line.strip_prefix("### ")) {
        assert!(
            alerts.contains(&section),
            "docs/runbook.md: there is no alert {section}"
        );
    }
    for alert in FIRED_BY_A_RUNNING_BELLHOP {
        assert!(alerts.contains(&alert), "there is no alert {alert}");
    }
}

#[test]
fn every_alert_says_how_urgent_it_is_and_what_is_wrong() {
    let rules = rules();
    let (_, alerts) = rules.split_once("- alert: ").unwrap();
    for alert in alerts.split("- alert: ") {
        let name = alert.lines().next().unwrap();
        let urgent = alert.matches("severity: critical\n").count() + alert.matches("severity: warning\n").count();
        assert_eq!(urgent, 1, "{name} has one severity");
        for part in ["expr: ", "summary: ", "description: ", "First:"] {
            assert!(alert.contains(part), "{name} has no {part}");
        }
        // Whom it is about. What is missing altogether has no name.
        let summary = alert.lines().find(|line| line.contains("summary: ")).unwrap();
        assert!(
            summary.contains("$labels.") || name == "BellhopAbsent",
            "{name}: {summary}"
        );
    }
}

/// The first two cells of the rows under a heading.
fn table<'a>(text: &'a str, heading: &str) -> Vec<(&'a str, &'a str)> {
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let cell = |row: &'a str| {
        let mut cells = row.split('|').map(str::trim).skip(1);
        (cells.next().unwrap(), cells.next().unwrap())
    };
    rows.map(cell).collect()
}

#[test]
fn every_fault_that_was_tried_has_its_alerts_or_says_why_none() {
    let document = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let rules = rules();
    let alerts = alert_names(&rules);
    let told = table(&document, "Which alert tells of it");
    let faults: Vec<&str> = table(&document, "The fault matrix")
        .iter()
        .map(|(fault, _)| *fault)
        .collect();
    assert!(faults.len() > 15);
    let listed: Vec<&str> = told.iter().map(|(fault, _)| *fault).collect();
    assert_eq!(listed, faults, "the tables have the same rows");
    for (fault, says) in told {
        let words = says.split(|letter: char| !letter.is_ascii_alphanumeric());
        let named: Vec<&str> = words.filter(|word| word.starts_with("Bellhop")).collect();
        let all_there = named.iter().all(|name| alerts.contains(name));
        assert!(
            all_there && (!named.is_empty() || says.starts_with("none: ")),
            "{fault}: {says}"
        );
    }
}

async fn promtool(arguments: &[&str]) {
    let mut program = Command::new("promtool");
    program
        .args(arguments)
        .current_dir(root().join("grafana/alerts"))
        .stdin(Stdio::null());
    let ended = program
        .output()
        .await
        .expect("promtool is installed: scripts/setup.sh tests");
    let said = [ended.stdout, ended.stderr].concat();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[tokio::test]
async fn the_rules_are_rules() {
    promtool(&["check", "rules", "bellhop.rules.yml"]).await;
}

/// Each alert fires in its case; none fires in a healthy run.
#[tokio::test]
async fn the_unit_tests_of_the_rules_pass() {
    promtool(&["test", "rules", "bellhop.test.yml"]).await;
}

#[tokio::test]
async fn the_unit_tests_of_rules_that_look_back_for_days_pass() {
    promtool(&["test", "rules", "bellhop.days.test.yml"]).await;
}

/// A route or a rule of the example names alerts that there are.
#[test]
fn the_example_of_an_alertmanager_names_alerts_that_exist() {
    let example = fs::read_to_string(root().join("grafana/alertmanager.example.yml")).unwrap();
    let rules = rules();
    let alerts = alert_names(&rules);
    let words = example.split(|letter: char| !letter.is_ascii_alphanumeric());
    let named: Vec<&str> = words
        .filter(|word| word.starts_with("Bellhop") && word.len() > 7)
        .collect();
    assert!(named.len() > 5);
    for name in named {
        assert!(alerts.contains(&name), "there is no alert {name}");
    }
}
