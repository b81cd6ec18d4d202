use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::PgPool;

use super::{
    Page,
    events::{self, Event},
    firings::{self, Firing},
    jobs::{self, Job},
    ledger::{self, Entry},
};
use crate::{domain::installation::Status, store::looks::Hooks};

/// Of everything that happened at a location, so many of each kind are shown with it.
const LAST: i64 = 50;

/// An installation in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Location {
    /// Application.
    pub application_id: i64,
    /// Location.
    pub location_id: i64,
    /// Name of the location, when known.
    pub title: Option<String>,
    /// Where it stands; absent while the marketplace was not asked yet.
    #[schemars(with = "Option<Status>")]
    pub status: Option<String>,
    /// How many times it was connected.
    pub generation: i32,
    /// Since when the status is so.
    pub status_since: Option<DateTime<Utc>>,
    /// When the owner consented.
    pub connected_at: Option<DateTime<Utc>>,
    /// When it became active.
    pub activated_at: Option<DateTime<Utc>>,
    /// End of the trial.
    pub trial_ends_at: Option<DateTime<Utc>>,
    /// End of the paid period.
    pub paid_until: Option<DateTime<Utc>>,
    /// Whether money came and stayed.
    pub has_paid: bool,
    /// How far the present connection has come.
    pub connection: Option<String>,
    /// What the operator should know about it.
    pub connection_message: Option<String>,
    /// When its status was last read from the marketplace.
    pub looked_at: Option<DateTime<Utc>>,
    /// Whether its webhooks come to us, when that was looked at.
    #[schemars(with = "Option<Hooks>")]
    pub hooks: Option<String>,
}

/// Which installations to list.
#[derive(Debug, Default, Clone)]
pub struct Filter {
    /// Of one application.
    pub application: Option<i64>,
    /// Of one location.
    pub location: Option<i64>,
    /// In one status.
    pub status: Option<String>,
    /// Part of the name, or the number.
    pub q: Option<String>,
    /// Active ones whose webhook settings said so.
    pub hooks: Option<String>,
    /// After this application and location.
    pub after: Option<(i64, i64)>,
    /// At most so many.
    pub limit: i64,
}

/// A page of installations, by application and location.
///
/// # Errors
/// When the database does not answer.
pub async fn list(pool: &PgPool, filter: &Filter) -> sqlx::Result<Page<Location>> {
    let items = sqlx::query_as!(
        Location,
        r#"
        select application_id as "application_id!", location_id as "location_id!", l.title as "title?", i.status as "status?",
               coalesce(i.generation, 0) as "generation!", i.status_since as "status_since?", i.connected_at as "connected_at?",
               i.activated_at as "activated_at?", i.trial_ends_at as "trial_ends_at?", i.paid_until as "paid_until?",
               coalesce(i.has_paid, false) as "has_paid!", a.state as "connection?", a.message as "connection_message?",
               k.looked_at as "looked_at?", k.hooks as "hooks?"
        from installations i full join activations a using (application_id, location_id)
        left join locations l using (application_id, location_id) left join looks k using (application_id, location_id)
        where ($7::text is null or (k.hooks = $7 and i.status = 'active')) and ($1::bigint is null or application_id = $1) and ($2::text is null or i.status = $2)
          and ($3::text is null or location_id::text = $3 or position(lower($3) in lower(l.title)) > 0)
          and ($4::bigint is null or (application_id, location_id) > ($4, $5))
          and ($8::bigint is null or location_id = $8)
        order by application_id, location_id limit $6::bigint + 1
        "#,
        filter.application,
        filter.status,
        filter.q,
        filter.after.map(|(application, _)| application),
        filter.after.map(|(_, location)| location),
        filter.limit,
        filter.hooks,
        filter.location,
    )
    .fetch_all(pool)
    .await?;
    Ok(Page::cut(items, filter.limit, |location| {
        format!("{}.{}", location.application_id, location.location_id)
    }))
}

/// One step of an installation's history.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StatusChange")]
pub struct Move {
    /// Of which connection.
    pub generation: i32,
    /// Before.
    pub from: String,
    /// After.
    pub to: String,
    /// How it was learnt.
    pub source: String,
    /// The event that told it.
    pub event_id: i64,
    /// Since when.
    pub at: DateTime<Utc>,
}

/// Personal data of a location that was taken away.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Erasure {
    /// `operator` or `retention`.
    pub asked_by: String,
    /// What was stored before is gone.
    pub erased_before: DateTime<Utc>,
    /// When.
    pub erased_at: DateTime<Utc>,
}

/// A mark that rules see.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Tag {
    /// The mark.
    pub tag: String,
    /// The rule that set it.
    pub rule: Option<String>,
    /// Since when.
    pub set_at: DateTime<Utc>,
}

