//! The configuration: one TOML file, each key overridable by the environment, read once and checked
//! as a whole. Nothing else in Bellhop reads the environment or a configuration file.

/// The two brands of the marketplace and what differs between them.
pub mod brand;
mod source;
mod validate;
/// Durations and secrets as they are written in the file.
pub mod value;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use self::{
    brand::Brand,
    value::{Secret, days, minutes, seconds},
};
use crate::domain::ids::ApplicationId;

/// Everything that can be set.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the marketplace and the owners' browsers reach.
    #[serde(default)]
    pub server: Server,
    /// What operators and Prometheus reach.
    #[serde(default)]
    pub operator: Operator,
    /// Where facts are kept.
    #[serde(default)]
    pub database: Database,
    /// Secrets of our own.
    #[serde(default)]
    pub security: Security,
    /// How deliveries are taken.
    #[serde(default)]
    pub intake: Intake,
    /// How jobs are done.
    #[serde(default)]
    pub jobs: Jobs,
    /// The clocks of a connection.
    #[serde(default)]
    pub activation: ActivationClocks,
    /// How long old things are kept.
    #[serde(default)]
    pub retention: Retention,
    /// The mail server, for `send_email`.
    pub smtp: Option<Smtp>,
    /// Log format and level.
    #[serde(default)]
    pub log: Log,
    /// Developer accounts.
    #[serde(default, rename = "account")]
    pub accounts: Vec<Account>,
    /// Applications.
    #[serde(default, rename = "application")]
    pub applications: Vec<Application>,
    /// The folder that relative paths count from: the one of the file.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// The public listener.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// How the marketplace reaches us, without a slash at the end.
    pub public_url: String,
    /// Larger bodies get 413.
    pub body_limit: usize,
    /// Not durable by then: 503.
    #[serde(with = "value::duration")]
    pub ack_deadline: Duration,
    /// How long a stop may take.
    #[serde(with = "value::duration")]
    pub shutdown_grace: Duration,
    /// Threads that serve requests.
    pub threads: usize,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: ([0, 0, 0, 0], 8080).into(),
            public_url: String::new(),
            body_limit: 1024 * 1024,
            ack_deadline: seconds(4),
            shutdown_grace: seconds(20),
            threads: 2,
        }
    }
}

/// The operator listener.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Operator {
    /// Address to listen on. Never exposed to the internet.
    pub listen: SocketAddr,
    /// What API calls carry as bearer token.
    pub token: Option<Secret>,
    /// A file that holds it.
    pub token_file: Option<PathBuf>,
}

impl Default for Operator {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 9090).into(),
            token: None,
            token_file: None,
        }
    }
}

/// PostgreSQL 15 or newer.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// `postgres://…`; without it Bellhop runs a private cluster of its own.
    pub url: Option<Secret>,
    /// A file that holds it.
    pub url_file: Option<PathBuf>,
    /// Connections of this process.
    pub connections: u32,
    /// The folder of the private cluster.
    pub data_dir: PathBuf,
    /// Where the PostgreSQL programs are; found by itself in the usual places (also: `PG_BIN`).
    pub bin_dir: Option<PathBuf>,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            connections: 16,
            data_dir: "bellhop-data".into(),
            bin_dir: None,
        }
    }
}

/// Secrets of our own.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    /// The key from which the webhook addresses are made. Changing it changes every address.
    pub hook_secret: Option<Secret>,
    /// A file that holds it.
    pub hook_secret_file: Option<PathBuf>,
    /// The key before, while addresses made from it are still in use.
    pub hook_secret_previous: Option<Secret>,
    /// A file that holds it.
    pub hook_secret_previous_file: Option<PathBuf>,
}

/// How deliveries are taken.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Intake {
    /// Two deliveries that say the same within this time are one.
    #[serde(with = "value::duration")]
    pub duplicate_window: Duration,
    /// Deliveries that may wait to be written; more get 503 at once.
    pub queue: usize,
    /// Quarantined bodies kept in a day; more are counted and dropped.
    pub quarantine_per_day: u32,
    /// New looks a minute for pages that were opened without a signature.
    pub unsigned_connects_per_minute: u32,
}

impl Default for Intake {
    fn default() -> Self {
        Self {
            duplicate_window: days(2),
            queue: 4096,
            quarantine_per_day: 10_000,
            unsigned_connects_per_minute: 60,
        }
    }
}

/// How jobs are done.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Jobs {
    /// Jobs this process does at once.
    pub concurrency: usize,
    /// A worker that says nothing for this long is taken for dead.
    #[serde(with = "value::duration")]
    pub lease: Duration,
    /// Starts of a rule's action before it is given up.
    pub max_attempts: i32,
    /// Wait after the first failure; it doubles with every further one.
    #[serde(with = "value::duration")]
    pub backoff: Duration,
    /// The longest wait, also for what a `Retry-After` may ask.
    #[serde(with = "value::duration")]
    pub backoff_limit: Duration,
    /// How often the queues are looked at when nothing wakes the workers.
    #[serde(with = "value::duration")]
    pub poll: Duration,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            concurrency: 16,
            lease: seconds(30),
            max_attempts: 12,
            backoff: seconds(2),
            backoff_limit: minutes(60),
            poll: Duration::from_millis(500),
        }
    }
}

