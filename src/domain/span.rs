//! Durations as people write them: `"250ms"`, `"20s"`, `"10m"`, `"12h"`, `"3d"`.

use std::time::Duration;

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Reads a duration.
///
/// # Errors
/// With a sentence that says how durations are written.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let scale = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
    match (number.parse::<u64>(), scale) {
        (Ok(number), Some(scale)) if number.checked_mul(scale).is_some_and(|ms| ms < 1_000_000_000_000_000) => {
            Ok(Duration::from_millis(number * scale))
        }
        _ => Err(format!(
            "`{text}` is no duration: write a number and a unit, such as \"250ms\", \"20s\", \"10m\", \"12h\" or \"3d\""
        )),
    }
}

/// Writes a duration in the largest unit that leaves no rest.
pub fn write(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (name, scale) = UNITS
        .iter()
        .rev()
        .find(|(_, scale)| ms.is_multiple_of(*scale) && ms > 0)
        .unwrap_or(&UNITS[1]);
    format!("{}{name}", ms / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_they_are_written() {
        for text in ["250ms", "20s", "10m", "12h", "3d", "0s", "90s"] {
            assert_eq!(write(parse(text).expect(text)), text);
        }
        assert_eq!(write(Duration::from_secs(7200)), "2h");
        for text in [
            "",
            "3",
            "d",
            "3 d",
            "-1s",
            "1.5h",
            "3w",
            "99999999999999999999s",
            "9999999999999d",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
