//! Payments that the owner makes through the platform (contract 9).

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Months, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::callbacks::PaidPeriod;
use super::dates;
use super::lifecycle::NewPayment;
use super::links::{Link, Origin, Source, Status};
use super::options::TariffOption;
use super::state::{Key, State};

/// The owner pays through the platform.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pay {
    /// Application; may be left out when `link` is given.
    pub application_id: i64,
    /// Location; may be left out when `link` is given.
    pub location_id: i64,
    /// What is bought; default what the link says, else the first option of the first tariff.
    pub tariff_option_id: Option<i64>,
    /// What is paid; default the price less the discount.
    pub amount: Option<f64>,
    /// Percent; default what the link says, else the stored discount.
    pub discount: Option<f64>,
    /// A payment link made by M4: application, location, option and discount are its own.
    pub link: Option<String>,
}

/// What came of a payment.
#[derive(Debug, Clone, Serialize)]
pub struct Paid {
    /// Payment id.
    pub payment_id: i64,
    /// What was paid.
    pub amount: serde_json::Number,
    /// Start of the period.
    pub period_from: DateTime<Utc>,
    /// End of the period.
    pub period_to: DateTime<Utc>,
}

/// What is to be paid for what.
struct Quote {
    key: Key,
    amount: Number,
    discount: Option<f64>,
    option: Option<TariffOption>,
}

impl State {
    /// Records a payment made through the platform and announces it.
    pub(super) fn platform_payment(&mut self, pay: &Pay, now: DateTime<Utc>) -> Result<Paid> {
        let quote = self.quote(pay)?;
        let key = quote.key;
        let option = quote.option;
        let from = self.connected(key)?.paid_until().map_or(now, |end| end.max(now));
        let months = option.as_ref().map_or(1, |option| option.duration_in_months);
        let to = from
            .checked_add_months(Months::new(months))
            .context("too long a period")?;
        let location = self.location(key.1).clone();
        let currency_iso = match &option {
            Some(option) => option.currency_iso.clone(),
            None => location.currency.clone(),
        };
        let payment = NewPayment {
            sum: quote.amount.clone(),
            currency_iso: currency_iso.clone(),
            paid_at: now,
            from,
            to,
            origin: Origin::Platform,
        };
        let payment_id = self.paid(key, payment, Source::Marketplace, now);
        let date = |at| dates::print(at, location.zone(), self.terms.payment_dates);
        let period = PaidPeriod {
            payment_id,
            amount: quote.amount.clone(),
            currency_iso,
            discount: quote.discount.map(dates::number),
            period_from: date(from),
            period_to: date(to),
            payment_date: date(now),
            tariff_option_id: option.map(|option| option.id),
        };
        self.announce_payment(key, &period);
        Ok(Paid {
            payment_id,
            amount: quote.amount,
            period_from: from,
            period_to: to,
        })
    }

    fn quote(&self, pay: &Pay) -> Result<Quote> {
        let (key, link_option, link_discount) = match &pay.link {
            Some(url) => self.made_link(url)?,
            None => ((pay.application_id, pay.location_id), None, None),
        };
        let stored = self.connected(key)?.discount.filter(|percent| *percent > 0.0);
        let discount = pay.discount.or(link_discount).or(stored);
        let application = self.applications.get(&key.0).context("unknown application")?;
        let wanted = pay.tariff_option_id.or(link_option);
        let mut options = application.tariffs.iter().flat_map(|tariff| &tariff.options);
        let option = options.find(|option| wanted.is_none_or(|id| id == option.id)).cloned();
        let price = option.as_ref().map(|option| {
            let price = option.overall_price * (1.0 - discount.unwrap_or(0.0) / 100.0);
            (price * 100.0).round() / 100.0
        });
        let amount = pay.amount.or(price).context("no such tariff option: give an amount")?;
        Ok(Quote {
            key,
            amount: dates::number(amount),
            discount,
            option,
        })
    }

    /// The link, if the application is working there or could again.
    fn connected(&self, key: Key) -> Result<&Link> {
        let link = self.links.get(&key).context("never connected")?;
        match link.status {
            Status::Active | Status::Freezed | Status::Disabled => Ok(link),
            Status::Pending | Status::Uninstalled => bail!("not connected"),
        }
    }

    /// Finds a payment link among those made.
    fn made_link(&self, url: &str) -> Result<(Key, Option<i64>, Option<f64>)> {
        let found = self.links.iter().find_map(|(key, link)| {
            let made = link.payment_links.iter().find(|made| made.url == url)?;
            Some((*key, made.tariff_option_id, made.discount))
        });
        found.context("the marketplace made no such payment link")
    }
}
