use serde::{Deserialize, Serialize};

use super::ids::LocationId;

/// What is known of a business place: the subset of the connected-locations list (contract 6.1,
/// M1) that rules and people use. Everything but the id may be unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// The marketplace's number of the place.
    pub id: LocationId,
    /// Name.
    pub title: Option<String>,
    /// Address for mail to the business.
    pub email: Option<String>,
    /// As the marketplace prints it: with or without plus.
    pub phone: Option<String>,
    /// Postal address.
    pub address: Option<String>,
    /// The marketplace's number of the country.
    pub country_id: Option<i64>,
    /// ISO 3166 alpha-2 code of the country, such as `DE`: what the dictionary of countries says of `country_id`.
    /// The list of locations does not tell it, so it is not stored with the rest.
    #[serde(skip)]
    pub country: Option<String>,
    /// Name of the country, in the language of the marketplace. Stored under the name that versions before this one
    /// know.
    #[serde(rename = "country")]
    pub country_name: Option<String>,
    /// The marketplace's number of the city.
    pub city_id: Option<i64>,
    /// Name of the city.
    pub city: Option<String>,
    /// IANA name of the time zone, for instance `Europe/Berlin`.
    pub timezone_name: Option<String>,
    /// Short title of the currency, for instance `€`.
    pub currency: Option<String>,
}

impl Location {
    /// A place of which only the number is known yet.
    pub fn unknown(id: LocationId) -> Self {
        Self {
            id,
            title: None,
            email: None,
            phone: None,
            address: None,
            country_id: None,
            country: None,
            country_name: None,
            city_id: None,
            city: None,
            timezone_name: None,
            currency: None,
        }
    }
}
