//! Countries, cities, kinds of business. The database keeps them for a day, so looking twice asks once.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::{Desk, Told, failed, or_empty};
use crate::{
    app::{dictionaries, served::Served},
    cli::{Misused, table::Table},
    domain::dictionary::Country,
};

#[derive(Args)]
pub(super) struct Countries {
    /// Number of the application.
    application: i64,
}

async fn countries(desk: &Desk<'_>, served: &Served) -> Result<Vec<Country>> {
    let mut line = desk.line(desk.served(served.id.0)?);
    let found = dictionaries::countries(desk.app, served, &mut line).await;
    found.map_err(|failure| failed(&failure))
}

impl Countries {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<ExitCode> {
        let served = desk.served(self.application)?;
        let mut table = Table::new(&["country", "code", "title", "phone", "currency", "EU"]);
        let mut items = Vec::new();
        for country in countries(desk, served).await? {
            let is_eu = country.is_eu.map(|is| if is { "yes" } else { "no" });
            table.row([
                country.id.to_string(),
                or_empty(country.iso_code.as_ref()),
                or_empty(country.title.as_ref()),
                or_empty(country.phone_code.as_ref()),
                or_empty(country.currency.as_ref()),
                or_empty(is_eu.as_ref()),
            ]);
            items.push(json!({
                "id": country.id, "code": country.iso_code, "title": country.title, "phone_code": country.phone_code,
                "currency": country.currency, "is_eu": country.is_eu,
            }));
        }
        desk.tell(&Told::list(items, &table))
    }
}

#[derive(Args)]
pub(super) struct Cities {
    /// Number of the application.
    application: i64,
    /// Only of this country: its code, such as DE, or the marketplace's number of it.
    #[arg(long, value_name = "COUNTRY")]
    country: Option<String>,
}

impl Cities {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<ExitCode> {
        let served = desk.served(self.application)?;
        let country_id = match &self.country {
            None => None,
            Some(country) => Some(number_of(desk, served, country).await?),
        };
        let found = dictionaries::cities(desk.app, served, &mut desk.line(served), country_id).await;
        let mut table = Table::new(&["city", "title", "country"]);
        let mut items = Vec::new();
        for city in found.map_err(|failure| failed(&failure))? {
            table.row([
                city.id.to_string(),
                or_empty(city.title.as_ref()),
                or_empty(city.country_id.as_ref()),
            ]);
            items.push(json!({"id": city.id, "title": city.title, "country_id": city.country_id}));
        }
        desk.tell(&Told::list(items, &table))
    }
}

async fn number_of(desk: &Desk<'_>, served: &Served, country: &str) -> Result<i64> {
    if let Ok(number) = country.parse() {
        return Ok(number);
    }
    let known = countries(desk, served).await?;
    let is_meant = |known: &&Country| {
        known
            .iso_code
            .as_deref()
            .is_some_and(|code| code.eq_ignore_ascii_case(country))
    };
    let found = known.iter().find(is_meant).map(|country| country.id);
    found.ok_or_else(|| {
        let id = served.id;
        Misused(format!(
            "the marketplace knows no country `{country}`. Remedy: a code of `bellhop marketplace countries {id}`"
        ))
        .into()
    })
}

#[derive(Args)]
pub(super) struct BusinessTypes {
    /// Number of the application.
    application: i64,
}

impl BusinessTypes {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<ExitCode> {
        let served = desk.served(self.application)?;
        let found = dictionaries::business_types(desk.app, served, &mut desk.line(served)).await;
        let mut table = Table::new(&["type", "title", "group", "group title"]);
        let mut items: Vec<Value> = Vec::new();
        for kind in found.map_err(|failure| failed(&failure))? {
            table.row([
                kind.id.to_string(),
                or_empty(kind.title.as_ref()),
                kind.group_id.to_string(),
                or_empty(kind.group_title.as_ref()),
            ]);
            items.push(json!({
                "id": kind.id, "title": kind.title, "group_id": kind.group_id, "group_title": kind.group_title,
            }));
        }
        desk.tell(&Told::list(items, &table))
    }
}