/// Everything about one installation.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LocationDetail")]
pub struct Detail {
    /// What the list says.
    #[serde(flatten)]
    pub installation: Location,
    /// What is known of the place.
    #[schemars(with = "Option<Map<String, Value>>")]
    pub location: Option<Value>,
    /// Marks that rules set.
    pub tags: Vec<Tag>,
    /// Every change of status, oldest first.
    pub history: Vec<Move>,
    /// Personal data that was taken away.
    pub erasures: Vec<Erasure>,
    /// Payments, as the marketplace tells them.
    #[schemars(with = "Vec<Map<String, Value>>")]
    pub payments: Vec<Value>,
    /// The last events, newest first.
    pub events: Vec<Event>,
    /// The last firings, newest first.
    pub firings: Vec<Firing>,
    /// The last jobs, newest first.
    pub jobs: Vec<Job>,
    /// The last money movements, newest first.
    pub ledger: Vec<Entry>,
}

/// One installation; `None` when nothing is known of the pair.
///
/// # Errors
/// When the database does not answer.
pub async fn show(pool: &PgPool, application: i64, location: i64) -> sqlx::Result<Option<Detail>> {
    let Some(installation) = one(pool, application, location).await? else {
        return Ok(None);
    };
    let data = data(pool, application, location).await?;
    let history = history(pool, application, location).await?;
    let payments = payments(pool, application, location).await?;
    let tags = tags(pool, application, location).await?;
    let erasures = erasures(pool, application, location).await?;
    let (application, location) = (Some(application), Some(location));
    let of_events = events::Filter {
        application,
        location,
        limit: LAST,
        ..Default::default()
    };
    let of_firings = firings::Filter {
        application,
        location,
        limit: LAST,
        ..Default::default()
    };
    let of_jobs = jobs::Filter {
        application,
        location,
        limit: LAST,
        ..Default::default()
    };
    let of_ledger = ledger::Filter {
        application,
        location,
        limit: LAST,
        ..Default::default()
    };
    Ok(Some(Detail {
        installation,
        location: data,
        tags,
        history,
        erasures,
        payments,
        events: events::list(pool, &of_events).await?.items,
        firings: firings::list(pool, &of_firings).await?.items,
        jobs: jobs::list(pool, &of_jobs).await?.items,
        ledger: ledger::list(pool, &of_ledger).await?.items,
    }))
}

/// What the list says of one installation.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn one(pool: &PgPool, application: i64, location: i64) -> sqlx::Result<Option<Location>> {
    let filter = Filter {
        application: Some(application),
        location: Some(location),
        limit: 1,
        ..Filter::default()
    };
    Ok(list(pool, &filter).await?.items.pop())
}

/// What is known of a place.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn data(pool: &PgPool, application: i64, location: i64) -> sqlx::Result<Option<Value>> {
    sqlx::query_scalar!(
        r#"select l.data || jsonb_build_object('country', c.iso_code, 'country_name', l.data->'country') as "data!"
           from locations l left join countries c
               on c.application_id = l.application_id and c.country_id = (l.data->>'country_id')::bigint
           where l.application_id = $1 and l.location_id = $2"#,
        application,
        location
    )
    .fetch_optional(pool)
    .await
}

/// Marks that rules set.
pub(super) async fn tags(pool: &PgPool, application: i64, location: i64) -> sqlx::Result<Vec<Tag>> {
    sqlx::query_as!(
        Tag,
        "select tag, rule, set_at from tags where application_id = $1 and location_id = $2 order by tag",
        application,
        location
    )
    .fetch_all(pool)
    .await
}

/// Personal data that was taken away.
pub(super) async fn erasures(pool: &PgPool, application: i64, location: i64) -> sqlx::Result<Vec<Erasure>> {
    sqlx::query_as!(
        Erasure,
        "select asked_by, erased_before, erased_at from erasures where application_id = $1 and location_id = $2 order by erased_at",
        application,
        location
    )
    .fetch_all(pool)
    .await
}

async fn history(pool: &PgPool, application: i64, location: i64) -> sqlx::Result<Vec<Move>> {
    sqlx::query_as!(
        Move,
        r#"
        select generation, from_status as "from!", to_status as "to!", source, event_id, occurred_at as "at!"
        from installation_history where application_id = $1 and location_id = $2 order by id
        "#,
        application,
        location
    )
    .fetch_all(pool)
    .await
}

async fn payments(pool: &PgPool, application: i64, location: i64) -> sqlx::Result<Vec<Value>> {
    sqlx::query_scalar!(
        "select payment from payments where application_id = $1 and location_id = $2 order by seen_at",
        application,
        location
    )
    .fetch_all(pool)
    .await
}