/// The clocks of a connection (contract 8): sources disagree, so both are watched.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ActivationClocks {
    /// The safe deadline, shown and alarmed.
    #[serde(with = "value::duration")]
    pub safe: Duration,
    /// Tries go on until here; then the owner has to connect again.
    #[serde(with = "value::duration")]
    pub limit: Duration,
}

impl Default for ActivationClocks {
    fn default() -> Self {
        Self {
            safe: minutes(60),
            limit: minutes(12 * 60),
        }
    }
}

/// How long old things are kept.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Events, decisions, finished jobs and their attempts.
    #[serde(with = "value::duration")]
    pub events: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { events: days(90) }
    }
}

/// The mail server.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// Name of the server.
    pub host: String,
    /// Port; 587 is usual with `starttls`, 465 with `tls`.
    #[serde(default = "smtp_port")]
    pub port: u16,
    /// Sender, for instance `Example <hello@example.com>`.
    pub from: String,
    /// `none`, `starttls` or `tls`.
    #[serde(default)]
    pub tls: SmtpTls,
    /// Login, when the server wants one.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// A file that holds it.
    pub password_file: Option<PathBuf>,
}

fn smtp_port() -> u16 {
    587
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// Not at all.
    None,
    /// By a command after the start.
    #[default]
    Starttls,
    /// From the start.
    Tls,
}

/// Logs.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text` or `json`.
    pub format: LogFormat,
    /// A level, or a filter such as `info,bellhop=debug`.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info,actix_server=warn,sqlx=warn".to_owned(),
        }
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// A developer account at a brand.
#[derive(Debug, Clone, Deserialize, Serialize)]
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
    /// The key of the signatures, when the account has another one for them.
    pub signature_key: Option<Secret>,
    /// A file that holds it.
    pub signature_key_file: Option<PathBuf>,
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
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// Its number in the developer cabinet.
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
}

/// Who activates a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// Bellhop, as soon as the status says that it is pending.
    #[default]
    Automatic,
    /// The partner's own product, which finishes registration first and then calls the API.
    External,
}

/// A file of rules.
#[derive(Debug, Clone)]
pub struct RuleFile {
    /// Its path, as people should see it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// What is wrong with a configuration: all of it at once.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Problems(pub Vec<String>);

impl Config {
    /// Reads the file and the environment, fills in secrets from their files, and checks the whole.
    ///
    /// # Errors
    /// With everything that is wrong, each with its place and its remedy.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let config = source::read(path, std::env::vars())?;
        let problems = validate::problems(&config);
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(Problems(problems))
        }
    }

    /// The same from a text, for the demonstration and for tests. The environment is not read.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_text(text: &str, folder: &Path) -> Result<Self, Problems> {
        let config = source::parse("configuration", text, folder, std::iter::empty())?;
        let problems = validate::problems(&config);
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(Problems(problems))
        }
    }

    /// The account of an application. There is one: the configuration was checked.
    pub fn account_of(&self, application: &Application) -> &Account {
        self.accounts
            .iter()
            .find(|account| account.name == application.account)
            .expect("checked at load")
    }

    /// An application by its number.
    pub fn application(&self, id: ApplicationId) -> Option<&Application> {
        self.applications.iter().find(|application| application.id == id)
    }

    /// Reads the rule files of an application, in order of name, each once.
    ///
    /// # Errors
    /// When a pattern names nothing, or a file cannot be read.
    pub fn rule_files(&self, application: &Application) -> Result<Vec<RuleFile>, Problems> {
        source::rule_files(&self.folder, &application.rules)
    }

    /// Reads a secret that a rule keeps in a file.
    ///
    /// # Errors
    /// When it cannot be read; the text says why.
    pub fn secret_file(&self, path: &str) -> Result<String, String> {
        source::secret(&self.folder, Path::new(path)).map_err(|error| format!("cannot read {path}: {error}"))
    }

    /// Where to find PostgreSQL's programs besides the usual places: the configured folder, else `PG_BIN`.
    pub fn postgres_bin_dir(&self) -> Option<PathBuf> {
        self.database
            .bin_dir
            .clone()
            .or_else(|| std::env::var_os("PG_BIN").map(PathBuf::from))
    }

    /// The value of `PATH`, in which PostgreSQL's programs are looked for last.
    pub fn search_path() -> Option<std::ffi::OsString> {
        std::env::var_os("PATH")
    }
}
