use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde_json::{Value, json};

use super::{Chosen, show_steps};
use crate::{
    app::backtest::{self, Report, Span},
    cli::{
        ConfigFile, Misused,
        output::{count, tell},
        reading::explained,
        service::Database,
        sheet::Sheet,
        table::{Table, or_dash},
        terminal::Progress,
    },
    config::Config,
    store::PgPool,
};

#[derive(Args)]
pub(super) struct Backtest {
    /// A file of rules that are tried as if they worked, whatever their mode is. Without it: those in the configuration.
    file: Option<PathBuf>,
    /// Only the rule of this name.
    #[arg(long, value_name = "NAME", required_unless_present = "file")]
    rule: Option<String>,
    /// Events from this time on, such as 2026-03-05T10:00:00Z. Without it: of the last 30 days.
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// Events before this time. Without it: until now.
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
    /// Of one application.
    #[arg(long, value_name = "NUMBER")]
    application: Option<i64>,
    /// Show at most so many firings; all are counted.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    limit: usize,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// How long the time is when nobody says.
const USUAL: TimeDelta = TimeDelta::days(30);

impl Backtest {
    pub(super) async fn run(self, file: &ConfigFile) -> Result<ExitCode> {
        let config = file.load()?;
        let chosen = Chosen::read(&config, self.file.as_deref(), self.rule.as_deref())?.of(self.application)?;
        let until = self.until.unwrap_or_else(Utc::now);
        let span = Span {
            since: self.since.unwrap_or(until - USUAL),
            until,
            most: self.limit,
        };
        if span.since >= span.until {
            return Err(Misused("--since is not before --until".to_owned()).into());
        }
        let database = Database::visit(&config).await?;
        let reports = database
            .with_pool(async |pool: &PgPool| reports(pool, &config, &chosen, span).await)
            .await?;
        if self.json {
            let items: Vec<Value> = reports
                .iter()
                .map(|(application, report)| {
                    let mut item = json!(report);
                    item["application_id"] = json!(application);
                    item
                })
                .collect();
            let whole = json!({"since": span.since, "until": span.until, "items": items, "caveats": CAVEATS});
            return tell(&whole.to_string());
        }
        let sheets: Vec<String> = reports
            .iter()
            .map(|(application, report)| sheet(*application, report, span).text())
            .collect();
        let caveats: String = CAVEATS.iter().map(|line| format!("\n- {line}")).collect();
        tell(&format!("{}\n\nWhat this cannot know:{caveats}", sheets.join("\n\n")))
    }
}

/// What is told with every answer, because it is true of every answer.
const CAVEATS: [&str; 4] = [
    "Events that were not stored, or are older than `retention.events`, are not among those it was asked about.",
    "What is known of a location (its mail address, its country) is what is known now, not what was known then.",
    "It counts each firing key once within this time; keys that were taken before it are not looked at.",
    "Nobody was asked: results of the marketplace stand as <step.field>, and no step is refused.",
];

async fn reports(pool: &PgPool, config: &Config, chosen: &Chosen, span: Span) -> Result<Vec<(i64, Report)>> {
    let mut reports = Vec::new();
    for (id, rule) in chosen.rules() {
        let Some(application) = config.application(id) else {
            continue;
        };
        let progress = Progress::begin("Going through the events");
        let so_far = |seen| progress.say(|| format!("{seen} for {} of application {id}", rule.name));
        let report = backtest::run(pool, application, rule, span, so_far).await;
        let report = report.map_err(explained)?;
        reports.push((id.0, report));
    }
    Ok(reports)
}

fn sheet(application: i64, report: &Report, span: Span) -> Sheet {
    let mut sheet = Sheet::new(&format!("Rule {} of application {application}", report.rule));
    sheet.field("on", Some(&report.on));
    sheet.field("time", Some(format!("{} to {}", stamp(span.since), stamp(span.until))));
    if let Some(why) = report.cannot {
        sheet.field("would fire", Some(format!("cannot be told: {why}")));
        sheet.field("really fired", Some(format!("{} times", report.really_fired)));
        return sheet;
    }
    sheet.field("asked about", Some(count_of(report.considered, "event")));
    sheet.field("would fire", Some(format!("{} times", report.fired)));
    sheet.field("really fired", Some(format!("{} times", report.really_fired)));
    let requests: u64 = report.requests.values().sum();
    sheet.field("requests", Some(requests));
    for (action, requests) in report.requests.iter().filter(|(_, requests)| **requests > 0) {
        sheet.field("", Some(format!("{requests} for {action}")));
    }
    for (currency, amount) in &report.payments {
        sheet.field("would report", Some(format!("{amount} {currency}")));
    }
    if report.given_up > 0 {
        let steps = count_of(report.given_up, "step");
        sheet.field("given up", Some(format!("{steps}, because a text cannot be written")));
    }
    if !report.seen_as_now.is_empty() {
        let places = count(report.seen_as_now.len(), "location");
        sheet.field(
            "seen as now",
            Some(format!("{places}: the beginning of their events is gone")),
        );
    }
    let mut skipped = Table::new(&["times", "why it would not fire"]);
    for (reason, times) in &report.skipped {
        skipped.row([times.to_string(), reason.clone()]);
    }
    sheet.table("Skipped", &skipped);
    sheet.begin(&format!("Firings ({} of {})", report.firings.len(), report.fired));
    for would in &report.firings {
        let (event, place) = (or_dash(would.event_id), would.location_id);
        sheet.block(
            2,
            &format!("{} location {place} {} event {event}", stamp(would.at), would.kind),
        );
        show_steps(&mut sheet, &would.steps);
    }
    sheet
}

fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

fn count_of(number: u64, one: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), one)
}
