use std::str::FromStr;

use rust_decimal::Decimal;

use super::{Read, StepReader};
use crate::{
    domain::action::{Action, Term},
    rules::{
        table::{Table, shorten},
        template::Steps,
    },
};

impl StepReader<'_, '_> {
    pub(super) fn report(&mut self, table: &Table<'_>) -> Option<Read> {
        let amount = self.amount(table);
        let currency = table.text("currency", self.notebook);
        if let Some(currency) = &currency
            && !(currency.value.len() == 3 && currency.value.bytes().all(|byte| byte.is_ascii_uppercase()))
        {
            let what = format!("`{}` is no currency", shorten(currency.value));
            self.notebook
                .note(currency.span.start, what, "write three capital letters, such as `EUR`");
            return None;
        }
        let term = match (table.has("days"), table.has("months")) {
            (true, false) => table.count("days", 3660, self.notebook).map(Term::Days),
            (false, true) => table.count("months", 120, self.notebook).map(Term::Months),
            (given, _) => {
                let what = if given {
                    "both `days` and `months` are given"
                } else {
                    "the period is missing"
                };
                self.notebook
                    .note(table.start, what, "write either `months = 1` or `days = 30`");
                None
            }
        };
        let action = Action::ReportPayment {
            amount: amount?,
            currency: currency?.value.to_owned(),
            term: term?,
        };
        Some((action, Vec::new()))
    }

    fn amount(&mut self, table: &Table<'_>) -> Option<Decimal> {
        let number = table.number("amount", self.notebook)?;
        let amount = Decimal::from_str(&number)
            .ok()
            .filter(|amount| !amount.is_sign_negative());
        if amount.is_none() {
            let what = format!("`amount` is {}", shorten(&number));
            self.notebook.note(
                table.place_of("amount"),
                what,
                "it must be 0 or more, in whole units and their parts",
            );
        }
        amount
    }

    pub(super) fn refund(&mut self, table: &Table<'_>, scope: &Steps<'_>) -> Option<Read> {
        let payment = table.text("payment", self.notebook)?;
        self.template(&payment, scope);
        let payment = payment.value.to_owned();
        Some((Action::RefundPayment { payment }, Vec::new()))
    }
}
