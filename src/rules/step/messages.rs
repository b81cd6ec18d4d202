//! What goes to people and to other systems.

use std::time::Duration;

use url::Url;

use super::{Read, StepReader, secrets::Secret};
use crate::{
    domain::{action::Action, span},
    rules::{
        table::{Table, Text, shorten},
        template::Steps,
    },
};

/// How long an event is forwarded when nobody says.
const RETRY_FOR: Duration = Duration::from_secs(3 * 86_400);

/// Characters of a Telegram message.
const LONGEST_TELEGRAM: usize = 4096;

const SIGNED: &str = "webhooks are signed: add `secret_file = \"/run/secrets/…\"` or `secret = \"whsec_…\"`";

impl StepReader<'_, '_> {
    pub(super) fn webhook(&mut self, table: &Table<'_>, scope: &Steps<'_>) -> Option<Read> {
        let url = table.text("url", self.notebook);
        if let Some(url) = &url {
            self.address(url);
            self.template(url, scope);
        }
        let body = table.text("body", self.notebook);
        if let Some(body) = &body {
            self.template(body, scope);
        }
        let secrets = self.signing(table);
        let action = Action::SendWebhook {
            url: url?.value.to_owned(),
            body: body.map(|body| body.value.to_owned()),
        };
        Some((action, secrets?))
    }

    /// What signs a webhook, and what signed it before while the receiver changes over.
    fn signing(&mut self, table: &Table<'_>) -> Option<Vec<secrecy::SecretString>> {
        let present = self.secret(table, &Secret::SIGNING, SIGNED);
        let before = self.secrets_given(table, &Secret::SIGNING_BEFORE);
        let mut all = present?;
        all.extend(before?);
        Some(all)
    }

    /// The host is written out, so that no event can choose where data goes.
    fn address(&mut self, url: &Text<'_>) {
        let begin = url.value.split("{{").next().unwrap_or_default();
        let templated = begin.len() < url.value.len() || url.value.contains("{%");
        let host = begin
            .strip_prefix("https://")
            .or_else(|| begin.strip_prefix("http://"))
            .filter(|rest| !templated || rest.contains(['/', '?']))
            .filter(|rest| !rest.contains("{%") && Url::parse(&format!("https://{rest}")).is_ok());
        if host.is_none_or(|host| host.starts_with('/')) {
            self.notebook.note(
                url.span.start,
                "this is not the address of a webhook",
                "write `https://host/path`; `{{ … }}` can stand only after the host",
            );
        }
    }

    pub(super) fn email(&mut self, table: &Table<'_>, scope: &Steps<'_>) -> Option<Read> {
        let (to, subject) = (self.written(table, "to", scope), self.written(table, "subject", scope));
        let text = self.written(table, "text", scope);
        if let Some(to) = &to
            && !to.value.contains("{{")
            && !to.value.contains('@')
        {
            self.notebook.note(
                to.span.start,
                "this is not a mail address",
                "write `name@example.com` or `{{ location.email }}`",
            );
        }
        let action = Action::SendEmail {
            to: to?.value.to_owned(),
            subject: subject?.value.to_owned(),
            text: text?.value.to_owned(),
        };
        Some((action, Vec::new()))
    }

    pub(super) fn telegram(&mut self, table: &Table<'_>, scope: &Steps<'_>) -> Option<Read> {
        let missing = "add `token_file = \"/run/secrets/…\"` with the token that BotFather told";
        let secrets = self.secret(table, &Secret::BOT_TOKEN, missing);
        let chat = table.text("chat", self.notebook);
        let chat = chat.filter(|chat| {
            let known = is_chat(chat.value);
            if !known {
                let what = format!("`{}` is no chat", shorten(chat.value));
                let remedy = "write its number, such as `-1001234567890`, or the `@name` of a public one";
                self.notebook.note(chat.span.start, what, remedy);
            }
            known
        });
        let text = self.written(table, "text", scope);
        if let Some(text) = &text
            && !text.value.contains(['{', '%'])
            && text.value.encode_utf16().count() > LONGEST_TELEGRAM
        {
            let what = format!("the text is longer than {LONGEST_TELEGRAM} characters");
            self.notebook
                .note(text.span.start, what, "make it shorter: Telegram takes no more");
        }
        let action = Action::SendTelegram {
            chat: chat?.value.to_owned(),
            text: text?.value.to_owned(),
        };
        Some((action, secrets?))
    }

    pub(super) fn slack(&mut self, table: &Table<'_>, scope: &Steps<'_>) -> Option<Read> {
        let missing = "add `url_file = \"/run/secrets/…\"` with the address of the incoming webhook";
        let secrets = self.secret(table, &Secret::SLACK_ADDRESS, missing);
        let text = self.written(table, "text", scope);
        let action = Action::SendSlack {
            text: text?.value.to_owned(),
        };
        Some((action, secrets?))
    }

    pub(super) fn forward(&mut self, table: &Table<'_>) -> Option<Read> {
        let url = table.text("url", self.notebook);
        let url = url.filter(|url| self.fixed_address(url));
        let secrets = self.signing(table);
        let retry_for = match table.has("retry_for") {
            true => self.retry_for(table),
            false => Some(RETRY_FOR),
        };
        let action = Action::ForwardEvent {
            url: url?.value.trim().to_owned(),
            retry_for_seconds: retry_for?.as_secs(),
        };
        Some((action, secrets?))
    }

    fn fixed_address(&mut self, url: &Text<'_>) -> bool {
        let parsed = Url::parse(url.value.trim()).ok();
        let fits = |url: &Url| matches!(url.scheme(), "https" | "http") && url.host().is_some();
        let (what, remedy) = if url.value.contains("{{") || url.value.contains("{%") {
            (
                "the address of `forward_event` is fixed",
                "write it without `{{ … }}`; the event is in the body",
            )
        } else if parsed.as_ref().is_some_and(|url| !url.username().is_empty()) {
            (
                "the address has a name or password in it, which would be stored",
                "take it out; the signature says who we are",
            )
        } else if !parsed.as_ref().is_some_and(fits) {
            (
                "this is not an address to forward events to",
                "write `https://host/path`",
            )
        } else {
            return true;
        };
        self.notebook.note(url.span.start, what, remedy);
        false
    }

    fn retry_for(&mut self, table: &Table<'_>) -> Option<Duration> {
        let text = table.text("retry_for", self.notebook)?;
        let (longest, shortest) = (Action::LONGEST_RETRY, Duration::from_secs(60));
        let remedy = match span::parse(text.value) {
            Ok(duration) if (shortest..=longest).contains(&duration) => return Some(duration),
            Ok(_) => "it must be between 1m and 14d".to_owned(),
            Err(remedy) => remedy,
        };
        let what = format!("`retry_for` is \"{}\"", shorten(text.value));
        self.notebook.note(text.span.start, what, remedy);
        None
    }

    /// A text with `{{ … }}`.
    fn written<'t>(&mut self, table: &Table<'t>, key: &str, scope: &Steps<'_>) -> Option<Text<'t>> {
        let text = table.text(key, self.notebook)?;
        self.template(&text, scope);
        Some(text)
    }
}

fn is_chat(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.strip_prefix('@') {
        Some(name) => !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'),
        None => digits(text.strip_prefix('-').unwrap_or(text)),
    }
}
