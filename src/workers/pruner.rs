use std::time::Duration;

use anyhow::Result;
use tracing::info;

use super::Step;
use crate::{
    app::App,
    store::{jobs, partitions},
};

/// How often old things are looked for.
pub const EVERY: Duration = Duration::from_secs(10 * 60);

/// Days for which partitions exist ahead: a week without this worker loses nothing.
pub const DAYS_AHEAD: u64 = 7;

/// Makes partitions ahead, drops old ones, forgets old delivery keys.
///
/// # Errors
/// When the database does not answer.
pub async fn step(app: &App) -> Result<Step> {
    partitions::ensure(&app.pool, DAYS_AHEAD).await?;
    let keep_days = app.config.retention.events.as_secs().div_ceil(24 * 60 * 60);
    for name in partitions::drop_old(&app.pool, keep_days).await? {
        info!(partition = name, "Dropped a day of old data");
        app.metrics.partitions_dropped_total.inc();
    }
    let window = i64::try_from(app.config.intake.duplicate_window.as_secs()).unwrap_or(i64::MAX);
    while partitions::forget_delivery_keys(&app.pool, window).await? > 0 {}
    jobs::drop_empty_lanes(&app.pool).await?;
    Ok(Step::Idle)
}
