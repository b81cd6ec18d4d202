use chrono::NaiveDateTime;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{LimitError, MAX_LOCATIONS, percent};
use crate::{
    domain::ids::{ApplicationId, LocationId, Place},
    marketplace::{
        call::{Base, Call, CallName, nothing},
        lenient::{Fields, number},
    },
};

/// M3: the discount of locations for payments through the platform. It sets, it does not add, so
/// repeating it is harmless; 0 removes it.
pub fn add_discount(
    application_id: ApplicationId,
    locations: &[LocationId],
    discount: Decimal,
) -> Result<Call<()>, LimitError> {
    if locations.is_empty() || locations.len() > MAX_LOCATIONS {
        return Err(LimitError::Locations(locations.len()));
    }
    let discount = percent(discount)?;
    let path = "application/add_discount".to_owned();
    Ok(
        Call::post(CallName::AddDiscount, Base::Billing, path, nothing).body(json!({
            "salon_ids": locations,
            "application_id": application_id,
            "discount": number(discount),
        })),
    )
}

/// M4: a link to the payment page. The option of a tariff is required by the vendor's own client
/// and absent from the reference: send it when known.
pub fn payment_link(
    place: Place,
    tariff_option_id: Option<i64>,
    discount: Option<Decimal>,
) -> Result<Call<String>, LimitError> {
    let path = "application/payment_link".to_owned();
    let mut call = Call::get(CallName::PaymentLink, Base::Billing, path, decode_link)
        .query("salon_id", place.location_id)
        .query("application_id", place.application_id);
    if let Some(option) = tariff_option_id {
        call = call.query("tariff_option_id", option);
    }
    if let Some(discount) = discount {
        call = call.query("discount", percent(discount)?);
    }
    Ok(call)
}

fn decode_link(data: Option<Value>) -> Result<String, String> {
    let url = data.as_ref().and_then(|data| Fields::of(data).text("url"));
    let url = url.ok_or("no data.url")?;
    match url::Url::parse(&url) {
        Ok(parsed) if matches!(parsed.scheme(), "https" | "http") => Ok(url),
        _ => Err("data.url is not a web address".to_owned()),
    }
}

/// A payment that was made on our side.
#[derive(Debug, Clone, PartialEq)]
pub struct PaymentReport {
    /// Amount in major units.
    pub amount: Decimal,
    /// Three capital letters.
    pub currency: String,
    /// When it was paid, as wall clock (contract 5 leaves the zone open).
    pub paid_at: NaiveDateTime,
    /// First moment that is paid for.
    pub period_from: NaiveDateTime,
    /// Last moment that is paid for.
    pub period_to: NaiveDateTime,
}

/// M10: report a payment. The answer is the number by which it can be refunded, and the only way
/// to get it: store it first. **Not** harmless to repeat: after [`Error::Unknown`] read M6 first.
///
/// [`Error::Unknown`]: crate::marketplace::error::Error::Unknown
pub fn report_payment(place: Place, report: &PaymentReport) -> Result<Call<i64>, LimitError> {
    if report.amount < Decimal::ZERO {
        return Err(LimitError::Amount(report.amount));
    }
    if report.currency.len() != 3 || !report.currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(LimitError::Currency(report.currency.clone()));
    }
    let date = |moment: NaiveDateTime| moment.format("%Y-%m-%d %H:%M:%S").to_string();
    let path = "partner/payment".to_owned();
    Ok(
        Call::post(CallName::ReportPayment, Base::Partner, path, decode_payment).body(json!({
            "salon_id": place.location_id,
            "application_id": place.application_id,
            "payment_sum": number(report.amount),
            "currency_iso": report.currency,
            "payment_date": date(report.paid_at),
            "period_from": date(report.period_from),
            "period_to": date(report.period_to),
        })),
    )
}

fn decode_payment(data: Option<Value>) -> Result<i64, String> {
    let id = data.as_ref().and_then(|data| Fields::of(data).integer("id"));
    id.ok_or_else(|| "no data.id: the payment cannot be refunded without it".to_owned())
}

/// M11: refund a reported payment. A refund of the running period disables the installation within
/// an hour.
pub fn refund_payment(payment_id: i64) -> Call<()> {
    let path = format!("partner/payment/refund/{payment_id}");
    Call::post(CallName::RefundPayment, Base::Partner, path, nothing)
}
