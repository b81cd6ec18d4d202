use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgPool, PgTransaction};

use crate::domain::{
    event::{Cause, Fact, Kind, Ruling, Source, State},
    ids::{ApplicationId, EventId, FiringId, LocationId, Place},
};

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
    /// Raw bytes, once they were asked for.
    pub body: Option<Vec<u8>>,
}

/// Any number that other users of the database do not take; the shard is the second half.
const LOCK: i32 = 0x6265_6c6c;

/// A shard of the inbox, and where to begin in it.
#[derive(Debug, Clone, Copy)]
pub struct Shard {
    /// Which.
    pub number: i16,
    /// Events up to this number are not looked for.
    pub after: i64,
}

/// What was taken out of the inbox for judging.
#[derive(Debug)]
pub struct Taken {
    /// The events, in the order of their numbers.
    pub waiting: Vec<Waiting>,
    /// The highest number taken of each shard; all lower ones that could be seen are among them.
    pub reached: Vec<(i16, i64)>,
}

/// The shards that have events to judge. `floors` tells for each shard where to begin.
///
/// This and [`take`] ask in the order of the index on shard and number, and in a way that no other index
/// answers. The planner knows the inbox only as it was, mostly empty, and would walk over the rows of
/// all shards from the first, also those that are gone and cannot be cleaned up while somebody holds an
/// old snapshot.
///
/// # Errors
/// When the database does not answer.
pub async fn shards_with_work(pool: &PgPool, floors: &[i64]) -> sqlx::Result<Vec<Shard>> {
    sqlx::query_as!(
        Shard,
        r#"select (n - 1)::smallint as "number!", floor as "after!" from unnest($1::bigint[]) with ordinality as f(floor, n)
           cross join lateral (
               select from inbox where (shard, event_id) > ((n - 1)::smallint, floor) and shard <= (n - 1)::smallint
               order by shard, event_id limit 1
           ) i"#,
        floors
    )
    .fetch_all(pool)
    .await
}

/// Takes those of the shards that no other processor has, for this transaction, and reads the oldest
/// events of each without their bodies, at most so many of a shard.
///
/// # Errors
/// When the database does not answer.
pub async fn take(tx: &mut PgTransaction<'_>, shards: &[Shard], limit: i64) -> sqlx::Result<Taken> {
    let numbers: Vec<i16> = shards.iter().map(|shard| shard.number).collect();
    let floors: Vec<i64> = shards.iter().map(|shard| shard.after).collect();
    // A statement of its own, so that the next one sees what the last owner has committed.
    let ours = sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock($1, shard) as "ours!" from unnest($2::smallint[]) with ordinality as s(shard, n) order by n"#,
        LOCK,
        &numbers
    )
    .fetch_all(&mut **tx)
    .await?;
    // `offset 0` keeps it at one look-up in the primary key for each event, whatever the planner
    // believes of tables that grow and shrink all the time.
    let rows = sqlx::query!(
        r#"
        select e.id as "id!", e.received_at as "received_at!", e.application_id as "application_id!", e.location_id,
               e.kind as "kind!", e.source as "source!", e.occurred_at as "occurred_at!", e.resource_id, e.digest,
               e.fact, s.shard as "shard!"
        from unnest($1::smallint[], $3::bigint[], $4::boolean[]) as s(shard, floor, ours)
        cross join lateral (
            select * from inbox where s.ours and (shard, event_id) > (s.shard, s.floor) and shard <= s.shard
            order by shard, event_id limit $2
        ) i
        cross join lateral (
            select * from events where id = i.event_id and received_at = i.received_at offset 0
        ) e
        order by e.id
        "#,
        &numbers,
        limit,
        &floors,
        &ours
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut reached: BTreeMap<i16, i64> = BTreeMap::new();
    for row in &rows {
        reached.insert(row.shard, row.id);
    }
    let waiting = rows.into_iter().map(|row| {
        Waiting::from(Row {
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
        })
    });
    Ok(Taken {
        waiting: waiting.collect(),
        reached: reached.into_iter().collect(),
    })
}

