//! What is drawn and alarmed is true: `grafana/` and `docs/runbook.md` against the metrics, against what Grafana reads,
//! and against a real Prometheus that scrapes a running service.

mod alerts;
mod drawing;
mod language;
mod names;
mod palettes;
mod prometheus;
mod provoked;
mod source;
mod structure;
mod watched;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use self::source::Source;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of a folder with this ending, in order.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let found = fs::read_dir(root().join(folder)).unwrap();
    let mut found: Vec<PathBuf> = found
        .map(|entry| entry.unwrap().path())
        .filter(|file| file.extension().is_some_and(|other| other == ending))
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

fn sources() -> Vec<Source> {
    let read = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap();
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    files("grafana/source", "toml").into_iter().map(read).collect()
}

/// The dashboards as Grafana reads them, by name.
fn dashboards() -> Vec<(String, Value)> {
    let read = |file: PathBuf| {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).unwrap();
        let parsed = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, parsed)
    };
    files("grafana/dashboards", "json").into_iter().map(read).collect()
}

/// The panels of a dashboard that ask something.
fn asking(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let panels = dashboard["panels"].as_array().unwrap();
    panels.iter().filter(|panel| panel["type"] != "row")
}

fn rules() -> String {
    fs::read_to_string(root().join("grafana/alerts/bellhop.rules.yml")).unwrap()
}

fn alert_names(rules: &str) -> Vec<&str> {
    let named = |line| str::strip_prefix(str::trim(line), "- alert: ");
    rules.lines().filter_map(named).collect()
}

fn runbook() -> String {
    fs::read_to_string(root().join("docs/runbook.md")).unwrap()
}

/// `make dashboards` writes the files anew; else they have to be what their sources say.
#[test]
fn every_dashboard_is_what_its_source_says() {
    let sources = sources();
    let folder = root().join("grafana/dashboards");
    if std::env::var_os("DRAW_DASHBOARDS").is_some() {
        for source in &sources {
            fs::write(
                folder.join(format!("{}.json", source.uid)),
                drawing::file(source, &sources),
            )
            .unwrap();
        }
    }
    let drawn = dashboards();
    assert_eq!(
        drawn.len(),
        sources.len(),
        "a dashboard without a source, or the other way round"
    );
    for (name, dashboard) in drawn {
        let source = sources.iter().find(|source| source.uid == name);
        let source = source.unwrap_or_else(|| panic!("{name} has no source"));
        let wanted: Value = serde_json::from_str(&drawing::file(source, &sources)).unwrap();
        assert!(
            dashboard == wanted,
            "{name} is not what its source says: make dashboards"
        );
    }
}
