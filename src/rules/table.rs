use std::{ops::Range, time::Duration};

use toml::de::{DeTable, DeValue};

use super::{
    mistake::{Notebook, suggest},
    vocabulary::{Key, Need},
};
use crate::domain::span;

/// A table of a rule file with the places of its values. Every reader notes what is wrong and
/// answers `None`, so that reading goes on to the next mistake.
#[derive(Clone)]
pub(super) struct Table<'t> {
    entries: &'t DeTable<'t>,
    /// Where the table begins, for what is missing.
    pub(super) start: usize,
}

/// A text and where it stands, quotes included.
#[derive(Debug, Clone)]
pub(super) struct Text<'t> {
    pub(super) value: &'t str,
    pub(super) span: Range<usize>,
}

impl<'t> Table<'t> {
    pub(super) fn new(entries: &'t DeTable<'t>, start: usize) -> Self {
        Self { entries, start }
    }

    fn value(&self, key: &str) -> Option<(&'t DeValue<'t>, Range<usize>)> {
        let (_, value) = self.entries.iter().find(|(name, _)| name.get_ref() == key)?;
        Some((value.get_ref(), value.span()))
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// Where the key is written; the start of the table when it is not.
    pub(super) fn place_of(&self, key: &str) -> usize {
        self.entries
            .keys()
            .find(|name| name.get_ref() == key)
            .map_or(self.start, |name| name.span().start)
    }

    /// Notes every key that is not valid here.
    pub(super) fn refuse_unknown(&self, valid: &[&str], notebook: &mut Notebook<'_>) {
        for key in self.entries.keys() {
            let word: &str = key.get_ref();
            if !valid.contains(&word) {
                notebook.note(
                    key.span().start,
                    format!("unknown key `{}`", shorten(word)),
                    suggest(word, valid),
                );
            }
        }
    }

    pub(super) fn text(&self, key: &str, notebook: &mut Notebook<'_>) -> Option<Text<'t>> {
        let (value, span) = self.value(key)?;
        match value {
            DeValue::String(value) => Some(Text { value, span }),
            other => self.wrong(key, other, "a text in quotes", notebook),
        }
    }

    /// A text, when it is one. Says nothing when it is not.
    pub(super) fn word(&self, key: &str) -> Option<&'t str> {
        match self.value(key)?.0 {
            DeValue::String(value) => Some(value),
            _ => None,
        }
    }

    /// Notes every key that is needed and not there.
    pub(super) fn ask_for(&self, keys: &[Key], notebook: &mut Notebook<'_>) {
        for Key { name, example, .. } in keys.iter().filter(|key| key.need == Need::Yes && !self.has(key.name)) {
            let remedy = format!("add `{name} = {example}`");
            notebook.note(self.start, format!("`{name}` is missing"), remedy);
        }
    }

    pub(super) fn boolean(&self, key: &str, notebook: &mut Notebook<'_>) -> Option<bool> {
        match self.value(key)?.0 {
            DeValue::Boolean(value) => Some(*value),
            other => self.wrong(key, other, "true or false", notebook),
        }
    }

    /// A number as it is written, so that no digit is lost.
    pub(super) fn number(&self, key: &str, notebook: &mut Notebook<'_>) -> Option<String> {
        match self.value(key)?.0 {
            DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
            DeValue::Float(number) => Some(number.as_str().to_owned()),
            other => self.wrong(key, other, "a number", notebook),
        }
    }

    /// A whole number from 1 on.
    pub(super) fn count(&self, key: &str, most: u32, notebook: &mut Notebook<'_>) -> Option<u32> {
        let number = self.number(key, notebook)?;
        let count = number.parse::<u32>().ok().filter(|count| (1..=most).contains(count));
        if count.is_none() {
            let what = format!("`{key}` is {}", shorten(&number));
            let remedy = format!("it must be a whole number from 1 to {most}");
            notebook.note(self.place_of(key), what, remedy);
        }
        count
    }

    /// Such as `"3d"`.
    pub(super) fn duration(&self, key: &str, notebook: &mut Notebook<'_>) -> Option<Duration> {
        let Text { value, span } = self.text(key, notebook)?;
        match span::parse(value) {
            Ok(duration) => Some(duration),
            Err(remedy) => {
                notebook.note(span.start, format!("`{key}` is \"{}\"", shorten(value)), remedy);
                None
            }
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &str, notebook: &mut Notebook<'_>) -> Option<Vec<Text<'t>>> {
        let list = match self.value(key)?.0 {
            DeValue::Array(list) => list,
            other => return self.wrong(key, other, "a list of texts", notebook),
        };
        let mut texts = Vec::new();
        for element in list.iter() {
            let DeValue::String(value) = element.get_ref() else {
                let what = format!("`{key}` is a list of texts, but this is {}", kind(element.get_ref()));
                notebook.note(element.span().start, what, "put it in quotes");
                return None;
            };
            texts.push(Text {
                value,
                span: element.span(),
            });
        }
        Some(texts)
    }

    /// A `[table]`.
    pub(super) fn table(&self, key: &str, notebook: &mut Notebook<'_>) -> Option<Table<'t>> {
        let (value, span) = self.value(key)?;
        match value {
            DeValue::Table(entries) => Some(Table::new(entries, span.start)),
            other => self.wrong(key, other, "a table", notebook),
        }
    }

    /// The tables of a `[[list]]`.
    pub(super) fn tables(&self, key: &str, header: &str, notebook: &mut Notebook<'_>) -> Vec<Table<'t>> {
        let Some((value, span)) = self.value(key) else {
            return Vec::new();
        };
        let DeValue::Array(list) = value else {
            notebook.note(
                self.place_of(key),
                format!("`{key}` is a list of tables"),
                format!("write `{header}` with two brackets on each side"),
            );
            return Vec::new();
        };
        let mut tables = Vec::new();
        for element in list.iter() {
            match element.get_ref() {
                DeValue::Table(entries) => tables.push(Table::new(entries, element.span().start)),
                other => notebook.note(
                    element.span().start.max(span.start),
                    format!("`{key}` is a list of tables, but this is {}", kind(other)),
                    format!("write `{header}`"),
                ),
            }
        }
        tables
    }

    fn wrong<T>(&self, key: &str, found: &DeValue<'_>, wanted: &str, notebook: &mut Notebook<'_>) -> Option<T> {
        let at = self.value(key).map_or(self.start, |(_, span)| span.start);
        notebook.note(
            at,
            format!("`{key}` is {}", kind(found)),
            format!("it must be {wanted}"),
        );
        None
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A word for a message: what somebody pasted by accident does not fill the screen.
pub(super) fn shorten(word: &str) -> String {
    shorten_to(60, word)
}

/// The same for longer texts.
pub(super) fn shorten_to(longest: usize, text: &str) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest - 3).chain("...".chars()).collect()
}
