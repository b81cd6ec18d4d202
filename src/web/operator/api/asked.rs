//! What requests say, where several say the same.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::web::operator::problem::Problem;

/// Items on a page when nobody says how many.
const PAGE: i64 = 50;

/// The most items on a page.
pub(super) const PAGE_LIMIT: i64 = 500;

/// A cursor of a list that is ordered by number.
pub(super) const CURSOR: &str = "^[0-9]{1,18}$";

/// The number of something.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Numbered {
    /// Number.
    #[schemars(example = 1)]
    pub(super) id: i64,
}

/// Where something is.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
pub(super) struct At {
    /// Application.
    #[schemars(example = 18289)]
    pub(super) application_id: i64,
    /// Location.
    #[schemars(example = 100_001)]
    pub(super) location_id: i64,
}

/// The schema of a body that has to name one of these keys at least.
pub(super) fn named(keys: &[&str]) -> Vec<Value> {
    let one = |key: &&str| json!({"required": [key], "properties": {*key: {"not": {"enum": [null, []]}}}});
    keys.iter().map(one).collect()
}

/// To JSON Schema 1.0 is an integer; to us, too.
pub(super) fn whole(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => json!(float as i64),
            _ => number.into(),
        },
        Value::Array(items) => items.into_iter().map(whole).collect(),
        Value::Object(fields) => fields.into_iter().map(|(key, value)| (key, whole(value))).collect(),
        other => other,
    }
}

/// How many items are wanted.
pub(super) fn limit(asked: Option<i64>) -> Result<i64, Problem> {
    match asked.unwrap_or(PAGE) {
        limit @ 1..=PAGE_LIMIT => Ok(limit),
        other => Err(Problem::invalid(format!(
            "limit={other}: write a number from 1 to {PAGE_LIMIT}"
        ))),
    }
}

/// The number that a cursor holds.
pub(super) fn number(cursor: Option<&str>) -> Result<Option<i64>, Problem> {
    cursor
        .map(|cursor| digits(cursor).ok_or_else(strange_cursor))
        .transpose()
}

/// The two numbers that a cursor holds.
pub(super) fn two_numbers(cursor: Option<&str>) -> Result<Option<(i64, i64)>, Problem> {
    let read = |cursor: &str| {
        let (first, second) = cursor.split_once('.')?;
        digits(first).zip(digits(second))
    };
    cursor.map(|cursor| read(cursor).ok_or_else(strange_cursor)).transpose()
}

fn digits(text: &str) -> Option<i64> {
    let plain = (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn strange_cursor() -> Problem {
    Problem::invalid("cursor: hand back the next_cursor of the page before, unchanged")
}

/// One of the words, or nothing.
pub(super) fn word<T>(key: &str, given: Option<&str>, all: &[T], as_str: fn(T) -> &'static str) -> Result<(), Problem>
where
    T: Copy,
{
    match given {
        Some(given) if !all.iter().any(|one| as_str(*one) == given) => {
            let words: Vec<&str> = all.iter().map(|one| as_str(*one)).collect();
            Err(Problem::invalid(format!(
                "{key}={given}: write one of {}",
                words.join(", ")
            )))
        }
        Some(_) | None => Ok(()),
    }
}
