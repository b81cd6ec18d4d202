//! Details for people: a title, fields, sections. Everything that came from elsewhere is made harmless.

use serde_json::Value;

use super::{output::harmless, table::Table, terminal::Surface};

/// Where the values of fields begin.
const VALUE_COLUMN: usize = 16;

/// A sheet that is being filled.
pub(super) struct Sheet {
    lines: Vec<String>,
}

impl Sheet {
    /// A sheet about something.
    pub(super) fn new(title: &str) -> Self {
        Self {
            lines: vec![harmless(title, false)],
        }
    }

    /// A field; one without a value is left out.
    pub(super) fn field(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            let value = harmless(&value.to_string(), false);
            self.lines.push(format!("  {name:<VALUE_COLUMN$}{value}"));
        }
    }

    /// A section with a table; one without rows says so.
    pub(super) fn table<const COLUMNS: usize>(&mut self, name: &str, table: &Table<COLUMNS>) {
        if table.is_empty() {
            self.note(name, "none");
        } else {
            self.begin(name);
            let lines = table.lines_on(Surface::of_output().inset(2));
            self.lines.extend(lines.into_iter().map(|line| format!("  {line}")));
        }
    }

    /// A section with one sentence.
    pub(super) fn note(&mut self, name: &str, text: &str) {
        self.begin(name);
        self.block(2, text);
    }

    /// A section with a JSON value, in readable form; nothing when there is nothing in it.
    pub(super) fn json(&mut self, name: &str, value: Option<&Value>) {
        if let Some(value) = value.filter(|value| !is_nothing(value)) {
            self.begin(name);
            self.value(2, value);
        }
    }

    /// Starts a section.
    pub(super) fn begin(&mut self, name: &str) {
        self.lines.push(String::new());
        self.lines.push(name.to_owned());
    }

    /// A text in its own lines, set in by so many spaces.
    pub(super) fn block(&mut self, indent: usize, text: &str) {
        for line in harmless(text, true).lines() {
            self.lines.push(format!("{:indent$}{line}", "").trim_end().to_owned());
        }
    }

    /// A JSON value: flat objects as one field a line, the rest as indented JSON.
    pub(super) fn value(&mut self, indent: usize, value: &Value) {
        let flat = |value: &Value| !value.is_object() && !value.is_array();
        match value {
            Value::Object(fields) if fields.values().all(flat) => {
                let width = fields.keys().map(|name| name.chars().count()).max().unwrap_or(0);
                for (name, value) in fields {
                    let name = harmless(name, false);
                    self.block(indent, &format!("{name:<width$}  {}", harmless(&bare(value), false)));
                }
            }
            Value::Object(_) | Value::Array(_) => self.block(indent, &format!("{value:#}")),
            other => self.block(indent, &bare(other)),
        }
    }

    /// The whole.
    pub(super) fn text(&self) -> String {
        self.lines.join("\n")
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// A value without the quotes of JSON.
pub(super) fn bare(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A flat object in one line: `name value, name value`. What is not there is left out.
pub(super) fn one_line(value: &Value) -> String {
    let Value::Object(fields) = value else {
        return bare(value);
    };
    let set = fields.iter().filter(|(_, value)| !value.is_null());
    let words = set.map(|(name, value)| format!("{name} {}", bare(value)));
    words.collect::<Vec<String>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn foreign_texts_cannot_write_over_ours() {
        let mut sheet = Sheet::new("Location \u{1b}[2J1");
        sheet.field("title", Some("Salon\r\nstate  fine"));
        sheet.field("phone", None::<String>);
        sheet.json("Fact", Some(&json!({"a": "x\ny", "long name": 5, "none": null})));
        sheet.json("Nothing", Some(&json!({})));
        sheet.note("Body", "one\n\u{7}two");
        assert_eq!(
            sheet.text(),
            "Location  [2J1\n  title           Salon  state  fine\n\nFact\n  a          x y\n  long name  5\n  none       null\n\nBody\n  one\n   two"
        );
        assert_eq!(one_line(&json!({"at": null, "by": "card", "id": 1})), "by card, id 1");
    }
}
