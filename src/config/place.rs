use std::{collections::BTreeMap, path::PathBuf};

use toml::{Spanned, de::DeTable, de::DeValue};

/// Where every key of a configuration was set, so that a problem can be told with its place. A key is
/// written with dots, and an element of a list with its number from 0: `account.0.partner_token`.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    file: String,
    lines: BTreeMap<String, (usize, usize)>,
    variables: BTreeMap<String, String>,
}

impl Places {
    /// Remembers the places of a file. One that does not parse has none.
    pub(super) fn new(file: &str, text: &str) -> Self {
        let mut places = Self {
            file: file.to_owned(),
            ..Self::default()
        };
        if let Ok(table) = DeTable::parse(text) {
            places.enter(text, "", table.get_ref());
        }
        places
    }

    /// Remembers that a variable has set a key.
    pub(super) fn set_by(&mut self, variable: &str, key: String) {
        self.variables.insert(key, variable.to_owned());
    }

    /// `file:line:column` of a key, of the section it belongs to when it is not set, or its variable.
    pub(super) fn of(&self, key: &str) -> String {
        if let Some(variable) = self.variables.get(key) {
            return format!("environment: {variable}");
        }
        let mut here = key;
        loop {
            if let Some((line, column)) = self.lines.get(here) {
                return format!("{}:{line}:{column}", self.file);
            }
            match here.rsplit_once('.') {
                Some((section, _)) => here = section,
                None => return self.file.clone(),
            }
        }
    }

    fn enter(&mut self, text: &str, section: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = match section {
                "" => name.get_ref().to_string(),
                section => format!("{section}.{}", name.get_ref()),
            };
            self.lines.insert(key.clone(), position(text, name.span().start));
            match value.get_ref() {
                DeValue::Table(table) => self.enter(text, &key, table),
                DeValue::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        self.enter_item(text, &format!("{key}.{index}"), item);
                    }
                }
                _ => {}
            }
        }
    }

    fn enter_item(&mut self, text: &str, key: &str, item: &Spanned<DeValue<'_>>) {
        self.lines.insert(key.to_owned(), position(text, item.span().start));
        if let DeValue::Table(table) = item.get_ref() {
            self.enter(text, key, table);
        }
    }
}

/// Line and column, in characters, of a byte of a text, each from 1.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}

/// Problems that are being collected.
pub(super) struct Notes<'p> {
    places: &'p Places,
    texts: Vec<String>,
}

impl<'p> Notes<'p> {
    pub(super) fn new(places: &'p Places) -> Self {
        Self {
            places,
            texts: Vec::new(),
        }
    }

    /// Notes what is wrong with a key.
    pub(super) fn at(&mut self, key: &str, what: impl AsRef<str>) {
        self.texts.push(format!("{}: {}", self.places.of(key), what.as_ref()));
    }

    /// All of it, or nothing.
    pub(super) fn into_result(self) -> Result<(), super::Problems> {
        if self.texts.is_empty() {
            Ok(())
        } else {
            Err(super::Problems(self.texts))
        }
    }
}

/// The folder that relative paths count from: the one of the file.
pub(super) fn folder_of(file: &std::path::Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_where_it_stands_or_where_it_belongs() {
        let text = "log.filter = \"info\"\n[server]\nlisten = \"x\"\n\n[[account]]\nname = \"a\"\n\n  [[account]]\n  name = \"b\"\n";
        let mut places = Places::new("f", text);
        places.set_by("BELLHOP_JOBS__LEASE", "jobs.lease".into());
        for (key, place) in [
            ("server.listen", "f:3:1"),
            ("server.public_url", "f:2:2"),
            ("account.1.name", "f:9:3"),
            ("account.1.brand", "f:8:3"),
            ("log.filter", "f:1:5"),
            ("database.url", "f"),
            ("jobs.lease", "environment: BELLHOP_JOBS__LEASE"),
            ("jobs", "f"),
        ] {
            assert_eq!(places.of(key), place, "{key}");
        }
    }
}
