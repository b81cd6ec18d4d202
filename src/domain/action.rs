use std::time::Duration;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{ids::EventId, messaging::Channel};

/// What a job does. The texts of a rule's actions are templates; they are rendered when the job
/// runs, so that a step can use the results of earlier ones.
///
/// Secrets (what signs a webhook, a bot's token, the address of a chat's webhook) are not part of the
/// action: they stay in the rule set, so that no secret is written to the database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Finish a connection: read the status, activate when it is pending, read what came of it.
    Activate {
        /// Somebody asked for it: also where the partner's own product decides.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        by_hand: bool,
    },
    /// Read the installation's status and turn what differs from ours into events.
    ReadStatus {
        /// The payment a callback reported, which the status must confirm.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expect_payment: Option<ExpectedPayment>,
    },
    /// Put our address back into the webhook settings of a location, without taking anything from others. Result:
    /// `repaired`, `addresses`.
    RepairHooks {
        /// Also when the addresses of other applications would get something else than before.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        force: bool,
    },
    /// Tell the marketplace that a phone rings, for an event of a telephony system.
    AnnounceCall {
        /// Which event. The numbers of callers stay in it.
        call: EventAt,
    },
    /// Tell the marketplace of a call that is over, likewise.
    LogCall {
        /// Which event.
        call: EventAt,
    },
    /// Set the discount of a location for payments through the platform.
    SetDiscount {
        /// 0 to 100; 0 removes it.
        percent: Decimal,
    },
    /// Make a link by which the owner pays through the platform. Result: `url`.
    CreatePaymentLink {
        /// Discount in this link, 0 to 100 percent.
        discount: Option<Decimal>,
        /// Which option of the tariffs; without one the cheapest is taken, when there are tariffs.
        tariff_option_id: Option<i64>,
    },
    /// Report a payment that was made on the partner's side, for the period after what is paid for
    /// already. Result: `payment_id`, `period_from`, `period_to`.
    ReportPayment {
        /// Major units; 0 or more.
        amount: Decimal,
        /// Three capital letters.
        currency: String,
        /// For how long.
        term: Term,
    },
    /// Give back a payment that was reported. Result: `payment_id`.
    RefundPayment {
        /// The marketplace's number of it, as a text of a rule.
        payment: String,
    },
    /// POST to another system, signed by the Standard Webhooks specification.
    SendWebhook {
        /// Where to.
        url: String,
        /// What; without one a JSON of event, installation, location and earlier results.
        body: Option<String>,
    },
    /// A mail through the configured SMTP server.
    SendEmail {
        /// Recipient.
        to: String,
        /// Subject line.
        subject: String,
        /// Body, plain text.
        text: String,
    },
    /// A message of a Telegram bot. The bot's token is a secret.
    SendTelegram {
        /// The chat: its number, or the `@name` of a public one.
        chat: String,
        /// What to say.
        text: String,
    },
    /// A message in a Slack channel, through an incoming webhook whose address is the secret.
    SendSlack {
        /// What to say.
        text: String,
    },
    /// Relay the event itself, signed, in order per location, retried for days.
    ForwardEvent {
        /// Where to; fixed.
        url: String,
        /// How long one event is tried, in seconds.
        retry_for_seconds: u64,
    },
    /// Mark the place for conditions of other rules, or take the mark away.
    SetTag {
        /// The mark.
        tag: String,
        /// Whether it is set or taken away.
        present: bool,
    },
    /// Disconnect the application.
    Uninstall,
    /// Say whether a channel can be used at a location. For chat bots and SMS aggregators only.
    SetChannel {
        /// Which.
        channel: Channel,
        /// Whether.
        available: bool,
    },
    /// Name who text messages come from.
    SetSenderNames {
        /// The names.
        names: Vec<String>,
    },
}

/// Where an event is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventAt {
    /// Its number.
    pub id: EventId,
    /// When it was received: events are filed by day.
    pub received_at: DateTime<Utc>,
}

/// How long a payment pays for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Term {
    /// So many days.
    Days(u32),
    /// So many calendar months; a shorter month ends earlier.
    Months(u32),
}

/// A payment that a callback announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedPayment {
    /// The marketplace's number of it.
    pub id: i64,
    /// Three capital letters; the status call does not say it.
    pub currency: Option<String>,
}

/// Begins the names of bulk actions where others have the names of rules, which have no dots.
pub const BULK: &str = "bulk.";

/// The names of [`Action`], for filters and metrics.
pub const ACTION_NAMES: [&str; 18] = [
    "activate",
    "read_status",
    "repair_hooks",
    "announce_call",
    "log_call",
    "set_discount",
    "create_payment_link",
    "report_payment",
    "refund_payment",
    "send_webhook",
    "send_email",
    "send_telegram",
    "send_slack",
    "forward_event",
    "set_tag",
    "uninstall",
    "set_channel",
    "set_sender_names",
];

/// Starts of a forwarded event: time ends it and not their number.
const FORWARDING_ATTEMPTS: i32 = 1_000_000;

impl Action {
    /// Actions of which a worker may start several of a lane at once, by name: after a crash all of
    /// them are done again, so their receiver has to know a repetition when it sees one.
    pub const REPEATABLE: [&str; 2] = ["send_webhook", "forward_event"];

