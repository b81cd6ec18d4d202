use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Look, how_many, stamp, words};
use crate::{
    cli::{
        Misused,
        output::tell,
        table::{Table, or_dash},
    },
    store::{
        PgPool,
        ledger::{self, Finding, State},
        reading::ledger::{self as reading, Entry, Filter},
    },
};

#[derive(Args)]
pub(in crate::cli) struct Ledger {
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
    #[arg(long, value_parser = words(State::ALL.map(State::as_str)))]
    state: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = how_many())]
    limit: i64,
}

#[derive(Subcommand)]
enum Verb {
    /// Money movements, newest first.
    List(Which),
    /// Say what became of one that is unknown, after you have looked at the marketplace.
    Close(Close),
}

#[derive(Args)]
struct Close {
    /// Number of the entry.
    id: i64,
    /// It happened, and this is the marketplace's number of the payment.
    #[arg(long, value_name = "NUMBER", required_unless_present = "not_made")]
    payment: Option<i64>,
    /// It did not happen. It is not tried again.
    #[arg(long, conflicts_with = "payment")]
    not_made: bool,
}

impl Ledger {
    pub(in crate::cli) async fn run(self) -> Result<ExitCode> {
        let look = self.look;
        match self.verb {
            Verb::List(which) => {
                let filter = Filter {
                    application: which.application,
                    location: which.location,
                    state: which.state,
                    settled: false,
                    before: None,
                    limit: which.limit,
                };
                let page = look
                    .at(async |pool: &PgPool| reading::list(pool, &filter).await)
                    .await?;
                look.list(&page, table)
            }
            Verb::Close(close) => {
                let finding = match close.payment {
                    Some(payment) => Finding::Happened(payment),
                    None => Finding::Refused("closed by hand: it was not made"),
                };
                let closed = look
                    .at(async |pool: &PgPool| ledger::close(pool, close.id, finding).await)
                    .await?;
                if !closed {
                    let what = format!("the ledger has no entry {} whose end is unknown", close.id);
                    return Err(Misused(what).into());
                }
                match look.json {
                    true => tell(&json!({"id": close.id, "closed": true}).to_string()),
                    false => tell(&format!("Entry {} is closed.", close.id)),
                }
            }
        }
    }
}

/// The same where application and location are known.
pub(super) fn of_location(items: &[Entry]) -> Table<7> {
    let mut table = Table::new(&["id", "created", "rule", "kind", "state", "amount", "note"]);
    for item in items {
        table.row([
            item.id.to_string(),
            stamp(item.created_at),
            or_dash(item.rule.as_ref()),
            item.kind.clone(),
            item.state.clone(),
            or_dash(amount(item)),
            item.note.clone().unwrap_or_default(),
        ]);
    }
    table
}

fn amount(item: &Entry) -> Option<String> {
    let (amount, currency) = item.amount.zip(item.currency.as_ref())?;
    Some(format!("{amount} {currency}"))
}

fn table(items: &[Entry]) -> Table<11> {
    let mut table = Table::new(&[
        "id",
        "created",
        "application",
        "location",
        "rule",
        "kind",
        "state",
        "payment",
        "amount",
        "until",
        "note",
    ]);
    for item in items {
        table.row([
            item.id.to_string(),
            stamp(item.created_at),
            item.application_id.to_string(),
            item.location_id.to_string(),
            or_dash(item.rule.as_ref()),
            item.kind.clone(),
            item.state.clone(),
            or_dash(item.payment_id),
            or_dash(amount(item)),
            or_dash(item.period_to.map(stamp)),
            item.note.clone().unwrap_or_default(),
        ]);
    }
    table
}
