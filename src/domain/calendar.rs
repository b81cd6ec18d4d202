//! Cron expressions, read as wall clocks of a place. A zone skips an hour in spring and repeats one in autumn: a time
//! that does not exist comes at the next instant that does, and one that exists twice comes once, the first time.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

/// The five fields: what each is, and what may stand there.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, `L` for the last"),
    ("month", "1 to 12 or JAN to DEC"),
    ("day of the week", "0 to 7 or SUN to SAT; 0 and 7 are both Sunday"),
];

/// Longest expression, in bytes.
const LONGEST: usize = 200;

/// No clock was ever put forward by more.
const LONGEST_GAP: TimeDelta = TimeDelta::hours(26);

/// When something happens again and again: a cron expression with five fields.
#[derive(Debug, Clone)]
pub struct Calendar {
    text: String,
    cron: Cron,
}

/// An occurrence: the wall clock that names it, and the instant it falls on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// As the expression says it, also when the clock skips it.
    pub local_at: NaiveDateTime,
    /// When it is.
    pub due_at: DateTime<Utc>,
}

/// What lies around an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Around {
    /// The last occurrence that was, that instant included.
    pub last: Option<Occurrence>,
    /// The first one after it.
    pub next: Option<Occurrence>,
}

impl Calendar {
    /// Reads an expression such as `0 9 * * MON`.
    ///
    /// # Errors
    /// With what is wrong and what to do.
    pub fn parse(text: &str) -> Result<Self, (String, String)> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let named: Vec<String> = FIELDS.iter().map(|(name, _)| (*name).to_owned()).collect();
        let five = || format!("write five: {}; `0 9 * * MON` is Mondays at nine", named.join(", "));
        if text.len() > LONGEST {
            return Err((format!("this is longer than {LONGEST} bytes"), five()));
        }
        if fields.len() != FIELDS.len() {
            let what = match fields.len() {
                0 => "this is empty".to_owned(),
                1 => "this has 1 field".to_owned(),
                6 | 7 => format!(
                    "this has {} fields, and more often than once a minute is not possible",
                    fields.len()
                ),
                number => format!("this has {number} fields"),
            };
            return Err((what, five()));
        }
        for (field, (name, range)) in fields.iter().zip(FIELDS) {
            if !alone(field, name) {
                return Err((
                    format!("`{field}` is no {name}"),
                    format!("possible are {range}, and `*`, `1,2`, `1-5`, `*/2`"),
                ));
            }
        }
        let text = fields.join(" ");
        let never = || {
            (
                format!("`{text}` never comes"),
                "no month has such a day; choose another".to_owned(),
            )
        };
        let cron = read(&text).ok_or_else(never)?;
        let calendar = Self { text, cron };
        match calendar.after(DateTime::UNIX_EPOCH.naive_utc()) {
            Some(_) => Ok(calendar),
            None => Err((
                format!("`{}` never comes", calendar.text),
                "no month has such a day; choose another".to_owned(),
            )),
        }
    }

    /// The expression, with single spaces.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The occurrences around an instant, by the clocks of a zone.
    pub fn around(&self, now: DateTime<Utc>, zone: Tz) -> Around {
        let local = now.with_timezone(&zone).naive_local();
        let dated = |local_at| Occurrence {
            local_at,
            due_at: instant(local_at, zone),
        };
        let before = self.cron.find_previous_occurrence(&local.and_utc(), true);
        let mut last = before.ok().map(|at| dated(at.naive_utc()));
        loop {
            let after = last.map_or(local, |last: Occurrence| last.local_at);
            let next = self.after(after).map(dated);
            // In the hour that a clock repeats, times later on it were there already.
            match next {
                Some(passed) if passed.due_at <= now => last = Some(passed),
                Some(_) | None => return Around { last, next },
            }
        }
    }

    fn after(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        let next = self.cron.find_next_occurrence(&local.and_utc(), false);
        next.ok().map(|at| at.naive_utc())
    }
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn read(text: &str) -> Option<Cron> {
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    parser.parse(text).ok()
}

/// Whether a field is fine by itself.
fn alone(field: &str, name: &str) -> bool {
    let fields = FIELDS.map(|(other, _)| if other == name { field } else { "*" });
    !field.contains('@') && read(&fields.join(" ")).is_some()
}

