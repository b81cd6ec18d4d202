use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::{Map, Value};

use super::{LimitError, MAX_HOOKS, address, is_not_installed};
use crate::{
    domain::{
        ids::Place,
        installation::{Observation, Status},
        link::Link,
        payment::Payment,
    },
    marketplace::{
        call::{Base, Call, CallName, Lane, nothing},
        calls::channels::Channel,
        lenient::{Fields, WireMoment},
    },
};

/// What the status call shows (contract M6).
#[derive(Debug, Clone, PartialEq)]
pub struct InstallationStatus {
    /// Where the installation stands.
    pub status: WireStatus,
    /// When the link was made.
    pub created_at: Option<WireMoment>,
    /// Payments in the order of the answer, which is not the order of dates.
    pub payments: Vec<StatusPayment>,
    /// What happened to the link, as far as the marketplace tells.
    pub logs: Vec<LogLine>,
}

/// A status word, translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WireStatus {
    /// One of the words of contract 8.
    Known(Status),
    /// A word the contract does not have.
    Unknown(String),
}

/// One payment in the status.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusPayment {
    /// Number; some answers leave it out.
    pub id: Option<i64>,
    /// Amount; 0 for the trial, `None` when it cannot be read.
    pub amount: Option<Decimal>,
    /// When it was paid.
    pub paid_at: Option<WireMoment>,
    /// Whether the money went back.
    pub refunded: bool,
    /// First moment that is paid for.
    pub period_from: Option<WireMoment>,
    /// Last moment that is paid for.
    pub period_to: Option<WireMoment>,
}

/// One line of the link's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When.
    pub changed_at: Option<WireMoment>,
    /// Status before.
    pub from: Option<WireStatus>,
    /// Status after.
    pub to: Option<WireStatus>,
    /// Who did it: `marketplace`, `partner_api`, …
    pub source: Option<String>,
}

impl WireStatus {
    fn of(word: &str) -> Self {
        match word.trim().to_ascii_lowercase().as_str() {
            "pending" => Self::Known(Status::Pending),
            "active" => Self::Known(Status::Active),
            "freezed" | "frozen" | "disabled" => Self::Known(Status::Frozen),
            "uninstalled" => Self::Known(Status::Uninstalled),
            _ => Self::Unknown(word.to_owned()),
        }
    }
}

impl InstallationStatus {
    /// What a 404 says.
    pub fn not_installed() -> Self {
        Self {
            status: WireStatus::Known(Status::Uninstalled),
            created_at: None,
            payments: Vec::new(),
            logs: Vec::new(),
        }
    }

    /// The same in our words, with offset-less dates read as wall clock of `zone`. `None` when the
    /// status is a word we do not know: then nothing may be concluded from the answer.
    ///
    /// A payment whose amount cannot be read is left out: as a zero it would pass for a trial.
    pub fn observation(&self, zone: chrono_tz::Tz, observed_at: DateTime<Utc>) -> Option<Observation> {
        let WireStatus::Known(status) = self.status else {
            return None;
        };
        let at = |moment: Option<WireMoment>| moment.map(|moment| moment.in_zone(zone));
        let payments = self.payments.iter().filter_map(|payment| {
            Some(Payment {
                id: payment.id,
                amount: payment.amount?,
                currency: None,
                period_from: at(payment.period_from),
                period_to: at(payment.period_to),
                refunded: payment.refunded,
            })
        });
        Some(Observation {
            status,
            created_at: at(self.created_at),
            payments: payments.collect(),
            observed_at,
        })
    }

    /// Which connection it is about, as far as the marketplace dates it.
    pub fn link(&self) -> Option<Link> {
        let left = |line: &LogLine| match line.to {
            Some(WireStatus::Known(Status::Uninstalled)) => line.changed_at,
            _ => None,
        };
        Some(Link {
            made_at: self.created_at?.wall_clock(),
            left_at: self.logs.iter().filter_map(left).map(WireMoment::wall_clock).max(),
        })
    }
}

/// M6: where an installation stands. Not being installed is an answer, not an error.
pub fn status(place: Place) -> Call<InstallationStatus> {
    Call::get(CallName::Status, Base::Partner, path(place), decode_status)
        .meaning(|status, message| is_not_installed(status, message).then(InstallationStatus::not_installed))
}

fn path(place: Place) -> String {
    format!("salon/{}/application/{}", place.location_id, place.application_id)
}

fn decode_status(data: Option<Value>) -> Result<InstallationStatus, String> {
    let data = data.unwrap_or_default();
    let fields = Fields::of(&data);
    let connection = fields.object("connection_status");
    let word = connection.text("status").ok_or("no connection_status.status")?;
    let payment = |value: &Value| {
        let payment = Fields::of(value);
        StatusPayment {
            id: payment.integer("id"),
            amount: payment.decimal("payment_sum"),
            paid_at: payment.moment("payment_date"),
            refunded: payment.flag("is_refunded").unwrap_or(false),
            period_from: payment.moment("period_from"),
            period_to: payment.moment("period_to"),
        }
    };
    let line = |value: &Value| {
        let line = Fields::of(value);
        LogLine {
            changed_at: line.moment("changed_at"),
            from: line.text("status_from").as_deref().map(WireStatus::of),
            to: line.text("status_to").as_deref().map(WireStatus::of),
            source: line.text("source"),
        }
    };
    Ok(InstallationStatus {
        status: WireStatus::of(&word),
        created_at: connection.moment("created_at"),
        payments: fields.list("payments").iter().map(payment).collect(),
        logs: fields.list("logs").iter().map(line).collect(),
    })
}