/// Waits until a shard is ours for this transaction: nobody else judges its places meanwhile.
///
/// # Errors
/// When the database does not answer, or somebody has it for longer than a lock is waited for.
pub async fn hold(tx: &mut PgTransaction<'_>, shard: i16) -> sqlx::Result<()> {
    sqlx::query!("select pg_advisory_xact_lock($1, $2)", LOCK, i32::from(shard))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Reads the bodies of events that [`take`] gave.
///
/// # Errors
/// When the database does not answer.
pub async fn read_bodies(tx: &mut PgTransaction<'_>, events: &mut [&mut Waiting]) -> sqlx::Result<()> {
    let ids: Vec<i64> = events.iter().map(|event| event.id.0).collect();
    let days: Vec<DateTime<Utc>> = events.iter().map(|event| event.received_at).collect();
    let rows = sqlx::query!(
        r#"
        select e.id as "id!", e.body
        from unnest($1::bigint[], $2::timestamptz[]) as w(id, received_at)
        cross join lateral (select id, body from events where id = w.id and received_at = w.received_at offset 0) e
        "#,
        &ids,
        &days
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut bodies: HashMap<i64, Option<Vec<u8>>> = rows.into_iter().map(|row| (row.id, row.body)).collect();
    for event in events {
        event.body = bodies.remove(&event.id.0).flatten();
    }
    Ok(())
}

pub(super) struct Row {
    pub(super) id: i64,
    pub(super) received_at: DateTime<Utc>,
    pub(super) application_id: i64,
    pub(super) location_id: Option<i64>,
    pub(super) kind: String,
    pub(super) source: String,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) resource_id: Option<i64>,
    pub(super) digest: Option<Vec<u8>>,
    pub(super) fact: Option<Value>,
    pub(super) body: Option<Vec<u8>>,
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

/// One event that is stored, with its body; `None` when it is not there (any more).
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
    /// What it said.
    pub ruling: Ruling,
    /// The firing, unless it was skipped.
    pub firing: Option<FiringId>,
    /// Why it was skipped, as a word. Not stored.
    pub cause: Option<Cause>,
    /// Why it was skipped or is held.
    pub reason: Option<String>,
}

/// How an event ended.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// `Processed` or `Failed`.
    pub state: State,
    /// What people should know about it.
    pub note: Option<String>,
    /// What was decided about each rule that was considered.
    pub decisions: Vec<Decision>,
}

/// Ends events: writes what was decided and takes them out of the inbox. One that is not there any
/// more was ended by somebody else, and stays as it is. Nothing is joined with the inbox, whose size the
/// planner knows only as it was.
///
/// # Errors
/// When the database does not answer.
pub async fn settle(tx: &mut PgTransaction<'_>, events: &[Waiting], verdicts: &[Verdict]) -> sqlx::Result<()> {
    let ids: Vec<i64> = events.iter().map(|event| event.id.0).collect();
    let days: Vec<DateTime<Utc>> = events.iter().map(|event| event.received_at).collect();
    let states: Vec<String> = verdicts.iter().map(|verdict| verdict.state.to_string()).collect();
    let notes: Vec<Option<String>> = verdicts.iter().map(|verdict| verdict.note.clone()).collect();
    let decided: Vec<(&Waiting, &Decision)> = events
        .iter()
        .zip(verdicts)
        .flat_map(|(event, verdict)| verdict.decisions.iter().map(move |decision| (event, decision)))
        .collect();
    let decided_ids: Vec<i64> = decided.iter().map(|(event, _)| event.id.0).collect();
    let decided_days: Vec<DateTime<Utc>> = decided.iter().map(|(event, _)| event.received_at).collect();
    let rules: Vec<String> = decided.iter().map(|(_, decision)| decision.rule.clone()).collect();
    let firings: Vec<Option<i64>> = decided.iter().map(|(_, d)| d.firing.map(|id| id.0)).collect();
    let rulings: Vec<&str> = decided.iter().map(|(_, decision)| decision.ruling.as_str()).collect();
    let reasons: Vec<Option<String>> = decided.iter().map(|(_, d)| d.reason.clone()).collect();
    sqlx::query!(
        r#"
        with done as (
            delete from inbox where event_id = any($1) returning event_id
        ), outcome as (
            insert into outcomes (event_id, received_at, state, note)
            select * from unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::text[]) as ended(id, received_at, state, note)
            where id = any(array(select event_id from done))
            on conflict (event_id, received_at) do update set state = excluded.state, note = excluded.note, decided_at = now()
        )
        insert into decisions (event_id, received_at, rule, result, reason, firing_id)
        select id, received_at, rule, ruling, reason, firing
        from unnest($5::bigint[], $6::timestamptz[], $7::text[], $8::bigint[], $9::text[], $10::text[])
            with ordinality as d(id, received_at, rule, firing, reason, ruling, n)
        where id = any(array(select event_id from done))
        order by n
        "#,
        &ids,
        &days,
        &states,
        &notes as &[Option<String>],
        &decided_ids,
        &decided_days,
        &rules,
        &firings as &[Option<i64>],
        &reasons as &[Option<String>],
        &rulings as &[&str],
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
