//! Durations as people write them: `"250ms"`, `"20s"`, `"10m"`, `"12h"`, `"3d"`.

use std::time::Duration;

const UNITS: [(&str, u64); 6] = [
    ("ms", 1),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
];

/// What [`parse`] reads, as a regular expression for schemas.
pub const PATTERN: &str = "^[0-9]+(ms|s|m|h|d|w)$";

/// The longest time a rule may name. It keeps date arithmetic far from its limits.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

/// Reads `250ms`, `20s`, `10m`, `3d`.
///
/// # Errors
/// With what to write instead.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let milliseconds = factor.and_then(|factor| number.parse::<u64>().ok()?.checked_mul(factor));
    match milliseconds.map(Duration::from_millis) {
        Some(duration) if duration <= LONGEST => Ok(duration),
        Some(_) => Err("at most ten years are possible".to_owned()),
        None => Err("write a number and a unit: \"90s\", \"15m\", \"12h\", \"3d\" or \"2w\"".to_owned()),
    }
}

/// The same time in the same words; of an uneven one the two largest units: `3d 4h`.
pub fn show(duration: Duration) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let mut rest = duration.as_secs();
    let mut words = Vec::new();
    for (unit, seconds) in units {
        if rest >= seconds {
            words.push(format!("{}{unit}", rest / seconds));
            rest %= seconds;
        }
    }
    words.truncate(2);
    if words.is_empty() {
        "0s".to_owned()
    } else {
        words.join(" ")
    }
}

/// Writes a duration in the largest unit that leaves no rest, so that [`parse`] reads the same back.
pub fn write(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    match units.iter().find(|(_, scale)| ms > 0 && ms.is_multiple_of(*scale)) {
        Some((name, scale)) => format!("{}{name}", ms / scale),
        None if ms == 0 => "0s".to_owned(),
        None => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_shown() {
        for (text, shown) in [
            ("3d", "3d"),
            ("2w", "14d"),
            ("90s", "1m 30s"),
            ("250ms", "0s"),
            ("76h", "3d 4h"),
        ] {
            assert_eq!(show(parse(text).expect(text)), shown);
        }
        for junk in [
            "",
            "3",
            "d",
            "3 days",
            "-3d",
            "1.5h",
            "99999999999999999999d",
            "9999w",
            "3D",
        ] {
            assert!(parse(junk).is_err(), "{junk}");
        }
    }

    #[test]
    fn durations_are_read_as_they_are_written() {
        for text in ["250ms", "20s", "10m", "12h", "3d", "0s", "90s"] {
            assert_eq!(write(parse(text).expect(text)), text);
        }
        assert_eq!(write(Duration::from_secs(7200)), "2h");
    }
}