/// What a disconnection came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uninstallation {
    /// It is disconnected now.
    Done,
    /// It was not installed.
    NotInstalled,
}

/// M7: disconnect. Harmless to repeat; the marketplace sends its callback for this one too.
pub fn uninstall(place: Place) -> Call<Uninstallation> {
    let path = format!("{}/uninstall", path(place));
    Call::post(CallName::Uninstall, Base::Partner, path, |_| Ok(Uninstallation::Done))
        .meaning(|status, message| is_not_installed(status, message).then_some(Uninstallation::NotInstalled))
}

/// What the marketplace is told when a connection is finished (contract M8). Only filled fields
/// are sent.
#[derive(Clone, Default)]
pub struct ActivationSettings {
    /// Receivers of entity events.
    pub webhook_urls: Vec<String>,
    /// Channels of a messaging application.
    pub channels: Vec<Channel>,
    /// Key of a messaging application.
    pub api_key: Option<String>,
    /// Chat panel.
    pub chat_url: Option<String>,
    /// Page for tips.
    pub tips_url: Option<String>,
    /// Login at our side.
    pub login: Option<String>,
    /// Key at our side.
    pub secret_key: Option<String>,
}

/// What an activation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// It is active now.
    Done {
        /// The system user that was linked; hardly ever told.
        user_id: Option<i64>,
    },
    /// It was active before, and the settings of this call were **not** applied.
    AlreadyInstalled,
}

/// M8: finish a connection. Works on pending installations within the time limit of contract 8.
///
/// M9, the same at `partner/callback/redirect`, is a browser's address and never called.
pub fn activate(place: Place, settings: &ActivationSettings) -> Result<Call<Activation>, LimitError> {
    if settings.webhook_urls.len() > MAX_HOOKS {
        return Err(LimitError::HookCount(settings.webhook_urls.len()));
    }
    for (at, url) in settings.webhook_urls.iter().enumerate() {
        address(url)?;
        if settings.webhook_urls[..at].contains(url) {
            return Err(LimitError::Address {
                url: url.clone(),
                reason: "there twice",
            });
        }
    }
    for url in [&settings.chat_url, &settings.tips_url].into_iter().flatten() {
        address(url)?;
    }
    let call = Call::post(
        CallName::Activate,
        Base::Partner,
        "partner/callback".to_owned(),
        decode_activation,
    );
    Ok(call.body(activation_body(place, settings)).meaning(already_installed))
}

fn activation_body(place: Place, settings: &ActivationSettings) -> Value {
    let mut body = Map::new();
    body.insert("salon_id".to_owned(), place.location_id.0.into());
    body.insert("application_id".to_owned(), place.application_id.0.into());
    // Empty lists stay out: what an empty list does to addresses that are there is not documented.
    if !settings.webhook_urls.is_empty() {
        body.insert("webhook_urls".to_owned(), settings.webhook_urls.clone().into());
    }
    if !settings.channels.is_empty() {
        let channels: Vec<&str> = settings.channels.iter().map(|channel| channel.as_str()).collect();
        body.insert("channels".to_owned(), channels.into());
    }
    let texts = [
        ("api_key", &settings.api_key),
        ("chat_url", &settings.chat_url),
        ("tips_url", &settings.tips_url),
        ("login", &settings.login),
        ("secret_key", &settings.secret_key),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            body.insert(name.to_owned(), text.clone().into());
        }
    }
    Value::Object(body)
}

fn decode_activation(data: Option<Value>) -> Result<Activation, String> {
    let user_id = data.as_ref().and_then(|data| Fields::of(data).integer("user_id"));
    Ok(Activation::Done { user_id })
}

/// The repeated activation is answered 403 in the brand's language (contract 3).
fn already_installed(status: u16, message: &str) -> Option<Activation> {
    let message = message.to_lowercase();
    let said = message.contains("already installed") || message.contains("уже установил");
    (status == 403 && said).then_some(Activation::AlreadyInstalled)
}
/// M13: the owner's consent, the step before an activation. Needs the user token of the **owner** in
/// place of the system user's. It makes a pending link, or an active one for a private application.
pub fn grant_access(place: Place) -> Call<()> {
    let path = format!(
        "company/{}/marketplace/applications/{}/grant_access",
        place.location_id, place.application_id
    );
    Call {
        lane: Lane::PartnerAndUser,
        ..Call::post(CallName::GrantAccess, Base::Api, path, nothing)
    }
}
