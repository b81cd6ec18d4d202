use super::words::{self, Words};

/// The languages of the page; the first is spoken to everybody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Russian,
}

impl Language {
    const ALL: [Self; 2] = [Self::English, Self::Russian];

    pub(super) fn words(self) -> &'static Words {
        match self {
            Self::English => &words::ENGLISH,
            Self::Russian => &words::RUSSIAN,
        }
    }
}

/// What a reader wants: how much, and how early it was named.
type Wish = (u16, std::cmp::Reverse<usize>);

/// The language that an `Accept-Language` header prefers. Of equal wishes the one named first counts; a language that
/// is not named is as welcome as `*`.
pub(super) fn preferred(header: &str) -> Language {
    let wishes: Vec<(&str, Wish)> = header
        .split(',')
        .enumerate()
        .filter_map(|(at, range)| {
            let (tag, parameter) = range.split_once(';').unwrap_or((range, ""));
            let primary = tag.trim().split('-').next().unwrap_or("");
            Some((primary, (quality(parameter)?, std::cmp::Reverse(at))))
        })
        .collect();
    let wish = |word: &str| {
        let named = wishes.iter().filter(|(tag, _)| tag.eq_ignore_ascii_case(word));
        named.map(|(_, wish)| *wish).max()
    };
    let wanted = |language: &Language| wish(language.words().lang).or_else(|| wish("*"));
    Language::ALL
        .into_iter()
        .filter_map(|language| Some((wanted(&language).filter(|(quality, _)| *quality > 0)?, language)))
        // Of equals `max_by_key` takes the last.
        .rev()
        .max_by_key(|(wish, _)| *wish)
        .map_or(Language::English, |(_, language)| language)
}

/// In thousandths. `None` for what is no quality: such a wish does not count.
fn quality(parameter: &str) -> Option<u16> {
    let parameter = parameter.trim();
    if parameter.is_empty() {
        return Some(1000);
    }
    let (name, value) = parameter.split_once('=')?;
    let value: f32 = value.trim().parse().ok()?;
    let fits = name.trim().eq_ignore_ascii_case("q") && (0.0..=1.0).contains(&value);
    // At most 1000.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it lies between 0 and 1000"
    )]
    fits.then_some((value * 1000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Language::*, *};

    #[test]
    fn the_most_wanted_language_is_spoken_and_english_to_all_others() {
        for (header, language) in [
            ("", English),
            ("ru", Russian),
            ("ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7", Russian),
            ("en-GB,en;q=0.9,ru;q=0.8", English),
            ("en;q=0.5, RU ; Q=0.7", Russian),
            ("ru;q=0.8,en;q=0.8", Russian),
            ("en,ru", English),
            ("de-DE,de;q=0.9", English),
            ("de,ru;q=0.1", Russian),
            ("*", English),
            ("ru;q=0.5,*;q=0.8", English),
            ("en;q=0,*", Russian),
            ("ru;q=0", English),
            ("ru;q=0,en;q=0", English),
            ("ru;q=2,en;q=0.1", English),
            ("ru;q=x", English),
            ("russian", English),
            (",;,=", English),
        ] {
            assert_eq!(preferred(header), language, "{header}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_fail(header in ".{0,60}") {
            preferred(&header);
        }
    }
}
