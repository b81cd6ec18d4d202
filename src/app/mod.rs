//! What all rooms above share: the database, the way in, the ways out, the rules, the metrics. Built
//! once at start; nothing in it is needed by another process.

/// What rules would have done about stored events.
pub mod backtest;
/// Whether an account's side of the marketplace answers.
pub mod circuit;
/// Countries, cities and kinds of business.
pub mod dictionaries;
/// Whether the receivers of forwarded events answer.
pub mod endpoints;
/// Our webhook addresses at a location.
pub mod hooks;
/// Requests to the marketplace, each with its turn in the shared budget.
pub mod line;
/// The moments that rules wait for.
pub mod moments;
/// Bulk actions: planned, and applied when somebody says so.
pub mod plans;
/// Stored events that are judged once more.
pub mod replays;
/// How long comparing takes.
pub mod rounds;
/// The rules in use, and how others take their place.
pub mod rulebook;
/// An application as this process serves it, and its addresses.
pub mod served;
/// From firings to jobs.
pub mod steps;
/// Events as rules see them.
pub mod view;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use secrecy::SecretString;
use tokio::sync::{Notify, watch};
use tracing::warn;

use self::{endpoints::Endpoints, rulebook::Rulebook, served::Served};
use crate::{
    config::{Config, SmtpTls, value::Secret},
    domain::{action::Priority, ids::ApplicationId},
    intake::{
        self, Intake,
        spool::{self, Spool},
    },
    metrics::Metrics,
    notify::{
        email::{Mailer, SmtpSettings, Tls},
        http::Http,
        slack::Slack,
        telegram::Telegram,
        webhook::WebhookSender,
    },
    store::{self, PgPool, looking::Readers, quarantine::Share},
};

/// How long somebody waits for a connection to the database.
const DATABASE_PATIENCE: Duration = Duration::from_secs(5);

/// How long a mail server or the receiver of a webhook may take.
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(15);

/// Who wakes whom. Waking only saves time: every worker also looks by itself.
#[derive(Clone, Default)]
pub struct Wake {
    /// There are events to judge.
    pub processor: Arc<Notify>,
    /// There are jobs to do.
    pub executor: Arc<Notify>,
    /// There are events to forward.
    pub forwarder: Arc<Notify>,
}

impl Wake {
    /// There are jobs of any sort to do.
    pub fn for_jobs(&self) {
        self.executor.notify_one();
        self.forwarder.notify_one();
    }
}

/// Everything that is shared.
pub struct App {
    /// The configuration.
    pub config: Config,
    /// The database.
    pub pool: PgPool,
    /// The same for people who look, who must not be in the way of the work.
    pub readers: Readers,
    /// The way in.
    pub intake: Intake,
    /// Who wakes whom.
    pub wake: Wake,
    /// Whether this process is about to stop: what waits and has not begun need not begin.
    pub stopping: watch::Sender<bool>,
    /// The rules in use.
    pub rulebook: Rulebook,
    /// The metrics.
    pub metrics: Metrics,
    /// Mail, when a server is configured.
    pub mailer: Option<Mailer>,
    /// Webhooks of rules, and forwarded events.
    pub webhooks: WebhookSender,
    /// Messages of Telegram bots.
    pub telegram: Telegram,
    /// Messages in Slack channels.
    pub slack: Slack,
    /// Whether the receivers of forwarded events answer.
    pub endpoints: Endpoints,
    /// Looks for pages that nobody signed.
    pub unsigned: PerMinute,
    /// The name of this process in leases and attempts; another one after every start.
    pub worker: String,
    applications: BTreeMap<ApplicationId, Served>,
}

impl App {
    /// Builds everything from a checked configuration. The database is not asked yet.
    ///
    /// # Errors
    /// When the rules have mistakes, a certificate store is missing, or the database's address is none.
    pub fn build(config: Config, database_url: &str, spool: Option<Spool>) -> Result<Self> {
        let pool = store::connect(database_url, config.database.connections, DATABASE_PATIENCE)
            .context("database.url is no PostgreSQL address")?;
        let readers = Readers::new(database_url, DATABASE_PATIENCE).context("database.url is no PostgreSQL address")?;
        let metrics = Metrics::new();
        metrics
            .build_info
            .with_label_values(&[env!("CARGO_PKG_VERSION"), revision()])
            .set(1);
        list_labels(&metrics, &config);
        let wake = Wake::default();
        let http = Http::new(NOTIFY_TIMEOUT).map_err(|error| anyhow!("{error}"))?;
        let settings = intake::Settings {
            queue: config.intake.queue,
            deadline: config.server.ack_deadline,
            duplicate_window: config.intake.duplicate_window,
            quarantine_per_day: Share {
                deliveries: config.intake.quarantine_per_day.into(),
                bytes: i64::try_from(config.intake.quarantine_bytes_per_day).unwrap_or(i64::MAX),
            },
            applications: config.applications.iter().map(|application| application.id).collect(),
        };
        let app = Self {
            applications: served::all(&config)?,
            rulebook: Rulebook::open(&config)?,
            intake: Intake::start(pool.clone(), spool, settings, metrics.clone(), wake.processor.clone()),
            mailer: mailer(&config)?,
            webhooks: WebhookSender::new(http.clone()),
            telegram: Telegram::new(http.clone(), &config.telegram.base),
            slack: Slack::new(http),
            endpoints: Endpoints::new(config.jobs.backoff),
            unsigned: PerMinute::new(config.intake.unsigned_connects_per_minute),
            worker: worker_name(),
            stopping: watch::Sender::new(false),
            pool,
            readers,
            wake,
            metrics,
            config,
        };
        rulebook::show(&app, &app.rulebook.now());
        Ok(app)
    }

