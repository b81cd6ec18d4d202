//! Events that are judged once more because a person asked for it. What waits stands in a table of its own, beside the
//! inbox: it is judged by the rules and moves nothing.

mod judging;

use chrono::{DateTime, Utc};
use sqlx::{PgPool, PgTransaction};

pub use self::judging::{Again, Ended, Past, past, settle, shard_with_work, take};
use super::{
    events::SHARDS,
    inbox::{Row, Waiting},
};
use crate::domain::{
    event::State,
    ids::{EventId, LocationId},
};

/// Which stored events a person means.
#[derive(Debug, Default, Clone)]
pub struct Filter {
    /// These, in whatever state they are.
    pub ids: Vec<i64>,
    /// Of one application.
    pub application: Option<i64>,
    /// Of one location.
    pub location: Option<i64>,
    /// Of one kind.
    pub kind: Option<String>,
    /// In one of these states.
    pub states: Vec<String>,
    /// Received at or after.
    pub since: Option<DateTime<Utc>>,
    /// Received before.
    pub until: Option<DateTime<Utc>>,
    /// After this number.
    pub after: i64,
}

/// A stored event that a person means.
#[derive(Debug)]
pub struct Stored {
    /// The event, without its body.
    pub event: Waiting,
    /// Its location, when one could be read.
    pub location: Option<LocationId>,
    /// Where it stands.
    pub state: State,
    /// Why it is in that state, when there is something to say.
    pub note: Option<String>,
    /// Its body was erased, and there was nothing else in it.
    pub erased: bool,
    /// The event that was made of it before.
    pub became: Option<EventId>,
}

