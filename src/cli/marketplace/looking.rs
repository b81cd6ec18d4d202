//! Calls that leave nothing behind.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{At, Desk, Told, or_empty};
use crate::{
    cli::{Misused, sheet::Sheet, table::Table},
    domain::ids::ApplicationId,
    marketplace::{
        calls::{self, installation::WireStatus},
        lenient::WireMoment,
    },
};

#[derive(Args)]
pub(super) struct Locations {
    /// Number of the application.
    application: i64,
    /// Which page.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    page: u32,
    /// Locations on a page, at most 1000.
    #[arg(long, alias = "count", value_name = "NUMBER", default_value_t = 1000)]
    limit: u32,
}

impl Locations {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<ExitCode> {
        let served = desk.served(self.application)?;
        let call = calls::inventory::salons(served.id, self.page, self.limit).map_err(Misused::of)?;
        let page = desk.ask(served, &call).await?;
        let mut table = Table::new(&["location", "title", "country", "city", "zone", "email", "phone"]);
        let mut items = Vec::new();
        for place in &page.locations {
            table.row([
                place.id.to_string(),
                or_empty(place.title.as_ref()),
                or_empty(place.country_name.as_ref()),
                or_empty(place.city.as_ref()),
                or_empty(place.timezone_name.as_ref()),
                or_empty(place.email.as_ref()),
                or_empty(place.phone.as_ref()),
            ]);
            items.push(json!({
                "location_id": place.id, "title": place.title, "country_id": place.country_id,
                "country_name": place.country_name, "city_id": place.city_id, "city": place.city,
                "timezone_name": place.timezone_name, "email": place.email, "phone": place.phone,
                "address": place.address, "currency": place.currency,
            }));
        }
        let mut told = Told::list(items, &table);
        if page.listed >= self.limit as usize {
            told.text.push_str("\nThere may be more; see --page.");
        }
        desk.tell(&told)
    }
}

/// The marketplace prints wall clocks, and sometimes an offset that cannot be relied on.
fn wall_clock(moment: Option<WireMoment>) -> Option<String> {
    moment.map(|moment| moment.wall_clock().format("%Y-%m-%d %H:%M:%S").to_string())
}

fn word(status: Option<&WireStatus>) -> Option<String> {
    status.map(|status| match status {
        WireStatus::Known(status) => status.to_string(),
        WireStatus::Unknown(word) => word.clone(),
    })
}

/// M6, as it is printed there.
pub(super) async fn status(desk: &Desk<'_>, at: At) -> Result<ExitCode> {
    let served = desk.served(at.application)?;
    let found = desk.ask(served, &calls::installation::status(at.place())).await?;
    let status = word(Some(&found.status));
    let mut sheet = Sheet::new(&format!("Application {} at location {}", at.application, at.location));
    sheet.field("status", status.as_ref());
    sheet.field("connected", wall_clock(found.created_at));
    let mut payments = Table::new(&["payment", "amount", "paid", "from", "to", "refunded"]);
    let mut payment_items = Vec::new();
    for payment in &found.payments {
        let [paid, from, to] = [payment.paid_at, payment.period_from, payment.period_to].map(wall_clock);
        let refunded = if payment.refunded { "yes" } else { "no" };
        payments.row([
            or_empty(payment.id.as_ref()),
            or_empty(payment.amount.as_ref()),
            or_empty(paid.as_ref()),
            or_empty(from.as_ref()),
            or_empty(to.as_ref()),
            refunded.to_owned(),
        ]);
        payment_items.push(json!({
            "id": payment.id, "amount": payment.amount, "paid_at": paid, "period_from": from, "period_to": to,
            "refunded": payment.refunded,
        }));
    }
    sheet.table("Payments", &payments);
    let mut log = Table::new(&["at", "from", "to", "by"]);
    let mut log_items = Vec::new();
    for line in &found.logs {
        let (changed, from, to) = (
            wall_clock(line.changed_at),
            word(line.from.as_ref()),
            word(line.to.as_ref()),
        );
        log.row([
            or_empty(changed.as_ref()),
            or_empty(from.as_ref()),
            or_empty(to.as_ref()),
            or_empty(line.source.as_ref()),
        ]);
        log_items.push(json!({"at": changed, "from": from, "to": to, "source": line.source}));
    }
    sheet.table("Log", &log);
    let json = json!({
        "application_id": at.application, "location_id": at.location, "status": status,
        "connected_at": wall_clock(found.created_at), "payments": payment_items, "log": log_items,
    });
    desk.tell(&Told::new(json, sheet.text()))
}

#[derive(Args)]
pub(super) struct Tariffs {
    /// Number of the application.
    application: i64,
}

impl Tariffs {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<ExitCode> {
        let served = desk.served(self.application)?;
        let found = desk
            .ask(served, &calls::inventory::tariffs(ApplicationId(self.application)))
            .await?;
        let mut table = Table::new(&[
            "tariff",
            "option",
            "title",
            "price",
            "months",
            "free months",
            "team up to",
        ]);
        let mut items = Vec::new();
        for tariff in &found {
            for option in &tariff.options {
                let currency = option.currency.clone().unwrap_or_default();
                let price = option
                    .price
                    .map(|price| format!("{price} {currency}").trim_end().to_owned());
                table.row([
                    or_empty(tariff.title.as_ref()),
                    option.id.to_string(),
                    or_empty(option.title.as_ref()),
                    or_empty(price.as_ref()),
                    or_empty(option.months.as_ref()),
                    or_empty(option.free_months.as_ref()),
                    or_empty(option.staff.as_ref()),
                ]);
            }
            let option = |option: &calls::inventory::TariffOption| {
                json!({
                    "id": option.id, "title": option.title, "price": option.price, "currency": option.currency,
                    "months": option.months, "free_months": option.free_months, "staff": option.staff,
                })
            };
            let options: Vec<Value> = tariff.options.iter().map(option).collect();
            items.push(json!({"id": tariff.id, "title": tariff.title, "options": options}));
        }
        desk.tell(&Told::list(items, &table))
    }
}

#[derive(Args)]
pub(super) struct PaymentLink {
    #[command(flatten)]
    at: At,
    /// Discount in this link, from 0 to 100 percent.
    #[arg(long, value_name = "PERCENT")]
    discount: Option<Decimal>,
    /// Which option of the tariffs. Without one the cheapest is taken, when there are tariffs.
    #[arg(long, value_name = "NUMBER")]
    tariff_option: Option<i64>,
}

impl PaymentLink {
    pub(super) async fn run(&self, desk: &Desk<'_>) -> Result<ExitCode> {
        let served = desk.served(self.at.application)?;
        // The limits are looked at before anything is asked.
        let place = self.at.place();
        calls::billing::payment_link(place, self.tariff_option, self.discount).map_err(Misused::of)?;
        let option = match self.tariff_option {
            Some(option) => Some(option),
            None => {
                let tariffs = desk.ask(served, &calls::inventory::tariffs(served.id)).await?;
                calls::inventory::cheapest_option(&tariffs)
            }
        };
        let call = calls::billing::payment_link(place, option, self.discount).map_err(Misused::of)?;
        let url = desk.ask(served, &call).await?;
        let json = json!({"url": url, "discount": self.discount, "tariff_option_id": option});
        desk.tell(&Told::new(json, url))
    }
}
