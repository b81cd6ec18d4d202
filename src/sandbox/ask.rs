//! One call as the pure part of the API sees it, and the checks of its fields.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::calls::Call;
use super::envelope::{Answer, Message};
use super::options::Brand;
use super::state::{Key, State};

/// A call: what it is, its ids, query and body, who makes it, and when.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) call: Call,
    pub(super) location: Option<i64>,
    pub(super) application: Option<i64>,
    pub(super) payment: Option<i64>,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Value,
    /// The application whose system user's token came along.
    pub(super) user_of: Option<i64>,
    /// The location whose owner's token came along.
    pub(super) owner_of: Option<i64>,
    pub(super) now: DateTime<Utc>,
}

impl Ask {
    /// A query parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A field of the body.
    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        self.body.get(name).filter(|value| !value.is_null())
    }
}

/// Collects what is wrong with the fields of a call.
#[derive(Debug)]
pub(super) struct Check<'a> {
    ask: &'a Ask,
    errors: Vec<(String, String)>,
}

impl<'a> Check<'a> {
    pub(super) fn new(ask: &'a Ask) -> Self {
        Self {
            ask,
            errors: Vec::new(),
        }
    }

    pub(super) fn wrong(&mut self, field: &str, why: &str) {
        self.errors.push((field.to_owned(), why.to_owned()));
    }

    /// A required integer of the body; 0 when it is wrong.
    pub(super) fn integer(&mut self, field: &str) -> i64 {
        match self.ask.field(field).and_then(Value::as_i64) {
            Some(value) if value > 0 => value,
            _ => {
                self.wrong(field, "A positive integer is required.");
                0
            }
        }
    }

    /// A required text of the body.
    pub(super) fn text(&mut self, field: &str) -> &'a str {
        match self.ask.field(field).and_then(Value::as_str) {
            Some(value) if !value.is_empty() => value,
            _ => {
                self.wrong(field, "A text is required.");
                ""
            }
        }
    }

    /// A list of texts of the body; empty when the field is absent.
    pub(super) fn texts(&mut self, field: &str) -> Vec<String> {
        let Some(value) = self.ask.field(field) else {
            return Vec::new();
        };
        let list = value.as_array().and_then(|items| {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            texts.collect::<Option<Vec<_>>>()
        });
        list.unwrap_or_else(|| {
            self.wrong(field, "A list of texts is required.");
            Vec::new()
        })
    }

    /// A required integer of the query.
    pub(super) fn integer_parameter(&mut self, name: &str, range: std::ops::RangeInclusive<i64>) -> i64 {
        let value = self.ask.parameter(name).and_then(|text| text.parse().ok());
        match value {
            Some(value) if range.contains(&value) => value,
            _ => {
                self.wrong(name, "An integer within the range is required.");
                0
            }
        }
    }

    /// 422 with the errors as a list, if there are any.
    pub(super) fn done(self, brand: Brand) -> Result<(), Answer> {
        self.finish(brand, |errors| {
            let texts = errors.iter().map(|(field, why)| format!("{field}: {why}"));
            json!(texts.collect::<Vec<_>>())
        })
    }

    /// 422 with the errors as an object, as `update_channel` prints them.
    pub(super) fn done_as_object(self, brand: Brand) -> Result<(), Answer> {
        self.finish(brand, |errors| {
            let pairs = errors.iter().map(|(field, why)| (field.clone(), json!([why])));
            Value::Object(pairs.collect())
        })
    }

    fn finish(self, brand: Brand, print: impl Fn(&[(String, String)]) -> Value) -> Result<(), Answer> {
        if self.errors.is_empty() {
            return Ok(());
        }
        let meta = json!({"message": Message::Error.text(brand), "errors": print(&self.errors)});
        Err(Answer::with(422, false, Value::Null, meta))
    }
}

impl State {
    /// A failure in the brand's language.
    pub(super) fn failed(&self, status: u16, message: Message) -> Answer {
        Answer::failed(status, message.text(self.brand))
    }

    /// Refuses applications of others and, with `unknown`, those nobody has.
    pub(super) fn own(&self, application: i64, unknown: (u16, Message)) -> Result<(), Answer> {
        if self.applications.contains_key(&application) {
            Ok(())
        } else if self.foreign.contains(&application) {
            Err(self.failed(403, Message::NoAccessToApplication))
        } else {
            Err(self.failed(unknown.0, unknown.1))
        }
    }

    /// The body's application and location, checked to be numbers.
    pub(super) fn pair(&self, check: &mut Check<'_>) -> Key {
        (check.integer("application_id"), check.integer("salon_id"))
    }
}
