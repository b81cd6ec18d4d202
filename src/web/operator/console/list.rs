//! Lists: what is asked for by a filter form, and the way to the next page.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDateTime, Utc};
use minijinja::{Value, context};
use url::form_urlencoded::Serializer;

use super::{super::api::asked, frame, refusal::Refusal};

/// Rows on a page.
pub(super) const ROWS: i64 = 50;

/// What stands behind the question mark.
pub(super) type Given = HashMap<String, String>;

/// What a filter form asks for, as it stands in the address. An empty field asks for nothing.
pub(super) struct Asked {
    address: String,
    names: Vec<&'static str>,
    fields: Vec<(&'static str, String)>,
}

impl Asked {
    /// The fields of a form at this address.
    pub(super) fn new<const N: usize>(address: &str, fields: [(&'static str, Option<String>); N]) -> Self {
        let names = fields.iter().map(|(name, _)| *name).collect();
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
        Self {
            address: address.to_owned(),
            names,
            fields: fields.collect(),
        }
    }

    /// The fields of these names as they were given.
    pub(super) fn read<const N: usize>(address: &str, names: [&'static str; N], given: &Given) -> Self {
        Self::new(address, names.map(|name| (name, filled(given.get(name).cloned()))))
    }

    /// A field as it is.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let field = self.fields.iter().find(|(known, _)| *known == name)?;
        Some(field.1.clone())
    }

    /// A field that is a number.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        frame::number(name, self.text(name).as_deref())
    }

    /// A field that is one of these words.
    pub(super) fn word<T>(
        &self,
        name: &str,
        all: &[T],
        as_str: fn(T) -> &'static str,
    ) -> Result<Option<String>, Refusal>
    where
        T: Copy,
    {
        let word = self.text(name);
        asked::word(name, word.as_deref(), all, as_str)?;
        Ok(word)
    }

    /// A field that is a moment: by UTC, as browsers write it.
    pub(super) fn moment(&self, name: &str) -> Result<Option<DateTime<Utc>>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let found = moment(&text).ok_or_else(|| {
            Refusal::invalid(format!(
                "{name}={text}: write a moment by UTC, such as 2026-03-05T17:30."
            ))
        })?;
        Ok(Some(found))
    }

    /// What templates need of a list: the fields, and the addresses of its pages.
    pub(super) fn view(&self, given: &Given, next: Option<&str>) -> Value {
        // Also those that were left empty: a template asks for each by its name.
        let asked: HashMap<&str, Option<String>> = self.names.iter().map(|name| (*name, self.text(name))).collect();
        context! {
            asked => asked,
            is_filtered => self.is_filtered(),
            next => self.page(next),
            first => given.contains_key("cursor").then(|| self.first()),
        }
    }

    /// The fields, to be handed on.
    pub(super) fn fields(&self) -> HashMap<&'static str, String> {
        self.fields.iter().cloned().collect()
    }

    /// The address of the page behind a cursor.
    pub(super) fn page(&self, cursor: Option<&str>) -> Option<String> {
        Some(self.with("cursor", cursor?))
    }

    /// The address of the first page of a list that asks for this as well.
    pub(super) fn with(&self, name: &str, value: &str) -> String {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(&self.fields);
        query.append_pair(name, value);
        format!("{}?{}", self.address, query.finish())
    }

    /// The address of the first page.
    pub(super) fn first(&self) -> String {
        match self.is_filtered() {
            true => format!(
                "{}?{}",
                self.address,
                Serializer::new(String::new()).extend_pairs(&self.fields).finish()
            ),
            false => self.address.clone(),
        }
    }

    /// Whether anything is asked for.
    pub(super) fn is_filtered(&self) -> bool {
        !self.fields.is_empty()
    }
}

/// The number in a cursor.
pub(super) fn cursor(given: &Given) -> Result<Option<i64>, Refusal> {
    asked::number(given.get("cursor").map(String::as_str)).map_err(|_| Refusal::no_page())
}

/// The two numbers in a cursor.
pub(super) fn two_numbers(given: &Given) -> Result<Option<(i64, i64)>, Refusal> {
    asked::two_numbers(given.get("cursor").map(String::as_str)).map_err(|_| Refusal::no_page())
}

fn moment(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(exact) = DateTime::parse_from_rfc3339(text) {
        return Some(exact.to_utc());
    }
    let forms = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];
    let mut read = forms
        .iter()
        .filter_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    read.next().map(|naive| naive.and_utc())
}

/// What stands in a field of a form; `None` when it was left empty.
pub(super) fn filled(field: Option<String>) -> Option<String> {
    let field = field?;
    let field = field.trim();
    (!field.is_empty()).then(|| field.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_asks_for_the_same() {
        let asked = Asked::new(
            "/jobs",
            [
                ("state", Some("discarded".to_owned())),
                ("rule", None),
                ("q", Some("a&b".to_owned())),
            ],
        );
        assert_eq!(
            asked.page(Some("17")).as_deref(),
            Some("/jobs?state=discarded&q=a%26b&cursor=17")
        );
        assert_eq!(asked.page(None), None);
        assert_eq!(asked.first(), "/jobs?state=discarded&q=a%26b");
        let nothing = Asked::new("/jobs", [("state", None)]);
        assert_eq!((nothing.first().as_str(), nothing.is_filtered()), ("/jobs", false));
    }

    #[test]
    fn a_moment_is_read_as_browsers_write_it() {
        for text in ["2026-03-05T17:30", "2026-03-05T17:30:00", "2026-03-05T18:30:00+01:00"] {
            let read = moment(text).map(|at| at.to_rfc3339());
            assert_eq!(read.as_deref(), Some("2026-03-05T17:30:00+00:00"), "{text}");
        }
        for text in ["", "yesterday", "2026-13-05T17:30", "2026-03-05"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn an_empty_field_asks_for_nothing() {
        assert_eq!(filled(Some(" a ".to_owned())).as_deref(), Some("a"));
        assert_eq!(filled(Some("  ".to_owned())), None);
        assert_eq!(filled(None), None);
    }
}
