use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::PgPool;

use super::Page;
use crate::domain::event::{Ruling, Source, State};

/// An event in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Event {
    /// Number.
    pub id: i64,
    /// When it became durable.
    pub received_at: DateTime<Utc>,
    /// Application.
    pub application_id: i64,
    /// Location, when one could be read.
    pub location_id: Option<i64>,
    /// What about.
    pub kind: String,
    /// How learnt.
    #[schemars(with = "Source")]
    pub source: String,
    /// What became of it.
    #[schemars(with = "State")]
    pub state: String,
    /// Why it is in that state, when there is something to say.
    pub reason: Option<String>,
    /// The entity it is about.
    pub resource_id: Option<i64>,
}

/// Which events to list.
#[derive(Debug, Default, Clone)]
pub struct Filter {
    /// Of one application.
    pub application: Option<i64>,
    /// Of one location.
    pub location: Option<i64>,
    /// Of one kind.
    pub kind: Option<String>,
    /// Learnt in one way.
    pub source: Option<String>,
    /// In one state.
    pub state: Option<String>,
    /// Received at or after.
    pub since: Option<DateTime<Utc>>,
    /// Received before.
    pub until: Option<DateTime<Utc>>,
    /// Older than this number.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: i64,
}

/// A page of events: from where they are read, what numbers them there, and which are wanted.
macro_rules! page {
    ($pool:expr, $filter:expr, $from:literal, $number:literal) => {
        sqlx::query_as!(
            Event,
            r#"
            select e.id, e.received_at, e.application_id, e.location_id, e.kind, e.source, e.resource_id,
                   case when e.verdict <> 'received' then e.verdict else coalesce(o.state, 'received') end as "state!",
                   coalesce(e.reason, o.note) as reason
            from "# + $from + r#" left join outcomes o on o.event_id = e.id and o.received_at = e.received_at
            where ($1::bigint is null or e.application_id = $1) and ($2::bigint is null or e.location_id = $2)
              and ($3::text is null or e.kind = $3)
              and ($4::text is null or case when e.verdict <> 'received' then e.verdict else coalesce(o.state, 'received') end = $4)
              and ($5::timestamptz is null or e.received_at >= $5) and ($6::timestamptz is null or e.received_at < $6)
              and ($9::text is null or e.source = $9) and ($7::bigint is null or "# + $number + r#" < $7)
            order by "# + $number + r#" desc limit $8::bigint + 1
            "#,
            $filter.application,
            $filter.location,
            $filter.kind,
            $filter.state,
            $filter.since,
            $filter.until,
            $filter.before,
            $filter.limit,
            $filter.source,
        )
        .fetch_all($pool)
        .await
    };
}

/// A page of events, newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(pool: &PgPool, filter: &Filter) -> sqlx::Result<Page<Event>> {
    let items = match filter.state.as_deref() {
        // What waits is in the inbox, and that is short where the events are very many.
        Some(state) if state == State::Received.as_str() => page!(
            pool,
            filter,
            "inbox i cross join lateral (
                select * from events where id = i.event_id and received_at = i.received_at offset 0
            ) e",
            "i.event_id"
        )?,
        _ => page!(pool, filter, "events e", "e.id")?,
    };
    Ok(Page::cut(items, filter.limit, |event| event.id.to_string()))
}

/// What was decided about an event and one rule.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Decision {
    /// The rule.
    pub rule: String,
    /// What the rule said.
    #[schemars(with = "Ruling")]
    pub result: String,
    /// Why it was skipped.
    pub reason: Option<String>,
    /// The firing.
    pub firing_id: Option<i64>,
    /// Of which replay; none for the first judgement.
    pub replay_id: Option<i64>,
    /// When.
    pub decided_at: DateTime<Utc>,
}

/// A replay that an event was in.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Replay {
    /// Its number.
    pub replay_id: i64,
    /// Only this rule.
    pub rule: Option<String>,
    /// Also where it has fired before.
    pub force: bool,
    /// When somebody asked for it.
    pub asked_at: DateTime<Utc>,
    /// When the event was judged.
    pub judged_at: Option<DateTime<Utc>>,
    /// The event that was made of one that had been refused.
    pub became: Option<i64>,
    /// What there is to say.
    pub note: Option<String>,
}

/// Everything about one event.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EventDetail")]
pub struct Detail {
    /// What the list says.
    #[serde(flatten)]
    pub event: Event,
    /// Since when it is known to be so.
    pub occurred_at: DateTime<Utc>,
    /// When it was judged.
    pub decided_at: Option<DateTime<Utc>>,
    /// The headers that were kept.
    #[schemars(with = "Option<Map<String, Value>>")]
    pub headers: Option<Value>,
    /// The body as received, tokens removed; bytes that are no text are shown as `\u{fffd}`.
    pub body: Option<String>,
    /// What it says about the installation, in Bellhop's words.
    #[schemars(with = "Option<Map<String, Value>>")]
    pub fact: Option<Value>,
    /// What was decided, for every rule that was considered; what a replay decided stands behind it.
    pub decisions: Vec<Decision>,
    /// The replays it was in.
    pub replays: Vec<Replay>,
    /// The event, refused once, that it was made of.
    pub made_of: Option<i64>,
}

/// One event; `None` when there is none of that number.
///
/// # Errors
/// When the database does not answer.
pub async fn show(pool: &PgPool, id: i64) -> sqlx::Result<Option<Detail>> {
    let Some(row) = sqlx::query!(
        r#"
        select e.id, e.received_at, e.application_id, e.location_id, e.kind, e.source, e.resource_id,
               case when e.verdict <> 'received' then e.verdict else coalesce(o.state, 'received') end as "state!",
               coalesce(e.reason, o.note) as reason, e.occurred_at, e.headers, e.body, e.fact,
               o.decided_at as "decided_at?"
        from events e left join outcomes o on o.event_id = e.id and o.received_at = e.received_at
        where e.id = $1
        "#,
        id
    )
    .fetch_optional(pool)
    .await?
    else {
        return Ok(None);
    };
    let decisions = sqlx::query_as!(
        Decision,
        "select rule, result, reason, firing_id, replay_id, decided_at from decisions where event_id = $1 order by decided_at, rule",
        id
    )
    .fetch_all(pool)
    .await?;
    Ok(Some(Detail {
        event: Event {
            id: row.id,
            received_at: row.received_at,
            application_id: row.application_id,
            location_id: row.location_id,
            kind: row.kind,
            source: row.source,
            state: row.state,
            reason: row.reason,
            resource_id: row.resource_id,
        },
        occurred_at: row.occurred_at,
        decided_at: row.decided_at,
        headers: row.headers,
        body: row.body.map(|body| String::from_utf8_lossy(&body).into_owned()),
        fact: row.fact,
        decisions,
        replays: replays(pool, id).await?,
        made_of: sqlx::query_scalar!("select event_id from replayed where became = $1", id)
            .fetch_optional(pool)
            .await?,
    }))
}

async fn replays(pool: &PgPool, id: i64) -> sqlx::Result<Vec<Replay>> {
    sqlx::query_as!(
        Replay,
        "select q.id as replay_id, q.rule, q.force, r.asked_at, r.judged_at, r.became, r.note
         from replayed r join replays q on q.id = r.replay_id where r.event_id = $1 order by q.id",
        id
    )
    .fetch_all(pool)
    .await
}
