use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::{Look, explained, how_many, stamp, time};
use crate::{
    app::{
        App,
        plans::{self, NotApplied, NotPlanned, Outlook},
    },
    cli::{
        Misused,
        output::{count, tell},
        rules::show_steps,
        service::with_app,
        sheet::Sheet,
        table::{Table, or_dash},
    },
    domain::ids::ApplicationId,
    rules::SourceFile,
    store::{
        PgPool,
        reading::plans::{self as reading, Concerned, Detail, Filter},
    },
};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct Plan {
    #[command(flatten)]
    look: Look,
    /// The file of the bulk action.
    #[arg(required = true)]
    file: Option<PathBuf>,
    /// Number of the application; need not be said when there is only one.
    #[arg(long, value_name = "NUMBER")]
    application: Option<i64>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// One plan: what it does, where, and what became of it.
    Show {
        /// Number of the plan.
        id: i64,
    },
}

#[derive(Args)]
pub(in crate::cli) struct Plans {
    #[command(flatten)]
    look: Look,
    /// Of one application.
    #[arg(long, value_name = "NUMBER")]
    application: Option<i64>,
    /// At most so many.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = how_many())]
    limit: i64,
}

#[derive(Args)]
pub(in crate::cli) struct Apply {
    #[command(flatten)]
    look: Look,
    /// Number of the plan.
    id: i64,
    /// What it does, word for word as the plan tells.
    #[arg(long, value_name = "TEXT")]
    confirm: String,
}

impl Plan {
    pub(in crate::cli) async fn run(self) -> Result<ExitCode> {
        let look = self.look;
        if let Some(Verb::Show { id }) = self.verb {
            let found = look.at(async |pool: &PgPool| reading::show(pool, id).await).await?;
            return look.show(found, &format!("plan {id}"), sheet);
        }
        let path = self.file.unwrap_or_default();
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Misused(format!("{name}: cannot be read: {error}; correct the path")))?;
        let config = look.config.load()?;
        let only = match &config.applications[..] {
            [one] => Some(one.id.0),
            _ => None,
        };
        let Some(application) = self.application.or(only) else {
            return Err(Misused("there are several applications: say which with --application".to_owned()).into());
        };
        let file = SourceFile { name, text };
        let outlook = with_app(config, async |app: &App| {
            let drawn = plans::draw_up(app, ApplicationId(application), &file).await;
            drawn.map_err(|why| match why {
                NotPlanned::Store(error) => explained(error),
                NotPlanned::Unknown(_) | NotPlanned::Refused(_) => Misused(why.to_string()).into(),
            })
        })
        .await?;
        match look.json {
            true => tell(&serde_json::to_string(&outlook)?),
            false => tell(&drawn(&outlook).text()),
        }
    }
}

impl Plans {
    pub(in crate::cli) async fn run(self) -> Result<ExitCode> {
        let filter = Filter {
            id: None,
            application: self.application,
            before: None,
            limit: self.limit,
        };
        let page = self
            .look
            .at(async |pool: &PgPool| reading::list(pool, &filter).await)
            .await?;
        self.look.list(&page, table)
    }
}

impl Apply {
    pub(in crate::cli) async fn run(self) -> Result<ExitCode> {
        let (id, words) = (self.id, self.confirm.as_str());
        let applied = self
            .look
            .at(async |pool: &PgPool| match plans::apply(pool, id, words).await {
                Err(NotApplied::Store(error)) => Err(error),
                applied => Ok(applied),
            })
            .await?;
        let locations = applied.map_err(Misused::of)?;
        match self.look.json {
            true => tell(&serde_json::json!({"plan_id": id, "locations": locations}).to_string()),
            false => tell(&format!(
                "Plan {id} is applied at {}. How far it is: bellhop plan show {id}",
                count(locations, "location")
            )),
        }
    }
}

