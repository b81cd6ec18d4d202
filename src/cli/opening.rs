use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::{
    Misused,
    service::{migrated, usable},
};
use crate::{
    app::{App, rulebook},
    store::{
        self,
        partitions::{self, DAYS_AHEAD},
    },
    workers::{self, Workers},
};

/// With a spool, what the database takes longer for than this does not keep the listeners waiting.
const HEAD_START: Duration = Duration::from_secs(1);

/// Pauses between tries while the database is away.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

type Try = JoinHandle<Result<(), Unready>>;

/// What a process does on the database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Duty {
    /// Migrate first. Otherwise missing migrations are a mistake.
    pub(super) migrate: bool,
    /// Judge events and do jobs, and not only take deliveries.
    pub(super) work: bool,
}

/// How far making the database ready has come.
pub(super) enum Opening {
    /// It is ready.
    Done(Duty),
    /// It may become ready. With the try that is under way.
    Later(Duty, Option<Try>),
}

/// Why the database is not ready.
pub(super) struct Unready {
    error: anyhow::Error,
    /// Whether it may pass without anybody's correcting something here.
    passes: bool,
}

impl From<anyhow::Error> for Unready {
    fn from(error: anyhow::Error) -> Self {
        let passes = |cause: &(dyn std::error::Error + 'static)| {
            cause.downcast_ref::<store::Error>().is_some_and(store::is_transient)
        };
        Self {
            passes: error.chain().any(passes),
            error,
        }
    }
}

impl Opening {
    /// Tries to make the database ready. Only with a spool is there anything to do without it.
    ///
    /// # Errors
    /// When it cannot be made ready, and waiting would not help or is not possible.
    pub(super) async fn begin(app: &Arc<App>, duty: Duty) -> Result<Self> {
        if duty.work {
            app.metrics.workers.set(workers::NAMES.len() as i64);
        }
        let spools = app.intake.spooled().is_some();
        let limit = if spools { HEAD_START } else { Duration::MAX };
        let mut first = tokio::spawn(open(Arc::clone(app), duty));
        let Ok(opened) = tokio::time::timeout(limit, &mut first).await else {
            warn!("The database is not ready yet; deliveries are taken meanwhile");
            return Ok(Self::Later(duty, Some(first)));
        };
        match opened.context("making the database ready")? {
            Ok(()) => Ok(Self::Done(duty)),
            Err(unready) if unready.passes && spools => {
                warn!(
                    why = format!("{:#}", unready.error),
                    "The database is away; deliveries are taken into the spool, and the rest begins when it is back"
                );
                Ok(Self::Later(duty, None))
            }
            Err(unready) => Err(unready.error),
        }
    }

    /// Starts the workers now, or when the database is ready.
    pub(super) fn work(self, app: &Arc<App>) -> Work {
        match self {
            Self::Done(duty) => Work::Begun(duty.begin(app)),
            Self::Later(duty, first) => Work::Awaited(tokio::spawn(later(Arc::clone(app), duty, first))),
        }
    }
}

impl Duty {
    fn begin(self, app: &Arc<App>) -> Option<Workers> {
        self.work.then(|| workers::start(app))
    }
}

/// The workers of a service, when it has any.
pub(super) enum Work {
    /// They run.
    Begun(Option<Workers>),
    /// They start when the database is ready.
    Awaited(JoinHandle<Option<Workers>>),
}

impl Work {
    /// As [`Workers::stop`].
    pub(super) async fn stop(self, grace: Duration) -> bool {
        let workers = match self {
            Self::Begun(workers) => workers,
            Self::Awaited(waiting) => {
                waiting.abort();
                // When that succeeds, they had not started.
                waiting.await.ok().flatten()
            }
        };
        match workers {
            Some(workers) => workers.stop(grace).await,
            None => true,
        }
    }
}

async fn later(app: Arc<App>, duty: Duty, mut first: Option<Try>) -> Option<Workers> {
    let (mut told, mut pause) = (String::new(), FIRST_PAUSE);
    loop {
        let attempt = first
            .take()
            .unwrap_or_else(|| tokio::spawn(open(Arc::clone(&app), duty)));
        let why = match attempt.await {
            Ok(Ok(())) => {
                info!("The database is ready; work begins");
                return duty.begin(&app);
            }
            Ok(Err(unready)) => format!("{:#}", unready.error),
            Err(error) => error.to_string(),
        };
        if why != told {
            warn!(why, "The database is not ready; it is tried again");
            told = why;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn open(app: Arc<App>, duty: Duty) -> Result<(), Unready> {
    usable(&app.pool).await.map_err(|unusable| Unready {
        error: Misused(unusable.message).into(),
        passes: unusable.passes,
    })?;
    migrated(&app.pool, duty.migrate).await?;
    let made = partitions::ensure(&app.pool, DAYS_AHEAD).await;
    made.context("making partitions")?;
    if duty.work {
        rulebook::plan_moments(&app).await.context("planning moments")?;
        workers::reconciler::wake(&app).await?;
    }
    Ok(())
}
