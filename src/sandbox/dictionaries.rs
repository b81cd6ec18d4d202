//! Countries, cities and kinds of business (contract 6.4): a few of each.

use serde_json::{Value, json};

use super::ask::Ask;
use super::envelope::Answer;
use super::state::State;

/// The countries.
pub(super) fn countries() -> Answer {
    let country = |id: i64, names: [&str; 4], currency: &str, eu: bool| {
        let [title, full_title, iso, phone] = names;
        json!({
            "id": id, "title": title, "full_title": full_title, "iso_code": iso,
            "phone_code": phone, "phone_template": format!("+{phone} xxx xxx xxxx"),
            "phone_example": format!("+{phone} 201 123 4567"), "currency": currency,
            "exchange": 1.5, "lang_id": 2, "group_type": 1, "is_eu": eu,
        })
    };
    Answer::ok(json!([
        country(1, ["Russia", "Russian Federation", "RU", "7"], "₽", false),
        country(7, ["USA", "United States", "US", "1"], "$", false),
        country(31, ["Hungary", "Hungary", "HU", "36"], "Ft", true),
        country(34, ["Spain", "Kingdom of Spain", "ES", "34"], "€", true),
        country(49, ["Germany", "Federal Republic of Germany", "DE", "49"], "€", true),
        country(55, ["Brazil", "Federative Republic of Brazil", "BR", "55"], "R$", false),
        country(56, ["France", "France", "FR", "33"], "€", true),
        country(971, ["Emirates", "United Arab Emirates", "AE", "971"], "AED", false),
    ]))
}

/// The cities, by country, with the city of one location whatever its country.
pub(super) fn cities(state: &State, ask: &Ask) -> Answer {
    let number = |name: &str| ask.parameter(name).and_then(|text| text.parse::<i64>().ok());
    let country = number("country_id");
    let own = number("company_id").and_then(|id| state.locations.get(&id));
    let known = [
        (1, 1, "Moscow"),
        (181, 7, "New York"),
        (1334, 31, "Budapest"),
        (2201, 56, "Paris"),
    ];
    let mut listed: Vec<Value> = known
        .into_iter()
        .filter(|(_, of, _)| country.is_none_or(|wanted| wanted == *of))
        .map(|(id, of, title)| json!({"id": id, "country_id": of, "title": title}))
        .collect();
    if let Some(place) = own.filter(|place| listed.iter().all(|city| city["id"] != place.city_id)) {
        listed.push(json!({
            "id": place.city_id, "country_id": place.country_id, "title": place.city,
        }));
    }
    Answer::ok(Value::Array(listed))
}

/// The kinds of business. `meta.count` is not the length of the list.
pub(super) fn business_types() -> Answer {
    let group = |id: i64, title: &str, types: &[(i64, &str)]| {
        let types: Vec<Value> = types
            .iter()
            .map(|(type_id, title)| json!({"id": type_id, "title": title, "business_group_id": id}))
            .collect();
        json!({
            "id": id, "title": title, "types": types,
            "image": format!("https://assets.example.com/business/{id}.png"),
            "image_small": format!("https://assets.example.com/business/{id}-small.png"),
        })
    };
    let data = json!([
        group(1, "Beauty", &[(1, "Beauty salons"), (25, "Spa")]),
        group(10, "Domestic services", &[(31, "Studio")]),
    ]);
    Answer::with(200, true, data, json!({"count": 10}))
}
