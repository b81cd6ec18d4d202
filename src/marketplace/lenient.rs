use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Map, Value};

/// The fields of an object, however thin it came. Absent objects are printed as empty lists or
/// null (contract 3); both read as an object without fields.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a>(Option<&'a Map<String, Value>>);

impl<'a> Fields<'a> {
    /// Of any value.
    pub fn of(value: &'a Value) -> Self {
        Self(value.as_object())
    }

    /// A field that is there and not null.
    pub fn get(self, name: &str) -> Option<&'a Value> {
        self.0?.get(name).filter(|value| !value.is_null())
    }

    /// An object inside.
    pub fn object(self, name: &str) -> Self {
        Self(self.get(name).and_then(Value::as_object))
    }

    /// A list inside; anything else is an empty one.
    pub fn list(self, name: &str) -> &'a [Value] {
        self.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// A text that is not blank.
    pub fn text(self, name: &str) -> Option<String> {
        self.get(name).and_then(text)
    }

    /// A whole number.
    pub fn integer(self, name: &str) -> Option<i64> {
        self.get(name).and_then(integer)
    }

    /// A flag.
    pub fn flag(self, name: &str) -> Option<bool> {
        self.get(name).and_then(flag)
    }

    /// An amount of money.
    pub fn decimal(self, name: &str) -> Option<Decimal> {
        self.get(name).and_then(decimal)
    }

    /// A moment.
    pub fn moment(self, name: &str) -> Option<WireMoment> {
        self.get(name).and_then(Value::as_str).and_then(WireMoment::parse)
    }
}

/// A text that is not blank; numbers count as text, because titles and phones are numbers at times.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A whole number, or a text of one.
pub fn integer(value: &Value) -> Option<i64> {
    if let Some(number) = value.as_i64() {
        return Some(number);
    }
    let number = decimal(value)?;
    number.is_integer().then(|| i64::try_from(number).ok()).flatten()
}

/// A flag: true and false, one and zero, or a text of these.
pub fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        Value::String(_) | Value::Number(_) => integer(value).map(|number| number != 0),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A number, or a text of one. A fraction is taken in its shortest form that means the same
/// number, which removes binary noise: 33.710000000000001 is 33.71 (contract 5).
pub fn decimal(value: &Value) -> Option<Decimal> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let number = text.parse().or_else(|_| Decimal::from_scientific(&text)).ok()?;
    Some(Decimal::normalize(&number))
}

/// A number as JSON, as short as it can be written.
pub fn number(value: Decimal) -> Value {
    let text = value.normalize().to_string();
    text.parse().map_or(Value::String(text), Value::Number)
}

/// A date and time as the marketplace prints it (contract 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum WireMoment {
    /// Without an offset: which zone is meant, the contract does not say.
    Local(NaiveDateTime),
    /// With one.
    Absolute(DateTime<FixedOffset>),
}

