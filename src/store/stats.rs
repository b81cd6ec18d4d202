//! Figures that are asked from the database when the metrics are read, so that an empty queue reads
//! zero and not its last value.

use std::{collections::BTreeMap, time::Duration};

use sqlx::{PgConnection, PgPool};

use super::{
    holds,
    looking::{hasty, in_time},
};
use crate::domain::{action::Priority, ids::ApplicationId};

/// What the gauges show.
#[derive(Debug, Default)]
pub struct Stats {
    /// By application and status.
    pub installations: BTreeMap<(i64, String), i64>,
    /// By state and action; finished ones are not here.
    pub jobs: BTreeMap<(String, String), i64>,
    /// Jobs given up in the last day, by action.
    pub discarded_last_day: BTreeMap<String, i64>,
    /// Calls that move money and are not at their end, by state.
    pub ledger: BTreeMap<String, i64>,
    /// How late the oldest due job is, forwarded events aside.
    pub job_oldest_due_seconds: f64,
    /// Events that wait to be forwarded, by application and rule: how many, and for how many seconds the oldest has.
    pub forwarding: BTreeMap<(i64, String), (i64, f64)>,
    /// Moments that have come and are not announced yet.
    pub moments_due: i64,
    /// Events nobody has judged.
    pub events_unprocessed: i64,
    /// Age of the oldest of them.
    pub events_oldest_unprocessed_seconds: f64,
    /// Age of the oldest connection that is pending and not activated, by application.
    pub activation_oldest_seconds: BTreeMap<i64, f64>,
    /// When the last complete round of comparing began, as a Unix time, by application.
    pub reconciled_at: BTreeMap<i64, f64>,
    /// Firings that wait for a person, by application and rule.
    pub held: Vec<(ApplicationId, String, i64)>,
    /// Active locations by application and what their webhook settings said.
    pub hooks: BTreeMap<(i64, String), i64>,
    /// Trials and what people live on, by application.
    pub business: BTreeMap<i64, Business>,
}

/// How an application does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Business {
    /// Active installations that are paid for.
    pub paid: i64,
    /// Active installations in a trial that nobody has paid for yet.
    pub trial: i64,
    /// Active installations of which neither is known.
    pub other: i64,
    /// Those of `trial` that end within seven days.
    pub ending: i64,
    /// Trials that ended within 30 days and were paid.
    pub ended_paid: i64,
    /// Such that were not, where the installation is still there.
    pub ended_unpaid: i64,
    /// Such that were not, where it is gone.
    pub ended_left: i64,
}

/// Reads them all; `None` when that takes longer than `patience`. Connections that are older than `activation_limit`
/// cannot be activated any more and do not count.
///
/// # Errors
/// When the database does not answer.
pub async fn read(pool: &PgPool, activation_limit: Duration, patience: Duration) -> sqlx::Result<Option<Stats>> {
    let all = async {
        let mut tx = hasty(pool, patience).await?;
        all(&mut tx, activation_limit).await
    };
    match tokio::time::timeout(patience, all).await {
        Ok(read) => in_time(read),
        // Nobody waits for the question that is under way, and it ends by itself.
        Err(_) => Ok(None),
    }
}

async fn all(connection: &mut PgConnection, activation_limit: Duration) -> sqlx::Result<Stats> {
    let mut stats = waiting(connection).await?;
    stats.installations = installations(connection).await?;
    stats.jobs = jobs(connection).await?;
    stats.discarded_last_day = discarded_last_day(connection).await?;
    stats.ledger = open_entries(connection).await?;
    stats.forwarding = forwarding(connection).await?;
    stats.held = holds::counts(&mut *connection).await?;
    stats.activation_oldest_seconds = oldest_activations(connection, activation_limit).await?;
    stats.reconciled_at = reconciled_at(connection).await?;
    stats.hooks = hooks(connection).await?;
    stats.business = business(connection).await?;
    Ok(stats)
}

/// What waits, and since when.
async fn waiting(connection: &mut PgConnection) -> sqlx::Result<Stats> {
    let waiting = sqlx::query!(
        r#"
        select (select count(*) from inbox) as "unprocessed!",
               coalesce((select extract(epoch from now() - received_at)::float8 from inbox order by event_id limit 1), 0) as "oldest!",
               coalesce((select extract(epoch from now() - min(l.run_at))::float8 from lanes l
                         where l.priority <> $1 and l.run_at <= now() and (l.leased_until is null or l.leased_until < now())
                           and exists (select from jobs j where j.lane_id = l.id)), 0) as "due!",
               (select count(*) from timers where due_at <= now() and fired_for is distinct from due_at)
               + (select count(*) from schedules where due_at <= now())
               + (select count(*) from silences where due_at <= now()) as "moments_due!"
        "#,
        Priority::Forwarding as i16
    )
    .fetch_one(connection)
    .await?;
    Ok(Stats {
        job_oldest_due_seconds: waiting.due,
        moments_due: waiting.moments_due,
        events_unprocessed: waiting.unprocessed,
        events_oldest_unprocessed_seconds: waiting.oldest,
        ..Stats::default()
    })
}

