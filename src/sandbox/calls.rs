//! The calls of the marketplace's API by name, and the log of those that came.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::state::Log;

/// Every call the sandbox serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Salons,
    Tariffs,
    AddDiscount,
    PaymentLink,
    UpdateChannel,
    Status,
    Uninstall,
    Activate,
    ActivateRedirect,
    ReportPayment,
    Refund,
    ShortNames,
    NewMessage,
    InstallFrame,
    ToggleHighlight,
    GrantAccess,
    HooksRead,
    HooksWrite,
    Voip,
    VoipCalls,
    Countries,
    Cities,
    BusinessTypes,
}

impl Call {
    /// All of them, in the order of the contract.
    pub(super) const ALL: [Self; 23] = [
        Self::Salons,
        Self::Tariffs,
        Self::AddDiscount,
        Self::PaymentLink,
        Self::UpdateChannel,
        Self::Status,
        Self::Uninstall,
        Self::Activate,
        Self::ActivateRedirect,
        Self::ReportPayment,
        Self::Refund,
        Self::ShortNames,
        Self::NewMessage,
        Self::InstallFrame,
        Self::ToggleHighlight,
        Self::GrantAccess,
        Self::HooksRead,
        Self::HooksWrite,
        Self::Voip,
        Self::VoipCalls,
        Self::Countries,
        Self::Cities,
        Self::BusinessTypes,
    ];

    /// The name in the call log and in faults.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Salons => "salons",
            Self::Tariffs => "tariffs",
            Self::AddDiscount => "add_discount",
            Self::PaymentLink => "payment_link",
            Self::UpdateChannel => "update_channel",
            Self::Status => "status",
            Self::Uninstall => "uninstall",
            Self::Activate => "activate",
            Self::ActivateRedirect => "activate_redirect",
            Self::ReportPayment => "report_payment",
            Self::Refund => "refund",
            Self::ShortNames => "short_names",
            Self::NewMessage => "new_message",
            Self::InstallFrame => "install_frame",
            Self::ToggleHighlight => "toggle_highlight",
            Self::GrantAccess => "grant_access",
            Self::HooksRead => "hooks_read",
            Self::HooksWrite => "hooks_write",
            Self::Voip => "voip",
            Self::VoipCalls => "voip_calls",
            Self::Countries => "countries",
            Self::Cities => "cities",
            Self::BusinessTypes => "business_types",
        }
    }

    /// Whether the call needs the token of an application's system user beside the partner's.
    pub(super) fn needs_user(self) -> bool {
        match self {
            Self::HooksRead | Self::HooksWrite | Self::VoipCalls => true,
            // That of the location's owner, which the call itself looks at.
            Self::GrantAccess => false,
            Self::Salons
            | Self::Tariffs
            | Self::AddDiscount
            | Self::PaymentLink
            | Self::UpdateChannel
            | Self::Status
            | Self::Uninstall
            | Self::Activate
            | Self::ActivateRedirect
            | Self::ReportPayment
            | Self::Refund
            | Self::ShortNames
            | Self::NewMessage
            | Self::InstallFrame
            | Self::ToggleHighlight
            | Self::Voip
            | Self::Countries
            | Self::Cities
            | Self::BusinessTypes => false,
        }
    }
}

/// One call that came, without tokens.
#[derive(Debug, Clone, Serialize)]
pub struct CallRecord {
    /// When, on the real clock.
    pub at: DateTime<Utc>,
    /// Name of the call.
    pub call: &'static str,
    /// HTTP method.
    pub method: String,
    /// Path.
    pub path: String,
    /// Query string.
    pub query: String,
    /// Body; null when there was none or it was not JSON.
    pub body: Value,
    /// Whether it named the media type that the marketplace demands.
    pub accept: bool,
    /// The location it was about, if it was about one.
    pub location_id: Option<i64>,
    /// What was answered; absent when the connection was closed or left hanging.
    pub status: Option<u16>,
    /// The fault that was applied.
    pub fault: Option<&'static str>,
}

/// The calls in order, with a count for each name.
#[derive(Debug, Default)]
pub(super) struct CallLog {
    lines: Log<CallRecord>,
    counts: BTreeMap<&'static str, u64>,
}

impl CallLog {
    pub(super) fn push(&mut self, mut record: CallRecord) {
        mask(&mut record.body);
        *self.counts.entry(record.call).or_default() += 1;
        self.lines.push(record);
    }

    pub(super) fn report(&self) -> Calls {
        Calls {
            counts: self.counts.clone(),
            items: self.lines.to_vec(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.lines.clear();
        self.counts.clear();
    }
}

/// The call log as the control API answers it.
#[derive(Debug, Clone, Serialize)]
pub struct Calls {
    /// How many calls of each name came.
    pub counts: BTreeMap<&'static str, u64>,
    /// The calls in order.
    pub items: Vec<CallRecord>,
}

impl Calls {
    /// How many calls of a name came.
    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }
}

/// Fields of bodies that hold credentials.
fn mask(body: &mut Value) {
    for field in ["api_key", "secret_key", "login", "crm_token", "partner_token"] {
        if let Some(value) = body.get_mut(field) {
            *value = Value::from("***");
        }
    }
}
