//! The loops. Each worker has a `step` that does one unit of work and says whether there was any;
//! one shared loop calls it, sleeps when there was none, and outlives every error. A wake-up saves
//! time and nothing more: each worker looks by itself too.

/// Does jobs.
pub mod executor;
mod judge;
mod location;
mod look;
/// Judges events.
pub mod processor;
/// Makes partitions ahead and drops old ones.
pub mod pruner;
/// Compares with the marketplace.
pub mod reconciler;
/// Judges events once more.
pub mod replayer;
/// Announces moments that have come.
pub mod scheduler;

use std::{sync::Arc, time::Duration};

use anyhow::{Result, anyhow};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};
use tracing::error;

use self::executor::Crew;
use crate::{app::App, store};

/// Whether a step found work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Yes; there may be more.
    Worked,
    /// No.
    Idle,
}

/// The server ends a statement after a minute. A step that takes longer than this waits for a
/// connection whose other end is gone without a word.
const STEP_LIMIT: Duration = Duration::from_secs(5 * 60);

/// The names of the workers, as in metrics.
pub const NAMES: [&str; 7] = [
    "processor",
    "replayer",
    "executor",
    "forwarder",
    "scheduler",
    "reconciler",
    "pruner",
];

/// The running workers of a process.
pub struct Workers {
    tasks: JoinSet<()>,
    app: Arc<App>,
}

/// Starts all workers.
pub fn start(app: &Arc<App>) -> Workers {
    let stopped = app.stopping.subscribe();
    let mut tasks = JoinSet::new();
    let poll = app.config.jobs.poll;
    let judging = processor::Processor::default();
    tasks.spawn(drive(
        Arc::clone(app),
        "processor",
        Rest(app.wake.processor.clone(), poll),
        stopped.clone(),
        async move |app: &App| judging.step(app).await,
    ));
    tasks.spawn(drive(
        Arc::clone(app),
        "replayer",
        Rest(Arc::default(), poll),
        stopped.clone(),
        replayer::step,
    ));
    tasks.spawn(drive(
        Arc::clone(app),
        "scheduler",
        Rest(Arc::default(), poll),
        stopped.clone(),
        scheduler::step,
    ));
    tasks.spawn(drive(
        Arc::clone(app),
        "reconciler",
        Rest(Arc::default(), poll),
        stopped.clone(),
        reconciler::step,
    ));
    tasks.spawn(drive(
        Arc::clone(app),
        "pruner",
        Rest(Arc::default(), pruner::EVERY),
        stopped.clone(),
        pruner::step,
    ));
    for crew in [Crew::Executor, Crew::Forwarder] {
        tasks.spawn(executor::run(Arc::clone(app), crew, stopped.clone()));
    }
    let app = Arc::clone(app);
    Workers { tasks, app }
}

impl Workers {
    /// Lets every worker finish the step it is in, at most for so long. Returns whether all did.
    pub async fn stop(mut self, grace: Duration) -> bool {
        self.app.stopping.send_replace(true);
        tokio::time::timeout(grace, async { while self.tasks.join_next().await.is_some() {} })
            .await
            .is_ok()
    }
}

/// How a worker rests: until it is woken, at most for so long.
struct Rest(Arc<Notify>, Duration);

async fn drive(
    app: Arc<App>,
    name: &'static str,
    rest: Rest,
    mut stopped: watch::Receiver<bool>,
    step: impl AsyncFn(&App) -> Result<Step>,
) {
    while !*stopped.borrow() {
        let stepped = tokio::time::timeout(STEP_LIMIT, step(&app)).await;
        let stepped = stepped.unwrap_or_else(|_| Err(anyhow!("the database did not answer within {STEP_LIMIT:?}")));
        let pause = match stepped {
            Ok(found) => {
                app.metrics.stepped(name);
                (found == Step::Idle).then_some(rest.1)
            }
            Err(error) => Some(failed(&app, name, &error)),
        };
        if let Some(pause) = pause {
            tokio::select! {
                () = rest.0.notified() => {}
                () = tokio::time::sleep(pause) => {}
                _ = stopped.changed() => {}
            }
        }
    }
}

/// Tells about a step that failed, and how long to wait before the next.
fn failed(app: &App, name: &'static str, error: &anyhow::Error) -> Duration {
    app.metrics.worker_errors_total.with_label_values(&[name]).inc();
    error!(
        worker = name,
        error = format!("{error:#}"),
        "A step failed; it is tried again"
    );
    Duration::from_secs(1)
}

/// Nothing is wrong with what was tried: the same is tried again.
fn is_transient(error: &anyhow::Error) -> bool {
    let store = error.chain().find_map(|cause| cause.downcast_ref::<store::Error>());
    store.is_some_and(store::is_transient)
}
