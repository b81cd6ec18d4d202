use std::collections::BTreeMap;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};

use super::Step;
use crate::{
    app::{App, moments::Calendars},
    domain::{
        event::{Draft, Fact, Source},
        ids::{ApplicationId, Place},
        installation::Status,
    },
    store::{
        self, PgTransaction, events,
        schedules::{self, Next},
        silences, timers,
    },
};

/// Moments announced in one step, of each sort.
const BATCH: i64 = 200;

/// Announces moments that have come: an event for each, and what is remembered of it, in one
/// transaction.
///
/// # Errors
/// When the database does not answer.
pub async fn step(app: &App) -> Result<Step> {
    silences::listen(&app.pool)
        .await
        .context("noting that somebody listens")?;
    let mut tx = app.pool.begin().await?;
    let taken = ends(&mut tx).await.context("reading the ends that have come")?;
    let ends = announce(app, tx, taken).await?;
    let mut tx = app.pool.begin().await?;
    let taken = occurrences(&mut tx)
        .await
        .context("reading the schedules that are due")?;
    let occurrences = announce(app, tx, taken).await?;
    let mut tx = app.pool.begin().await?;
    let taken = silent(&mut tx).await.context("reading who is silent")?;
    let silent = announce(app, tx, taken).await?;
    match [ends, occurrences, silent].contains(&Step::Worked) {
        true => Ok(Step::Worked),
        false => Ok(Step::Idle),
    }
}

/// What was found in a transaction.
struct Taken {
    /// Rows that were due.
    rows: usize,
    /// What came of them.
    drafts: Vec<Draft>,
}

async fn announce(app: &App, mut tx: PgTransaction<'_>, taken: Taken) -> Result<Step> {
    if taken.rows == 0 {
        return Ok(Step::Idle);
    }
    events::append(&mut tx, &taken.drafts).await?;
    tx.commit().await?;
    count_appended(app, &taken.drafts);
    Ok(Step::Worked)
}

fn draft(place: Place, fact: Fact, due_at: DateTime<Utc>) -> Draft {
    Draft {
        place,
        kind: fact.kind(),
        source: Source::Timer,
        fact,
        occurred_at: due_at,
    }
}

/// Ends of trials and paid periods.
async fn ends(tx: &mut PgTransaction<'_>) -> Result<Taken> {
    let due = timers::take_due(tx, BATCH).await?;
    Ok(Taken {
        rows: due.len(),
        drafts: due
            .into_iter()
            .map(|due| draft(due.place, due.fact, due.due_at))
            .collect(),
    })
}

/// Occurrences of calendars. Of several that were missed the last one alone is announced, and of a place that is not
/// active or whose clocks are others now, none: it goes on with the next.
async fn occurrences(tx: &mut PgTransaction<'_>) -> Result<Taken> {
    let due = schedules::take_due(tx, BATCH).await?;
    let (rows, mut drafts) = (due.len(), Vec::new());
    if rows == 0 {
        return Ok(Taken { rows, drafts });
    }
    let now = store::now(&mut **tx).await?;
    let mut calendars = Calendars::default();
    let mut next: BTreeMap<ApplicationId, Vec<Next>> = BTreeMap::new();
    for due in due {
        let around = calendars.around(&due.line, now);
        if let (Status::Active, Some(last)) = (due.status, around.last)
            && due.planned_zone == due.line.zone
        {
            let fact = Fact::ScheduleCame {
                generation: due.generation,
                cron: due.line.cron.clone(),
                local_at: last.local_at,
            };
            drafts.push(draft(due.place(), fact, last.due_at));
        }
        let lines = next.entry(due.application_id).or_default();
        lines.push(around.next(due.line, now));
    }
    for (application, next) in &next {
        schedules::write(tx, *application, next).await?;
    }
    Ok(Taken { rows, drafts })
}

/// Places that fell silent.
async fn silent(tx: &mut PgTransaction<'_>) -> Result<Taken> {
    let looked = silences::take_due(tx, BATCH).await?;
    let silent = looked.silent.into_iter();
    Ok(Taken {
        rows: looked.places,
        drafts: silent.map(|due| draft(due.place, due.fact, due.due_at)).collect(),
    })
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
