//! Whether Grafana can read the dashboards, and whether people can.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use super::{asking, dashboards, root};

/// What the Prometheus data source adds to annotations, which the schema does not know.
const OF_PROMETHEUS: [&str; 5] = ["target", "titleFormat", "textFormat", "tagKeys", "useValueForTime"];

fn schema() -> jsonschema::Validator {
    let text = fs::read_to_string(root().join("tests/fixtures/grafana/dashboard.schema.json")).unwrap();
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

/// The mistakes that the schema finds, after what it cannot know was looked at.
fn mistakes(schema: &jsonschema::Validator, dashboard: &Value) -> Vec<String> {
    let mut plain = dashboard.clone();
    for mark in plain["annotations"]["list"].as_array_mut().unwrap() {
        if mark["datasource"]["type"] != "prometheus" {
            continue;
        }
        for key in OF_PROMETHEUS {
            let taken = mark.as_object_mut().unwrap().remove(key);
            assert!(taken.is_some(), "an annotation has no {key}");
        }
    }
    let told = schema.iter_errors(&plain);
    told.map(|error| format!("{} {error}", error.instance_path())).collect()
}

#[test]
fn every_dashboard_has_the_structure_that_grafana_publishes() {
    let schema = schema();
    for (name, dashboard) in dashboards() {
        assert_eq!(mistakes(&schema, &dashboard), [""; 0], "{name}");
        assert_eq!(dashboard["schemaVersion"], 42, "{name}");
        assert_eq!(
            dashboard["uid"],
            name.as_str(),
            "the file has the name of the dashboard"
        );
    }
}

/// The schema is strict enough to be worth asking.
#[test]
fn the_structure_tells_mistakes() {
    let schema = schema();
    let (_, good) = dashboards().remove(0);
    let planted: [(&str, Value); 6] = [
        ("/title", 5.into()),
        ("/panels/1/gridPos/w", "wide".into()),
        ("/panels/1/fieldConfig/defaults/units", "s".into()),
        ("/panels/1/sparkline", true.into()),
        ("/templating/list/1/type", "question".into()),
        ("/links/0/type", "path".into()),
    ];
    for (at, value) in planted {
        let mut bad = good.clone();
        let (parent, key) = at.rsplit_once('/').unwrap();
        bad.pointer_mut(parent).unwrap()[key] = value;
        assert!(!mistakes(&schema, &bad).is_empty(), "{at} went unnoticed");
    }
}

#[test]
fn every_panel_says_what_it_shows() {
    for (name, dashboard) in &dashboards() {
        assert!(
            dashboard["description"].as_str().is_some_and(|text| text.len() > 20),
            "{name}"
        );
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap_or_default();
            assert!(!title.is_empty(), "{name}: panel {} has no title", panel["id"]);
        }
        for panel in asking(dashboard) {
            let here = format!("{name}: {}", panel["title"]);
            let defaults = &panel["fieldConfig"]["defaults"];
            for (what, text) in [
                ("description", &panel["description"]),
                ("unit", &defaults["unit"]),
                ("text for an empty panel", &defaults["noValue"]),
            ] {
                let told = text.as_str().is_some_and(|text| !text.is_empty());
                assert!(told, "{here} has no {what}");
            }
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{here}");
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{here} asks nothing");
            for target in targets {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{here}");
                let expression = target["expr"].as_str().unwrap();
                assert!(
                    expression.contains("$job") || expression.contains("ALERTS"),
                    "{here} asks for all jobs"
                );
            }
            // What can be told apart is filtered, and what cannot says so.
            let filtered = |target: &Value| target["expr"].as_str().unwrap().contains("$application");
            let told = panel["description"]
                .as_str()
                .unwrap()
                .contains("ot filtered by application");
            assert!(
                told || targets.iter().all(filtered),
                "{here} does not tell whether it is filtered"
            );
            assert!(!told || !targets.iter().all(filtered), "{here} is filtered");
        }
    }
}

