//! The marketplace allows 200 requests a minute and 5 a second for an address (contract 4), whoever
//! behind that address sends them. So the budget lives in the database, and every process asks
//! before each request. A row holds when requests were granted; a grant may lie a little ahead.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

/// What an address may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests in any second.
    pub per_second: u32,
    /// Requests in any minute.
    pub per_minute: u32,
}

/// How much of the budget a request may take.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// The share of the minute's requests after which this one has to wait, 1.0 for all.
    pub share: f64,
    /// How far ahead a turn may be taken. Those who would have to wait longer come again later, so
    /// that they do not stand in front of somebody more urgent.
    pub horizon: Duration,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Granted: send after this wait.
    In(Duration),
    /// Not granted: ask again after this wait.
    AskAgainIn(Duration),
}

/// Windows are longer than the marketplace's, because requests travel, and some faster than others:
/// an early one must not arrive beside a late one of the window before. What that costs is nothing in
/// the long run: 5 in 1.4 seconds are more than 200 in a minute.
const SECOND: TimeDelta = TimeDelta::milliseconds(1_400);
const MINUTE: TimeDelta = TimeDelta::milliseconds(61_000);

/// Asks for a turn at the budget of `scope` (the marketplace's host).
///
/// # Errors
/// When the database does not answer.
pub async fn take(pool: &PgPool, scope: &str, limits: Limits, claim: Claim) -> sqlx::Result<Turn> {
    let mut tx = pool.begin().await?;
    sqlx::query!(
        "insert into request_budget (scope) values ($1) on conflict do nothing",
        scope
    )
    .execute(&mut *tx)
    .await?;
    let row = sqlx::query!(
        r#"select granted, clock_timestamp() as "now!" from request_budget where scope = $1 for update"#,
        scope
    )
    .fetch_one(&mut *tx)
    .await?;
    let turn = next_turn(&row.granted, row.now, limits, claim.share);
    let wait = (turn - row.now).to_std().unwrap_or_default();
    if wait > claim.horizon {
        return Ok(Turn::AskAgainIn(wait - claim.horizon));
    }
    let mut granted = row.granted;
    granted.push(turn);
    let keep = limits.per_minute.max(limits.per_second) as usize;
    let granted = &granted[granted.len().saturating_sub(keep)..];
    sqlx::query!(
        "update request_budget set granted = $2 where scope = $1",
        scope,
        granted
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Turn::In(wait))
}

/// The first moment at which both limits and the share leave room.
fn next_turn(granted: &[DateTime<Utc>], now: DateTime<Utc>, limits: Limits, share: f64) -> DateTime<Utc> {
    let minute = (f64::from(limits.per_minute) * share).max(1.0) as usize;
    let room = |limit: usize, window: TimeDelta| {
        granted
            .len()
            .checked_sub(limit.max(1))
            .and_then(|index| granted.get(index))
            .map_or(now, |oldest| *oldest + window)
    };
    let last = granted.last().copied().unwrap_or(now);
    now.max(last)
        .max(room(limits.per_second as usize, SECOND))
        .max(room(minute, MINUTE))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However the requests come, no window ever holds more than its limit.
        #[test]
        fn no_window_is_ever_overdrawn(pauses in prop::collection::vec(0_i64..900, 1..400), share in 0.1_f64..1.0) {
            let limits = Limits { per_second: 5, per_minute: 200 };
            let mut now: DateTime<Utc> = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
            let mut granted: Vec<DateTime<Utc>> = Vec::new();
            for pause in pauses {
                now += TimeDelta::milliseconds(pause);
                granted.push(next_turn(&granted, now, limits, share));
            }
            for (index, turn) in granted.iter().enumerate() {
                let within = |window: TimeDelta| granted[..=index].iter().filter(|other| **other > *turn - window).count();
                prop_assert!(within(TimeDelta::seconds(1)) <= 5);
                prop_assert!(within(TimeDelta::minutes(1)) <= 200);
            }
        }
    }
}
