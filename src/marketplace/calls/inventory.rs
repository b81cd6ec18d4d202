use rust_decimal::Decimal;
use serde_json::Value;

use super::{LimitError, MAX_LOCATIONS};
use crate::{
    domain::{
        ids::{ApplicationId, LocationId},
        location::Location,
    },
    marketplace::{
        call::{Base, Call, CallName},
        lenient::{Fields, integer},
    },
};

/// One page of connected locations.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The locations that have a number.
    pub locations: Vec<Location>,
    /// How many the marketplace listed, readable or not: this, against the size that was asked
    /// for, tells whether the page is short.
    pub listed: usize,
}

/// M1: a page of the connected locations.
///
/// Whether pages count from 0 or 1 the sources disagree on. So start at 1, stop at a page that is
/// short or brings nothing new, and drop locations that were there already. Whether pending and
/// frozen installations are listed is not documented either: take the state from M6.
pub fn salons(application_id: ApplicationId, page: u32, count: u32) -> Result<Call<Page>, LimitError> {
    if count == 0 || count as usize > MAX_LOCATIONS {
        return Err(LimitError::PageSize(count));
    }
    let path = format!("application/{application_id}/salons");
    Ok(Call::get(CallName::Salons, Base::Partner, path, decode_page)
        .query("page", page)
        .query("count", count))
}

fn decode_page(data: Option<Value>) -> Result<Page, String> {
    // "Nothing is connected" has to be said, not left out: much hangs on it.
    let listed = match &data {
        Some(Value::Array(list)) => list.as_slice(),
        Some(Value::Object(map)) if map.is_empty() => &[],
        Some(_) => return Err("data is not a list of locations".to_owned()),
        None => return Err("no list of locations".to_owned()),
    };
    Ok(Page {
        locations: listed.iter().filter_map(location).collect(),
        listed: listed.len(),
    })
}

fn location(value: &Value) -> Option<Location> {
    let fields = Fields::of(value);
    Some(Location {
        id: LocationId(fields.integer("id")?),
        title: fields.text("title"),
        email: fields.text("email"),
        phone: fields.text("phone"),
        address: fields.text("address"),
        country_id: fields.integer("country_id"),
        country: None,
        country_name: fields.text("country"),
        city_id: fields.integer("city_id"),
        city: fields.text("city"),
        // `timezone`, the offset in hours, is wrong for half of the year and is not read.
        timezone_name: fields.text("timezone_name"),
        currency: fields.text("currency_short_title"),
    })
}

/// A tariff of the application.
#[derive(Debug, Clone, PartialEq)]
pub struct Tariff {
    /// Number.
    pub id: Option<i64>,
    /// Name.
    pub title: Option<String>,
    /// What can be bought.
    pub options: Vec<TariffOption>,
}

/// One thing to buy in a tariff.
#[derive(Debug, Clone, PartialEq)]
pub struct TariffOption {
    /// Number, which a payment link can name.
    pub id: i64,
    /// Name.
    pub title: Option<String>,
    /// Price for the whole duration.
    pub price: Option<Decimal>,
    /// Duration.
    pub months: Option<i64>,
    /// Three capital letters.
    pub currency: Option<String>,
    /// The largest team that it covers.
    pub staff: Option<i64>,
    /// Months without charge.
    pub free_months: Option<i64>,
}

/// M2: what the application costs. Tariffs are set on the vendor's side; an empty list is normal.
pub fn tariffs(application_id: ApplicationId) -> Call<Vec<Tariff>> {
    let path = format!("application/{application_id}/tariffs");
    Call::get(CallName::Tariffs, Base::Billing, path, decode_tariffs)
}

fn decode_tariffs(data: Option<Value>) -> Result<Vec<Tariff>, String> {
    match data {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => Ok(list.iter().map(tariff).collect()),
        Some(Value::Object(map)) if map.is_empty() => Ok(Vec::new()),
        Some(_) => Err("data is not a list of tariffs".to_owned()),
    }
}

fn tariff(value: &Value) -> Tariff {
    let fields = Fields::of(value);
    let option = |value: &Value| {
        let option = Fields::of(value);
        Some(TariffOption {
            id: option.get("id").and_then(integer)?,
            title: option.text("title"),
            price: option.decimal("overall_price"),
            months: option.integer("duration_in_months"),
            currency: option.text("currency_iso"),
            staff: option.integer("staff_amount"),
            free_months: option.integer("free_period_in_months"),
        })
    };
    Tariff {
        id: fields.integer("id"),
        title: fields.text("title"),
        options: fields.list("options").iter().filter_map(option).collect(),
    }
}

/// The option with the lowest price, the lower number among equals. Options without a readable
/// price do not take part.
pub fn cheapest_option(tariffs: &[Tariff]) -> Option<i64> {
    tariffs
        .iter()
        .flat_map(|tariff| &tariff.options)
        .filter_map(|option| Some((option.price?, option.id)))
        .min()
        .map(|(_, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_unreadable_location_does_not_make_a_page_short() {
        let page = decode_page(Some(json!([{"id": "5", "title": ""}, {"title": "no number"}, []]))).expect("a page");
        assert_eq!(page.locations, [Location::unknown(LocationId(5))]);
        assert_eq!(page.listed, 3);
        for empty in [json!([]), json!({})] {
            assert_eq!(decode_page(Some(empty)).expect("a page").listed, 0);
        }
        assert!(decode_page(Some(json!("<html>"))).is_err());
        assert!(decode_page(None).is_err());
    }

    #[test]
    fn the_older_edition_with_numbers_as_texts_reads_the_same() {
        let page = decode_page(Some(
            json!([{"id": "5", "country_id": "7", "city_id": 2.0, "timezone": "+3"}]),
        ));
        let location = &page.expect("a page").locations[0];
        assert_eq!((location.country_id, location.city_id), (Some(7), Some(2)));
    }

    #[test]
    fn pages_have_limits() {
        for (count, fine) in [(0, false), (1, true), (1000, true), (1001, false)] {
            assert_eq!(salons(ApplicationId(1), 1, count).is_ok(), fine, "{count}");
        }
    }

    #[test]
    fn the_cheapest_option_has_a_price() {
        let tariffs = decode_tariffs(Some(json!([
            {"options": [{"id": 1, "overall_price": 500}, {"id": 2}, {"id": 3, "overall_price": "99.50"}]},
            {"options": [{"id": 4, "overall_price": 99.5}]}, {"options": []}, []
        ])));
        assert_eq!(cheapest_option(&tariffs.expect("tariffs")), Some(3));
        assert_eq!(cheapest_option(&[]), None);
    }
}
