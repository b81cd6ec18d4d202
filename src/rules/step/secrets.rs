//! Secrets of steps. A message about one never repeats it.

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::SecretString;
use url::Url;

use super::StepReader;
use crate::rules::table::Table;

/// A secret as a step gives it.
pub(super) struct Secret {
    /// The key that holds it.
    pub(super) key: &'static str,
    /// The key that names a file with it.
    pub(super) file_key: &'static str,
    /// Whether a text can be one.
    pub(super) fits: fn(&str) -> bool,
    /// What it is not, when it does not fit, and how it looks.
    pub(super) wrong: (&'static str, &'static str),
}

impl Secret {
    /// What signs a webhook.
    pub(super) const SIGNING: Self = Self {
        key: "secret",
        file_key: "secret_file",
        fits: is_webhook_secret,
        wrong: (
            "this is not a webhook secret",
            "write `whsec_` and the base64 of 24 to 64 random bytes",
        ),
    };

    /// What signed it before.
    pub(super) const SIGNING_BEFORE: Self = Self {
        key: "secret_previous",
        file_key: "secret_previous_file",
        ..Self::SIGNING
    };

    /// The token of a Telegram bot.
    pub(super) const BOT_TOKEN: Self = Self {
        key: "token",
        file_key: "token_file",
        fits: is_bot_token,
        wrong: (
            "this is not the token of a Telegram bot",
            "write it as BotFather tells it: a number, `:` and letters",
        ),
    };

    /// The address of an incoming webhook of Slack.
    pub(super) const SLACK_ADDRESS: Self = Self {
        key: "url",
        file_key: "url_file",
        fits: is_address,
        wrong: (
            "this is not the address of an incoming webhook",
            "write it as Slack tells it: `https://hooks.slack.com/services/…`",
        ),
    };
}

impl StepReader<'_, '_> {
    /// A secret that has to be there, in one of its two ways; `missing` is what to do when it is not. An empty one where
    /// the rules are only checked.
    pub(super) fn secret(&mut self, table: &Table<'_>, sort: &Secret, missing: &str) -> Option<Vec<SecretString>> {
        if table.has(sort.key) && table.has(sort.file_key) {
            let what = format!("both `{}` and `{}` are given", sort.key, sort.file_key);
            self.notebook
                .note(table.place_of(sort.file_key), what, "keep one of them");
            return None;
        }
        if !table.has(sort.key) && !table.has(sort.file_key) {
            self.notebook
                .note(table.start, format!("`{}` is missing", sort.file_key), missing);
            return None;
        }
        self.secrets_given(table, sort)
    }

    /// What is given of a secret: nothing, one, or both ways.
    pub(super) fn secrets_given(&mut self, table: &Table<'_>, sort: &Secret) -> Option<Vec<SecretString>> {
        let mut given = Vec::new();
        let mut fine = true;
        if table.has(sort.key) {
            let written = table.text(sort.key, self.notebook);
            fine &= written.is_some();
            given.extend(written.map(|written| (written.span.start, Some(written.value.to_owned()))));
        }
        if table.has(sort.file_key) {
            let file = table.text(sort.file_key, self.notebook);
            fine &= file.is_some();
            if let Some(file) = file {
                match (self.secrets)(file.value) {
                    Ok(text) => given.push((file.span.start, text)),
                    Err(why) => {
                        fine = false;
                        let what = format!("the secret cannot be read: {why}");
                        let remedy = "put the file there, or correct its name";
                        self.notebook.note(file.span.start, what, remedy);
                    }
                }
            }
        }
        let mut secrets = Vec::new();
        for (at, text) in given {
            match text.as_deref().map(str::trim) {
                Some(text) if (sort.fits)(text) => secrets.push(text.into()),
                Some(_) => {
                    fine = false;
                    self.notebook.note(at, sort.wrong.0, sort.wrong.1);
                }
                None => {}
            }
        }
        fine.then_some(secrets)
    }
}

fn is_webhook_secret(secret: &str) -> bool {
    secret
        .strip_prefix("whsec_")
        .and_then(|key| STANDARD.decode(key).ok())
        .is_some_and(|key| (24..=64).contains(&key.len()))
}

fn is_bot_token(token: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    token.split_once(':').is_some_and(|(number, key)| {
        !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && key.len() >= 20
            && key.chars().all(plain)
    })
}

fn is_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.host().is_some())
}
