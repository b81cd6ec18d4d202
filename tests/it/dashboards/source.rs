//! What the dashboards are made from: `grafana/source/*.toml`. A panel says what it asks and how it looks; what all
//! panels have in common is said once, in `drawing.rs`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One dashboard.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    pub(super) uid: String,
    pub(super) title: String,
    pub(super) description: String,
    /// The time that is shown at first.
    pub(super) from: String,
    pub(super) row: Vec<Row>,
}

/// Panels under a question.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) title: String,
    pub(super) panel: Vec<Panel>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Looks {
    Stat,
    Timeseries,
    Bargauge,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Panel {
    pub(super) title: String,
    #[serde(rename = "kind")]
    pub(super) looks: Looks,
    /// Width and height; the grid is 24 wide.
    pub(super) size: [u32; 2],
    pub(super) unit: String,
    /// The description.
    pub(super) text: String,
    /// What it says when there is nothing.
    pub(super) empty: String,
    pub(super) ask: Vec<Ask>,
    /// The dashboard that tells more.
    pub(super) to: Option<String>,
    /// Colours by value: the first for everything below, then `<from> <colour>`.
    #[serde(default)]
    pub(super) steps: Vec<String>,
    /// Words for values.
    #[serde(default)]
    pub(super) words: BTreeMap<String, String>,
    /// Words for a span of values.
    pub(super) reads: Option<Reads>,
    /// A line across time.
    pub(super) line: Option<f64>,
    pub(super) max: Option<f64>,
    /// The shortest interval that is counted together.
    pub(super) interval: Option<String>,
    /// Which names have which colours.
    pub(super) palette: Option<String>,
    /// Whether series stand upon each other.
    #[serde(default)]
    pub(super) stack: bool,
    /// Whether counts are drawn as bars.
    #[serde(default)]
    pub(super) bars: bool,
    /// Whether a number has its past behind it.
    #[serde(default)]
    pub(super) spark: bool,
    /// Whether a number has its name beside it.
    pub(super) show: Option<String>,
    /// Series that belong to the axis on the right.
    pub(super) right: Option<Right>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    pub(super) expr: String,
    pub(super) legend: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reads {
    pub(super) from: f64,
    pub(super) to: Option<f64>,
    #[serde(rename = "as")]
    pub(super) word: String,
    pub(super) colour: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Right {
    pub(super) name: String,
    pub(super) unit: String,
}

/// An expression as Prometheus gets it from Grafana: `%job` and `%app` are the filters of the dashboard, and
/// `grown(labels; series; time)` is how much counters have grown, by labels.
///
/// A counter with labels does not exist before it is first touched. Its first value counts as growth, provided that the
/// process was scraped before without it; and where nothing has grown the answer is zero and not nothing.
pub(super) fn expression(short: &str) -> String {
    let mut whole = short.to_owned();
    while let Some(at) = whole.find("grown(") {
        let inside = &whole[at + "grown(".len()..];
        let end = closing(inside);
        let parts: Vec<&str> = inside[..end].split(';').map(str::trim).collect();
        let [labels, series, time] = parts[..] else {
            panic!("grown(labels; series; time), not {short}");
        };
        let sum = match labels {
            "" => "sum".to_owned(),
            labels => format!("sum by ({labels})"),
        };
        let grown = format!(
            "{sum} (increase({series}[{time}]) > 0 or ({series} unless {series} offset {time} \
             and on (job, instance) up offset {time} == 1)) or {sum} (0 * {series})"
        );
        whole.replace_range(at..=at + "grown(".len() + end, &grown);
    }
    whole
        .replace("%app", "job=~\"$job\", application=~\"$application\"")
        .replace("%job", "job=~\"$job\"")
}

/// Where the bracket that was opened before the text is closed.
fn closing(text: &str) -> usize {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' if depth == 0 => return at,
            ')' => depth -= 1,
            _ => {}
        }
    }
    panic!("a bracket is not closed in {text}");
}
