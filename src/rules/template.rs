//! Texts with `{{ … }}`: minijinja, strict about what is not known, with a bound on work.
//!
//! Facts are described in `facts`; besides them, results of earlier steps stand under the step's
//! id. The filter `date` writes a time in the time zone of the location (UTC when that is not
//! known), by default as `5 March 2026`, else in the format of its argument (`%H:%M`, …).
//!
//! minijinja parses by recursion and does not bound every kind of nesting, so texts that could
//! overflow the stack are refused before it sees them.

use std::collections::BTreeMap;

use chrono::{
    DateTime, NaiveDate, NaiveDateTime, TimeZone,
    format::{Item, StrftimeItems},
};
use chrono_tz::Tz;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, value::Value};
use serde_json::Map;

use super::{
    facts::{Facts, Group},
    mistake::{Refusal, nearest},
    path,
    table::shorten_to,
};

/// Longest text, in bytes.
const LONGEST: usize = 64 * 1024;
/// Longest `{{ … }}` or `{% … %}`, in bytes: a chain inside one costs stack.
const LONGEST_TAG: usize = 300;
/// Most `{% … %}` in a text: blocks inside each other cost stack.
const MOST_BLOCKS: usize = 60;
/// Most brackets inside each other.
const MOST_BRACKETS: usize = 16;
/// Work of one rendering: an instruction costs one, so do 64 bytes of output.
const FUEL: u64 = 50_000;
/// Names that minijinja brings along.
const BUILT_IN: [&str; 4] = ["range", "dict", "namespace", "loop"];

/// Why a text could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the text cannot be written: {reason} (line {line})")]
pub struct RenderError {
    /// What happened.
    pub reason: String,
    /// Line of the text, from 1.
    pub line: usize,
}

/// What a text may refer to besides the facts: the results of earlier steps.
pub(super) struct Steps<'s> {
    /// Ids of earlier steps and the fields of their results.
    pub(super) earlier: &'s [(&'s str, &'static [&'static str])],
    /// Ids of this and later steps.
    pub(super) later: &'s [&'s str],
}

/// Renders a text. `results` holds the results of earlier steps under their ids.
pub fn render(
    template: &str,
    facts: &Facts<'_>,
    results: &Map<String, serde_json::Value>,
) -> Result<String, RenderError> {
    let failed = |reason: String, line: usize| RenderError { reason, line };
    bounded(template).map_err(|refusal| failed(refusal.what, 1))?;
    let environment = environment(facts);
    environment
        .template_from_str(template)
        .and_then(|compiled| compiled.render(scope(facts, results)))
        .map_err(|error| failed(describe(&error), error.line().unwrap_or(1)))
}

/// Checks a text when it is loaded, against the facts of a sample event.
pub(super) fn check(template: &str, sample: &Facts<'_>, steps: &Steps<'_>) -> Vec<Refusal> {
    if let Err(refusal) = bounded(template) {
        return vec![refusal];
    }
    let environment = environment(sample);
    let compiled = match environment.template_from_str(template) {
        Ok(compiled) => compiled,
        Err(error) => return vec![refusal_of(&error, "see the minijinja language")],
    };
    let tree = sample.tree();
    let mut paths: Vec<String> = compiled.undeclared_variables(true).into_iter().collect();
    paths.sort();
    let refusals: Vec<Refusal> = paths
        .iter()
        .filter_map(|path| {
            let (what, remedy) = check_path(path, &tree, steps).err()?;
            Some(Refusal::new(find_path(template, path), what, remedy))
        })
        .collect();
    if !refusals.is_empty() {
        return refusals;
    }
    let results = sample_results(steps);
    match compiled.render(scope(sample, &results)) {
        Err(error) if is_mistake(&error, &paths) => vec![refusal_of(&error, "correct it, or leave it out")],
        Ok(_) | Err(_) => Vec::new(),
    }
}

/// Whether an error on the sample shows a mistake in the text: always, unless the text looks at
/// the data of an event, of which there is no sample.
fn is_mistake(error: &minijinja::Error, paths: &[String]) -> bool {
    let reads_data = paths
        .iter()
        .any(|path| path == "event" || path == "event.data" || path.starts_with("event.data."));
    let never_works = matches!(
        error.kind(),
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction | ErrorKind::TemplateNotFound
    );
    never_works || !reads_data
}

