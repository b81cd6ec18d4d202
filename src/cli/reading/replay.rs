use std::process::ExitCode;

use anyhow::Result;
use chrono::{DateTime, Utc};
use clap::Args;

use super::{Look, explained, words};
use crate::{
    app::{
        App,
        replays::{self, Ask, Item, MOST, Report, USUAL},
    },
    cli::{
        Misused,
        output::{count, tell},
        service::with_app,
        table::{Table, or_dash},
        terminal::Progress,
    },
    domain::event::State,
    rules::nearest,
};

#[derive(Args)]
pub(super) struct Replay {
    /// Numbers of events, whatever state they are in. Without any: those that the options name.
    #[arg(value_name = "NUMBER")]
    ids: Vec<i64>,
    /// Of one application.
    #[arg(long, value_name = "NUMBER", conflicts_with = "ids")]
    application: Option<i64>,
    /// Of one location.
    #[arg(long, value_name = "NUMBER", conflicts_with = "ids")]
    location: Option<i64>,
    /// Of one kind, such as record.updated.
    #[arg(long, conflicts_with = "ids")]
    kind: Option<String>,
    /// In one state. Without it: processed and failed.
    #[arg(long, value_parser = words(State::ALL.iter().map(|state| state.as_str())), conflicts_with = "ids")]
    state: Option<String>,
    /// Received at or after, such as 2026-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME", conflicts_with = "ids")]
    since: Option<DateTime<Utc>>,
    /// Received before.
    #[arg(long, value_name = "TIME", conflicts_with = "ids")]
    until: Option<DateTime<Utc>>,
    /// After the event of this number: where the last replay ended.
    #[arg(long, value_name = "NUMBER", conflicts_with = "ids")]
    after: Option<i64>,
    /// Only by this rule.
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "NUMBER", default_value_t = USUAL, value_parser = clap::value_parser!(i64).range(1..=MOST))]
    limit: i64,
    /// Fire also where a rule has fired before, however late it is.
    #[arg(long)]
    force: bool,
    /// Take what was rejected or quarantined as genuine: you vouch for it.
    #[arg(long)]
    trust: bool,
    /// Say which rule would fire or why not; call nobody and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do it with --force, or for events that are not named by their numbers.
    #[arg(long)]
    yes: bool,
}

impl Replay {
    pub(super) async fn run(self, look: &Look) -> Result<ExitCode> {
        let ask = self.ask();
        if self.ids.is_empty() && !self.names_some() {
            let what = "name events by their numbers, or say which with --since, --location, --kind, --state";
            return Err(Misused(what.to_owned()).into());
        }
        let is_meant = self.yes || (!self.ids.is_empty() && !self.force);
        let dry = self.dry_run || !is_meant;
        let report = with_app(look.config.load()?, async |app: &App| {
            self.known_rule(app)?;
            let progress = Progress::begin(if dry { "Judging" } else { "Handing over" });
            let watch = |looked| progress.say(|| format!("{looked} events looked at"));
            let report = match dry {
                true => replays::foresee_all(app, &ask, &watch).await,
                false => replays::begin_all(app, &ask, &watch).await,
            };
            report.map_err(explained)
        })
        .await?;
        match look.json {
            true => tell(&serde_json::to_string(&report)?)?,
            false => show(&report, dry)?,
        };
        if dry && !self.dry_run {
            let events = count(usize::try_from(report.events).unwrap_or(0), "event");
            let again = if self.force {
                ", also where rules have fired before"
            } else {
                ""
            };
            let what = format!("nothing was done. --yes has {events} judged again{again}");
            return Err(Misused(what).into());
        }
        Ok(ExitCode::SUCCESS)
    }

    fn ask(&self) -> Ask {
        Ask {
            ids: self.ids.clone(),
            application: self.application,
            location: self.location,
            kind: self.kind.clone(),
            state: self.state.clone(),
            since: self.since,
            until: self.until,
            after: self.after,
            rule: self.rule.clone(),
            force: self.force,
            trust: self.trust,
            key: None,
            limit: Some(self.limit),
        }
    }

    fn names_some(&self) -> bool {
        let numbers = [self.application, self.location, self.after];
        numbers.iter().any(Option::is_some)
            || [self.since, self.until].iter().any(Option::is_some)
            || [&self.kind, &self.state].into_iter().any(Option::is_some)
    }

    fn known_rule(&self, app: &App) -> Result<()> {
        let Some(rule) = &self.rule else { return Ok(()) };
        let rules = app.rulebook.now();
        let names: Vec<&str> = rules
            .sets()
            .flat_map(|(_, set)| set.rules())
            .map(|rule| rule.name.as_str())
            .collect();
        if names.contains(&rule.as_str()) {
            return Ok(());
        }
        let remedy = match nearest(rule, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "see `bellhop rules list`".to_owned(),
        };
        Err(Misused(format!("there is no rule `{rule}`; {remedy}")).into())
    }
}

fn show(report: &Report, dry: bool) -> Result<ExitCode> {
    let mut table = Table::new(&["event", "location", "kind", "result", "rule", "why"]);
    for item in &report.items {
        rows(&mut table, item);
    }
    table.print()?;
    let events = count(usize::try_from(report.events).unwrap_or(0), "event");
    let mut lines = vec![String::new()];
    lines.push(match (dry, report.replay_id) {
        (true, _) => format!("{events} would be judged again; {} would fire.", report.would_fire),
        (false, Some(replay)) => {
            format!("Replay {replay}: {events} handed over; `bellhop events show` tells what came of each.")
        }
        (false, None) => "Nothing to judge again.".to_owned(),
    });
    for (why, number) in &report.refused {
        lines.push(format!("{number} left out: {why}"));
    }
    if let Some(after) = report.more_after {
        lines.push(format!("There are more: go on with --after {after}."));
    }
    tell(lines.join("\n").trim_start())
}

fn rows(table: &mut Table<6>, item: &Item) {
    let became = item.became.map(|event| format!("event {event}"));
    let mut row = |rule: &str, result: &str, why: String| {
        table.row([
            item.event_id.to_string(),
            or_dash(item.location_id),
            item.kind.to_string(),
            result.to_owned(),
            rule.to_owned(),
            why,
        ]);
    };
    if item.rules.is_empty() {
        let why = item.reason.clone().or(became).unwrap_or_default();
        row("-", item.result, why);
    }
    for rule in &item.rules {
        row(&rule.rule, rule.result, rule.reason.clone().unwrap_or_default());
    }
}
