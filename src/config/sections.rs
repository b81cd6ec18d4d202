use std::{net::SocketAddr, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::{self, Secret, days, minutes, seconds};

/// The public listener.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address to listen on.
    #[serde(with = "value::address")]
    #[schemars(with = "value::AddressText")]
    pub listen: SocketAddr,
    /// How the marketplace reaches us, without a slash at the end.
    pub public_url: String,
    /// Larger bodies get 413.
    pub body_limit: usize,
    /// Not durable by then: 503.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub ack_deadline: Duration,
    /// How long a stop may take.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub shutdown_grace: Duration,
    /// How long a stop goes on taking connections after it has told balancers to stay away.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub drain_delay: Duration,
    /// How long a connection may wait for its next request.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub keep_alive: Duration,
    /// Connections at once; further ones wait in the system's queue.
    pub connections: usize,
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
            drain_delay: seconds(0),
            keep_alive: seconds(75),
            connections: 2048,
            threads: 2,
        }
    }
}

/// PostgreSQL 15 or newer.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// `postgres://…`; without it Bellhop runs a private cluster of its own.
    pub url: Option<Secret>,
    /// A file that holds it.
    pub url_file: Option<PathBuf>,
    /// Connections of this process for its work; up to four more are opened while people look.
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
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
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
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Intake {
    /// Two deliveries that say the same within this time are one.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub duplicate_window: Duration,
    /// Deliveries that may wait to be written; more get 503 at once.
    pub queue: usize,
    /// Quarantined bodies kept in a day; more are counted and dropped.
    pub quarantine_per_day: u32,
    /// Bytes of them kept in a day.
    pub quarantine_bytes_per_day: u64,
    /// Locations a minute on pages that were opened without a signature; what is beyond has to be opened again.
    pub unsigned_connects_per_minute: u32,
}

impl Default for Intake {
    fn default() -> Self {
        Self {
            duplicate_window: days(2),
            queue: 4096,
            quarantine_per_day: 10_000,
            quarantine_bytes_per_day: 256 * 1024 * 1024,
            unsigned_connects_per_minute: 60,
        }
    }
}

/// Where deliveries wait for a database that is away.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    /// Without one, such deliveries get 503.
    pub enabled: bool,
    /// Its folder.
    pub dir: PathBuf,
    /// Bytes of this process on the disk; more get 503.
    #[serde(with = "value::bytes")]
    #[schemars(with = "value::BytesText")]
    pub limit: u64,
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            enabled: true,
            dir: "bellhop-spool".into(),
            limit: 256 * 1024 * 1024,
        }
    }
}

/// How jobs are done.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Jobs {
    /// Jobs this process does at once.
    pub concurrency: usize,
    /// Events this process forwards at once, besides.
    pub forwarding: usize,
    /// A worker that says nothing for this long is taken for dead.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub lease: Duration,
    /// Starts of a rule's action before it is given up.
    pub max_attempts: i32,
    /// Wait after the first failure; it doubles with every further one.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub backoff: Duration,
    /// The longest wait, also for what a `Retry-After` may ask.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub backoff_limit: Duration,
    /// How often the queues are looked at when nothing wakes the workers.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub poll: Duration,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            concurrency: 16,
            forwarding: 8,
            lease: seconds(30),
            max_attempts: 12,
            backoff: seconds(2),
            backoff_limit: minutes(60),
            poll: Duration::from_millis(500),
        }
    }
}

/// The clocks of a connection (contract 8): sources disagree, so both are watched.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ActivationClocks {
    /// The safe deadline, shown and alarmed.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub safe: Duration,
    /// Tries go on until here; then the owner has to connect again.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
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

/// Comparing with the marketplace, so that what no callback told is found.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reconcile {
    /// Whether it is done.
    pub enabled: bool,
    /// How often a round begins.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub interval: Duration,
    /// The part of `requests_per_minute` after which it leaves the rest to others, above 0 and at most 1.
    pub share: f64,
    /// How often the webhook settings of each active location are read, for applications with a user token.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub hooks_interval: Duration,
    /// Whether our address is put back where it is missing, when that changes nothing for other applications.
    pub repair_hooks: bool,
}

impl Default for Reconcile {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: minutes(10),
            share: 0.3,
            hooks_interval: days(1),
            repair_hooks: false,
        }
    }
}

/// How long old things are kept. Installations, payments and the keys of rules that may fire once for a location, a
/// connection, a payment or a moment stay.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Events and what was decided about them.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub events: Duration,
    /// Finished jobs and their attempts, with every request and answer.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub jobs: Duration,
    /// What rules did about entity events, schedules and silences.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub firings: Duration,
    /// Changes of status, but for the last one of each location.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub history: Duration,
    /// Personal data of a location that was uninstalled so long ago, or looked in and never connected.
    #[serde(with = "value::duration")]
    #[schemars(with = "value::DurationText")]
    pub uninstalled: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            events: days(90),
            jobs: days(90),
            firings: days(180),
            history: days(730),
            uninstalled: days(30),
        }
    }
}

/// The mail server.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
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

/// Telegram, for `send_telegram`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Telegram {
    /// Where the Bot API is.
    pub base: String,
}

impl Default for Telegram {
    fn default() -> Self {
        Self {
            base: "https://api.telegram.org".to_owned(),
        }
    }
}

fn smtp_port() -> u16 {
    587
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
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
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}
