//! From the sources to what Grafana reads: classic dashboards of schema version 42.

use serde_json::{Map, Value, json};

use super::palettes::palette;
use super::source::{Ask, Looks, Panel, Source, expression};

const WIDTH: u32 = 24;
/// What a link takes along.
const ALONG: &str = "${datasource:queryparam}&${job:queryparam}&${application:queryparam}&${__url_time_range}";

/// The file of a dashboard. The other ones are where its links lead.
pub(super) fn file(source: &Source, all: &[Source]) -> String {
    let mut text = serde_json::to_string_pretty(&dashboard(source, all)).unwrap();
    text.push('\n');
    text
}

fn dashboard(source: &Source, all: &[Source]) -> Value {
    let others = all.iter().filter(|other| other.uid != source.uid);
    json!({
        "uid": source.uid,
        "title": source.title,
        "description": source.description,
        "tags": ["bellhop"],
        "schemaVersion": 42,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "30s",
        "timezone": "browser",
        "fiscalYearStartMonth": 0,
        "liveNow": false,
        "preload": false,
        "links": others.map(neighbour).collect::<Vec<_>>(),
        "time": {"from": source.from, "to": "now"},
        "timepicker": {},
        "annotations": annotations(),
        "templating": templating(),
        "panels": panels(source),
    })
}

fn neighbour(other: &Source) -> Value {
    let title = other.title.trim_start_matches("Bellhop: ");
    link(title, &format!("/d/{}", other.uid), true)
}

/// Of a dashboard the link takes the filters along by itself, of a panel the address says it.
fn link(title: &str, url: &str, along: bool) -> Value {
    json!({
        "type": "link", "title": title, "url": url, "icon": "dashboard", "tooltip": "", "tags": [],
        "asDropdown": false, "targetBlank": false, "includeVars": along, "keepTime": along,
    })
}

fn prometheus() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

fn annotations() -> Value {
    let mark = |name: &str, colour: &str, expr: &str, [title, text, keys]: [&str; 3], at_value: bool| {
        json!({
            "datasource": prometheus(), "enable": true, "hide": false, "iconColor": colour, "name": name,
            "target": {"refId": "Anno", "expr": expression(expr), "interval": "60s"},
            "titleFormat": title, "textFormat": text, "tagKeys": keys, "useValueForTime": at_value,
        })
    };
    json!({"list": [
        {
            "builtIn": 1, "datasource": {"type": "grafana", "uid": "-- Grafana --"}, "enable": true, "hide": true,
            "iconColor": "rgba(0, 211, 255, 1)", "name": "Annotations & Alerts", "type": "dashboard",
        },
        mark(
            "Starts and deploys", "blue",
            "max by (job, instance, version, revision) (bellhop_build_info{%job} * on (job, instance) group_left () \
             process_start_time_seconds{%job}) * 1000",
            ["Bellhop {{version}} started", "{{instance}}, revision {{revision}}", "version"], true,
        ),
        mark(
            "Comparing found something", "purple",
            "sum by (application, kind) (increase(bellhop_reconcile_differences_total{%app}[2m])) > 0",
            ["Found by comparing: {{kind}}", "application {{application}}", "kind"], false,
        ),
    ]})
}

fn templating() -> Value {
    let variable = |name: &str, label: &str, about: &str, query: &str, sort: u32| {
        json!({
            "name": name, "label": label, "description": about, "type": "query", "datasource": prometheus(),
            "query": {"qryType": 1, "query": query, "refId": name}, "regex": "", "hide": 0, "refresh": 2, "sort": sort,
            "includeAll": true, "allValue": ".*", "multi": true, "options": [],
            "current": {"text": ["All"], "value": ["$__all"]}, "skipUrlSync": false,
        })
    };
    json!({"list": [
        {
            "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "regex": "",
            "hide": 0, "refresh": 1, "includeAll": false, "multi": false, "options": [], "skipUrlSync": false,
        },
        without_all_value(variable(
            "job", "Job", "The scrape job: one for each Bellhop that this Prometheus watches.",
            "label_values(bellhop_build_info, job)", 1,
        )),
        variable(
            "application", "Application",
            "The number of the application in the marketplace. Panels whose figures do not tell applications apart say so.",
            "label_values(bellhop_installations{job=~\"$job\"}, application)", 3,
        ),
    ]})
}