impl WireMoment {
    /// Reads the forms of contract 5. Empty dates and what cannot be read are `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if ["0000-", "-", "1900-01-01", "1970-01-01"]
            .iter()
            .any(|empty| text.starts_with(empty))
        {
            return None;
        }
        let with_offset = ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z"];
        let without = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];
        with_offset
            .iter()
            .find_map(|form| DateTime::parse_from_str(text, form).ok())
            .map(Self::Absolute)
            .or_else(|| {
                without
                    .iter()
                    .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
                    .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))
                    .map(Self::Local)
            })
    }

    /// Date and time as printed, whatever the zone.
    pub fn wall_clock(self) -> NaiveDateTime {
        match self {
            Self::Local(local) => local,
            Self::Absolute(moment) => moment.naive_local(),
        }
    }

    /// The moment, with offset-less dates read as wall clock of `zone`. An hour that daylight
    /// saving repeats is taken the first time, one that it skips an hour later.
    pub fn in_zone(self, zone: chrono_tz::Tz) -> DateTime<Utc> {
        let local = match self {
            Self::Absolute(moment) => return moment.to_utc(),
            Self::Local(local) => local,
        };
        let later = local.checked_add_signed(TimeDelta::hours(1)).unwrap_or(local);
        zone.from_local_datetime(&local)
            .earliest()
            .or_else(|| zone.from_local_datetime(&later).earliest())
            .map_or_else(|| local.and_utc(), |moment| moment.to_utc())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_and_flags_come_in_every_dress() {
        for seven in [json!(7), json!("7"), json!(7.0), json!(" 7 ")] {
            assert_eq!(integer(&seven), Some(7), "{seven}");
        }
        for nothing in [
            json!(null),
            json!([]),
            json!({}),
            json!("seven"),
            json!(7.5),
            json!(1e300),
            json!(""),
        ] {
            assert_eq!(integer(&nothing), None, "{nothing}");
        }
        for yes in [json!(true), json!(1), json!("1"), json!("true")] {
            assert_eq!(flag(&yes), Some(true), "{yes}");
        }
        for no in [json!(false), json!(0), json!("0")] {
            assert_eq!(flag(&no), Some(false), "{no}");
        }
        assert_eq!(integer(&json!(4_102_444_800_123_i64)), Some(4_102_444_800_123));
    }

    #[test]
    fn money_has_no_binary_noise() {
        let noisy: Value = serde_json::from_str("33.710000000000001").expect("a number");
        assert_eq!(decimal(&noisy), Some(Decimal::new(3371, 2)));
        assert_eq!(decimal(&json!("990.90")), Some(Decimal::new(9909, 1)));
        assert_eq!(decimal(&json!("1e2")), Some(Decimal::from(100)));
        assert_eq!(number(Decimal::new(1554, 2)).to_string(), "15.54");
        assert_eq!(number(Decimal::new(2000, 2)).to_string(), "20");
    }

    #[test]
    fn absent_objects_are_empty_lists_or_null() {
        for absent in [json!([]), json!(null), json!("")] {
            assert_eq!(Fields::of(&absent).text("title"), None);
            let outer = json!({ "inner": absent });
            assert_eq!(Fields::of(&outer).object("inner").integer("id"), None);
            assert!(Fields::of(&outer).list("inner").is_empty());
        }
    }

    #[test]
    fn dates_of_the_contract_are_read_and_empty_ones_are_none() {
        let utc = |text: &str, zone| WireMoment::parse(text).map(|moment| moment.in_zone(zone).to_rfc3339());
        let madrid = chrono_tz::Europe::Madrid;
        assert_eq!(
            utc("2026-06-29 23:59:59", madrid).as_deref(),
            Some("2026-06-29T21:59:59+00:00")
        );
        assert_eq!(utc("2026-06-29", madrid).as_deref(), Some("2026-06-28T22:00:00+00:00"));
        for same in [
            "2025-07-12T11:49:08+0500",
            "2025-07-12T11:49:08+05:00",
            "2025-07-12 11:49:08+05:00",
            "2025-07-12T06:49:08Z",
            "2025-07-12T11:49:08.000+05:00",
        ] {
            assert_eq!(
                utc(same, madrid).as_deref(),
                Some("2025-07-12T06:49:08+00:00"),
                "{same}"
            );
        }
        for empty in [
            "",
            "0000-00-00",
            "0000-00-00 00:00:00",
            "1900-01-01",
            "1970-01-01",
            "-0001-11-30",
            "soon",
        ] {
            assert_eq!(WireMoment::parse(empty), None, "{empty}");
        }
    }

    #[test]
    fn hours_that_daylight_saving_skips_or_repeats_are_moments_too() {
        let madrid = chrono_tz::Europe::Madrid;
        let utc = |text: &str| WireMoment::parse(text).expect("a date").in_zone(madrid).to_rfc3339();
        assert_eq!(utc("2026-03-29 02:30:00"), "2026-03-29T01:30:00+00:00");
        assert_eq!(utc("2026-10-25 02:30:00"), "2026-10-25T00:30:00+00:00");
    }
}
