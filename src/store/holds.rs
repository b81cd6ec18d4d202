//! Caps of rules and what goes beyond them. A firing beyond the cap has its key and no jobs, until a person says that
//! its steps are to be done, or that they are not.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{PgPool, PgTransaction};

use super::reading::Page;
use crate::domain::ids::{ApplicationId, FiringId, Place};

/// A rule of an application.
pub type Of<'r> = (ApplicationId, &'r str);

/// Locks the counters of rules for this transaction, in one order for everybody: whoever needs several can wait for
/// nobody in a circle.
///
/// # Errors
/// When the database does not answer.
pub async fn lock_counters(tx: &mut PgTransaction<'_>, rules: &[Of<'_>]) -> sqlx::Result<()> {
    let (applications, names) = columns(rules);
    sqlx::query!(
        r#"
        insert into rule_days as d (application_id, rule, day, fired)
        select distinct application_id, rule, (now() at time zone 'utc')::date, 0
        from unnest($1::bigint[], $2::text[]) as r(application_id, rule) order by 1, 2
        on conflict (application_id, rule, day) do update set fired = d.fired
        "#,
        &applications,
        &names
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Counts a firing of today. Returns which one of the day it is, from 1.
///
/// # Errors
/// When the database does not answer.
pub async fn count(tx: &mut PgTransaction<'_>, (application, rule): Of<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        insert into rule_days as d (application_id, rule, day, fired) values ($1, $2, (now() at time zone 'utc')::date, 1)
        on conflict (application_id, rule, day) do update set fired = d.fired + 1 returning fired
        "#,
        application.0,
        rule
    )
    .fetch_one(&mut **tx)
    .await
}

/// Holds a firing.
///
/// # Errors
/// When the database does not answer.
pub async fn hold(tx: &mut PgTransaction<'_>, firing: FiringId, place: Place, rule: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into holds (firing_id, application_id, location_id, rule) values ($1, $2, $3, $4)",
        firing.0,
        place.application_id.0,
        place.location_id.0,
        rule
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A firing that waits for a person.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Held {
    /// The firing.
    pub firing_id: i64,
    /// Application.
    pub application_id: i64,
    /// Location.
    pub location_id: i64,
    /// The rule.
    pub rule: String,
    /// The event it wants to fire for.
    pub event_id: i64,
    /// Its kind.
    pub kind: String,
    /// Since when.
    pub held_at: DateTime<Utc>,
}

/// A page of the firings that are held, oldest first: at most so many, after the firing of that number.
///
/// # Errors
/// When the database does not answer.
pub async fn list(pool: &PgPool, of: Option<Of<'_>>, (limit, after): (i64, Option<i64>)) -> sqlx::Result<Page<Held>> {
    let items = sqlx::query_as!(
        Held,
        r#"
        select h.firing_id, h.application_id, h.location_id, h.rule, f.event_id, f.kind, h.held_at
        from holds h join firings f on f.id = h.firing_id
        where h.state = 'held' and ($1::bigint is null or (h.application_id = $1 and h.rule = $2))
          and ($4::bigint is null or h.firing_id > $4)
        order by h.firing_id limit $3
        "#,
        of.map(|(application, _)| application.0),
        of.map(|(_, rule)| rule.to_owned()),
        limit.saturating_add(1),
        after
    )
    .fetch_all(pool)
    .await?;
    Ok(Page::cut(items, limit, |held| held.firing_id.to_string()))
}

/// How many firings of each rule are held.
///
/// # Errors
/// When the database does not answer.
pub async fn counts(executor: impl sqlx::PgExecutor<'_>) -> sqlx::Result<Vec<(ApplicationId, String, i64)>> {
    let rows = sqlx::query!(
        r#"select application_id, rule, count(*) as "count!" from holds where state = 'held' group by 1, 2"#
    )
    .fetch_all(executor)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (ApplicationId(row.application_id), row.rule, row.count))
        .collect())
}

/// Ends the hold of a firing whose steps were queued in the same transaction. `false` when it is not held any more.
///
/// # Errors
/// When the database does not answer.
pub async fn release(tx: &mut PgTransaction<'_>, firing: FiringId) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update holds set state = 'released', changed_at = now() where firing_id = $1 and state = 'held'",
        firing.0
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Gives firings up: their steps will not be done. At most so many, the oldest first; returns how many.
///
/// # Errors
/// When the database does not answer.
pub async fn drop_held(pool: &PgPool, (application, rule): Of<'_>, limit: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"
        update holds set state = 'dropped', reason = 'given up by a person', changed_at = now()
        where firing_id in (select firing_id from holds where application_id = $1 and rule = $2 and state = 'held'
                            order by firing_id limit $3 for update skip locked)
        "#,
        application.0,
        rule,
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Gives up what is held at a location, except for some rules. Returns how many.
///
/// # Errors
/// When the database does not answer.
pub async fn drop_at(tx: &mut PgTransaction<'_>, place: Place, except: &[String], reason: &str) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "update holds set state = 'dropped', reason = $4, changed_at = now()
         where application_id = $1 and location_id = $2 and state = 'held' and rule <> all($3)",
        place.application_id.0,
        place.location_id.0,
        except,
        reason
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

/// Forgets the counters of past days.
///
/// # Errors
/// When the database does not answer.
pub async fn forget_counters(pool: &PgPool) -> sqlx::Result<u64> {
    let done = sqlx::query!("delete from rule_days where day < (now() at time zone 'utc')::date - 7")
        .execute(pool)
        .await?;
    Ok(done.rows_affected())
}

fn columns(rules: &[Of<'_>]) -> (Vec<i64>, Vec<String>) {
    rules
        .iter()
        .map(|(application, rule)| (application.0, (*rule).to_owned()))
        .unzip()
}