/// "All" jobs are those that are Bellhop's; "all" applications are also those that only old figures know.
fn without_all_value(mut variable: Value) -> Value {
    variable.as_object_mut().unwrap().remove("allValue");
    variable
}

/// Panels lie from left to right under the title of their row.
fn panels(source: &Source) -> Vec<Value> {
    let (mut drawn, mut y) = (Vec::new(), 0);
    for row in &source.row {
        drawn.push(json!({
            "id": drawn.len() + 1, "type": "row", "title": row.title, "collapsed": false, "panels": [],
            "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1},
        }));
        y += 1;
        let (mut x, mut height) = (0, 0);
        for one in &row.panel {
            let [w, h] = one.size;
            if x + w > WIDTH {
                (x, y, height) = (0, y + height, 0);
            }
            let mut panel = self::panel(one);
            panel["id"] = json!(drawn.len() + 1);
            panel["gridPos"] = json!({"x": x, "y": y, "w": w, "h": h});
            drawn.push(panel);
            (x, height) = (x + w, height.max(h));
        }
        y += height;
    }
    drawn
}

fn panel(panel: &Panel) -> Value {
    let over_time = panel.looks == Looks::Timeseries || panel.spark;
    let letters = 'A'..='Z';
    let targets = panel
        .ask
        .iter()
        .zip(letters)
        .map(|(ask, letter)| target(ask, letter, over_time));
    let mut drawn = json!({
        "type": match panel.looks {
            Looks::Stat => "stat",
            Looks::Timeseries => "timeseries",
            Looks::Bargauge => "bargauge",
        },
        "title": panel.title,
        "description": panel.text,
        "datasource": prometheus(),
        "targets": targets.collect::<Vec<_>>(),
        "fieldConfig": {"defaults": defaults(panel), "overrides": overrides(panel)},
        "options": options(panel),
    });
    if let Some(interval) = &panel.interval {
        drawn["interval"] = json!(interval);
    }
    if let Some(to) = &panel.to {
        drawn["links"] = json!([link("Tell me more", &format!("/d/{to}?{ALONG}"), false)]);
    }
    drawn
}

fn target(ask: &Ask, letter: char, over_time: bool) -> Value {
    json!({
        "refId": letter.to_string(), "datasource": prometheus(), "editorMode": "code", "expr": expression(&ask.expr),
        "legendFormat": ask.legend, "instant": !over_time, "range": over_time, "format": "time_series",
    })
}

fn defaults(panel: &Panel) -> Value {
    let mut defaults = json!({"unit": panel.unit, "noValue": panel.empty, "thresholds": thresholds(panel)});
    let more = defaults.as_object_mut().unwrap();
    match panel.looks {
        Looks::Timeseries => {
            more.insert("color".to_owned(), json!({"mode": "palette-classic"}));
            more.insert("custom".to_owned(), custom(panel));
            // What is given back lies below the line.
            let lowest = panel.ask.iter().any(|ask| ask.expr.starts_with("-1 *"));
            if !lowest {
                more.insert("min".to_owned(), json!(0));
            }
        }
        Looks::Stat | Looks::Bargauge => {
            more.insert("color".to_owned(), json!({"mode": "thresholds"}));
            more.insert("mappings".to_owned(), mappings(panel));
            if panel.looks == Looks::Bargauge {
                more.insert("min".to_owned(), json!(0));
            }
            // Increases are estimates between scrapes; people count in whole ones.
            if ["none", "locale"].contains(&panel.unit.as_str()) {
                more.insert("decimals".to_owned(), json!(0));
            }
            if let Some(to) = &panel.to {
                let url = format!("/d/{to}?{ALONG}");
                more.insert("links".to_owned(), json!([{"title": "Tell me more", "url": url}]));
            }
        }
    }
    if let Some(max) = panel.max {
        more.insert("max".to_owned(), json!(max));
    }
    defaults
}

