use std::{borrow::Cow, collections::HashSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgPool, PgTransaction};

use crate::domain::{
    event::{Draft, Fact, Kind, Source, State},
    ids::{ApplicationId, EventId, FiringId, LocationId, Place},
};

/// Locations are spread over this many shards, each judged by one processor at a time.
pub const SHARDS: i16 = 16;

/// What came over the wire, ready to be stored.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Sameness; `None` when every arrival counts (an uninstall says the same each time).
    pub key: Option<[u8; 32]>,
    /// The application of the door it came through.
    pub application_id: ApplicationId,
    /// The location it names, when one could be read.
    pub location_id: Option<LocationId>,
    /// What it is about.
    pub kind: Kind,
    /// Which door.
    pub source: Source,
    /// `Received`, `Rejected` or `Quarantined`.
    pub verdict: State,
    /// Why it was rejected or quarantined.
    pub reason: Option<Cow<'static, str>>,
    /// The entity it is about.
    pub resource_id: Option<i64>,
    /// SHA-256 over application, location and body.
    pub digest: [u8; 32],
    /// What it says, for events of the installation.
    pub fact: Option<Fact>,
    /// The headers worth keeping.
    pub headers: Value,
    /// The body as received, tokens removed.
    pub body: Vec<u8>,
    /// When it arrived, when that was earlier than its being stored; `None` stands for now.
    pub arrived_at: Option<DateTime<Utc>>,
}

/// What storing a delivery came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is durable.
    Fresh,
    /// It was durable before.
    Duplicate,
}