#[test]
fn panels_lie_beside_each_other() {
    for (name, dashboard) in &dashboards() {
        let mut taken = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = &panel["title"];
            let id = panel["id"].as_u64().unwrap();
            assert!(ids.insert(id), "{name}: the number of {title} is taken");
            let side = |side: &str| panel["gridPos"][side].as_u64().unwrap();
            let fits = side("w") > 0 && side("h") > 0 && side("x") + side("w") <= 24;
            assert!(fits, "{name}: {title}");
            for x in side("x")..side("x") + side("w") {
                for y in side("y")..side("y") + side("h") {
                    assert!(taken.insert((x, y)), "{name}: {title} lies upon another panel");
                }
            }
        }
    }
}

/// Every address of a link, wherever it stands.
fn addresses<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, field)| match field.as_str() {
            Some(text) if key == "url" => found.push(text),
            _ => addresses(field, found),
        }),
        Value::Array(items) => items.iter().for_each(|item| addresses(item, found)),
        _ => {}
    }
}

#[test]
fn links_lead_to_dashboards_and_take_the_filters_along() {
    let dashboards = dashboards();
    let known: Vec<&str> = dashboards.iter().map(|(name, _)| name.as_str()).collect();
    for (name, dashboard) in &dashboards {
        let mut found = Vec::new();
        addresses(&dashboard["panels"], &mut found);
        for address in &found {
            for filter in ["datasource", "job", "application"] {
                assert!(
                    address.contains(&format!("${{{filter}:queryparam}}")),
                    "{name}: {address}"
                );
            }
        }
        let neighbours = dashboard["links"].as_array().unwrap();
        assert_eq!(
            neighbours.len(),
            known.len() - 1,
            "{name} does not lead to every other one"
        );
        assert!(
            neighbours
                .iter()
                .all(|link| link["includeVars"] == true && link["keepTime"] == true)
        );
        addresses(&dashboard["links"], &mut found);
        for address in found {
            let to = address.strip_prefix("/d/").and_then(|rest| rest.split('?').next());
            assert!(
                to.is_some_and(|to| known.contains(&to)),
                "{name}: {address} leads nowhere"
            );
        }
    }
}

#[test]
fn every_dashboard_has_the_same_filters_and_marks() {
    for (name, dashboard) in &dashboards() {
        let names = |list: &Value| {
            let all = list["list"].as_array().unwrap().iter();
            all.map(|one| one["name"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            names(&dashboard["templating"]),
            ["datasource", "job", "application"],
            "{name}"
        );
        let marks = names(&dashboard["annotations"]);
        assert_eq!(
            marks[1..],
            ["Starts and deploys", "Comparing found something"],
            "{name}"
        );
    }
}

#[test]
fn provisioning_finds_the_dashboards_where_they_are_mounted() {
    let read = |file: &str| fs::read_to_string(root().join("grafana").join(file)).unwrap();
    let readme = read("README.md");
    let provider = read("provisioning/dashboards/bellhop.yml");
    let mounted = provider
        .lines()
        .find_map(|line| line.trim().strip_prefix("path: "))
        .unwrap();
    let folder = mounted.strip_prefix("/etc/bellhop-grafana/").unwrap();
    assert!(root().join("grafana").join(folder).is_dir(), "{mounted}");
    assert!(readme.contains("`/etc/bellhop-grafana`"), "the README names the place");
    assert!(readme.contains("GF_PATHS_PROVISIONING=/etc/bellhop-grafana/provisioning"));
    assert!(read("provisioning/datasources/bellhop.yml").contains("type: prometheus"));
    for name in ["alerts/bellhop.rules.yml", "alertmanager.example.yml"] {
        assert!(
            readme.contains(&format!("`{name}`")) && root().join("grafana").join(name).is_file(),
            "{name}"
        );
    }
}