fn drawn(outlook: &Outlook) -> Sheet {
    let title = match outlook.plan_id {
        Some(id) => format!("Plan {id}: {}", outlook.name),
        None => format!("No plan for {}: it concerns no location", outlook.name),
    };
    let mut sheet = Sheet::new(&title);
    sheet.field("application", Some(outlook.application_id));
    sheet.field("concerns", Some(count(outlook.locations.len(), "location")));
    let requests: u64 = outlook.requests.values().sum();
    let minutes = format!("{requests}, at least {} of the budget", minutes(outlook.minutes));
    sheet.field("requests", Some(minutes));
    for (currency, amount) in &outlook.money {
        sheet.field("reports", Some(format!("{amount} {currency}")));
    }
    if outlook.given_up > 0 {
        let places = count(usize::try_from(outlook.given_up).unwrap_or(usize::MAX), "location");
        sheet.field(
            "given up",
            Some(format!("at {places}, because a text cannot be written")),
        );
    }
    let mut left_out = Table::new(&["locations", "why not"]);
    for (reason, number) in &outlook.left_out {
        left_out.row([number.to_string(), reason.clone()]);
    }
    sheet.table("Left out", &left_out);
    sheet.begin(&format!(
        "The first of them ({} of {})",
        outlook.first.len(),
        outlook.locations.len()
    ));
    for shown in &outlook.first {
        let title = shown.title.as_deref().unwrap_or_default();
        sheet.block(2, &format!("location {} {title}", shown.location_id));
        show_steps(&mut sheet, &shown.steps);
    }
    if let Some(id) = outlook.plan_id {
        let command = format!("bellhop apply {id} --confirm \"{}\"", outlook.confirmation);
        sheet.note("Nothing was done. Within a day this does it", &command);
    }
    sheet
}

fn minutes(minutes: u64) -> String {
    count(usize::try_from(minutes).unwrap_or(usize::MAX), "minute")
}

fn table(items: &[reading::Plan]) -> Table<10> {
    let mut table = Table::new(&[
        "id",
        "made",
        "application",
        "name",
        "applied",
        "locations",
        "done",
        "failed",
        "waiting",
        "skipped",
    ]);
    for item in items {
        table.row([
            item.id.to_string(),
            stamp(item.made_at),
            item.application_id.to_string(),
            item.name.clone(),
            time(item.applied_at),
            item.locations.to_string(),
            item.done.to_string(),
            item.failed.to_string(),
            item.waiting.to_string(),
            item.skipped.to_string(),
        ]);
    }
    table
}

fn sheet(found: &Detail) -> Sheet {
    let plan = &found.plan;
    let mut sheet = Sheet::new(&format!("Plan {}: {}", plan.id, plan.name));
    sheet.field("application", Some(plan.application_id));
    sheet.field("does", Some(&plan.confirmation));
    sheet.field("made", Some(stamp(plan.made_at)));
    sheet.field("applied", plan.applied_at.map(stamp));
    sheet.field("digest", found.digest.get(..12));
    sheet.field("requests", Some(found.requests));
    sheet.json(
        "Reports",
        Some(&found.money).filter(|money| **money != Value::Object(serde_json::Map::new())),
    );
    if plan.applied_at.is_some() {
        for (word, number) in [
            ("done", plan.done),
            ("failed", plan.failed),
            ("waiting", plan.waiting),
            ("skipped", plan.skipped),
        ] {
            sheet.field(word, Some(number));
        }
    }
    sheet.json("Left out when it was made", Some(&found.left_out));
    sheet.table("Locations", &concerned(&found.items));
    sheet.note("The file", &found.source);
    sheet
}

fn concerned(items: &[Concerned]) -> Table<5> {
    let mut table = Table::new(&["location", "state", "event", "firing", "reason"]);
    for item in items {
        table.row([
            item.location_id.to_string(),
            item.state.clone(),
            or_dash(item.event_id),
            or_dash(item.firing_id),
            item.reason.clone().unwrap_or_default(),
        ]);
    }
    table
}
