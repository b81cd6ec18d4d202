//! What a sandbox is started with.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::links::Status;

/// Everything a sandbox is started with. `Options::new` gives workable values for the rest.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the HTTP listener binds; port 0 picks a free one. The control API has no
    /// password, so keep this on loopback.
    pub listen: SocketAddr,
    /// Where the mailbox (an SMTP sink) binds; absent: no mailbox.
    pub mailbox: Option<SocketAddr>,
    /// The token of the developer account: API credential and key of both signatures.
    pub partner_token: String,
    /// Which brand is played: language of messages, `Accept` type, hosts in links.
    pub brand: Brand,
    /// The applications of this developer account.
    pub applications: Vec<Application>,
    /// Ids of applications that exist but belong to another developer account.
    pub foreign_applications: Vec<i64>,
    /// Request limits per client address; `None`: not enforced.
    pub limits: Option<Limits>,
    /// How callbacks and entity events are sent.
    pub delivery: Delivery,
    /// The rules of the marketplace that its documents leave open or that differ.
    pub terms: Terms,
}

impl Options {
    /// Options on a free loopback port, with the defaults of every part and no application.
    pub fn new(partner_token: impl Into<String>, brand: Brand) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            mailbox: None,
            partner_token: partner_token.into(),
            brand,
            applications: Vec::new(),
            foreign_applications: Vec::new(),
            limits: None,
            delivery: Delivery::default(),
            terms: Terms::default(),
        }
    }
}

/// The brand a sandbox plays (contract 1). The wire format is the same for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Brand {
    /// Altegio: English messages.
    Altegio,
    /// YCLIENTS: Russian messages.
    Yclients,
}

impl Brand {
    /// The media type every request must accept.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Altegio => "application/vnd.api.v2+json",
            Self::Yclients => "application/vnd.yclients.v2+json",
        }
    }

    /// The site in links that people open. For YCLIENTS the paths are assumed to be the same.
    pub(super) fn site(self) -> &'static str {
        match self {
            Self::Altegio => "https://alteg.io",
            Self::Yclients => "https://yclients.com",
        }
    }

    /// The address of an application's card in a location's cabinet.
    pub(super) fn card(self, location_id: i64, application_id: i64) -> String {
        let cabinet = match self {
            Self::Altegio => "https://app.alteg.io",
            Self::Yclients => "https://yclients.com",
        };
        format!("{cabinet}/appstore/{location_id}/applications/{application_id}/info")
    }
}

/// One application as its developer set it up in the cabinet.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Application {
    /// Application id.
    pub id: i64,
    /// Title, shown only in the control API.
    pub title: String,
    /// Length of the trial; 0: free, so without a recorded period it is never frozen.
    pub trial_days: u32,
    /// Where lifecycle callbacks go.
    pub callback_url: String,
    /// Where the owner's browser is sent after the consent.
    pub redirect_url: String,
    /// Whether the redirect carries signed user data.
    pub pass_user_data: bool,
    /// What the platform sells on behalf of the application.
    pub tariffs: Vec<Tariff>,
    /// A public application waits for activation; a non-public one is active at once.
    pub public: bool,
    /// Non-public applications: the one address entity events go to.
    pub notification_url: Option<String>,
    /// The user token of the application's system user.
    pub system_user_token: String,
}

impl Default for Application {
    fn default() -> Self {
        Self {
            id: 0,
            title: String::new(),
            trial_days: 14,
            callback_url: String::new(),
            redirect_url: String::new(),
            pass_user_data: true,
            tariffs: Vec::new(),
            public: true,
            notification_url: None,
            system_user_token: String::new(),
        }
    }
}

/// A tariff with its options, as M2 prints them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tariff {
    /// Tariff id.
    pub id: i64,
    /// Title.
    pub title: String,
    /// What can be bought.
    pub options: Vec<TariffOption>,
}

/// One thing that can be bought.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TariffOption {
    /// Option id.
    pub id: i64,
    /// Title.
    pub title: String,
    /// Price of the whole period.
    pub overall_price: f64,
    /// Length of the period.
    pub duration_in_months: u32,
    /// Three capital letters.
    pub currency_iso: String,
    /// The largest team the option covers.
    pub staff_amount: u32,
    /// Months for free, as shown; the sandbox does not add them to periods.
    pub free_period_in_months: u32,
}

impl Default for TariffOption {
    fn default() -> Self {
        Self {
            id: 1,
            title: "Standard".to_owned(),
            overall_price: 50.0,
            duration_in_months: 1,
            currency_iso: "USD".to_owned(),
            staff_amount: 5,
            free_period_in_months: 0,
        }
    }
}

/// Request limits per client address (contract 4).
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests in any second.
    pub per_second: u32,
    /// Requests in any minute.
    pub per_minute: u32,
    /// Whether the refusal says `Retry-After`.
    pub retry_after: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_second: 5,
            per_minute: 200,
            retry_after: true,
        }
    }
}

/// How callbacks and entity events are sent (contract 7.3).
#[derive(Debug, Clone)]
pub struct Delivery {
    /// From the change to the first attempt of an entity event. Callbacks leave at once.
    pub delay: Duration,
    /// How long one attempt may take.
    pub attempt_timeout: Duration,
    /// Further attempts of an entity event after transport errors, 429 and 5xx.
    /// Callbacks are tried once.
    pub retries: u32,
    /// Between two attempts.
    pub retry_pause: Duration,
    /// Whether entity events carry `X-Hook-Id`.
    pub hook_id: bool,
    /// Whether entity events are wrapped in an array.
    pub array: bool,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(5),
            attempt_timeout: Duration::from_secs(10),
            retries: 2,
            retry_pause: Duration::from_millis(1500),
            hook_id: true,
            array: false,
        }
    }
}

impl Delivery {
    /// No delay, and short pauses between attempts: for tests.
    pub fn immediate() -> Self {
        Self {
            delay: Duration::ZERO,
            attempt_timeout: Duration::from_secs(2),
            retry_pause: Duration::from_millis(20),
            ..Self::default()
        }
    }
}

/// Rules of the marketplace on which its documents are silent or disagree (contract 8, 11).
#[derive(Debug, Clone)]
pub struct Terms {
    /// How long a pending link waits for its activation: 12 hours in the server's code,
    /// 1 hour in the support article.
    pub activation_limit: TimeDelta,
    /// From the end of the last period to the freeze (documented: within 24 hours).
    pub freeze_lag: TimeDelta,
    /// From the refund of the running period to the disabling (documented: within 1 hour).
    pub refund_lag: TimeDelta,
    /// Whether a location that connects again is given another trial.
    pub second_trial: bool,
    /// Zone of the dates without an offset.
    pub payment_dates: DateZone,
    /// Which connections M1 lists.
    pub listed: Vec<Status>,
    /// Whether W1 tells what each address gets. Older servers print one set for all, and leave some flags out.
    pub hooks_told_apart: bool,
    /// Whether M6 answers 404 for a location that was connected once, or shows
    /// `uninstalled` with the log.
    pub uninstalled_is_404: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            activation_limit: TimeDelta::hours(12),
            freeze_lag: TimeDelta::zero(),
            refund_lag: TimeDelta::hours(1),
            second_trial: true,
            payment_dates: DateZone::Local,
            listed: vec![Status::Pending, Status::Active, Status::Freezed],
            hooks_told_apart: true,
            uninstalled_is_404: true,
        }
    }
}

/// The zone in which dates without an offset are meant (contract 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateZone {
    /// The location's own time.
    Local,
    /// UTC.
    Utc,
}
