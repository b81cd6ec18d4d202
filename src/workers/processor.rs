//! Judges events: what each means for the installation, and which rules it fires. A batch is one
//! short transaction; nothing in it reaches beyond the database.

use anyhow::{Context, Result};
use chrono::Utc;
use tracing::{error, warn};

use super::{
    Step, is_transient,
    judge::{Judged, judge},
};
use crate::{
    app::App,
    domain::event::State,
    store::{
        self, PgTransaction,
        events::{self, Waiting},
    },
};

/// Events in one transaction.
const BATCH: i64 = 100;

/// Judges a batch of every shard that nobody else is judging.
///
/// # Errors
/// When the database does not answer.
pub async fn step(app: &App) -> Result<Step> {
    let mut found = Step::Idle;
    for shard in events::shards_with_work(&app.pool).await? {
        if batch(app, shard).await? == Step::Worked {
            found = Step::Worked;
        }
    }
    Ok(found)
}

async fn batch(app: &App, shard: i16) -> Result<Step> {
    let mut tx = app.pool.begin().await?;
    let Some(waiting) = events::take(&mut tx, shard, BATCH).await? else {
        return Ok(Step::Idle);
    };
    if waiting.is_empty() {
        return Ok(Step::Idle);
    }
    match judge_all(app, &mut tx, &waiting).await {
        Ok(judged) => {
            tx.commit().await?;
            tell(app, &waiting, &judged);
        }
        Err(error) if is_transient(&error) => return Err(error),
        Err(error) => {
            warn!(
                error = format!("{error:#}"),
                events = waiting.len(),
                "A batch of events failed; judging one by one"
            );
            tx.rollback().await?;
            one_by_one(app, shard, &waiting).await?;
        }
    }
    Ok(Step::Worked)
}

/// A poisoned event ends as failed with its error, and stops nobody else.
async fn one_by_one(app: &App, shard: i16, waiting: &[Waiting]) -> Result<()> {
    for event in waiting {
        let mut tx = app.pool.begin().await?;
        let Some(now_waiting) = events::take(&mut tx, shard, BATCH).await? else {
            return Ok(());
        };
        if !now_waiting.iter().any(|other| other.id == event.id) {
            continue;
        }
        let now = store::now(&mut *tx).await?;
        match judge(app, &mut tx, event, now).await {
            Ok(judged) => {
                tx.commit().await?;
                tell(app, std::slice::from_ref(event), &[judged]);
            }
            Err(error) if is_transient(&error) => return Err(error),
            Err(error) => {
                tx.rollback().await?;
                error!(event_id = %event.id, kind = %event.kind, error = format!("{error:#}"), "An event could not be judged");
                let mut tx = app.pool.begin().await?;
                events::settle(&mut tx, event, State::Failed, Some(&format!("{error:#}")), &[]).await?;
                tx.commit().await?;
                count_state(app, event, State::Failed);
            }
        }
    }
    Ok(())
}

async fn judge_all(app: &App, tx: &mut PgTransaction<'_>, waiting: &[Waiting]) -> Result<Vec<Judged>> {
    let now = store::now(&mut **tx).await?;
    let mut judged = Vec::with_capacity(waiting.len());
    for event in waiting {
        judged.push(
            judge(app, tx, event, now)
                .await
                .with_context(|| format!("event {}", event.id))?,
        );
    }
    Ok(judged)
}

fn tell(app: &App, waiting: &[Waiting], judged: &[Judged]) {
    let now = Utc::now();
    for (event, judged) in waiting.iter().zip(judged) {
        count_state(app, event, State::Processed);
        let lag = (now - event.received_at).to_std().unwrap_or_default();
        app.metrics.event_lag_seconds.observe(lag.as_secs_f64());
        judged.count(app, event);
    }
    if judged.iter().any(Judged::has_jobs) {
        app.wake.executor.notify_one();
    }
}

fn count_state(app: &App, event: &Waiting, state: State) {
    let application = event.place.application_id.to_string();
    app.metrics
        .events_judged_total
        .with_label_values(&[&application, state.as_str()])
        .inc();
}
