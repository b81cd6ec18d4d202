//! What is set at a location.

use super::{Read, StepReader};
use crate::{
    domain::{
        action::Action,
        messaging::{Channel, MOST_SENDER_NAMES, objection_to_sender_name},
    },
    rules::{
        mistake::suggest,
        table::{Table, shorten},
    },
};

/// Characters of a tag.
const LONGEST_TAG: usize = 40;

impl StepReader<'_, '_> {
    pub(super) fn tag(&mut self, table: &Table<'_>) -> Option<Read> {
        let tag = table.text("tag", self.notebook);
        let present = table.boolean("present", self.notebook);
        if table.has("present") && present.is_none() {
            return None;
        }
        let tag = tag?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if tag.value.is_empty() || tag.value.len() > LONGEST_TAG || !tag.value.chars().all(plain) {
            let what = format!("`{}` cannot be a tag", shorten(tag.value));
            let remedy = "use small letters, digits, `-` and `_`, at most 40";
            self.notebook.note(tag.span.start, what, remedy);
            return None;
        }
        let action = Action::SetTag {
            tag: tag.value.to_owned(),
            present: present.unwrap_or(true),
        };
        Some((action, Vec::new()))
    }

    pub(super) fn channel(&mut self, table: &Table<'_>) -> Option<Read> {
        let available = table.boolean("available", self.notebook);
        let word = table.text("channel", self.notebook)?;
        let channel = Channel::parse(word.value);
        if channel.is_none() {
            let valid: Vec<&str> = Channel::ALL.iter().map(|channel| channel.as_str()).collect();
            let what = format!("`channel` is \"{}\"", shorten(word.value));
            self.notebook.note(word.span.start, what, suggest(word.value, &valid));
        }
        let action = Action::SetChannel {
            channel: channel?,
            available: available?,
        };
        Some((action, Vec::new()))
    }

    pub(super) fn sender_names(&mut self, table: &Table<'_>) -> Option<Read> {
        let names = table.texts("names", self.notebook)?;
        let mut fine = true;
        if names.is_empty() || names.len() > MOST_SENDER_NAMES {
            fine = false;
            let what = format!("`names` has {} names", names.len());
            let remedy = format!("write 1 to {MOST_SENDER_NAMES}: `names = [\"Example\"]`");
            self.notebook.note(table.place_of("names"), what, remedy);
        }
        for name in &names {
            if let Some(why) = objection_to_sender_name(name.value) {
                fine = false;
                let what = format!("`{}` cannot be a sender name: it {why}", shorten(name.value));
                let remedy = "the marketplace refuses it: choose another one";
                self.notebook.note(name.span.start, what, remedy);
            }
        }
        let names = names.iter().map(|name| name.value.to_owned()).collect();
        fine.then_some((Action::SetSenderNames { names }, Vec::new()))
    }
}
