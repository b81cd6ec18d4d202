mod money;

use std::str::FromStr;

use base64::{Engine, engine::general_purpose::STANDARD};
use rust_decimal::Decimal;
use secrecy::SecretString;
use url::Url;

use super::{
    condition::Condition,
    facts::Facts,
    mistake::{Notebook, suggest},
    rule::Step,
    table::{Table, Text, shorten},
    template::{self, Steps},
    vocabulary::{self, Key, STEP, names},
};
use crate::domain::action::Action;

/// Reads the file of a `secret_file`. The caller does the reading; rules do no IO.
pub(super) type ReadSecret<'s> = &'s dyn Fn(&str) -> Result<String, String>;

const PLANNED: [&str; 7] = [
    "uninstall",
    "set_channel",
    "set_sender_names",
    "send_telegram",
    "send_slack",
    "forward_event",
    "set_tag",
];

/// Names a step cannot have, because they mean something else in a text.
const RESERVED: [&str; 13] = [
    "event",
    "installation",
    "location",
    "application",
    "now",
    "results",
    "loop",
    "range",
    "dict",
    "namespace",
    "true",
    "false",
    "none",
];

/// Fields of the result of an action, as later steps see them.
pub(super) fn result_fields(action: &Action) -> &'static [&'static str] {
    match action {
        Action::CreatePaymentLink { .. } => &["url", "discount"],
        Action::ReportPayment { .. } => &["payment_id", "period_from", "period_to"],
        Action::RefundPayment { .. } => &["payment_id"],
        Action::Activate { .. }
        | Action::ReadStatus { .. }
        | Action::RepairHooks { .. }
        | Action::AnnounceCall { .. }
        | Action::LogCall { .. }
        | Action::SetDiscount { .. }
        | Action::SendWebhook { .. }
        | Action::SendEmail { .. } => &[],
    }
}

/// A step that was read, with the secret that stays out of it.
pub(super) struct ReadStep {
    pub(super) step: Step,
    pub(super) secret: Option<SecretString>,
}

/// Reads the steps of one rule in order. Texts are checked only when `sample` says what they may
/// refer to, which needs a valid trigger.
pub(super) struct StepReader<'r, 'f> {
    pub(super) sample: Option<&'r Facts<'r>>,
    pub(super) secrets: ReadSecret<'r>,
    pub(super) notebook: &'r mut Notebook<'f>,
}

impl StepReader<'_, '_> {
    pub(super) fn read_all(&mut self, tables: &[Table<'_>]) -> Vec<ReadStep> {
        let ids: Vec<Option<String>> = tables.iter().map(|table| self.id(table)).collect();
        let mut steps: Vec<ReadStep> = Vec::new();
        let mut earlier: Vec<(&str, &'static [&'static str])> = Vec::new();
        for (number, table) in tables.iter().enumerate() {
            let later: Vec<&str> = ids[number..].iter().flatten().map(String::as_str).collect();
            let scope = Steps {
                earlier: &earlier,
                later: &later,
            };
            let after = table.duration("after", self.notebook).filter(|after| !after.is_zero());
            let when = Condition::read(table, self.sample, self.notebook);
            let read = self.step(table, &scope);
            let fields = read.as_ref().map_or(&[][..], |(action, _)| result_fields(action));
            if let Some(id) = &ids[number] {
                if earlier.iter().any(|(known, _)| known == id) {
                    let at = table.place_of("id");
                    self.notebook
                        .note(at, format!("two steps are called `{id}`"), "give each its own id");
                }
                earlier.push((id, fields));
            }
            steps.extend(read.map(|(action, secret)| ReadStep {
                step: Step {
                    id: ids[number].clone(),
                    after,
                    when,
                    action,
                },
                secret,
            }));
        }
        steps
    }

    fn id(&mut self, table: &Table<'_>) -> Option<String> {
        let id = table.text("id", self.notebook)?;
        let begins = id.value.starts_with(|c: char| c.is_ascii_lowercase());
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !begins || !id.value.chars().all(plain) || id.value.len() > 40 {
            self.notebook.note(
                id.span.start,
                format!("`{}` cannot be the id of a step", shorten(id.value)),
                "use small letters, digits and `_`, at most 40, a letter first",
            );
            return None;
        }
        if RESERVED.contains(&id.value) {
            self.notebook.note(
                id.span.start,
                format!("a step cannot be called `{}`", id.value),
                "that name has a meaning in texts; choose another one",
            );
            return None;
        }
        Some(id.value.to_owned())
    }

    fn step(&mut self, table: &Table<'_>, scope: &Steps<'_>) -> Option<(Action, Option<SecretString>)> {
        if !table.has("action") {
            self.notebook
                .note(table.start, "`action` is missing", "add `action = \"send_email\"`");
        }
        let name = table.text("action", self.notebook)?;
        if !vocabulary::actions().contains(&name.value) {
            self.unknown_action(&name, name.value);
            return None;
        }
        self.keys(table, vocabulary::keys_of(name.value));
        match name.value {
            "set_discount" => {
                let percent = self.percent(table, "percent")?;
                Some((Action::SetDiscount { percent }, None))
            }
            "create_payment_link" => {
                let discount = self.percent(table, "discount");
                let tariff_option_id = self.whole(table, "tariff_option_id");
                let action = Action::CreatePaymentLink {
                    discount,
                    tariff_option_id,
                };
                Some((action, None))
            }
            "report_payment" => self.report(table),
            "refund_payment" => self.refund(table, scope),
            "send_webhook" => self.webhook(table, scope),
            "send_email" => self.email(table, scope),
            _ => None,
        }
    }

