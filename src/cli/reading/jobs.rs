use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::{
    Look, how_many,
    orders::{Orders, Wish},
    stamp, took, words,
};
use crate::{
    cli::{
        sheet::{Sheet, bare},
        table::{Table, or_dash},
    },
    domain::action::ACTION_NAMES,
    store::{
        PgPool,
        reading::jobs::{self, Attempt, Detail, Filter, Job},
    },
};

#[derive(Args)]
pub(in crate::cli) struct Jobs {
    #[command(flatten)]
    look: Look,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Args)]
struct Which {
    /// Of one application.
    #[arg(long, value_name = "NUMBER")]
    application: Option<i64>,
    /// Of one location.
    #[arg(long, value_name = "NUMBER")]
    location: Option<i64>,
    /// In one state.
    #[arg(long, value_parser = words(jobs::State::ALL.iter().map(|state| state.as_str())))]
    state: Option<String>,
    /// Of one action.
    #[arg(long, value_parser = words(ACTION_NAMES))]
    action: Option<String>,
    /// Of one rule.
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Of one firing.
    #[arg(long, value_name = "NUMBER")]
    firing: Option<i64>,
    /// At most so many.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = how_many())]
    limit: i64,
}

#[derive(Subcommand)]
enum Verb {
    /// Jobs, newest first.
    List(Which),
    /// One job: every attempt with requests and answers.
    Show {
        /// Number of the job.
        id: i64,
    },
    /// Try jobs again that were given up or cancelled, with the steps that were cancelled because of them.
    Retry(Orders),
    /// Give jobs up that wait, and the steps after them.
    Cancel(Orders),
}

impl Jobs {
    pub(in crate::cli) async fn run(self) -> Result<ExitCode> {
        let look = self.look;
        match self.verb {
            Verb::Show { id } => {
                let found = look.at(async |pool: &PgPool| jobs::show(pool, id).await).await?;
                look.show(found, &format!("job {id}"), sheet)
            }
            Verb::Retry(orders) => orders.run(&look, Wish::Retry).await,
            Verb::Cancel(orders) => orders.run(&look, Wish::Cancel).await,
            Verb::List(which) => {
                let filter = Filter {
                    application: which.application,
                    location: which.location,
                    state: which.state,
                    action: which.action,
                    rule: which.rule,
                    firing: which.firing,
                    before: None,
                    limit: which.limit,
                };
                let page = look.at(async |pool: &PgPool| jobs::list(pool, &filter).await).await?;
                look.list(&page, table)
            }
        }
    }
}

fn table(items: &[Job]) -> Table<10> {
    let mut table = Table::new(&[
        "id",
        "created",
        "application",
        "location",
        "rule",
        "action",
        "state",
        "due",
        "attempts",
        "error",
    ]);
    for item in items {
        table.row([
            item.id.to_string(),
            stamp(item.created_at),
            item.application_id.to_string(),
            item.location_id.to_string(),
            or_dash(item.rule.as_ref()),
            item.action.clone(),
            item.state.clone(),
            stamp(item.run_at),
            attempts(item),
            item.last_error.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// The same where application and location are known.
pub(super) fn of_location(items: &[Job]) -> Table<7> {
    let mut table = Table::new(&["id", "created", "rule", "action", "state", "attempts", "error"]);
    for item in items {
        table.row([
            item.id.to_string(),
            stamp(item.created_at),
            or_dash(item.rule.as_ref()),
            item.action.clone(),
            item.state.clone(),
            attempts(item),
            item.last_error.clone().unwrap_or_default(),
        ]);
    }
    table
}

fn attempts(item: &Job) -> String {
    format!("{}/{}", item.attempts, item.max_attempts)
}

fn sheet(found: &Detail) -> Sheet {
    let job = &found.job;
    let mut sheet = Sheet::new(&format!("Job {}: {}", job.id, job.action));
    sheet.field("application", Some(job.application_id));
    sheet.field("location", Some(job.location_id));
    let step = |rule: &String| format!("{rule}, step {}", job.step + 1);
    sheet.field("rule", job.rule.as_ref().map(step));
    sheet.field("firing", job.firing_id);
    sheet.field("state", Some(&job.state));
    sheet.field("error", job.last_error.as_ref());
    sheet.field("attempts", Some(format!("{} of {}", job.attempts, job.max_attempts)));
    sheet.field("created", Some(stamp(job.created_at)));
    sheet.field("due", Some(stamp(job.run_at)));
    sheet.field("finished", job.finished_at.map(stamp));
    sheet.json("What to do", Some(&found.params));
    sheet.json("What came of it", job.result.as_ref());
    sheet.begin("Attempts");
    if found.history.is_empty() {
        sheet.block(2, "none yet");
    }
    for attempt in &found.history {
        one_attempt(&mut sheet, attempt);
    }
    sheet
}

fn one_attempt(sheet: &mut Sheet, attempt: &Attempt) {
    let outcome = match (&attempt.outcome, attempt.finished_at) {
        (Some(outcome), Some(at)) => format!("{outcome} after {}", took(attempt.started_at, at)),
        (Some(outcome), None) => outcome.clone(),
        (None, _) => "under way".to_owned(),
    };
    let (number, started, worker) = (attempt.attempt, stamp(attempt.started_at), &attempt.worker);
    sheet.block(2, &format!("{number}.  {started}  {outcome}, by worker {worker}"));
    if let Some(error) = &attempt.error {
        sheet.block(6, error);
    }
    for exchange in attempt.exchanges.as_array().into_iter().flatten() {
        one_exchange(sheet, exchange);
    }
}

/// A request to the marketplace, as its client has noted it; of other ways out, whatever was noted.
fn one_exchange(sheet: &mut Sheet, exchange: &Value) {
    let text = |key: &str| exchange.get(key).map(bare);
    let (Some(method), Some(path)) = (text("method"), text("path")) else {
        return sheet.value(6, exchange);
    };
    let status = match exchange.get("status") {
        None | Some(Value::Null) => "no answer".to_owned(),
        Some(status) => status.to_string(),
    };
    let ms = exchange.get("duration_seconds").and_then(Value::as_f64).unwrap_or(0.0) * 1_000.0;
    sheet.block(6, &format!("{method} {path}  {status} in {ms:.0} ms"));
    if let Some(answer) = text("answer").filter(|answer| !answer.is_empty()) {
        sheet.block(8, &answer);
    }
}