fn custom(panel: &Panel) -> Value {
    let stacked = panel.stack || panel.bars;
    json!({
        "drawStyle": if panel.bars { "bars" } else { "line" },
        // In a stack a series of zero would cover the top of the others with its line.
        "lineWidth": if panel.stack { 0 } else { 1 },
        "fillOpacity": if stacked { 60 } else { 8 },
        "showPoints": "auto",
        "pointSize": 4,
        "spanNulls": false,
        "lineInterpolation": "linear",
        "axisPlacement": "auto",
        // Where nothing happens the line lies at the foot of a small scale.
        "axisSoftMax": 1,
        "scaleDistribution": {"type": "linear"},
        "stacking": {"mode": if stacked { "normal" } else { "none" }, "group": "A"},
        "thresholdsStyle": {"mode": if panel.line.is_some() { "line" } else { "off" }},
    })
}

fn thresholds(panel: &Panel) -> Value {
    let mut steps: Vec<Value> = Vec::new();
    for step in &panel.steps {
        let (from, colour) = match step.split_once(' ') {
            Some((from, colour)) => (Some(from.parse::<f64>().unwrap()), colour),
            None => (None, step.as_str()),
        };
        steps.push(json!({"color": colour, "value": from}));
    }
    if steps.is_empty() {
        steps.push(json!({"color": "green", "value": null}));
    }
    if let Some(line) = panel.line {
        steps.push(json!({"color": "red", "value": line}));
    }
    json!({"mode": "absolute", "steps": steps})
}

fn mappings(panel: &Panel) -> Value {
    let mut mappings = Vec::new();
    if !panel.words.is_empty() {
        let words = panel.words.iter().enumerate();
        let words = words.map(|(index, (value, word))| (value.clone(), json!({"text": word, "index": index})));
        mappings.push(json!({"type": "value", "options": words.collect::<Map<String, Value>>()}));
    }
    if let Some(reads) = &panel.reads {
        let result = json!({"text": reads.word, "color": reads.colour, "index": 0});
        let options = json!({"from": reads.from, "to": reads.to, "result": result});
        mappings.push(json!({"type": "range", "options": options}));
    }
    json!(mappings)
}

fn overrides(panel: &Panel) -> Value {
    let palette = panel.palette.as_ref().map_or(&[][..], |name| palette(name));
    let matcher = |name: &str| match name.starts_with('/') {
        true => json!({"id": "byRegexp", "options": name}),
        false => json!({"id": "byName", "options": name}),
    };
    let mut overrides: Vec<Value> = palette
        .iter()
        .map(|(name, colour)| {
            let fixed = json!({"id": "color", "value": {"mode": "fixed", "fixedColor": colour}});
            json!({"matcher": matcher(name), "properties": [fixed]})
        })
        .collect();
    if let Some(right) = &panel.right {
        overrides.push(json!({"matcher": matcher(&right.name), "properties": [
            {"id": "unit", "value": right.unit}, {"id": "custom.axisPlacement", "value": "right"},
        ]}));
    }
    json!(overrides)
}

fn options(panel: &Panel) -> Value {
    let last = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
    match panel.looks {
        Looks::Timeseries => json!({
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }),
        Looks::Stat => json!({
            "reduceOptions": last,
            "orientation": "auto",
            "textMode": panel.show.as_deref().unwrap_or("value"),
            "wideLayout": true,
            "colorMode": if panel.spark || panel.show.is_some() { "value" } else { "background" },
            "graphMode": if panel.spark { "area" } else { "none" },
            "justifyMode": "center",
            "showPercentChange": false,
        }),
        Looks::Bargauge => json!({
            "reduceOptions": last,
            "orientation": "horizontal",
            "displayMode": "gradient",
            "valueMode": "color",
            "namePlacement": "auto",
            "showUnfilled": true,
            "sizing": "auto",
            "minVizHeight": 16,
            "minVizWidth": 8,
            "maxVizHeight": 300,
            "text": {"titleSize": 14, "valueSize": 20},
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": false, "calcs": []},
        }),
    }
}