    fn unknown_action(&mut self, name: &Text<'_>, word: &str) {
        let (what, remedy) = if PLANNED.contains(&word) {
            (
                format!("the action `{word}` is not available in this version"),
                format!("available are `{}`", vocabulary::actions().join("`, `")),
            )
        } else {
            (
                format!("unknown action `{}`", shorten(word)),
                suggest(word, &vocabulary::actions()),
            )
        };
        self.notebook.note(name.span.start, what, remedy);
    }

    fn keys(&mut self, table: &Table<'_>, own: &[Key]) {
        let mut valid = names(STEP);
        valid.extend(names(own));
        table.refuse_unknown(&valid, &[], self.notebook);
        table.ask_for(own, self.notebook);
    }

    fn webhook(&mut self, table: &Table<'_>, scope: &Steps<'_>) -> Option<(Action, Option<SecretString>)> {
        let url = table.text("url", self.notebook);
        if let Some(url) = &url {
            self.address(url);
            self.template(url, scope);
        }
        let body = table.text("body", self.notebook);
        if let Some(body) = &body {
            self.template(body, scope);
        }
        let secret = self.secret(table);
        let action = Action::SendWebhook {
            url: url?.value.to_owned(),
            body: body.map(|body| body.value.to_owned()),
        };
        Some((action, Some(secret?)))
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

    fn secret(&mut self, table: &Table<'_>) -> Option<SecretString> {
        let written = table.text("secret", self.notebook);
        let file = table.text("secret_file", self.notebook);
        let (at, secret) = match (written, file) {
            (Some(_), Some(file)) => {
                let at = file.span.start;
                self.notebook
                    .note(at, "both `secret` and `secret_file` are given", "keep one of them");
                return None;
            }
            (Some(written), None) => (written.span.start, written.value.to_owned()),
            (None, Some(file)) => match (self.secrets)(file.value) {
                Ok(secret) => (file.span.start, secret),
                Err(why) => {
                    let what = format!("the secret cannot be read: {why}");
                    self.notebook
                        .note(file.span.start, what, "put the file there, or correct its name");
                    return None;
                }
            },
            (None, None) => {
                if !table.has("secret") && !table.has("secret_file") {
                    self.notebook.note(
                        table.start,
                        "`secret_file` is missing",
                        "webhooks are signed: add `secret_file = \"/run/secrets/…\"` or `secret = \"whsec_…\"`",
                    );
                }
                return None;
            }
        };
        if !is_webhook_secret(secret.trim()) {
            self.notebook.note(
                at,
                "this is not a webhook secret",
                "write `whsec_` and the base64 of 24 to 64 random bytes",
            );
            return None;
        }
        Some(secret.trim().into())
    }

    fn email(&mut self, table: &Table<'_>, scope: &Steps<'_>) -> Option<(Action, Option<SecretString>)> {
        let mut text = |key: &str| {
            let text = table.text(key, self.notebook)?;
            self.template(&text, scope);
            Some(text)
        };
        let (to, subject, text) = (text("to"), text("subject"), text("text"));
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
        Some((action, None))
    }

    fn template(&mut self, text: &Text<'_>, scope: &Steps<'_>) {
        let Some(sample) = self.sample else { return };
        for refusal in template::check(text.value, sample, scope) {
            self.notebook.note_inside(&text.span, text.value, refusal);
        }
    }

    fn percent(&mut self, table: &Table<'_>, key: &str) -> Option<Decimal> {
        let number = table.number(key, self.notebook)?;
        let percent = Decimal::from_str(&number).ok();
        let valid = percent.filter(|percent| (Decimal::ZERO..=Decimal::ONE_HUNDRED).contains(percent));
        if valid.is_none() {
            let what = format!("`{key}` is {}", shorten(&number));
            self.notebook
                .note(table.place_of(key), what, "it must be between 0 and 100");
        }
        valid
    }

    fn whole(&mut self, table: &Table<'_>, key: &str) -> Option<i64> {
        let number = table.number(key, self.notebook)?;
        let whole = number.parse::<i64>().ok().filter(|whole| *whole > 0);
        if whole.is_none() {
            let what = format!("`{key}` is {}", shorten(&number));
            self.notebook
                .note(table.place_of(key), what, "it must be the number of a tariff option");
        }
        whole
    }
}

fn is_webhook_secret(secret: &str) -> bool {
    secret
        .strip_prefix("whsec_")
        .and_then(|key| STANDARD.decode(key).ok())
        .is_some_and(|key| (24..=64).contains(&key.len()))
}