/// When a wall clock shows this time: the first time when it does twice, and when it never does, the instant at which
/// it was put forward.
fn instant(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    let mut at = local;
    while at - local <= LONGEST_GAP {
        if let Some(found) = zone.from_local_datetime(&at).earliest() {
            return found.with_timezone(&Utc);
        }
        at += TimeDelta::minutes(1);
    }
    local.and_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        format!("{text}:00Z").parse().expect("a time")
    }

    fn calendar(text: &str) -> Calendar {
        Calendar::parse(text).unwrap_or_else(|(what, remedy)| panic!("{what}; {remedy}"))
    }

    fn show(one: Option<Occurrence>) -> String {
        one.map_or("never".to_owned(), |one| {
            format!(
                "{} = {}",
                one.local_at.format("%m-%d %H:%M"),
                one.due_at.format("%m-%d %H:%MZ")
            )
        })
    }

    /// The occurrences after `from`, each found from the instant of the one before.
    fn following(cron: &str, zone: Tz, from: &str, count: usize) -> Vec<String> {
        let calendar = calendar(cron);
        let mut now = utc(from);
        let mut found = Vec::new();
        for _ in 0..count {
            let next = calendar.around(now, zone).next;
            found.push(show(next));
            now = next.expect("one more").due_at;
        }
        found
    }

    #[test]
    fn a_time_that_the_clock_skips_comes_once_at_the_next_instant() {
        let berlin = Tz::Europe__Berlin;
        assert_eq!(
            following("30 2 * * *", berlin, "2026-03-28T00:00", 3),
            [
                "03-28 02:30 = 03-28 01:30Z",
                "03-29 02:30 = 03-29 01:00Z",
                "03-30 02:30 = 03-30 00:30Z"
            ]
        );
        // All that falls into the gap comes at its end, and the last of it is what counts there.
        let around = calendar("*/20 * * * *").around(utc("2026-03-29T01:00"), berlin);
        assert_eq!(show(around.last), "03-29 03:00 = 03-29 01:00Z");
        assert_eq!(show(around.next), "03-29 03:20 = 03-29 01:20Z");
        // A clock that goes forward by half an hour, and a day that never was.
        assert_eq!(
            following("15 2 * * *", Tz::Australia__Lord_Howe, "2026-10-03T12:00", 1),
            ["10-04 02:15 = 10-03 15:30Z"]
        );
        assert_eq!(
            following("0 9 30 12 *", Tz::Pacific__Apia, "2011-12-01T00:00", 1),
            ["12-30 09:00 = 12-30 10:00Z"]
        );
    }

    #[test]
    fn a_time_that_the_clock_shows_twice_comes_once() {
        let berlin = Tz::Europe__Berlin;
        assert_eq!(
            following("30 2 * * *", berlin, "2026-10-24T12:00", 2),
            ["10-25 02:30 = 10-25 00:30Z", "10-26 02:30 = 10-26 01:30Z"]
        );
        assert_eq!(
            following("0 * * * *", berlin, "2026-10-24T23:30", 3),
            [
                "10-25 02:00 = 10-25 00:00Z",
                "10-25 03:00 = 10-25 02:00Z",
                "10-25 04:00 = 10-25 03:00Z"
            ]
        );
        // The second time around nothing is new, and nothing that was is forgotten.
        let around = calendar("*/20 * * * *").around(utc("2026-10-25T01:10"), berlin);
        assert_eq!(show(around.last), "10-25 02:40 = 10-25 00:40Z");
        assert_eq!(show(around.next), "10-25 03:00 = 10-25 02:00Z");
    }

    #[test]
    fn ends_of_months_leap_days_and_zones_far_from_utc_are_kept() {
        assert_eq!(
            following("0 9 31 * *", Tz::UTC, "2026-01-01T00:00", 3),
            [
                "01-31 09:00 = 01-31 09:00Z",
                "03-31 09:00 = 03-31 09:00Z",
                "05-31 09:00 = 05-31 09:00Z"
            ]
        );
        assert_eq!(
            following("0 9 L 2 *", Tz::UTC, "2026-01-01T00:00", 3),
            [
                "02-28 09:00 = 02-28 09:00Z",
                "02-28 09:00 = 02-28 09:00Z",
                "02-29 09:00 = 02-29 09:00Z"
            ]
        );
        assert_eq!(
            following("0 0 * * MON", Tz::Pacific__Kiritimati, "2026-03-01T00:00", 1),
            ["03-02 00:00 = 03-01 10:00Z"]
        );
        assert_eq!(
            following("0 9 1,15 * FRI", Tz::UTC, "2026-05-01T09:00", 2),
            ["05-08 09:00 = 05-08 09:00Z", "05-15 09:00 = 05-15 09:00Z"],
            "one of the two days is enough"
        );
    }

    #[test]
    fn the_instant_itself_is_the_last_one_that_was() {
        let around = calendar("0 9 * * *").around(utc("2026-03-05T08:00"), Tz::Europe__Berlin);
        assert_eq!(show(around.last), "03-05 09:00 = 03-05 08:00Z");
        assert_eq!(show(around.next), "03-06 09:00 = 03-06 08:00Z");
    }

    #[test]
    fn what_is_wrong_is_told_by_field() {
        let wrong = |text: &str| Calendar::parse(text).expect_err(text).0;
        assert_eq!(wrong(""), "this is empty");
        assert_eq!(wrong("@weekly"), "this has 1 field");
        assert_eq!(
            wrong("0 0 9 * * MON"),
            "this has 6 fields, and more often than once a minute is not possible"
        );
        assert_eq!(wrong("60 9 * * *"), "`60` is no minute");
        assert_eq!(wrong("0 24 * * *"), "`24` is no hour");
        assert_eq!(wrong("0 9 0 * *"), "`0` is no day of the month");
        assert_eq!(wrong("0 9 * 13 *"), "`13` is no month");
        assert_eq!(wrong("0 9 * * FUNDAY"), "`FUNDAY` is no day of the week");
        assert_eq!(wrong("@daily * * * *"), "`@daily` is no minute");
        assert_eq!(wrong("0 9 30 2 *"), "`0 9 30 2 *` never comes");
        assert_eq!(calendar("  0  9 * *   MON ").as_str(), "0 9 * * MON");
    }
}
