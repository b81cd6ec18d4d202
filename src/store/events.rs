use std::{borrow::Cow, collections::HashSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgTransaction};

use crate::domain::{
    event::{Draft, Fact, Kind, Source, State},
    ids::{ApplicationId, LocationId},
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
    connection: &mut PgConnection,
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
    .fetch_all(connection)
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