    /// An application that is configured here.
    pub fn served(&self, id: ApplicationId) -> Option<&Served> {
        self.applications.get(&id)
    }

    /// All applications that are configured here.
    pub fn all_served(&self) -> impl Iterator<Item = &Served> {
        self.applications.values()
    }

    /// Closes the connections to the database. A server that hangs is not waited for.
    pub async fn close(&self) {
        let both = async { tokio::join!(self.pool.close(), self.readers.close()) };
        if tokio::time::timeout(DATABASE_PATIENCE, both).await.is_err() {
            warn!("The connections to the database were left open: it does not answer");
        }
    }

    /// The key from which webhook addresses are made.
    pub fn hook_secret(&self) -> &str {
        self.config.security.hook_secret.as_ref().map_or("", Secret::expose)
    }

    /// That key, and the one before while both are in use.
    pub fn hook_secrets(&self) -> impl Iterator<Item = &str> {
        let security = &self.config.security;
        [&security.hook_secret, &security.hook_secret_previous]
            .into_iter()
            .flatten()
            .map(Secret::expose)
    }
}

/// Where the spool of a configuration is; `None` when there is to be none.
pub fn spool_place(config: &Config) -> Option<spool::Place> {
    let folder = config.folder.join(&config.spool.dir);
    config.spool.enabled.then(|| spool::Place {
        folder: std::path::absolute(&folder).unwrap_or(folder),
        limit: config.spool.limit,
    })
}

fn mailer(config: &Config) -> Result<Option<Mailer>> {
    let Some(smtp) = &config.smtp else { return Ok(None) };
    let settings = SmtpSettings {
        host: smtp.host.clone(),
        port: smtp.port,
        from: smtp.from.clone(),
        tls: match smtp.tls {
            SmtpTls::None => Tls::None,
            SmtpTls::Starttls => Tls::StartTls,
            SmtpTls::Tls => Tls::Tls,
        },
        user: smtp.user.clone(),
        password: smtp
            .password
            .as_ref()
            .map(|password| SecretString::from(password.expose())),
        timeout: NOTIFY_TIMEOUT,
    };
    Mailer::new(&settings)
        .map(Some)
        .map_err(|error| anyhow!("[smtp]: {error}"))
}

/// The commit this was built from, when the build was told.
pub fn revision() -> &'static str {
    option_env!("BELLHOP_REVISION").unwrap_or("unknown")
}

fn worker_name() -> String {
    format!("{}-{:08x}", std::process::id(), fastrand::u32(..))
}

/// Lets so many through in a minute.
pub struct PerMinute {
    limit: u32,
    window: Mutex<(Option<Instant>, u32)>,
}

impl PerMinute {
    fn new(limit: u32) -> Self {
        Self {
            limit,
            window: Mutex::new((None, 0)),
        }
    }

    /// Whether so many more may pass: as long as there is room for one, so that a large request is not shut out for ever.
    pub fn admit(&self, now: Instant, count: usize) -> bool {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window
            .0
            .is_none_or(|began| now.duration_since(began) >= Duration::from_secs(60))
        {
            *window = (Some(now), 0);
        }
        if window.1 >= self.limit {
            return false;
        }
        window.1 = window.1.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        true
    }
}

/// Shows zeros where nothing has happened yet: a counter that begins with its first count hides it from rates.
fn list_labels(metrics: &Metrics, config: &Config) {
    for account in &config.accounts {
        let name = account.name.as_str();
        metrics.circuit_state.with_label_values(&[name]).set(0);
        let limit = &metrics.marketplace_budget_per_minute;
        limit.with_label_values(&[name]).set(account.requests_per_minute.into());
        for priority in Priority::SPENDING {
            let spent = &metrics.marketplace_budget_spent_total;
            spent.with_label_values(&[name, priority.as_str()]);
        }
    }
    for application in &config.applications {
        let id = application.id.to_string();
        for counted in [
            &metrics.conversions_total,
            &metrics.discounts_set_total,
            &metrics.payment_links_total,
        ] {
            counted.with_label_values(&[&id]);
        }
    }
}
