use chrono::{NaiveDateTime, TimeDelta};

/// Whoever prints wall clocks may print the same moment an hour earlier or later when daylight saving changes.
const SHIFT: TimeDelta = TimeDelta::minutes(90);

/// No two zones lie further apart.
const ANY_ZONE: TimeDelta = TimeDelta::hours(26);

/// A connection as the marketplace dates it: wall clocks of a zone it does not tell (contract 5), good for comparing
/// with each other and for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// When the owner consented.
    pub made_at: NaiveDateTime,
    /// When the place was last disconnected, as far as the log tells.
    pub left_at: Option<NaiveDateTime>,
}

impl Link {
    /// Whether this is a later connection than the one that was made at `known`: the place was disconnected and
    /// connected again meanwhile. A new connection has a new date (contract 8); a date alone has to be later by more
    /// than zones can explain, and with an entry in the log a little is enough.
    pub fn succeeds(&self, known: NaiveDateTime) -> bool {
        let later = self.made_at - known;
        let left_between = self.left_at.is_some_and(|left| left > known && left <= self.made_at);
        later > ANY_ZONE || (later > SHIFT && left_between)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect("a date")
    }

    #[test]
    fn a_later_connection_is_told_from_the_same_one_printed_in_another_zone() {
        let known = at("2026-03-01 12:00");
        let link = |made_at: &str, left_at: Option<&str>| Link {
            made_at: at(made_at),
            left_at: left_at.map(at),
        };
        for same in [
            link("2026-03-01 12:00", None),
            link("2026-03-01 13:00", None),
            link("2026-03-02 02:00", None),
            link("2026-02-01 12:00", Some("2026-02-20 12:00")),
            link("2026-03-01 13:00", Some("2026-03-01 12:30")),
            link("2026-03-01 20:00", Some("2026-02-28 12:00")),
            link("2026-03-01 20:00", Some("2026-03-01 21:00")),
        ] {
            assert!(!same.succeeds(known), "{same:?}");
        }
        for later in [
            link("2026-03-02 15:00", None),
            link("2026-03-01 15:00", Some("2026-03-01 14:59")),
        ] {
            assert!(later.succeeds(known), "{later:?}");
        }
    }
}
