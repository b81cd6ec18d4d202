use std::sync::Arc;

use anyhow::{Context, Result};
use tracing::{info, warn};

use super::Misused;
use crate::{
    app::App,
    config::{Config, value::Secret},
    embedded::{self, Embedded},
    store::{self, PgPool, partitions, timers},
    web::{self, Listeners},
    workers::{self, Workers, pruner::DAYS_AHEAD},
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
        let data_dir = config.folder.join(&config.database.data_dir);
        let options = embedded::Options {
            data_dir: std::path::absolute(&data_dir).unwrap_or(data_dir),
            bin_dir: config.postgres_bin_dir(),
            search_path: Config::search_path(),
            durable: true,
            settings: Vec::new(),
        };
        let private = embedded::start(&options)
            .await
            .map_err(|error| Misused(error.to_string()))?;
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
        let data_dir = config.folder.join(&config.database.data_dir);
        match config.database.url {
            None if data_dir.exists() => match embedded::beside(&data_dir).await.map_err(Misused::of)? {
                Some(url) => Ok(Self { url, private: None }),
                None => Self::open(config).await,
            },
            None | Some(_) => Self::open(config).await,
        }
    }

    /// A pool for a command that only looks.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn pool(&self) -> Result<PgPool> {
        let pool = store::connect(&self.url, 4, super::service::PATIENCE)?;
        reachable(&pool).await?;
        Ok(pool)
    }

    /// Stops a private cluster.
    ///
    /// # Errors
    /// When it does not stop; the next start adopts it.
    pub async fn close(self) -> Result<()> {
        match self.private {
            // One that was running before belongs to somebody who still needs it, or to the next start.
            Some(private) => private.stop().await.context("stopping the private PostgreSQL"),
            None => Ok(()),
        }
    }
}

pub(super) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// Whether the database answers and is new enough.
pub(super) async fn reachable(pool: &PgPool) -> Result<()> {
    let version = store::ping(pool).await.map_err(|error| {
        Misused(format!(
            "database.url: the database does not answer: {error}. Remedy: start it, or correct database.url; \
             without database.url Bellhop runs a private one"
        ))
    })?;
    if version < 150_000 {
        let version = version / 10_000;
        return Err(Misused(format!(
            "database.url: PostgreSQL {version} is too old. Remedy: 15 or newer"
        ))
        .into());
    }
    Ok(())
}

/// A running service.
pub struct Service {
    /// What its parts share.
    pub app: Arc<App>,
    /// Where it listens.
    pub listeners: Listeners,
    workers: Workers,
}

impl Service {
    /// Starts a service on a database: migrations, partitions, listeners, workers.
    ///
    /// # Errors
    /// With a [`Misused`] when configuration, rules, database or addresses are not right.
    pub async fn start(config: Config, database_url: &str, migrate: bool) -> Result<Self> {
        let app = App::build(config, database_url).map_err(|error| Misused(format!("{error:#}")))?;
        reachable(&app.pool).await?;
        migrated(&app.pool, migrate).await?;
        partitions::ensure(&app.pool, DAYS_AHEAD)
            .await
            .context("making partitions")?;
        plan_moments(&app).await?;
        let app = Arc::new(app);
        let listeners = web::listen(&app).map_err(|error| Misused(error.to_string()))?;
        let workers = workers::start(&app);
        Ok(Self {
            app,
            listeners,
            workers,
        })
    }

    /// Takes nothing new, finishes what was begun, and stops, within `server.shutdown_grace`.
    pub async fn stop(self) {
        let grace = self.app.config.server.shutdown_grace;
        let finish = async {
            self.listeners.stop().await;
            self.workers.stop(grace).await
        };
        match tokio::time::timeout(grace, finish).await {
            Ok(true) => info!("Everything that was begun is finished"),
            Ok(false) | Err(_) => warn!("Not everything was finished in time; jobs under way are started again later"),
        }
        self.app.pool.close().await;
    }
}

async fn migrated(pool: &PgPool, migrate: bool) -> Result<()> {
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

/// The rules may wait for other moments than those of the last start.
async fn plan_moments(app: &App) -> Result<()> {
    for served in app.all_served() {
        let max_late = i64::try_from(served.rules.max_late().as_secs()).unwrap_or(i64::MAX);
        timers::plan(&app.pool, served.id, None, &served.rules.moments(), max_late).await?;
    }
    Ok(())
}

/// A secret nobody has to remember.
pub(super) fn random_secret() -> Secret {
    Secret::new(
        (0..4)
            .map(|_| format!("{:016x}", fastrand::u64(..)))
            .collect::<String>(),
    )
}