fn check_path(dotted: &str, tree: &Group, steps: &Steps<'_>) -> Result<(), (String, String)> {
    let path: Vec<&str> = dotted.split('.').collect();
    let root = path.first().copied().unwrap_or_default();
    if let Some((id, fields)) = steps.earlier.iter().find(|(id, _)| *id == root) {
        return match path.get(1) {
            Some(field) if !fields.contains(field) => Err((
                format!("the result of step `{id}` has no `{field}`"),
                if fields.is_empty() {
                    "this action has no result".to_owned()
                } else {
                    format!("it has `{}`", fields.join("`, `"))
                },
            )),
            Some(_) | None => Ok(()),
        };
    }
    if steps.later.contains(&root) {
        return Err((
            format!("step `{root}` has no result yet"),
            "only steps above this one have run".to_owned(),
        ));
    }
    if BUILT_IN.contains(&root) {
        return Ok(());
    }
    let ids: Vec<&str> = steps.earlier.iter().map(|(id, _)| *id).collect();
    path::check(tree, &path).map_err(|(what, remedy)| match nearest(root, &ids) {
        Some(near) if path::check(tree, &[root]).is_err() => (what, format!("did you mean `{near}`?")),
        Some(_) | None => (what, remedy),
    })
}

fn sample_results(steps: &Steps<'_>) -> Map<String, serde_json::Value> {
    steps
        .earlier
        .iter()
        .map(|(id, fields)| {
            let result: Map<String, serde_json::Value> = fields
                .iter()
                .map(|field| ((*field).to_owned(), "https://example.com/sample".into()))
                .collect();
            ((*id).to_owned(), result.into())
        })
        .collect()
}

fn environment(facts: &Facts<'_>) -> Environment<'static> {
    let zone = facts
        .location
        .timezone_name
        .as_deref()
        .and_then(|name| name.parse::<Tz>().ok())
        .unwrap_or(Tz::UTC);
    let mut environment = Environment::new();
    environment.set_debug(true);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(50);
    // Printing what is not known fails; asking whether it is known does not.
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    // It would print everything there is.
    environment.remove_global("debug");
    environment.add_filter("date", move |time: &str, format: Option<&str>| date(time, format, zone));
    environment
}

/// The filter `date`: also for the ways in which the marketplace writes times.
fn date(time: &str, format: Option<&str>, zone: Tz) -> Result<String, minijinja::Error> {
    let refuse = |what: String| minijinja::Error::new(ErrorKind::InvalidOperation, what);
    let local = |time: NaiveDateTime| zone.from_local_datetime(&time).earliest();
    let time = DateTime::parse_from_rfc3339(time)
        .or_else(|_| DateTime::parse_from_str(time, "%Y-%m-%dT%H:%M:%S%z"))
        .map(|time| time.with_timezone(&zone))
        .ok()
        .or_else(|| {
            NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S")
                .ok()
                .and_then(local)
        })
        .or_else(|| {
            let day = NaiveDate::parse_from_str(time, "%Y-%m-%d").ok()?;
            local(day.and_hms_opt(12, 0, 0)?)
        })
        .ok_or_else(|| refuse("`date` was given something that is not a time".to_owned()))?;
    let format = format.unwrap_or("%-d %B %Y");
    let items: Vec<Item<'_>> = StrftimeItems::new(format).collect();
    let mut written = String::new();
    // Formatting a wrong format is the one thing here that would panic.
    if items.contains(&Item::Error)
        || std::fmt::write(&mut written, format_args!("{}", time.format_with_items(items.iter()))).is_err()
    {
        return Err(refuse(format!("`date` cannot write the format \"{format}\"")));
    }
    Ok(written)
}

fn scope(facts: &Facts<'_>, results: &Map<String, serde_json::Value>) -> Value {
    let mut scope = facts.json();
    scope.extend(results.iter().map(|(id, result)| (id.clone(), result.clone())));
    value(&serde_json::Value::Object(scope))
}

fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(flag) => Value::from(*flag),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Value::from(whole),
            (None, Some(large)) => Value::from(large),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(list) => Value::from(list.iter().map(value).collect::<Vec<_>>()),
        serde_json::Value::Object(map) => {
            let entries = map.iter().map(|(key, entry)| (key.clone(), value(entry)));
            Value::from(entries.collect::<BTreeMap<String, Value>>())
        }
    }
}

