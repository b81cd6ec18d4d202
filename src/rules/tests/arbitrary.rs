//! Nobody's text makes loading or judging panic, overflow the stack, or take long.

use std::time::Instant;

use proptest::prelude::*;

use super::*;

/// Pieces of which rules are made, so that what is thrown together often parses.
#[expect(clippy::too_many_lines, reason = "a list of pieces")]
fn pieces() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "event",
        "installation",
        ".",
        "data",
        "status",
        "location",
        "email",
        "now",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "&&",
        "||",
        "!",
        "==",
        "<",
        "+",
        "-",
        "*",
        "/",
        "%",
        "?",
        ":",
        ",",
        "1",
        "2.5",
        "\"a\"",
        "'",
        "\"",
        "\\",
        "\n",
        " ",
        "é",
        "\u{0}",
        "null",
        "true",
        "has(",
        "size(",
        ".all(x, ",
        ".map(x, ",
        "duration(\"1h\")",
        ".matches(\"",
        "if ",
        "for x in ",
        "endif",
        "endfor",
        "elif ",
        "set x = ",
        "raw",
        "| date",
        "| tojson",
        "~",
        "not ",
        "9223372036854775807",
        "1e999",
        "in ",
        "[[rule]]",
        "[[rule.then]]",
        "name = ",
        "on = \"*.*\"",
        "action = ",
        "when = ",
        "#",
    ]);
    let piece = prop_oneof![
        8 => known.prop_map(str::to_owned),
        1 => any::<String>(),
        1 => (prop::sample::select(vec!["(", "[", "{", "!", "-", "a.", "{{", "{%if 1%}", "1+", "a?"]), 1..500_usize)
            .prop_map(|(piece, times)| piece.repeat(times)),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text can be quoted")
}

fn tried(text: &str) {
    let begin = Instant::now();
    if let Ok(set) = load(text) {
        let world = World::entity(
            "record.updated",
            Some(serde_json::json!({"a": [1, "b", null], "data": {}})),
        );
        for rule in set.rules() {
            judge(rule, &world.facts());
        }
    }
    assert!(begin.elapsed().as_secs() < 5, "too slow: {text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_file(text in pieces()) {
        tried(&text);
    }

    #[test]
    fn any_condition(text in pieces()) {
        let then = "[[rule.then]]\naction = \"set_discount\"\npercent = 5\n";
        tried(&format!("[[rule]]\nname = \"r\"\non = \"record.*\"\nwhen = {}\n{then}", quoted(&text)));
    }

    #[test]
    fn any_text(text in pieces()) {
        let begin = Instant::now();
        let then = format!("[[rule.then]]\naction = \"send_email\"\nto = \"a@example.com\"\nsubject = \"s\"\ntext = {}\n", quoted(&text));
        tried(&format!("[[rule]]\nname = \"r\"\non = \"record.*\"\n{then}"));
        let world = World::entity("record.updated", Some(serde_json::json!({"a": [1, "b", null]})));
        let _ = render(&text, &world.facts(), &serde_json::Map::new());
        prop_assert!(begin.elapsed().as_secs() < 5);
    }
}

#[test]
fn conditions_nested_as_deep_as_their_length_allows_are_refused() {
    for (begin, middle, end) in [
        ("(", "true", ")"),
        ("[", "1", "]"),
        ("!(", "true", ")"),
        ("", "now", ".b()"),
        ("", "now", "[0]"),
        ("1+", "1", ""),
        ("1==", "1", ""),
        ("true?true:", "true", ""),
        ("true?", "true", ":false"),
        ("{1:", "1", "}"),
        ("[1].map(x,", "1", ")"),
        ("(", "", ""),
        ("[1].all(x,", "", ""),
    ] {
        let times = 2000 / (begin.len() + end.len());
        let condition = format!("{}{middle}{}", begin.repeat(times), end.repeat(times));
        let text = format!("[[rule]]\nname = \"r\"\non = \"*.*\"\nwhen = {}\n", quoted(&condition));
        let mistakes = load(&text).expect_err(&condition);
        assert!(mistakes.iter().any(|mistake| mistake.line == 4), "{}", show(&mistakes));
    }
}
