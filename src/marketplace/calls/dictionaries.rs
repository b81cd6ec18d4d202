use serde_json::Value;

use crate::{
    domain::{
        dictionary::{BusinessType, City, Country},
        ids::LocationId,
    },
    marketplace::{
        call::{Base, Call, CallName},
        lenient::Fields,
    },
};

/// All countries (contract 6.4). They change rarely: keep them for a day.
pub fn countries() -> Call<Vec<Country>> {
    Call::get(CallName::Countries, Base::Api, "countries".to_owned(), |data| {
        listed(data, country)
    })
}

/// Cities, of one country or of all; with `location_id`, the city of that location is among them whatever
/// its country. They change rarely: keep them for a day.
pub fn cities(country_id: Option<i64>, location_id: Option<LocationId>) -> Call<Vec<City>> {
    let mut call = Call::get(CallName::Cities, Base::Api, "cities".to_owned(), |data| {
        listed(data, city)
    });
    if let Some(country) = country_id {
        call = call.query("country_id", country);
    }
    if let Some(location) = location_id {
        call = call.query("company_id", location);
    }
    call
}

/// Kinds of business, group by group. They change rarely: keep them for a day.
pub fn business_groups() -> Call<Vec<BusinessType>> {
    let path = "references/business_groups_with_types".to_owned();
    Call::get(CallName::BusinessGroups, Base::Api, path, |data| {
        Ok(listed(data, group)?.into_iter().flatten().collect())
    })
}

/// What has no number nobody can refer to, so it is left out. No list at all is no dictionary.
fn listed<T>(data: Option<Value>, one: fn(Fields<'_>) -> Option<T>) -> Result<Vec<T>, String> {
    match data {
        Some(Value::Array(list)) => Ok(list.iter().filter_map(|value| one(Fields::of(value))).collect()),
        _ => Err("data is not a list".to_owned()),
    }
}

fn country(fields: Fields<'_>) -> Option<Country> {
    Some(Country {
        id: fields.integer("id")?,
        title: fields.text("title"),
        iso_code: fields.text("iso_code").map(|code| code.to_ascii_uppercase()),
        phone_code: fields.text("phone_code"),
        currency: fields.text("currency"),
        is_eu: fields.flag("is_eu"),
    })
}

fn city(fields: Fields<'_>) -> Option<City> {
    Some(City {
        id: fields.integer("id")?,
        country_id: fields.integer("country_id"),
        title: fields.text("title"),
    })
}

fn group(fields: Fields<'_>) -> Option<Vec<BusinessType>> {
    let group_id = fields.integer("id")?;
    let group_title = fields.text("title");
    let kind = |value: &Value| {
        Some(BusinessType {
            id: Fields::of(value).integer("id")?,
            title: Fields::of(value).text("title"),
            group_id,
            group_title: group_title.clone(),
        })
    };
    Some(fields.list("types").iter().filter_map(kind).collect())
}
