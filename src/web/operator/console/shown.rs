//! Text from outside, made fit to look at. That what cannot be seen is written out, in every value of a page, and that
//! nothing is taken for HTML, is the matter of `frame`.

use serde::{Serialize, de::IgnoredAny};

/// So many bytes of a body are shown.
const MOST: usize = 64 * 1024;

/// With its lines set apart a body may grow to so many.
const MOST_LINES: usize = 4 * MOST;

/// A body as a page shows it.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(super) struct Shown {
    text: String,
    is_json: bool,
    /// How many bytes there are, when only the first of them are shown.
    cut_from: Option<usize>,
}

impl Shown {
    /// Of a body: JSON with its lines set apart and otherwise as it came, else as it is.
    pub(super) fn body(body: &str) -> Self {
        let is_json = serde_json::from_str::<IgnoredAny>(body).is_ok();
        if body.len() > MOST {
            return Self {
                text: body[..body.floor_char_boundary(MOST)].to_owned(),
                is_json,
                cut_from: Some(body.len()),
            };
        }
        let lines = is_json.then(|| lines(body)).flatten();
        Self {
            text: lines.unwrap_or_else(|| body.to_owned()),
            is_json,
            cut_from: None,
        }
    }
}

/// Sets the lines of JSON apart. Everything but space stays as it is: order, doubled keys, how numbers are written.
fn lines(json: &str) -> Option<String> {
    let mut lines = String::new();
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    let mut letters = json.chars().filter(|letter| *letter != '\r').peekable();
    while let Some(letter) = letters.next() {
        if lines.len() > MOST_LINES {
            return None;
        }
        if is_text {
            lines.push(letter);
            is_text = is_escaped || letter != '"';
            is_escaped = !is_escaped && letter == '\\';
            continue;
        }
        match letter {
            ' ' | '\n' | '\t' => {}
            '{' | '[' => {
                lines.push(letter);
                while letters.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                match letters.next_if(|next| matches!(next, '}' | ']')) {
                    Some(end) => lines.push(end),
                    None => {
                        depth += 1;
                        new_line(&mut lines, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut lines, depth);
                lines.push(letter);
            }
            ',' => {
                lines.push(letter);
                new_line(&mut lines, depth);
            }
            ':' => lines.push_str(": "),
            other => {
                is_text = other == '"';
                lines.push(other);
            }
        }
    }
    Some(lines)
}

fn new_line(lines: &mut String, depth: usize) {
    lines.push('\n');
    lines.extend(std::iter::repeat_n("  ", depth));
}

/// Writes out what cannot be seen.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\t' => shown.push(letter),
            hidden if hidden.is_control() || is_hidden(hidden) => shown.extend(hidden.escape_unicode()),
            letter => shown.push(letter),
        }
    }
    shown
}

/// What has no width, and what changes the direction of a text.
fn is_hidden(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_gets_lines_and_keeps_everything_else() {
        let body = r#"{"b":1.0,"a":[1,{"x":"a, {b}: \"c\" \\"},[],{ }],"a":1e400}"#;
        let shown = Shown::body(body);
        assert!(shown.is_json);
        let expected = "{\n  \"b\": 1.0,\n  \"a\": [\n    1,\n    {\n      \"x\": \"a, {b}: \\\"c\\\" \\\\\"\n    },\n    [],\n    {}\n  ],\n  \"a\": 1e400\n}";
        assert_eq!(shown.text, expected);
        assert_eq!(Shown::body(&shown.text).text, expected, "what has lines stays so");
    }

    #[test]
    fn what_is_no_json_stays_as_it_is() {
        let shown = Shown::body("a=1&b={");
        assert_eq!((shown.text.as_str(), shown.is_json), ("a=1&b={", false));
    }

    #[test]
    fn what_cannot_be_seen_is_written_out() {
        assert_eq!(
            visible("a\u{0}b\u{202e}c\u{1b}[31m\n\té"),
            "a\\u{0}b\\u{202e}c\\u{1b}[31m\n\té"
        );
    }

    #[test]
    fn of_a_large_body_the_beginning_is_shown() {
        let shown = Shown::body(&"é".repeat(MOST));
        assert_eq!((shown.text.len(), shown.cut_from), (MOST, Some(2 * MOST)));
        let deep = format!("{}{}", "[".repeat(120), "1,".repeat(20_000) + "1") + &"]".repeat(120);
        let shown = Shown::body(&deep);
        assert!(shown.is_json);
        assert_eq!(shown.text, deep, "setting its lines apart would make it too large");
    }
}
