mod messages;
mod money;
mod places;
mod secrets;

use std::str::FromStr;

use rust_decimal::Decimal;
use secrecy::SecretString;

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

/// Reads the file of a secret that a step names. The caller does the reading; rules do no IO. Nothing comes back where
/// the rules are only checked, and secrets need not be there.
pub(super) type ReadSecret<'s> = &'s dyn Fn(&str) -> Result<Option<String>, String>;

/// An action and the secrets that stay out of it.
type Read = (Action, Vec<SecretString>);

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
        | Action::SendEmail { .. }
        | Action::SendTelegram { .. }
        | Action::SendSlack { .. }
        | Action::ForwardEvent { .. }
        | Action::SetTag { .. }
        | Action::Uninstall
        | Action::SetChannel { .. }
        | Action::SetSenderNames { .. } => &[],
    }
}

/// A step that was read, with the secrets that stay out of it.
pub(super) struct ReadStep {
    pub(super) step: Step,
    pub(super) secrets: Vec<SecretString>,
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
            steps.extend(read.map(|(action, secrets)| ReadStep {
                step: Step {
                    id: ids[number].clone(),
                    after,
                    when,
                    action,
                },
                secrets,
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

    fn step(&mut self, table: &Table<'_>, scope: &Steps<'_>) -> Option<Read> {
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
                Some((Action::SetDiscount { percent }, Vec::new()))
            }
            "create_payment_link" => {
                let discount = self.percent(table, "discount");
                let tariff_option_id = self.whole(table, "tariff_option_id");
                let action = Action::CreatePaymentLink {
                    discount,
                    tariff_option_id,
                };
                Some((action, Vec::new()))
            }
            "report_payment" => self.report(table),
            "refund_payment" => self.refund(table, scope),
            "send_webhook" => self.webhook(table, scope),
            "send_email" => self.email(table, scope),
            "send_telegram" => self.telegram(table, scope),
            "send_slack" => self.slack(table, scope),
            "forward_event" => self.forward(table),
            "set_tag" => self.tag(table),
            "uninstall" => Some((Action::Uninstall, Vec::new())),
            "set_channel" => self.channel(table),
            "set_sender_names" => self.sender_names(table),
            _ => None,
        }
    }

    fn unknown_action(&mut self, name: &Text<'_>, word: &str) {
        let what = format!("unknown action `{}`", shorten(word));
        let remedy = suggest(word, &vocabulary::actions());
        self.notebook.note(name.span.start, what, remedy);
    }

    fn keys(&mut self, table: &Table<'_>, own: &[Key]) {
        let mut valid = names(STEP);
        valid.extend(names(own));
        table.refuse_unknown(&valid, self.notebook);
        table.ask_for(own, self.notebook);
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
