//! One application at one location: the link, and what it remembers.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::hooks::Hook;

/// The state of a link, in the words of the wire (contract 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The owner consented; the application has not activated yet.
    Pending,
    /// Working.
    Active,
    /// The trial or paid period is over.
    Freezed,
    /// The running period was refunded.
    Disabled,
    /// Not connected.
    Uninstalled,
}

impl Status {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Freezed => "freezed",
            Self::Disabled => "disabled",
            Self::Uninstalled => "uninstalled",
        }
    }
}

/// Who changed a status, as M6 prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The owner, or the marketplace by itself.
    Marketplace,
    /// A call of ours.
    PartnerApi,
}

/// A line of the link's log.
#[derive(Debug, Clone, Serialize)]
pub struct LogLine {
    /// When.
    pub changed_at: DateTime<Utc>,
    /// Before.
    pub status_from: Status,
    /// After.
    pub status_to: Status,
    /// By whom.
    pub source: Source,
}

/// A payment with the period it bought; the trial is one of 0.
#[derive(Debug, Clone, Serialize)]
pub struct Payment {
    /// Payment id, the handle of a refund.
    pub id: i64,
    /// What was paid.
    pub payment_sum: Number,
    /// Three capital letters; empty for the trial.
    pub currency_iso: String,
    /// When it was paid.
    pub payment_date: DateTime<Utc>,
    /// Start of the period.
    pub period_from: DateTime<Utc>,
    /// End of the period.
    pub period_to: DateTime<Utc>,
    /// Whether it was given back.
    pub is_refunded: bool,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a payment came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Given by the marketplace at activation.
    Trial,
    /// Reported by the partner (M10).
    Reported,
    /// Paid through the platform.
    Platform,
}

/// A payment link that M4 made.
#[derive(Debug, Clone, Serialize)]
pub struct PaymentLink {
    /// The address.
    pub url: String,
    /// The discount in it.
    pub discount: Option<f64>,
    /// The tariff option in it.
    pub tariff_option_id: Option<i64>,
    /// When it was made.
    pub made_at: DateTime<Utc>,
}

/// One application at one location.
#[derive(Debug, Clone, Serialize)]
pub struct Link {
    /// Where it stands.
    pub status: Status,
    /// How many times it became pending: grows with every new connection.
    pub connects: u32,
    /// How many times M8 succeeded.
    pub activations: u32,
    /// When the present connection was made.
    pub created_at: DateTime<Utc>,
    /// When the present connection was activated.
    pub activated_at: Option<DateTime<Utc>>,
    /// All payments ever, in order of recording.
    pub payments: Vec<Payment>,
    /// All changes of status ever.
    pub logs: Vec<LogLine>,
    /// The stored discount in percent.
    pub discount: Option<f64>,
    /// How many times a discount was set.
    pub discount_sets: u32,
    /// The payment links made.
    pub payment_links: Vec<PaymentLink>,
    /// Channels with their availability.
    pub channels: BTreeMap<String, bool>,
    /// SMS sender names.
    pub short_names: Vec<String>,
    /// What else came with the activation.
    pub special_settings: Map<String, Value>,
    /// Webhook addresses kept while frozen or disabled.
    pub parked_hooks: Vec<Hook>,
    /// When the running period was refunded; the disabling follows.
    pub refunded_at: Option<DateTime<Utc>>,
}

impl Link {
    /// A link that was never connected.
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self {
            status: Status::Uninstalled,
            connects: 0,
            activations: 0,
            created_at: now,
            activated_at: None,
            payments: Vec::new(),
            logs: Vec::new(),
            discount: None,
            discount_sets: 0,
            payment_links: Vec::new(),
            channels: BTreeMap::new(),
            short_names: Vec::new(),
            special_settings: Map::new(),
            parked_hooks: Vec::new(),
            refunded_at: None,
        }
    }

    /// Changes the status and writes the log.
    pub(super) fn turn(&mut self, to: Status, source: Source, at: DateTime<Utc>) {
        let last = self.logs.last().map_or(at, |line| line.changed_at);
        self.logs.push(LogLine {
            changed_at: at.max(last),
            status_from: self.status,
            status_to: to,
            source,
        });
        self.status = to;
    }

    /// The latest end of a period that was not refunded.
    pub(super) fn paid_until(&self) -> Option<DateTime<Utc>> {
        self.kept().map(|payment| payment.period_to).max()
    }

    /// Whether the trial or a payment covers `now` or a later time.
    pub(super) fn covered(&self, now: DateTime<Utc>) -> bool {
        self.paid_until().is_some_and(|end| end >= now)
    }

    /// Ends every period that reaches beyond `now`.
    pub(super) fn cut_periods(&mut self, now: DateTime<Utc>) {
        for payment in &mut self.payments {
            payment.period_to = payment.period_to.min(now);
            payment.period_from = payment.period_from.min(payment.period_to);
        }
    }

    /// Moves every date of the link into the past.
    pub(super) fn age(&mut self, by: TimeDelta) {
        self.created_at -= by;
        for date in [&mut self.activated_at, &mut self.refunded_at] {
            *date = date.map(|at| at - by);
        }
        for payment in &mut self.payments {
            payment.payment_date -= by;
            payment.period_from -= by;
            payment.period_to -= by;
        }
        for line in &mut self.logs {
            line.changed_at -= by;
        }
        for link in &mut self.payment_links {
            link.made_at -= by;
        }
    }

    fn kept(&self) -> impl Iterator<Item = &Payment> {
        self.payments.iter().filter(|payment| !payment.is_refunded)
    }
}
