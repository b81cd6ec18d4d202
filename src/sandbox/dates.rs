//! Dates as the marketplace prints and reads them.

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::options::DateZone;

const FORM: &str = "%Y-%m-%d %H:%M:%S";

/// Prints a date without an offset, in the zone payments are dated in.
pub(super) fn print(at: DateTime<Utc>, zone: Tz, dates: DateZone) -> String {
    match dates {
        DateZone::Local => at.with_timezone(&zone).format(FORM).to_string(),
        DateZone::Utc => at.format(FORM).to_string(),
    }
}

/// Reads a date without an offset. A time that daylight saving skips is taken an hour later.
pub(super) fn read(text: &str, zone: Tz, dates: DateZone) -> Option<DateTime<Utc>> {
    let naive = NaiveDateTime::parse_from_str(text, FORM).ok()?;
    match dates {
        DateZone::Utc => Some(naive.and_utc()),
        DateZone::Local => match zone.from_local_datetime(&naive) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Some(at.with_timezone(&Utc)),
            LocalResult::None => zone
                .from_local_datetime(&(naive + TimeDelta::hours(1)))
                .earliest()
                .map(|at| at.with_timezone(&Utc)),
        },
    }
}

/// The hours by which a zone is ahead of UTC at a moment.
pub(super) fn offset_hours(at: DateTime<Utc>, zone: Tz) -> f64 {
    f64::from(at.with_timezone(&zone).offset().fix().local_minus_utc()) / 3600.0
}

/// A number without a needless fraction: 100, not 100.0.
pub(super) fn number(value: f64) -> serde_json::Number {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        #[expect(clippy::cast_possible_truncation, reason = "whole and far below 2^63")]
        let whole = value as i64;
        return whole.into();
    }
    serde_json::Number::from_f64(value).unwrap_or_else(|| 0.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_date_is_read_back_as_it_was_printed() {
        let zone = chrono_tz::America::New_York;
        let at = read("2026-07-01 10:00:00", zone, DateZone::Local).expect("a date");
        assert_eq!(at.to_rfc3339(), "2026-07-01T14:00:00+00:00");
        assert_eq!(print(at, zone, DateZone::Local), "2026-07-01 10:00:00");
        assert!(read("2026-03-08 02:30:00", zone, DateZone::Local).is_some());
        assert!(read("2026-07-01", zone, DateZone::Local).is_none());
    }

    #[test]
    fn whole_numbers_are_printed_without_a_fraction() {
        assert_eq!(number(100.0).to_string(), "100");
        assert_eq!(number(990.99).to_string(), "990.99");
    }
}
