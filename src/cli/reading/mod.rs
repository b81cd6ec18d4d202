//! `bellhop locations|events|firings|jobs|ledger|plans`: what the API shows and does, for a terminal. They use the database
//! directly, so they work while the service is down; what they ask to be done waits for it.

mod events;
mod firings;
mod jobs;
mod ledger;
mod locations;
mod orders;
mod plans;
mod replay;

use std::{io::Write, process::ExitCode};

use anyhow::{Result, anyhow};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, builder::PossibleValuesParser};
use serde::Serialize;

pub(super) use self::{
    events::Events,
    firings::Firings,
    jobs::Jobs,
    ledger::Ledger,
    locations::Locations,
    plans::{Apply, Plan, Plans},
};
use super::{
    ConfigFile, Misused,
    output::tell,
    service::{Database, data_dir},
    sheet::Sheet,
    table::{Table, or_dash},
};
use crate::store::{self, PgPool, looking::took_too_long, reading::Page};

/// The most items a list shows.
const MOST: i64 = 10_000;

#[derive(Args)]
struct Look {
    #[command(flatten)]
    config: ConfigFile,
    /// As JSON, with the fields of the API.
    #[arg(long, global = true)]
    json: bool,
}

impl Look {
    /// Opens the database, looks, and closes it.
    async fn at<T>(&self, look: impl AsyncFnOnce(&PgPool) -> store::Result<T>) -> Result<T> {
        let config = self.config.load()?;
        let folder = data_dir(&config);
        if config.database.url.is_none() && !folder.exists() {
            let folder = folder.display();
            return Err(Misused(format!(
                "there is no private database in {folder} yet. Remedy: `bellhop serve` makes it, \
                 or name another one in database.url"
            ))
            .into());
        }
        let database = Database::visit(&config).await?;
        database
            .with_pool(async |pool: &PgPool| look(pool).await.map_err(explained))
            .await
    }

    /// Prints one thing, or tells that there is none.
    fn show<T: Serialize>(&self, found: Option<T>, what: &str, sheet: impl FnOnce(&T) -> Sheet) -> Result<ExitCode> {
        let Some(found) = found else {
            return Err(Misused(format!("there is no {what}")).into());
        };
        if self.json {
            tell(&serde_json::to_string(&found)?)
        } else {
            tell(&sheet(&found).text())
        }
    }

    /// Prints a list.
    fn list<T: Serialize, const COLUMNS: usize>(
        &self,
        page: &Page<T>,
        table: impl FnOnce(&[T]) -> Table<COLUMNS>,
    ) -> Result<ExitCode> {
        if self.json {
            return tell(&serde_json::to_string(page)?);
        }
        table(&page.items).print()?;
        // Beside the table, so that what reads the table does not see it.
        let mut aside = std::io::stderr();
        if page.items.is_empty() {
            writeln!(aside, "Nothing to show.")?;
        } else if page.next_cursor.is_some() {
            writeln!(aside, "There are more than these {}; see --limit.", page.items.len())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A missing table is no failure of the database, nor is too much to look through.
pub(super) fn explained(error: store::Error) -> anyhow::Error {
    if took_too_long(&error) {
        return anyhow!("too much to look through in the time: name a location, a rule or a time");
    }
    let code = error.as_database_error().and_then(|error| error.code());
    match code.as_deref() {
        Some("42P01" | "42703") => {
            Misused("the database has not all tables yet. Remedy: `bellhop migrate`".to_owned()).into()
        }
        _ => error.into(),
    }
}

/// One of these words.
fn words(all: impl IntoIterator<Item = &'static str>) -> PossibleValuesParser {
    all.into_iter().collect::<Vec<&'static str>>().into()
}

/// How many items a list may show.
fn how_many() -> clap::builder::RangedI64ValueParser {
    clap::value_parser!(i64).range(1..=MOST)
}

/// As the API writes it, without fractions.
fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn time(at: Option<DateTime<Utc>>) -> String {
    or_dash(at.map(stamp))
}

/// How long something took.
fn took(from: DateTime<Utc>, to: DateTime<Utc>) -> String {
    let ms = (to - from).num_milliseconds().max(0);
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => crate::domain::span::show(std::time::Duration::from_millis(ms.unsigned_abs())),
    }
}
