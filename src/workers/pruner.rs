use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use tracing::{error, info, warn};

use super::Step;
use crate::{
    app::App,
    domain::currency,
    store::{
        self, erasing, holds, installations, jobs,
        partitions::{self, DAYS_AHEAD, EVENTS, JOBS},
        rare, replays, sizes, upkeep,
    },
};

/// How often old things are looked for.
pub const EVERY: Duration = Duration::from_secs(10 * 60);

/// How often the longer walks are made.
const DAILY: Duration = Duration::from_secs(24 * 60 * 60);

/// Two clocks that differ by so much tell that one of them has jumped.
const JUMP: TimeDelta = TimeDelta::days(1);

/// A stop waits for a step, so a step erases or makes indexes for so long and then asks for another.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Makes partitions ahead, takes away what is old, keeps tables small.
///
/// # Errors
/// When the database does not answer.
pub async fn step(app: &App) -> Result<Step> {
    partitions::ensure(&app.pool, DAYS_AHEAD).await?;
    measure(app).await.context("measuring tables")?;
    let now = store::now(&app.pool).await?;
    if (now - Utc::now()).abs() > JUMP {
        error!(database = %now, "The clocks of the database and of this machine differ by more than a day; nothing is dropped");
        return Ok(Step::Idle);
    }
    drop_old(app, now).await.context("dropping old days")?;
    let window = i64::try_from(app.config.intake.duplicate_window.as_secs()).unwrap_or(i64::MAX);
    upkeep::forget_delivery_keys(&app.pool, window).await?;
    jobs::drop_empty_lanes(&app.pool).await?;
    daily(app, now).await?;
    let erased = erase(app, now)
        .await
        .context("erasing what is known of uninstalled locations")?;
    match erased {
        Step::Idle => index(app).await.context("making indexes"),
        step => Ok(step),
    }
}

async fn drop_old(app: &App, now: DateTime<Utc>) -> Result<()> {
    let kept = &app.config.retention;
    for (tables, keep) in [(&EVENTS[..], kept.events), (&JOBS[..], kept.jobs)] {
        let dropped = partitions::drop_old(&app.pool, tables, keep, now).await?;
        for partition in dropped.gone {
            info!(partition, "Dropped a day of old data");
            app.metrics.partitions_dropped_total.inc();
        }
        for partition in dropped.in_use {
            warn!(partition, "A day of old data is still being read; it is dropped later");
        }
    }
    Ok(())
}

async fn daily(app: &App, now: DateTime<Utc>) -> Result<()> {
    let kept = &app.config.retention;
    if upkeep::is_due(&app.pool, "firings", DAILY).await? {
        let forgotten = upkeep::forget_firings(&app.pool, now - kept.firings).await?;
        info!(forgotten, "Forgot firings about entity events");
        upkeep::note(&app.pool, "firings").await?;
    }
    if upkeep::is_due(&app.pool, "history", DAILY).await? {
        let forgotten = upkeep::forget_history(&app.pool, now - kept.history).await?;
        info!(forgotten, "Forgot changes of status");
        upkeep::note(&app.pool, "history").await?;
    }
    holds::forget_counters(&app.pool).await?;
    if upkeep::is_due(&app.pool, "replays", DAILY).await? {
        let forgotten = replays::forget(&app.pool, now - kept.events).await?;
        info!(forgotten, "Forgot which events were judged once more");
        upkeep::note(&app.pool, "replays").await?;
    }
    for table in EVENTS.into_iter().chain(JOBS) {
        if upkeep::is_due(&app.pool, table, DAILY).await? {
            upkeep::analyze(&app.pool, table).await?;
            upkeep::note(&app.pool, table).await?;
        }
    }
    Ok(())
}

/// Gives days the indexes that they lack.
async fn index(app: &App) -> Result<Step> {
    let began = Instant::now();
    while let Some(partition) = rare::index_next(&app.pool).await? {
        info!(partition, "Made an index that a migration brought");
        if began.elapsed() > AT_ONCE {
            return Ok(Step::Worked);
        }
    }
    Ok(Step::Idle)
}

async fn erase(app: &App, now: DateTime<Utc>) -> Result<Step> {
    let began = Instant::now();
    loop {
        let due = erasing::due(&app.pool, now - app.config.retention.uninstalled, 100).await?;
        if due.is_empty() {
            return Ok(Step::Idle);
        }
        for order in due {
            let gone = erasing::erase(&app.pool, &order, |_| {}).await?;
            if !gone.is_empty() {
                let (place, before) = (order.place, order.before);
                info!(%place, %before, ?gone, "Erased what was known of a location that is not connected");
                app.metrics.places_erased_total.inc();
            }
            if began.elapsed() > AT_ONCE {
                return Ok(Step::Worked);
            }
        }
    }
}

/// Shows zeros for the currencies that people have paid with, for the same reason as `app` does for what it knows at the
/// start.
async fn list_currencies(app: &App) -> Result<()> {
    for (application, currency) in installations::currencies(&app.pool).await? {
        let application = application.to_string();
        for result in ["received", "refunded"] {
            let labels = [&application, currency::label(currency.as_deref()), result];
            app.metrics.payments_total.with_label_values(&labels);
            app.metrics.payments_amount_total.with_label_values(&labels);
        }
    }
    Ok(())
}

async fn measure(app: &App) -> Result<()> {
    list_currencies(app).await?;
    for size in sizes::read(&app.pool).await? {
        let labels = [size.table.as_str()];
        app.metrics.table_bytes.with_label_values(&labels).set(size.bytes);
        app.metrics
            .table_dead_rows
            .with_label_values(&labels)
            .set(size.dead_rows);
    }
    let oldest = sizes::oldest_snapshot_seconds(&app.pool).await?;
    app.metrics.database_oldest_snapshot_seconds.set(oldest);
    Ok(())
}
