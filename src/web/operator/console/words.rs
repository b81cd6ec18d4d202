//! What templates can say: times, and the tone of a state.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use minijinja::{Environment, Value};

/// Adds our filters.
pub(super) fn teach(templates: &mut Environment<'_>) {
    templates.add_filter("utc", |at: &str| {
        show(at, |at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string())
    });
    templates.add_filter("ago", |at: &str| show(at, |at| distance(at, Utc::now())));
    templates.add_filter("there", |at: &str, zone: &str| show(at, |at| there(at, zone)));
    templates.add_filter("tone", tone);
    templates.add_filter("grouped", grouped);
    templates.add_filter("pretty", |value: Value| {
        serde_json::to_string_pretty(&value).unwrap_or_else(|error| error.to_string())
    });
}

/// What is no time is shown as it is.
fn show(at: &str, words: impl Fn(DateTime<Utc>) -> String) -> String {
    DateTime::parse_from_rfc3339(at).map_or_else(|_| at.to_owned(), |at| words(at.to_utc()))
}

/// What the clocks of a zone show; UTC where nobody knows the zone.
fn there(at: DateTime<Utc>, zone: &str) -> String {
    let zone: Tz = zone.parse().unwrap_or(Tz::UTC);
    at.with_timezone(&zone).format("%a %-d %b %Y %H:%M:%S %Z").to_string()
}

/// How far away a moment is, in the largest unit that says enough.
fn distance(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - at).num_seconds();
    let amount = match seconds.unsigned_abs() {
        0..5 => return "now".to_owned(),
        seconds @ 5..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    };
    if seconds < 0 {
        format!("in {amount}")
    } else {
        format!("{amount} ago")
    }
}

/// How a word of state looks: whether it is fine, waits, is wrong, or is over.
fn tone(word: &str) -> &'static str {
    match word {
        "active" | "processed" | "completed" | "done" | "fired" | "registered" | "released" => "good",
        "failed" | "discarded" | "discard" | "unknown" | "rejected" | "quarantined" | "lost" | "missing"
        | "refused" | "expired" => "bad",
        "pending" | "received" | "available" | "running" | "frozen" | "held" | "retry" | "snooze" | "intended"
        | "requested" | "activating" | "external" | "former" => "wait",
        _ => "quiet",
    }
}

/// A number with its thousands apart.
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push('\u{202f}');
        }
        shown.push(digit);
    }
    if number < 0 { format!("-{shown}") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_is_told_in_the_unit_that_says_enough() {
        let now: DateTime<Utc> = "2026-03-05T12:00:00Z".parse().expect("a time");
        for (seconds, words) in [
            (0, "now"),
            (-4, "now"),
            (90, "90 s ago"),
            (-90, "in 90 s"),
            (3_600, "60 min ago"),
            (-86_400, "in 24 h"),
            (8 * 86_400, "8 days ago"),
        ] {
            assert_eq!(distance(now - chrono::TimeDelta::seconds(seconds), now), words);
        }
    }

    #[test]
    fn a_time_is_also_told_as_the_clocks_of_a_place_show_it() {
        let at = "2026-03-05T22:30:00Z".parse().expect("a time");
        assert_eq!(there(at, "Europe/Berlin"), "Thu 5 Mar 2026 23:30:00 CET");
        assert_eq!(there(at, "nowhere"), "Thu 5 Mar 2026 22:30:00 UTC");
        assert_eq!(show("no time", |_| String::new()), "no time");
    }

    #[test]
    fn thousands_stand_apart() {
        let shown: Vec<String> = [0, 999, 1_000, -1_234_567].into_iter().map(grouped).collect();
        assert_eq!(shown, ["0", "999", "1\u{202f}000", "-1\u{202f}234\u{202f}567"]);
    }
}
