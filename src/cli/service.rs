use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use tracing::{info, warn};

use super::{
    Misused,
    opening::{Duty, Opening, Work},
};
use crate::{
    app::{self, App},
    config::{Config, value::Secret},
    embedded::{self, Embedded},
    intake::spool::Spool,
    store::{self, PgPool},
    web::{self, End, Inherited, Listeners},
};

/// The database of a configuration: the one it names, or a private cluster.
pub struct Database {
    /// Its address.
    pub url: String,
    private: Option<Embedded>,
}

impl Database {
    /// Finds it, or starts it.
    ///
    /// # Errors
    /// When the private cluster does not start.
    pub async fn open(config: &Config) -> Result<Self> {
        if let Some(url) = &config.database.url {
            return Ok(Self {
                url: url.expose().to_owned(),
                private: None,
            });
        }
        let options = embedded::Options {
            data_dir: data_dir(config),
            bin_dir: config.postgres_bin_dir(),
            search_path: Config::search_path(),
            durable: true,
            settings: Vec::new(),
        };
        let private = embedded::start(&options).await.map_err(Misused::of)?;
        info!(data_dir = %options.data_dir.display(), adopted = private.adopted(), "The private PostgreSQL runs");
        Ok(Self {
            url: private.url(),
            private: Some(private),
        })
    }

    /// The same for a command that only looks: when a running service has the private cluster, beside it.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn visit(config: &Config) -> Result<Self> {
        let data_dir = data_dir(config);
        match config.database.url {
            None if data_dir.exists() => match embedded::beside(&data_dir).await.map_err(Misused::of)? {
                Some(url) => Ok(Self { url, private: None }),
                None => Self::open(config).await,
            },
            None | Some(_) => Self::open(config).await,
        }
    }

    /// Does something with a few connections, and closes it, however that ends.
    pub(super) async fn with_pool<T>(self, work: impl AsyncFnOnce(&PgPool) -> Result<T>) -> Result<T> {
        let done = match store::connect(&self.url, 4, PATIENCE) {
            Ok(pool) => {
                let done = match reachable(&pool).await {
                    Ok(()) => work(&pool).await,
                    Err(error) => Err(error),
                };
                pool.close().await;
                done
            }
            Err(error) => Err(error.into()),
        };
        self.close().await?;
        done
    }

    /// Stops a private cluster.
    ///
    /// # Errors
    /// When it does not stop; the next start adopts it.
    pub async fn close(self) -> Result<()> {
        match self.private {
            Some(private) => private.stop().await.context("stopping the private PostgreSQL"),
            None => Ok(()),
        }
    }
}

/// Builds what a service shares, beside one that may run, and does something with it. Nothing is served and no job is
/// done by it.
pub(super) async fn with_app<T>(config: Config, work: impl AsyncFnOnce(&App) -> Result<T>) -> Result<T> {
    let database = Database::visit(&config).await?;
    let done = match App::build(config, &database.url, None) {
        Ok(app) => {
            let done = match reachable(&app.pool).await {
                Ok(()) => work(&app).await,
                Err(error) => Err(error),
            };
            app.close().await;
            done
        }
        Err(error) => Err(Misused(format!("{error:#}")).into()),
    };
    database.close().await?;
    done
}

/// The folder of the private cluster.
pub(super) fn data_dir(config: &Config) -> PathBuf {
    let data_dir = config.folder.join(&config.database.data_dir);
    std::path::absolute(&data_dir).unwrap_or(data_dir)
}

/// How long somebody waits for the database.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a database cannot be used.
pub(super) struct Unusable {
    /// With the remedy.
    pub(super) message: String,
    /// Whether it may pass without anybody's correcting something here.
    pub(super) passes: bool,
}

/// Whether the database answers and is new enough; a mistake of the user when not.
pub(super) async fn reachable(pool: &PgPool) -> Result<()> {
    usable(pool).await.map_err(|unusable| Misused(unusable.message).into())
}