/// Stores a batch in one statement and one commit: sameness key, event and inbox row. The keys
/// inside a batch must differ. Returns for each delivery whether it was fresh. Events get their
/// numbers in the order of the batch. What arrived earlier happened at its arrival and is the same as
/// what was seen within `window_seconds` before that; it is received now all the same, because days of
/// events are filed by that.
///
/// # Errors
/// When the batch could not be committed. Nothing of it is stored then.
pub async fn store(
    executor: impl sqlx::PgExecutor<'_>,
    batch: &[Delivery],
    window_seconds: i64,
) -> sqlx::Result<Vec<Stored>> {
    let column = |read: fn(&Delivery) -> Option<i64>| -> Vec<Option<i64>> { batch.iter().map(read).collect() };
    let keys: Vec<Option<&[u8]>> = batch.iter().map(|d| d.key.as_ref().map(<[u8; 32]>::as_slice)).collect();
    let kinds: Vec<String> = batch.iter().map(|d| d.kind.to_string()).collect();
    let sources: Vec<&str> = batch.iter().map(|d| d.source.as_str()).collect();
    let verdicts: Vec<&str> = batch.iter().map(|d| d.verdict.as_str()).collect();
    let reasons: Vec<Option<&str>> = batch.iter().map(|d| d.reason.as_deref()).collect();
    let digests: Vec<&[u8]> = batch.iter().map(|d| d.digest.as_slice()).collect();
    let facts: Vec<Option<Value>> = batch.iter().map(|d| d.fact.as_ref().map(fact_json)).collect();
    let headers: Vec<&Value> = batch.iter().map(|d| &d.headers).collect();
    let bodies: Vec<&[u8]> = batch.iter().map(|d| d.body.as_slice()).collect();
    let arrivals: Vec<Option<DateTime<Utc>>> = batch.iter().map(|d| d.arrived_at).collect();
    // The keys are written in their own order, so that two processes with the same deliveries cannot
    // wait for each other. The bodies pass through no common table expression: it would copy them.
    let fresh = sqlx::query_scalar!(
        r#"
        with fresh as (
            insert into delivery_keys as known (key, seen_at)
            select key, least(arrived_at, now()) from unnest($1::bytea[], $15::timestamptz[]) as k(key, arrived_at)
            where key is not null order by key
            on conflict (key) do update set seen_at = excluded.seen_at
                where known.seen_at < excluded.seen_at - make_interval(secs => $13)
            returning key
        ), stored as (
            insert into events (application_id, location_id, kind, source, verdict, reason, resource_id, occurred_at, digest, fact, headers, body)
            select application_id, location_id, kind, source, verdict, reason, resource_id, least(arrived_at, now()), digest, fact, headers, body
            from unnest(
                $1::bytea[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[],
                $9::bytea[], $10::jsonb[], $11::jsonb[], $12::bytea[], $15::timestamptz[]
            ) as t(key, application_id, location_id, kind, source, verdict, reason, resource_id, digest, fact, headers, body, arrived_at)
            where key is null or key in (select key from fresh)
            returning id, received_at, application_id, location_id, verdict
        ), queued as (
            insert into inbox (event_id, received_at, application_id, location_id, shard)
            select id, received_at, application_id, location_id, abs(location_id % $14)::smallint
            from stored where verdict = 'received' and location_id is not null
        )
        select key from fresh
        "#,
        &keys as &[Option<&[u8]>],
        &column(|d| Some(d.application_id.0)) as &[Option<i64>],
        &column(|d| d.location_id.map(|id| id.0)) as &[Option<i64>],
        &kinds,
        &sources as &[&str],
        &verdicts as &[&str],
        &reasons as &[Option<&str>],
        &column(|d| d.resource_id) as &[Option<i64>],
        &digests as &[&[u8]],
        &facts as &[Option<Value>],
        &headers as &[&Value],
        &bodies as &[&[u8]],
        window_seconds as f64,
        i64::from(SHARDS),
        &arrivals as &[Option<DateTime<Utc>>],
    )
    .fetch_all(executor)
    .await?;
    let fresh: HashSet<Vec<u8>> = fresh.into_iter().collect();
    let stored = batch.iter().map(|delivery| match &delivery.key {
        Some(key) if !fresh.contains(key.as_slice()) => Stored::Duplicate,
        Some(_) | None => Stored::Fresh,
    });
    Ok(stored.collect())
}

/// Puts events that Bellhop made itself into the inbox.
///
/// # Errors
/// When the database does not answer.
pub async fn append(tx: &mut PgTransaction<'_>, drafts: &[Draft]) -> sqlx::Result<()> {
    for draft in drafts {
        sqlx::query!(
            r#"
            with stored as (
                insert into events (application_id, location_id, kind, source, verdict, occurred_at, fact)
                values ($1, $2, $3, $4, 'received', $5, $6) returning id, received_at
            )
            insert into inbox (event_id, received_at, application_id, location_id, shard)
            select id, received_at, $1, $2, abs($2 % $7)::smallint from stored
            "#,
            draft.place.application_id.0,
            draft.place.location_id.0,
            draft.kind.to_string(),
            draft.source.as_str(),
            draft.occurred_at,
            fact_json(&draft.fact),
            i64::from(SHARDS),
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

fn fact_json(fact: &Fact) -> Value {
    serde_json::to_value(fact).expect("facts are plain data")
}

/// An event that waits to be judged.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Its number.
    pub id: EventId,
    /// When it became durable.
    pub received_at: DateTime<Utc>,
    /// Where.
    pub place: Place,
    /// What about.
    pub kind: Kind,
    /// How learnt.
    pub source: Source,
    /// Since when it is known to be so.
    pub occurred_at: DateTime<Utc>,
    /// The entity it is about.
    pub resource_id: Option<i64>,
    /// SHA-256 of an entity event.
    pub digest: Option<Vec<u8>>,
    /// What it says about the installation.
    pub fact: Option<Fact>,
    /// Why that cannot be read: another version wrote it. Such an event must not stop its neighbours.
    pub unreadable: Option<String>,
    /// Raw bytes.
    pub body: Option<Vec<u8>>,
}

/// The shards that have events to judge.
///
/// # Errors
/// When the database does not answer.
pub async fn shards_with_work(pool: &PgPool) -> sqlx::Result<Vec<i16>> {
    sqlx::query_scalar!(
        r#"select n::smallint as "shard!" from generate_series(0, $1::int - 1) n
           where exists (select from inbox where shard = n::smallint)"#,
        i32::from(SHARDS)
    )
    .fetch_all(pool)
    .await
}

/// Takes a shard for this transaction and reads its oldest events. `None` when another processor
/// has the shard.
///
/// # Errors
/// When the database does not answer.
pub async fn take(tx: &mut PgTransaction<'_>, shard: i16, limit: i64) -> sqlx::Result<Option<Vec<Waiting>>> {
    /// Any number that other users of the database do not take; the shard is the second half.
    const LOCK: i32 = 0x6265_6c6c;
    let ours = sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock($1, $2) as "ours!""#,
        LOCK,
        i32::from(shard)
    )
    .fetch_one(&mut **tx)
    .await?;
    if !ours {
        return Ok(None);
    }
    let rows = sqlx::query_as!(
        Row,
        r#"
        select e.id, e.received_at, e.application_id, e.location_id, e.kind, e.source, e.occurred_at, e.resource_id,
               e.digest, e.fact, e.body
        from (select * from inbox where shard = $1 order by event_id limit $2) i
        join events e on e.id = i.event_id and e.received_at = i.received_at
        order by e.id
        "#,
        shard,
        limit
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(Some(rows.into_iter().map(Waiting::from).collect()))
}

struct Row {
    id: i64,
    received_at: DateTime<Utc>,
    application_id: i64,
    location_id: Option<i64>,
    kind: String,
    source: String,
    occurred_at: DateTime<Utc>,
    resource_id: Option<i64>,
    digest: Option<Vec<u8>>,
    fact: Option<Value>,
    body: Option<Vec<u8>>,
}

impl From<Row> for Waiting {
    fn from(row: Row) -> Self {
        let fact = row.fact.map(serde_json::from_value::<Fact>).transpose();
        Self {
            id: EventId(row.id),
            received_at: row.received_at,
            place: Place {
                application_id: ApplicationId(row.application_id),
                location_id: LocationId(row.location_id.unwrap_or_default()),
            },
            kind: row.kind.parse().unwrap_or(Kind::Unknown),
            source: Source::parse(&row.source).unwrap_or(Source::Operator),
            occurred_at: row.occurred_at,
            resource_id: row.resource_id,
            digest: row.digest,
            unreadable: fact.as_ref().err().map(ToString::to_string),
            fact: fact.unwrap_or(None),
            body: row.body,
        }
    }
}

/// One event that is stored, as [`take`] gives it; `None` when it is not there (any more).
///
/// # Errors
/// When the database does not answer.
pub async fn find(pool: &PgPool, id: EventId, received_at: DateTime<Utc>) -> sqlx::Result<Option<Waiting>> {
    let row = sqlx::query_as!(
        Row,
        r#"
        select id, received_at, application_id, location_id, kind, source, occurred_at, resource_id, digest,
               fact, body
        from events where id = $1 and received_at = $2
        "#,
        id.0,
        received_at
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(Waiting::from))
}

/// What was decided about an event and one rule.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The rule.
    pub rule: String,
    /// The firing, when it fired.
    pub firing: Option<FiringId>,
    /// Why it was skipped.
    pub reason: Option<String>,
}

/// Ends an event: writes what was decided and takes it out of the inbox.
///
/// # Errors
/// When the database does not answer.
pub async fn settle(
    tx: &mut PgTransaction<'_>,
    event: &Waiting,
    state: State,
    note: Option<&str>,
    decisions: &[Decision],
) -> sqlx::Result<()> {
    let rules: Vec<String> = decisions.iter().map(|d| d.rule.clone()).collect();
    let firings: Vec<Option<i64>> = decisions.iter().map(|d| d.firing.map(|id| id.0)).collect();
    let reasons: Vec<Option<String>> = decisions.iter().map(|d| d.reason.clone()).collect();
    sqlx::query!(
        r#"
        with done as (delete from inbox where event_id = $1), outcome as (
            insert into outcomes (event_id, received_at, state, note) values ($1, $2, $3, $4)
            on conflict (event_id, received_at) do update set state = excluded.state, note = excluded.note, decided_at = now()
        )
        insert into decisions (event_id, received_at, rule, result, reason, firing_id)
        select $1, $2, rule, case when firing is null then 'skipped' else 'fired' end, reason, firing
        from unnest($5::text[], $6::bigint[], $7::text[]) as d(rule, firing, reason)
        "#,
        event.id.0,
        event.received_at,
        state.as_str(),
        note,
        &rules,
        &firings as &[Option<i64>],
        &reasons as &[Option<String>],
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
