//! Locations: what the marketplace says about a business place.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::dates;

/// A business place. Every field but the id may be left out; it is invented then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Location {
    /// Location id.
    pub id: i64,
    /// Title.
    pub title: String,
    /// E-mail address.
    pub email: String,
    /// Phone.
    pub phone: String,
    /// Country id.
    pub country_id: i64,
    /// Country.
    pub country: String,
    /// City id.
    pub city_id: i64,
    /// City.
    pub city: String,
    /// Street and house.
    pub address: String,
    /// IANA name of the time zone.
    pub timezone_name: String,
    /// Currency, three capital letters.
    pub currency: String,
    /// Sign of the currency.
    pub currency_short_title: String,
    /// Size of the team.
    pub active_staff_count: u32,
    /// The user token of its owner.
    pub owner_token: String,
    /// Webhook addresses of applications of other developers at this location.
    pub other_webhook_urls: Vec<String>,
}

impl Default for Location {
    fn default() -> Self {
        Self {
            id: 0,
            title: String::new(),
            email: String::new(),
            phone: String::new(),
            country_id: 7,
            country: "United States".to_owned(),
            city_id: 181,
            city: "New York".to_owned(),
            address: "1 Example Street".to_owned(),
            timezone_name: "America/New_York".to_owned(),
            currency: "USD".to_owned(),
            currency_short_title: "$".to_owned(),
            active_staff_count: 3,
            owner_token: String::new(),
            other_webhook_urls: Vec::new(),
        }
    }
}

impl Location {
    /// An invented location.
    pub fn new(id: i64) -> Self {
        Self { id, ..Self::default() }.completed()
    }

    /// Fills in what depends on the id.
    pub(super) fn completed(mut self) -> Self {
        if self.title.is_empty() {
            self.title = format!("Salon {}", self.id);
        }
        if self.email.is_empty() {
            self.email = format!("salon-{}@example.com", self.id);
        }
        if self.owner_token.is_empty() {
            self.owner_token = format!("owner-of-{}", self.id);
        }
        if self.phone.is_empty() {
            self.phone = format!("+1{:010}", self.id.rem_euclid(10_000_000_000));
        }
        self
    }

    /// The time zone; UTC when the name means nothing.
    pub(super) fn zone(&self) -> Tz {
        self.timezone_name.parse().unwrap_or(Tz::UTC)
    }

    /// The location as M1 lists it.
    pub(super) fn listed(&self, now: DateTime<Utc>) -> Value {
        json!({
            "id": self.id,
            "title": self.title,
            "public_title": self.title,
            "short_descr": "Beauty salon",
            "logo": "https://assets.example.com/logo.png",
            "active": 1,
            "phone": self.phone,
            "phones": [self.phone],
            "email": self.email,
            "country_id": self.country_id,
            "country": self.country,
            "city_id": self.city_id,
            "city": self.city,
            "schedule": "",
            "timezone": dates::number(dates::offset_hours(now, self.zone())),
            "timezone_name": self.timezone_name,
            "address": self.address,
            "coordinate_lat": 40.73061,
            "coordinate_lon": -73.935_242,
            "phone_confirmation": true,
            "active_staff_count": self.active_staff_count,
            "app_ios": "",
            "app_android": "",
            "currency_short_title": self.currency_short_title,
            "reminds_sms_disabled": false,
            "reminds_sms_default": 1,
            "group_priority": 900,
            "bookform_group_priority": 0,
            "description": "",
            "photos": [],
            "company_photos": [],
            "booking_widget_promo": null,
        })
    }
}