    /// The longest time for which an event may be forwarded.
    pub const LONGEST_RETRY: Duration = Duration::from_secs(14 * 86_400);

    /// Actions of a connection, which nobody but Bellhop wants.
    pub const OF_CONNECTIONS: [&str; 2] = ["activate", "read_status"];

    /// The name in rule files, in the API and in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Activate { .. } => "activate",
            Self::ReadStatus { .. } => "read_status",
            Self::RepairHooks { .. } => "repair_hooks",
            Self::AnnounceCall { .. } => "announce_call",
            Self::LogCall { .. } => "log_call",
            Self::SetDiscount { .. } => "set_discount",
            Self::CreatePaymentLink { .. } => "create_payment_link",
            Self::ReportPayment { .. } => "report_payment",
            Self::RefundPayment { .. } => "refund_payment",
            Self::SendWebhook { .. } => "send_webhook",
            Self::SendEmail { .. } => "send_email",
            Self::SendTelegram { .. } => "send_telegram",
            Self::SendSlack { .. } => "send_slack",
            Self::ForwardEvent { .. } => "forward_event",
            Self::SetTag { .. } => "set_tag",
            Self::Uninstall => "uninstall",
            Self::SetChannel { .. } => "set_channel",
            Self::SetSenderNames { .. } => "set_sender_names",
        }
    }

    /// How early its marketplace calls may take from the shared request budget.
    pub fn priority(&self) -> Priority {
        match self {
            Self::Activate { .. } => Priority::Activation,
            Self::ReadStatus { .. }
            | Self::RepairHooks { .. }
            | Self::AnnounceCall { .. }
            | Self::LogCall { .. }
            | Self::SetDiscount { .. }
            | Self::CreatePaymentLink { .. }
            | Self::ReportPayment { .. }
            | Self::RefundPayment { .. }
            | Self::SendWebhook { .. }
            | Self::SendEmail { .. }
            | Self::SendTelegram { .. }
            | Self::SendSlack { .. }
            | Self::SetTag { .. }
            | Self::Uninstall
            | Self::SetChannel { .. }
            | Self::SetSenderNames { .. } => Priority::Rule,
            Self::ForwardEvent { .. } => Priority::Forwarding,
        }
    }

    /// After how many starts it is given up, where `usual` is what is configured.
    pub fn max_attempts(&self, usual: i32) -> i32 {
        if matches!(self, Self::ForwardEvent { .. }) {
            FORWARDING_ATTEMPTS
        } else {
            usual
        }
    }
}

impl Action {
    /// The same where a rule wants it: a bulk action stands in nobody's way.
    pub fn priority_for(&self, rule: &str) -> Priority {
        match rule.starts_with(BULK) {
            true => self.priority().max(Priority::Unproven),
            false => self.priority(),
        }
    }

    /// Requests to the marketplace that it takes when all goes well.
    pub fn requests(&self) -> u32 {
        match self {
            Self::SendWebhook { .. }
            | Self::SendEmail { .. }
            | Self::SendTelegram { .. }
            | Self::SendSlack { .. }
            | Self::ForwardEvent { .. }
            | Self::SetTag { .. } => 0,
            Self::ReadStatus { .. }
            | Self::SetDiscount { .. }
            | Self::SetChannel { .. }
            | Self::SetSenderNames { .. }
            | Self::AnnounceCall { .. }
            | Self::LogCall { .. } => 1,
            // Without an option the tariffs are read first.
            Self::CreatePaymentLink { tariff_option_id, .. } => 1 + u32::from(tariff_option_id.is_none()),
            // The status tells what is paid for already.
            Self::ReportPayment { .. } | Self::RefundPayment { .. } => 2,
            // And a look at what came of it.
            Self::Uninstall => 2,
            // Read, write, read again.
            Self::Activate { .. } | Self::RepairHooks { .. } => 3,
        }
    }
}

/// Which work comes first: of lanes, and of who spends the request budget (contract 4: 200 requests a minute for an
/// address).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type)]
#[repr(i16)]
pub enum Priority {
    /// A connection with a deadline.
    Activation = 0,
    /// Work of rules.
    Rule = 1,
    /// What may not stand in anybody's way: a connection that nobody signed (it may be anybody typing numbers), and
    /// bulk actions.
    Unproven = 2,
    /// Comparing with the marketplace, which has all the time there is.
    Reconciliation = 3,
    /// Relaying events. It spends nothing of the budget, and has hands of its own, so that neither it nor the others
    /// wait for each other. A process that does not know it leaves its lanes alone.
    Forwarding = 4,
}

impl Priority {
    /// Those that spend the budget of requests, the most urgent first.
    pub const SPENDING: [Self; 4] = [Self::Activation, Self::Rule, Self::Unproven, Self::Reconciliation];

    /// The word for it in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Activation => "activation",
            Self::Rule => "rule",
            Self::Unproven => "unproven",
            Self::Reconciliation => "reconciliation",
            Self::Forwarding => "forwarding",
        }
    }

    /// From the stored number; an unknown one counts as the lowest.
    pub fn from_number(number: i16) -> Self {
        match number {
            0 => Self::Activation,
            1 => Self::Rule,
            2 => Self::Unproven,
            4 => Self::Forwarding,
            _ => Self::Reconciliation,
        }
    }
}