/// The next events, in their order, at most so many.
///
/// # Errors
/// When the database does not answer.
pub async fn select(tx: &mut PgTransaction<'_>, filter: &Filter, limit: i64) -> sqlx::Result<Vec<Stored>> {
    let rows = sqlx::query!(
        r#"
        select e.id, e.received_at, e.application_id, e.location_id, e.kind, e.source, e.occurred_at, e.resource_id,
               e.digest, e.fact, s.state as "state!", coalesce(e.reason, o.note) as note,
               e.fact is null and e.body is null as "erased!",
               (select max(became) from replayed r where r.event_id = e.id) as became
        from events e left join outcomes o on o.event_id = e.id and o.received_at = e.received_at
        cross join lateral (
            select case when e.verdict <> 'received' then e.verdict else coalesce(o.state, 'received') end as state
        ) s
        where case when cardinality($1::bigint[]) > 0 then e.id = any($1) else s.state = any($2) end
          and ($3::bigint is null or e.application_id = $3) and ($4::bigint is null or e.location_id = $4)
          and ($5::text is null or e.kind = $5)
          and ($6::timestamptz is null or e.received_at >= $6) and ($7::timestamptz is null or e.received_at < $7)
          and e.id > $8
        order by e.id limit $9
        "#,
        &filter.ids,
        &filter.states,
        filter.application,
        filter.location,
        filter.kind,
        filter.since,
        filter.until,
        filter.after,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    let stored = rows.into_iter().map(|row| Stored {
        location: row.location_id.map(LocationId),
        state: State::parse(&row.state).unwrap_or(State::Received),
        note: row.note,
        erased: row.erased,
        became: row.became.map(EventId),
        event: Waiting::from(Row {
            id: row.id,
            received_at: row.received_at,
            application_id: row.application_id,
            location_id: row.location_id,
            kind: row.kind,
            source: row.source,
            occurred_at: row.occurred_at,
            resource_id: row.resource_id,
            digest: row.digest,
            fact: row.fact,
            body: None,
        }),
    });
    Ok(stored.collect())
}

/// Begins a replay: of one rule or of all, and also where they have fired before (`force`). Returns its number, or
/// nothing when one was begun under this key before. Whoever comes second waits until the first has decided.
///
/// # Errors
/// When the database does not answer.
pub async fn begin(
    tx: &mut PgTransaction<'_>,
    (rule, force): (Option<&str>, bool),
    key: Option<&str>,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        r#"
        insert into replays (rule, force, key) values ($1, $2, $3)
        on conflict (key) where key is not null do nothing returning id
        "#,
        rule,
        force,
        key
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Puts events into a replay; the rules judge them once more.
///
/// # Errors
/// When the database does not answer.
pub async fn add(tx: &mut PgTransaction<'_>, replay: i64, events: &[&Waiting]) -> sqlx::Result<()> {
    let (ids, days): (Vec<i64>, Vec<DateTime<Utc>>) = events.iter().map(|one| (one.id.0, one.received_at)).unzip();
    sqlx::query!(
        r#"
        insert into replayed (replay_id, event_id, received_at, application_id, location_id, shard)
        select $1, e.id, e.received_at, e.application_id, e.location_id, abs(e.location_id % $4)::smallint
        from unnest($2::bigint[], $3::timestamptz[]) as w(id, received_at)
        cross join lateral (
            select id, received_at, application_id, location_id from events
            where id = w.id and received_at = w.received_at and location_id is not null offset 0
        ) e
        on conflict do nothing
        "#,
        replay,
        &ids,
        &days,
        i64::from(SHARDS),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Puts events that could not be judged back into the inbox, as if they waited.
///
/// # Errors
/// When the database does not answer.
pub async fn put_back(tx: &mut PgTransaction<'_>, replay: i64, events: &[&Waiting]) -> sqlx::Result<()> {
    let (ids, days): (Vec<i64>, Vec<DateTime<Utc>>) = events.iter().map(|one| (one.id.0, one.received_at)).unzip();
    sqlx::query!(
        r#"
        with found as (
            select e.* from unnest($2::bigint[], $3::timestamptz[]) as w(id, received_at)
            cross join lateral (
                select id, received_at, application_id, location_id from events
                where id = w.id and received_at = w.received_at and location_id is not null offset 0
            ) e
        ), noted as (
            insert into replayed (replay_id, event_id, received_at, application_id, location_id, shard, judged_at, note)
            select $1, id, received_at, application_id, location_id, abs(location_id % $4)::smallint, now(),
                   'put back into the inbox'
            from found on conflict do nothing
        )
        insert into inbox (event_id, received_at, application_id, location_id, shard)
        select id, received_at, application_id, location_id, abs(location_id % $4)::smallint from found
        on conflict do nothing
        "#,
        replay,
        &ids,
        &days,
        i64::from(SHARDS),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes which event was made of one that had been refused: the last that this transaction has stored.
///
/// # Errors
/// When the database does not answer.
pub async fn note_became(tx: &mut PgTransaction<'_>, replay: i64, event: &Waiting) -> sqlx::Result<EventId> {
    let became = sqlx::query_scalar!(
        r#"
        insert into replayed (replay_id, event_id, received_at, application_id, location_id, shard, judged_at, became, note)
        values ($1, $2, $3, $4, $5, 0, now(), currval('event_ids'), 'taken as genuine')
        returning became as "became!"
        "#,
        replay,
        event.id.0,
        event.received_at,
        event.place.application_id.0,
        Some(event.place.location_id.0).filter(|location| *location > 0),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(EventId(became))
}

/// A body and the headers that were kept with it.
///
/// # Errors
/// When the database does not answer.
pub async fn raw(
    tx: &mut PgTransaction<'_>,
    event: &Waiting,
) -> sqlx::Result<(Option<Vec<u8>>, Option<serde_json::Value>)> {
    let row = sqlx::query!(
        "select body, headers from events where id = $1 and received_at = $2",
        event.id.0,
        event.received_at
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map_or((None, None), |row| (row.body, row.headers)))
}

/// Forgets replays before `before`. Returns how many events were in them.
///
/// # Errors
/// When the database does not answer.
pub async fn forget(pool: &PgPool, before: DateTime<Utc>) -> sqlx::Result<u64> {
    let gone = sqlx::query!(
        "delete from replayed where asked_at < $1 and judged_at is not null",
        before
    )
    .execute(pool)
    .await?;
    sqlx::query!(
        "delete from replays q where asked_at < $1 and not exists (select from replayed r where r.replay_id = q.id)",
        before
    )
    .execute(pool)
    .await?;
    Ok(gone.rows_affected())
}
