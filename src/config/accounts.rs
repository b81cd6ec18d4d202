use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    brand::Brand,
    page::Page,
    telephony::Telephony,
    value::{self, Secret, seconds},
};
use crate::domain::ids::ApplicationId;

/// A developer account at a brand.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// How applications refer to it.
    pub name: String,
    /// `altegio` or `yclients`.
    #[serde(default)]
    pub brand: Brand,
    /// The credential of the marketplace API, and the key of its signatures.
    pub partner_token: Option<Secret>,
    /// A file that holds it.
    pub partner_token_file: Option<PathBuf>,
    /// The one before, while the marketplace changes over: what still carries it is genuine, and nothing is sent with it.
    pub partner_token_previous: Option<Secret>,
    /// A file that holds it.
    pub partner_token_previous_file: Option<PathBuf>,
    /// The key of the signatures, when the account has another one for them.
    pub signature_key: Option<Secret>,
    /// A file that holds it.
    pub signature_key_file: Option<PathBuf>,
    /// The one before, while the marketplace changes over.
    pub signature_key_previous: Option<Secret>,
    /// A file that holds it.
    pub signature_key_previous_file: Option<PathBuf>,
    /// Instead of the brand's.
    pub partner_base: Option<String>,
    /// Instead of the brand's; the partner base when absent.
    pub billing_base: Option<String>,
    /// Instead of the brand's.
    pub api_base: Option<String>,
    /// Instead of the brand's.
    pub accept: Option<String>,
    /// How long an answer may take.
    #[serde(default = "request_timeout", with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub request_timeout: Duration,
    /// Requests a second from this address, shared by all processes.
    #[serde(default = "per_second")]
    pub requests_per_second: u32,
    /// Requests a minute from this address, shared by all processes.
    #[serde(default = "per_minute")]
    pub requests_per_minute: u32,
}

fn request_timeout() -> Duration {
    seconds(20)
}

fn per_second() -> u32 {
    5
}

fn per_minute() -> u32 {
    200
}

/// An application in the marketplace.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// Its number in the developer cabinet.
    #[schemars(with = "u64")]
    pub id: ApplicationId,
    /// Whose it is.
    pub account: String,
    /// Its name, for owners and operators.
    pub name: String,
    /// Who activates a connection.
    #[serde(default)]
    pub activation: Activation,
    /// Length of the trial, until the marketplace tells the real one.
    #[serde(default)]
    pub trial_days: u32,
    /// Token of the application's system user.
    pub user_token: Option<Secret>,
    /// A file that holds it.
    pub user_token_file: Option<PathBuf>,
    /// Rule files; `*` stands for any name.
    #[serde(default)]
    pub rules: Vec<String>,
    /// Believe entity events that carry no key.
    #[serde(default)]
    pub accept_unverified: bool,
    /// Where the owner goes on after connecting; `{location_id}` is filled in.
    pub continue_url: Option<String>,
    /// How the page that owners see looks.
    #[serde(default)]
    pub page: Page,
    /// Telephony systems that tell of calls.
    #[serde(default)]
    pub telephony: Vec<Telephony>,
}

/// Who activates a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// Bellhop, as soon as the status says that it is pending.
    #[default]
    Automatic,
    /// The partner's own product, which finishes registration first and then calls the API.
    External,
}
