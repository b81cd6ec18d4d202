use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// One payment of a location, as the status call or a payment callback tells it (contract 6.1 M6,
/// 7.2). The trial is a payment of zero with the trial as its period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The marketplace's number of the payment. Some answers leave it out.
    pub id: Option<i64>,
    /// Amount in major units of the currency.
    pub amount: Decimal,
    /// Three capital letters; the status call does not say it.
    pub currency: Option<String>,
    /// First moment that is paid for.
    pub period_from: Option<DateTime<Utc>>,
    /// Last moment that is paid for.
    pub period_to: Option<DateTime<Utc>>,
    /// Whether the money went back.
    #[serde(default)]
    pub refunded: bool,
}

impl Payment {
    /// What makes two reports of one payment the same: its number, or without one its period.
    pub fn key(&self) -> String {
        match (self.id, self.period_from, self.period_to) {
            (Some(id), _, _) => id.to_string(),
            (None, from, to) => {
                let seconds = |time: Option<DateTime<Utc>>| time.map_or(0, |time| time.timestamp());
                format!("{}-{}", seconds(from), seconds(to))
            }
        }
    }

    /// Money was really paid and is still there: neither the trial nor a refund.
    pub fn counts(&self) -> bool {
        !self.refunded && self.amount > Decimal::ZERO
    }

    /// The zero payment by which the marketplace shows a trial.
    pub fn is_trial(&self) -> bool {
        !self.refunded && self.amount.is_zero() && self.period_to.is_some()
    }
}

/// What the payments of an installation add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Periods {
    /// End of the trial, when there is or was one.
    pub trial_ends_at: Option<DateTime<Utc>>,
    /// End of the last paid period. Payments are not listed in order of date (contract M6), so
    /// this is the latest end, not the end of the last element.
    pub paid_until: Option<DateTime<Utc>>,
    /// Whether anything was paid that was not refunded.
    pub has_paid: bool,
}

impl Periods {
    /// These periods after a newer look. A look that shows no trial does not unmake the one we
    /// count on.
    pub fn updated(self, newer: Self) -> Self {
        Self {
            trial_ends_at: newer.trial_ends_at.or(self.trial_ends_at),
            ..newer
        }
    }

    /// Adds up a list of payments in any order.
    pub fn of(payments: &[Payment]) -> Self {
        let latest = |wanted: fn(&Payment) -> bool| {
            payments
                .iter()
                .filter(|payment| wanted(payment))
                .filter_map(|payment| payment.period_to)
                .max()
        };
        Self {
            trial_ends_at: latest(Payment::is_trial),
            paid_until: latest(Payment::counts),
            has_paid: payments.iter().any(Payment::counts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<DateTime<Utc>> {
        Some(text.parse().expect("a time"))
    }

    fn payment(amount: i64, to: &str, refunded: bool) -> Payment {
        Payment {
            id: None,
            amount: Decimal::from(amount),
            currency: None,
            period_from: None,
            period_to: at(to),
            refunded,
        }
    }

    #[test]
    fn the_latest_end_counts_whatever_the_order_and_refunds_do_not() {
        let payments = [
            payment(99, "2026-07-04T00:00:00Z", false),
            payment(0, "2026-06-04T00:00:00Z", false),
            payment(99, "2026-08-04T00:00:00Z", true),
            payment(99, "2026-06-30T00:00:00Z", false),
        ];
        let periods = Periods::of(&payments);
        assert_eq!(
            periods,
            Periods {
                trial_ends_at: at("2026-06-04T00:00:00Z"),
                paid_until: at("2026-07-04T00:00:00Z"),
                has_paid: true
            }
        );
    }
}
