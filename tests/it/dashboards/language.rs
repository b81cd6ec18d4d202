//! As much of the query language as tells which series an expression asks for.

use std::collections::BTreeSet;

/// Words of the query language that look like names.
const LANGUAGE: [&str; 8] = ["and", "or", "unless", "on", "by", "group_left", "offset", "Inf"];

/// Every word of an expression that can only be a series: no function, no label, no language.
pub(super) fn series(expression: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut rest = expression;
    let mut labels = 0;
    // Words in the brackets after `by`, `on` and `group_left` are labels.
    let mut before = "";
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let end = rest[1..].find('"').unwrap() + 2;
            rest = &rest[end..];
        } else if first.is_ascii_alphabetic() || first == '$' {
            let end = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || "_:$".contains(c)))
                .unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let call = ["(", "by ("].iter().any(|next| after.trim_start().starts_with(next));
            if labels == 0 && !call && !word.starts_with('$') && !LANGUAGE.contains(&word) {
                found.insert(word);
            }
            (before, rest) = (word, after);
        } else if first.is_ascii_digit() {
            let end = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))
                .unwrap_or(rest.len());
            rest = &rest[end..];
        } else {
            match first {
                '{' | '[' => labels += 1,
                '(' if labels > 0 || ["by", "on", "group_left"].contains(&before) => labels += 1,
                '}' | ']' => labels -= 1,
                ')' if labels > 0 => labels -= 1,
                _ => {}
            }
            if !first.is_whitespace() {
                before = "";
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    found
}

/// The expressions of the rules, each as one line.
pub(super) fn rule_expressions(rules: &str) -> Vec<String> {
    let mut expressions = Vec::new();
    let mut lines = rules.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(expression) = line.trim_start().strip_prefix("expr: ") else {
            continue;
        };
        let depth = line.len() - line.trim_start().len();
        let mut whole = expression.trim_start_matches(">-").to_owned();
        while let Some(more) = lines.next_if(|next| next.len() - next.trim_start().len() > depth) {
            whole.push(' ');
            whole.push_str(more.trim());
        }
        expressions.push(whole);
    }
    expressions
}

#[test]
fn words_of_an_expression_are_told_apart() {
    let expression = r#"sum by (job, application) (rate(bellhop_a_total{result=~"x|y"}[$__rate_interval]) > 1e3)
        and on (job, instance) up offset 10m == 1 or bellhop:b < +Inf unless bellhop_c"#;
    let found: Vec<&str> = series(expression).into_iter().collect();
    assert_eq!(found, ["bellhop:b", "bellhop_a_total", "bellhop_c", "up"]);
}
