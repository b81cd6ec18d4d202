use serde::Serialize;
use serde_json::{Value, json};

/// The calls that Bellhop knows. M9 of the contract (`partner/callback/redirect`) is missing on
/// purpose: it is an address for browsers and answers a server with HTML at times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallName {
    /// M1, connected locations.
    Salons,
    /// M2, tariffs and their options.
    Tariffs,
    /// M3, the discount of locations.
    AddDiscount,
    /// M4, a link to the payment page.
    PaymentLink,
    /// M5, availability of a message channel.
    UpdateChannel,
    /// M6, status of an installation.
    Status,
    /// M7, disconnect.
    Uninstall,
    /// M8, finish a connection.
    Activate,
    /// M10, report a payment.
    ReportPayment,
    /// M11, refund a reported payment.
    RefundPayment,
    /// M12, sender names of text messages.
    ShortNames,
    /// W1, webhook settings of a location.
    HookSettings,
    /// W2, replaces the webhook settings of a location.
    ReplaceHooks,
    /// M13, the owner's consent.
    GrantAccess,
    /// M13, a client's message into the chat of the cabinet.
    NewMessage,
    /// M13, a page of the application inside the cabinet.
    InstallFrame,
    /// M13, a mark that draws attention to that page.
    ToggleHighlight,
    /// V1, what a telephony system tells.
    Telephony,
    /// V2, telephone calls.
    PhoneCalls,
    /// Countries.
    Countries,
    /// Cities.
    Cities,
    /// Kinds of business.
    BusinessGroups,
}

impl CallName {
    /// Every call, for metrics that list their labels.
    pub const ALL: [Self; 22] = [
        Self::Salons,
        Self::Tariffs,
        Self::AddDiscount,
        Self::PaymentLink,
        Self::UpdateChannel,
        Self::Status,
        Self::Uninstall,
        Self::Activate,
        Self::ReportPayment,
        Self::RefundPayment,
        Self::ShortNames,
        Self::HookSettings,
        Self::ReplaceHooks,
        Self::GrantAccess,
        Self::NewMessage,
        Self::InstallFrame,
        Self::ToggleHighlight,
        Self::Telephony,
        Self::PhoneCalls,
        Self::Countries,
        Self::Cities,
        Self::BusinessGroups,
    ];

    /// The label in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Salons => "salons",
            Self::Tariffs => "tariffs",
            Self::AddDiscount => "add_discount",
            Self::PaymentLink => "payment_link",
            Self::UpdateChannel => "update_channel",
            Self::Status => "status",
            Self::Uninstall => "uninstall",
            Self::Activate => "activate",
            Self::ReportPayment => "report_payment",
            Self::RefundPayment => "refund_payment",
            Self::ShortNames => "short_names",
            Self::HookSettings => "hook_settings",
            Self::ReplaceHooks => "replace_hooks",
            Self::GrantAccess => "grant_access",
            Self::NewMessage => "new_message",
            Self::InstallFrame => "install_frame",
            Self::ToggleHighlight => "toggle_highlight",
            Self::Telephony => "telephony",
            Self::PhoneCalls => "phone_calls",
            Self::Countries => "countries",
            Self::Cities => "cities",
            Self::BusinessGroups => "business_groups",
        }
    }

    /// Whether the answer holds webhook addresses, also of others.
    pub fn tells_addresses(self) -> bool {
        matches!(self, Self::HookSettings | Self::ReplaceHooks)
    }

    /// Whether the call leaves something behind at the marketplace, so that a lost answer leaves a
    /// question open. A payment link is a text; making one twice harms nobody.
    pub fn changes_state(self) -> bool {
        match self {
            Self::Salons
            | Self::Tariffs
            | Self::PaymentLink
            | Self::Status
            | Self::HookSettings
            | Self::PhoneCalls
            | Self::Countries
            | Self::Cities
            | Self::BusinessGroups => false,
            Self::AddDiscount
            | Self::UpdateChannel
            | Self::Uninstall
            | Self::Activate
            | Self::ReportPayment
            | Self::RefundPayment
            | Self::ShortNames
            | Self::ReplaceHooks
            | Self::GrantAccess
            | Self::NewMessage
            | Self::InstallFrame
            | Self::ToggleHighlight
            | Self::Telephony => true,
        }
    }
}

/// The two methods the marketplace uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads, and makes payment links.
    Get,
    /// Everything else.
    Post,
}

/// Which of the brand's addresses a call goes to (contract 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Installation and lifecycle.
    Partner,
    /// Tariffs, discounts, payment links, channels.
    Billing,
    /// The business API.
    Api,
}

/// How a call identifies itself (contract 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// By the partner token.
    Partner,
    /// By the partner token and the user token of the application's system user.
    PartnerAndUser,
}

/// One request, described. It is data: it can be built, compared and shown without a network.
///
/// It has no `Debug`, because the body of an activation holds secrets.
pub struct Call<T> {
    pub(super) name: CallName,
    pub(super) method: Method,
    pub(super) base: Base,
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
    pub(super) lane: Lane,
    /// From `data` of the answer (absent when the answer has no body or no data) to the value.
    pub(super) decode: fn(Option<Value>) -> Result<T, String>,
    /// Refusals that are values: from status and message to the value they mean. Asked only when
    /// the refusal came in the marketplace's own envelope, so that a proxy's page is never one.
    pub(super) meaning: fn(u16, &str) -> Option<T>,
}

impl<T> Call<T> {
    /// Which call it is.
    pub fn name(&self) -> CallName {
        self.name
    }

    pub(super) fn get(
        name: CallName,
        base: Base,
        path: String,
        decode: fn(Option<Value>) -> Result<T, String>,
    ) -> Self {
        Self {
            name,
            method: Method::Get,
            base,
            path,
            query: Vec::new(),
            body: None,
            lane: Lane::Partner,
            decode,
            meaning: |_, _| None,
        }
    }

    pub(super) fn post(
        name: CallName,
        base: Base,
        path: String,
        decode: fn(Option<Value>) -> Result<T, String>,
    ) -> Self {
        Self {
            method: Method::Post,
            ..Self::get(name, base, path, decode)
        }
    }

    pub(super) fn query(mut self, key: &'static str, value: impl ToString) -> Self {
        self.query.push((key, value.to_string()));
        self
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(super) fn meaning(mut self, meaning: fn(u16, &str) -> Option<T>) -> Self {
        self.meaning = meaning;
        self
    }

    /// The request as people may see it before it is sent.
    pub fn shown(&self) -> Value {
        let mut body = self.body.clone();
        if let Some(Value::Object(fields)) = &mut body {
            for secret in ["crm_token", "api_key", "secret_key", "login"] {
                if let Some(value) = fields.get_mut(secret) {
                    *value = "***".into();
                }
            }
        }
        json!({"call": self.name, "method": self.method, "path": self.path_and_query(), "body": body})
    }

    /// Path with query, below the base.
    pub(super) fn path_and_query(&self) -> String {
        if self.query.is_empty() {
            return self.path.clone();
        }
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.query)
            .finish();
        format!("{}?{query}", self.path)
    }
}

/// For calls whose success carries nothing: whatever `data` is, it means done (contract 3).
pub(super) fn nothing(_: Option<Value>) -> Result<(), String> {
    Ok(())
}
