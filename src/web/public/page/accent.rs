use crate::config::page::Accent;

/// The button's colour, unless the configuration says another.
const DEFAULT: Accent = Accent([0x25, 0x63, 0xc9]);
/// `--back` of the style, by day and by night.
const DAY: Accent = Accent([0xff, 0xff, 0xff]);
const NIGHT: Accent = Accent([0x17, 0x1b, 0x21]);
const WHITE: Accent = Accent([0xff, 0xff, 0xff]);
const BLACK: Accent = Accent([0, 0, 0]);
/// What accessible text needs.
const READABLE: f64 = 4.5;

/// The colours of the accent as a style, by day and by night: each stands out from the page as text and as a button,
/// and a text on it can be read, whatever colour was configured.
pub(super) fn style(accent: Option<Accent>) -> String {
    let accent = accent.unwrap_or(DEFAULT);
    let colours = |page: Accent, towards: Accent| {
        let shown = readable(accent, page, towards);
        let (shown, on) = (String::from(shown), String::from(text_on(shown)));
        format!(":root {{ --accent: {shown}; --on-accent: {on} }}")
    };
    let (day, night) = (colours(DAY, BLACK), colours(NIGHT, WHITE));
    format!("{day}\n@media (prefers-color-scheme: dark) {{ {night} }}\n")
}

/// The colour, mixed with another as far as it needs to stand out.
fn readable(colour: Accent, from: Accent, towards: Accent) -> Accent {
    let mixes = (0..=20).map(|part| mix(colour, towards, part));
    mixes
        .into_iter()
        .find(|mix| contrast(*mix, from) >= READABLE)
        .unwrap_or(towards)
}

/// So many twentieths of the other.
fn mix(one: Accent, other: Accent, part: u16) -> Accent {
    let mut mixed = one.0;
    for (value, other) in mixed.iter_mut().zip(other.0) {
        let sum = u16::from(*value) * (20 - part) + u16::from(other) * part;
        *value = u8::try_from(sum / 20).unwrap_or(u8::MAX);
    }
    Accent(mixed)
}

/// White where it can be read, as people expect of a button.
fn text_on(colour: Accent) -> Accent {
    if contrast(WHITE, colour) >= READABLE {
        WHITE
    } else {
        BLACK
    }
}

/// As the accessibility guidelines compute it: from 1 for the same to 21 for black on white.
fn contrast(one: Accent, other: Accent) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

fn luminance(Accent(parts): Accent) -> f64 {
    let linear = parts.map(|part| {
        let part = f64::from(part) / 255.0;
        if part <= 0.04045 {
            part / 12.92
        } else {
            ((part + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn contrast_is_the_one_of_the_guidelines() {
        assert!((contrast(BLACK, WHITE) - 21.0).abs() < 0.001);
        assert!((contrast(Accent([0x76, 0x76, 0x76]), WHITE) - 4.54).abs() < 0.01);
    }

    #[test]
    fn a_colour_that_can_be_read_is_left_alone() {
        assert!(style(None).starts_with(":root { --accent: #2563c9; --on-accent: #ffffff }"));
    }

    proptest! {
        #[test]
        fn any_colour_can_be_read_by_day_and_by_night(parts: [u8; 3]) {
            for (page, towards) in [(DAY, BLACK), (NIGHT, WHITE)] {
                let shown = readable(Accent(parts), page, towards);
                prop_assert!(contrast(shown, page) >= READABLE);
                prop_assert!(contrast(shown, text_on(shown)) >= READABLE);
            }
        }
    }
}