fn refusal_of(error: &minijinja::Error, remedy: &str) -> Refusal {
    Refusal::new(error.range().map_or(0, |range| range.start), describe(error), remedy)
}

fn describe(error: &minijinja::Error) -> String {
    match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "it takes too much work".to_owned(),
        (ErrorKind::SyntaxError, Some(detail)) => format!("syntax error: {}", shorten_to(200, detail)),
        (_, Some(detail)) => shorten_to(200, detail),
        (kind, None) => kind.to_string(),
    }
}

/// Where the dotted path stands, as a whole word; the start of the text when it is written
/// otherwise.
fn find_path(template: &str, path: &str) -> usize {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    template
        .match_indices(path)
        .find(|(at, _)| {
            let before = template[..*at].chars().next_back();
            let after = template[at + path.len()..].chars().next();
            let follows = after.is_some_and(|c| part_of_word(c) && c != '.');
            (template[..*at].contains("{{") || template[..*at].contains("{%"))
                && !before.is_some_and(part_of_word)
                && !follows
        })
        .map_or(0, |(at, _)| at)
}

/// Refuses what could overflow the stack of the parser, by looking only at the outline of tags,
/// quotes and brackets.
fn bounded(template: &str) -> Result<(), Refusal> {
    if template.len() > LONGEST {
        return Err(Refusal::new(
            0,
            format!("the text has {} bytes", template.len()),
            format!("at most {LONGEST} are possible"),
        ));
    }
    let mut rest = 0;
    let mut blocks = 0;
    while let Some(start) = next_tag(template, rest) {
        let tag = &template[start..];
        if tag.starts_with("{#") {
            rest = tag.find("#}").map_or(template.len(), |end| start + end + 2);
            continue;
        }
        blocks += usize::from(tag.starts_with("{%"));
        if blocks > MOST_BLOCKS {
            return Err(Refusal::new(
                start,
                format!("the text has more than {MOST_BLOCKS} `{{% … %}}`"),
                "make it simpler",
            ));
        }
        let inner = tag[2..].trim_start_matches(['-', '+', ' ', '\t', '\r', '\n']);
        if tag.starts_with("{%") && inner.starts_with("raw") {
            return Err(Refusal::new(
                start,
                "`raw` is not possible here",
                "write `{{ \"{{\" }}` instead",
            ));
        }
        rest = start + tag_length(tag).map_err(|(what, remedy)| Refusal::new(start, what, remedy))?;
    }
    Ok(())
}

fn next_tag(template: &str, from: usize) -> Option<usize> {
    let bytes = template.as_bytes();
    (from..bytes.len().saturating_sub(1)).find(|at| bytes[*at] == b'{' && matches!(bytes[at + 1], b'{' | b'%' | b'#'))
}

/// Length of the tag at the start of the text, its ends included.
fn tag_length(tag: &str) -> Result<usize, (String, String)> {
    let bytes = tag.as_bytes();
    let mut quote = None;
    let mut brackets = 0_usize;
    let mut at = 2;
    while at < bytes.len() {
        if at > LONGEST_TAG {
            return Err((
                format!("this tag is longer than {LONGEST_TAG} bytes"),
                "take it apart with `{% set … %}`".to_owned(),
            ));
        }
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, b'(' | b'[' | b'{') => brackets += 1,
            (None, b'}' | b'%') if bytes.get(at + 1) == Some(&b'}') && (bytes[at] == b'%') == tag.starts_with("{%") => {
                return Ok(at + 2);
            }
            (None, b')' | b']' | b'}') => brackets = brackets.saturating_sub(1),
            (Some(_) | None, _) => {}
        }
        if brackets > MOST_BRACKETS {
            return Err((
                format!("more than {MOST_BRACKETS} brackets inside each other"),
                "make it simpler".to_owned(),
            ));
        }
        at += 1;
    }
    Ok(bytes.len())
}