async fn installations(connection: &mut PgConnection) -> sqlx::Result<BTreeMap<(i64, String), i64>> {
    let rows = sqlx::query!(r#"select application_id, status, count(*) as "count!" from installations group by 1, 2"#)
        .fetch_all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| ((row.application_id, row.status), row.count))
        .collect())
}

async fn jobs(connection: &mut PgConnection) -> sqlx::Result<BTreeMap<(String, String), i64>> {
    let rows = sqlx::query!(r#"select state, action, count(*) as "count!" from jobs group by 1, 2"#)
        .fetch_all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| ((row.state, row.action), row.count))
        .collect())
}

async fn forwarding(connection: &mut PgConnection) -> sqlx::Result<BTreeMap<(i64, String), (i64, f64)>> {
    let waiting = sqlx::query!(
        r#"select application_id, rule as "rule!", count(*) as "count!",
                  coalesce(extract(epoch from now() - min(created_at))::float8, 0) as "age!"
           from jobs where action = 'forward_event' and rule is not null group by 1, 2"#
    )
    .fetch_all(connection)
    .await?;
    let by_rule = waiting
        .into_iter()
        .map(|row| ((row.application_id, row.rule), (row.count, row.age)));
    Ok(by_rule.collect())
}

async fn discarded_last_day(connection: &mut PgConnection) -> sqlx::Result<BTreeMap<String, i64>> {
    let rows = sqlx::query!(
        r#"select action, count(*) as "count!" from finished_jobs
           where state = 'discarded' and finished_at > now() - interval '1 day' group by 1"#
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.action, row.count)).collect())
}

async fn open_entries(connection: &mut PgConnection) -> sqlx::Result<BTreeMap<String, i64>> {
    let rows = sqlx::query!(
        r#"select state, count(*) as "count!" from ledger l
           where state = 'unknown' or (state = 'intended' and exists (select from jobs j where j.id = l.job_id)) group by 1"#
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.state, row.count)).collect())
}

async fn oldest_activations(connection: &mut PgConnection, limit: Duration) -> sqlx::Result<BTreeMap<i64, f64>> {
    let rows = sqlx::query!(
        r#"select application_id, extract(epoch from now() - min(pending_since))::float8 as "age!" from activations
           where state in ('activating', 'external') and pending_since > now() - make_interval(secs => $1) group by 1"#,
        limit.as_secs_f64()
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.application_id, row.age)).collect())
}

async fn reconciled_at(connection: &mut PgConnection) -> sqlx::Result<BTreeMap<i64, f64>> {
    let rows = sqlx::query!(
        r#"select application_id, coalesce(extract(epoch from succeeded_at)::float8, 0) as "at!" from reconciliations"#
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.application_id, row.at)).collect())
}

async fn hooks(connection: &mut PgConnection) -> sqlx::Result<BTreeMap<(i64, String), i64>> {
    let rows = sqlx::query!(
        r#"select application_id, hooks as "hooks!", count(*) as "count!"
           from looks join installations i using (application_id, location_id)
           where hooks is not null and i.status = 'active' group by 1, 2"#
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ((row.application_id, row.hooks), row.count))
        .collect())
}

async fn business(connection: &mut PgConnection) -> sqlx::Result<BTreeMap<i64, Business>> {
    let rows = sqlx::query!(
        r#"
        select application_id,
            count(*) filter (where status = 'active') as "active!",
            count(*) filter (where status = 'active' and has_paid and paid_until > now()) as "paid!",
            count(*) filter (where status = 'active' and not has_paid and trial_ends_at > now()) as "trial!",
            count(*) filter (where status = 'active' and not has_paid and trial_ends_at > now()
                and trial_ends_at <= now() + interval '7 days') as "ending!",
            count(*) filter (where ended and has_paid) as "ended_paid!",
            count(*) filter (where ended and not has_paid and status <> 'uninstalled') as "ended_unpaid!",
            count(*) filter (where ended and not has_paid and status = 'uninstalled') as "ended_left!"
        from installations,
            lateral (select trial_ends_at <= now() and trial_ends_at > now() - interval '30 days' as ended) as over
        group by 1
        "#
    )
    .fetch_all(connection)
    .await?;
    let business = rows.into_iter().map(|row| {
        let business = Business {
            paid: row.paid,
            trial: row.trial,
            other: row.active - row.paid - row.trial,
            ending: row.ending,
            ended_paid: row.ended_paid,
            ended_unpaid: row.ended_unpaid,
            ended_left: row.ended_left,
        };
        (row.application_id, business)
    });
    Ok(business.collect())
}
