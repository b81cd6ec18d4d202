//! Judging once more: what waits for it, what is known of its past, and how it ends.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, PgTransaction};

use crate::{
    domain::ids::EventId,
    store::inbox::{Decision, Row, Waiting},
};

/// What is known of the past of some events.
#[derive(Debug, Default)]
pub struct Past {
    /// The connection that each belongs to.
    pub generations: Vec<(EventId, i32)>,
    /// Rules that have fired for them.
    pub fired: Vec<(EventId, String)>,
}

/// Reads what became of events when they were judged.
///
/// # Errors
/// When the database does not answer.
pub async fn past(tx: &mut PgTransaction<'_>, events: &[&Waiting]) -> sqlx::Result<Past> {
    let ids: Vec<i64> = events.iter().map(|event| event.id.0).collect();
    let days: Vec<DateTime<Utc>> = events.iter().map(|event| event.received_at).collect();
    let applications: Vec<i64> = events.iter().map(|event| event.place.application_id.0).collect();
    let locations: Vec<i64> = events.iter().map(|event| event.place.location_id.0).collect();
    let generations = sqlx::query!(
        r#"
        select w.id as "id!", h.generation
        from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as w(id, application_id, location_id)
        cross join lateral (
            select generation from installation_history h
            where h.application_id = w.application_id and h.location_id = w.location_id and h.event_id <= w.id
            order by h.id desc limit 1
        ) h
        "#,
        &ids,
        &applications,
        &locations
    )
    .fetch_all(&mut **tx)
    .await?;
    let fired = sqlx::query!(
        r#"
        select d.event_id as "event_id!", d.rule as "rule!"
        from unnest($1::bigint[], $2::timestamptz[]) as w(id, received_at)
        cross join lateral (
            select event_id, rule from decisions
            where event_id = w.id and received_at = w.received_at and result in ('fired', 'held') offset 0
        ) d
        "#,
        &ids,
        &days
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(Past {
        generations: generations
            .into_iter()
            .map(|row| (EventId(row.id), row.generation))
            .collect(),
        fired: fired.into_iter().map(|row| (EventId(row.event_id), row.rule)).collect(),
    })
}

/// An event that waits to be judged once more.
#[derive(Debug)]
pub struct Again {
    /// Of which replay.
    pub replay: i64,
    /// Only this rule.
    pub rule: Option<String>,
    /// Also where it has fired before.
    pub force: bool,
    /// The event, without its body; `None` when its day was dropped.
    pub event: Option<Waiting>,
    /// Its number.
    pub event_id: EventId,
}

/// A shard in which something waits.
///
/// # Errors
/// When the database does not answer.
pub async fn shard_with_work(pool: &PgPool) -> sqlx::Result<Option<i16>> {
    sqlx::query_scalar!("select shard from replayed where judged_at is null order by shard, event_id limit 1")
        .fetch_optional(pool)
        .await
}

/// Takes the oldest events of a shard that wait, in their order, at most so many. The caller has the shard.
///
/// # Errors
/// When the database does not answer.
pub async fn take(tx: &mut PgTransaction<'_>, shard: i16, limit: i64) -> sqlx::Result<Vec<Again>> {
    let rows = sqlx::query!(
        r#"
        select r.replay_id, r.event_id, q.rule, q.force, e.id as "id?", e.received_at as "received_at?",
               e.application_id as "application_id?", e.location_id, e.kind as "kind?", e.source as "source?",
               e.occurred_at as "occurred_at?", e.resource_id, e.digest, e.fact
        from (
            select * from replayed where judged_at is null and shard = $1 order by event_id, replay_id limit $2
        ) r
        join replays q on q.id = r.replay_id
        left join lateral (
            select * from events where id = r.event_id and received_at = r.received_at offset 0
        ) e on true
        order by r.event_id, r.replay_id
        "#,
        shard,
        limit
    )
    .fetch_all(&mut **tx)
    .await?;
    let again = rows.into_iter().map(|row| {
        let known = (
            row.id,
            row.received_at,
            row.application_id,
            row.kind,
            row.source,
            row.occurred_at,
        );
        let event = match known {
            (Some(id), Some(received_at), Some(application_id), Some(kind), Some(source), Some(occurred_at)) => {
                Some(Waiting::from(Row {
                    id,
                    received_at,
                    application_id,
                    location_id: row.location_id,
                    kind,
                    source,
                    occurred_at,
                    resource_id: row.resource_id,
                    digest: row.digest,
                    fact: row.fact,
                    body: None,
                }))
            }
            _ => None,
        };
        Again {
            replay: row.replay_id,
            rule: row.rule,
            force: row.force,
            event,
            event_id: EventId(row.event_id),
        }
    });
    Ok(again.collect())
}

/// How an event that was judged once more ended.
#[derive(Debug)]
pub struct Ended {
    /// Of which replay.
    pub replay: i64,
    /// The event.
    pub event_id: EventId,
    /// The day it is filed under, where something was decided.
    pub received_at: Option<DateTime<Utc>>,
    /// What people should know about it.
    pub note: Option<String>,
    /// What was decided about each rule that was considered.
    pub decisions: Vec<Decision>,
}

/// Ends events of replays: what was decided stands beside what was decided before.
///
/// # Errors
/// When the database does not answer.
pub async fn settle(tx: &mut PgTransaction<'_>, ended: &[Ended]) -> sqlx::Result<()> {
    let replays: Vec<i64> = ended.iter().map(|one| one.replay).collect();
    let ids: Vec<i64> = ended.iter().map(|one| one.event_id.0).collect();
    let notes: Vec<Option<String>> = ended.iter().map(|one| one.note.clone()).collect();
    let decided: Vec<(&Ended, DateTime<Utc>, &Decision)> = ended
        .iter()
        .filter_map(|one| Some((one, one.received_at?)))
        .flat_map(|(one, day)| one.decisions.iter().map(move |decision| (one, day, decision)))
        .collect();
    let decided_ids: Vec<i64> = decided.iter().map(|(one, ..)| one.event_id.0).collect();
    let decided_days: Vec<DateTime<Utc>> = decided.iter().map(|(_, day, _)| *day).collect();
    let decided_replays: Vec<i64> = decided.iter().map(|(one, ..)| one.replay).collect();
    let rules: Vec<String> = decided.iter().map(|(.., decision)| decision.rule.clone()).collect();
    let results: Vec<String> = decided.iter().map(|(.., one)| one.ruling.to_string()).collect();
    let firings: Vec<Option<i64>> = decided.iter().map(|(.., one)| one.firing.map(|id| id.0)).collect();
    let reasons: Vec<Option<String>> = decided.iter().map(|(.., one)| one.reason.clone()).collect();
    sqlx::query!(
        r#"
        with done as (
            update replayed r set judged_at = now(), note = e.note
            from unnest($1::bigint[], $2::bigint[], $3::text[]) as e(replay_id, event_id, note)
            where r.replay_id = e.replay_id and r.event_id = e.event_id and r.judged_at is null
        )
        insert into decisions (event_id, received_at, rule, result, reason, firing_id, replay_id)
        select id, received_at, rule, result, reason, firing, replay_id
        from unnest($4::bigint[], $5::timestamptz[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::bigint[])
            with ordinality as d(id, received_at, rule, result, reason, firing, replay_id, n)
        order by n
        "#,
        &replays,
        &ids,
        &notes as &[Option<String>],
        &decided_ids,
        &decided_days,
        &rules,
        &results,
        &reasons as &[Option<String>],
        &firings as &[Option<i64>],
        &decided_replays,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