/// Whether the database answers and is new enough.
pub(super) async fn usable(pool: &PgPool) -> Result<(), Unusable> {
    let (problem, passes) = match tokio::time::timeout(PATIENCE, store::ping(pool)).await {
        Ok(Ok(version)) if version < 150_000 => {
            let problem = format!("PostgreSQL {} is too old. Remedy: 15 or newer", version / 10_000);
            (problem, false)
        }
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => (unreachable_because(&error), !store::is_misconfigured(&error)),
        Err(_) => {
            let problem = "no answer within 5 s. Remedy: correct the address, or open the way to it";
            (problem.to_owned(), true)
        }
    };
    let options = pool.connect_options();
    let name = options.get_database().unwrap_or(options.get_username());
    let place = match options.get_socket() {
        Some(folder) => folder.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    Err(Unusable {
        message: format!("database `{name}` at {place}: {problem}"),
        passes,
    })
}

/// Why a database does not take us, and what to do about it, for the usual reasons.
fn unreachable_because(error: &store::Error) -> String {
    let Some(answer) = error.as_database_error() else {
        let cause = match error {
            store::Error::Io(cause) => cause.to_string(),
            other => other.to_string(),
        };
        return format!(
            "it does not answer: {cause}. Remedy: start it, or correct database.url; \
             without database.url Bellhop runs a private one"
        );
    };
    let remedy = match answer.code().as_deref() {
        Some("28P01" | "28000") => "correct user and password in database.url, or what the server's pg_hba.conf allows",
        Some("3D000") => "create the database, or correct its name in database.url",
        Some("53300") => "let the server take more connections, or lower database.connections",
        _ => "ask the server's log",
    };
    format!("it refuses us: {}. Remedy: {remedy}", answer.message())
}

/// A running service.
pub struct Service {
    /// What its parts share.
    pub app: Arc<App>,
    /// Where it listens.
    pub listeners: Listeners,
    work: Work,
}

impl Service {
    /// Starts a service on a database: migrations, partitions, listeners, workers. With a spool it also
    /// starts while the database is away: it takes deliveries, and begins to work when that is back.
    ///
    /// # Errors
    /// With a [`Misused`] when configuration, rules, database or addresses are not right.
    pub async fn start(config: Config, database_url: &str, migrate: bool) -> Result<Self> {
        Self::start_on(Inherited::default(), config, database_url, migrate).await
    }

    /// The same on sockets that were handed to this process.
    ///
    /// # Errors
    /// As [`Service::start`].
    pub async fn start_on(sockets: Inherited, config: Config, database_url: &str, migrate: bool) -> Result<Self> {
        Self::begin(sockets, config, database_url, Duty { migrate, work: true }).await
    }

    /// Starts what takes deliveries and nothing else. Other processes on the database judge them, do the jobs, and
    /// make the partitions of the days to come.
    ///
    /// # Errors
    /// As [`Service::start`].
    pub async fn start_intake(sockets: Inherited, config: Config, database_url: &str, migrate: bool) -> Result<Self> {
        Self::begin(sockets, config, database_url, Duty { migrate, work: false }).await
    }

    async fn begin(sockets: Inherited, config: Config, database_url: &str, duty: Duty) -> Result<Self> {
        let place = app::spool_place(&config);
        let spool = place
            .map(|place| Spool::open(&place))
            .transpose()
            .map_err(Misused::of)?;
        let app = App::build(config, database_url, spool).map_err(|error| Misused(format!("{error:#}")))?;
        let app = Arc::new(app);
        let opening = Opening::begin(&app, duty).await?;
        let listeners = web::listen(&app, sockets).map_err(|error| Misused(error.to_string()))?;
        Ok(Self {
            work: opening.work(&app),
            app,
            listeners,
        })
    }

    /// Takes nothing new, finishes what was begun, and stops, within `server.shutdown_grace`.
    pub async fn stop(self) {
        self.end(End::Asked).await;
    }

    /// The same, for a reason.
    pub async fn end(self, end: End) {
        let server = &self.app.config.server;
        let grace = server.shutdown_grace;
        // A successor answers already; balancers first have to notice.
        let delay = match end {
            End::Asked => server.drain_delay,
            End::Succeeded => Duration::ZERO,
        };
        let finish = async {
            self.listeners.announce_end();
            tokio::time::sleep(delay).await;
            let rest = grace.saturating_sub(delay);
            let (finished, ()) = tokio::join!(self.work.stop(rest), self.listeners.stop(end, rest));
            finished
        };
        match tokio::time::timeout(grace, finish).await {
            Ok(true) => info!("Everything that was begun is finished"),
            Ok(false) | Err(_) => warn!("Not everything was finished in time; jobs under way are started again later"),
        }
        self.app.close().await;
    }
}

pub(super) async fn migrated(pool: &PgPool, migrate: bool) -> Result<()> {
    if migrate {
        return store::migrate(pool).await.context("applying migrations");
    }
    let pending = store::pending_migrations(pool).await?;
    if pending.is_empty() {
        return Ok(());
    }
    let list = pending.join(", ");
    Err(Misused(format!(
        "migrations are missing: {list}. Remedy: `bellhop migrate`, or start without --no-migrate"
    ))
    .into())
}

/// A secret nobody has to remember.
pub(super) fn random_secret() -> Secret {
    Secret::new(
        (0..4)
            .map(|_| format!("{:016x}", fastrand::u64(..)))
            .collect::<String>(),
    )
}
