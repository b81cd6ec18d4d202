use anyhow::{Context, Result};

use super::Step;
use crate::{
    app::App,
    domain::event::{Draft, Source},
    store::{events, timers},
};

/// Moments announced in one step.
const BATCH: i64 = 200;

/// Announces moments that have come: an event for each, and the mark that it was announced, in one
/// transaction.
///
/// # Errors
/// When the database does not answer.
pub async fn step(app: &App) -> Result<Step> {
    let mut tx = app.pool.begin().await?;
    let due = timers::take_due(&mut tx, BATCH)
        .await
        .context("reading the moments that have come")?;
    if due.is_empty() {
        return Ok(Step::Idle);
    }
    let drafts: Vec<Draft> = due
        .into_iter()
        .map(|due| Draft {
            place: due.place,
            kind: due.kind,
            source: Source::Timer,
            fact: due.fact,
            occurred_at: due.due_at,
        })
        .collect();
    events::append(&mut tx, &drafts).await?;
    tx.commit().await?;
    count_appended(app, &drafts);
    Ok(Step::Worked)
}

/// Counts events that Bellhop made itself, once they are committed, and wakes who judges them.
pub(super) fn count_appended(app: &App, drafts: &[Draft]) {
    for draft in drafts {
        let labels = [
            &draft.place.application_id.to_string(),
            &draft.kind.label(),
            draft.source.as_str(),
        ];
        app.metrics.events_total.with_label_values(&labels).inc();
    }
    if !drafts.is_empty() {
        app.wake.processor.notify_one();
    }
}
