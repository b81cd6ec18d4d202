use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;

use super::Page;

/// A plan in a list, with what became of its locations.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Plan {
    /// Number.
    pub id: i64,
    /// Application.
    pub application_id: i64,
    /// The bulk action.
    pub name: String,
    /// What has to be said to apply it.
    pub confirmation: String,
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// When it was applied.
    pub applied_at: Option<DateTime<Utc>>,
    /// Locations it concerns.
    pub locations: i32,
    /// Of these: everything is done.
    pub done: i64,
    /// A step was given up or cancelled, or the event could not be judged.
    pub failed: i64,
    /// Something is still to be done.
    pub waiting: i64,
    /// It was not wanted any more when it was asked again.
    pub skipped: i64,
}

/// Which plans to list.
#[derive(Debug, Default, Clone)]
pub struct Filter {
    /// The one of this number.
    pub id: Option<i64>,
    /// Of one application.
    pub application: Option<i64>,
    /// Older than this number.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: i64,
}

/// A location of a plan.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Concerned {
    /// Location.
    pub location_id: i64,
    /// `planned`, `waiting`, `done`, `failed` or `skipped`.
    pub state: String,
    /// Why, when there is something to say.
    pub reason: Option<String>,
    /// The event by which it was asked for.
    pub event_id: Option<i64>,
    /// The firing.
    pub firing_id: Option<i64>,
}

/// Everything about one plan.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PlanDetail")]
pub struct Detail {
    /// What the list says.
    #[serde(flatten)]
    pub plan: Plan,
    /// What tells whether it is the same, hex.
    pub digest: String,
    /// The file, as it was read.
    pub source: String,
    /// Locations it did not concern when it was made, by reason.
    #[schemars(with = "BTreeMap<String, i64>")]
    pub left_out: Value,
    /// Requests to the marketplace.
    pub requests: i64,
    /// Money that is reported, by currency.
    #[schemars(with = "BTreeMap<String, Decimal>")]
    pub money: Value,
    /// The locations it concerns.
    pub items: Vec<Concerned>,
}

/// The locations of plans and what became of each: its event, the decision about it, and the jobs of its firing.
macro_rules! fates {
    ($into:ident, $what:literal, $which:literal, $plans:expr) => {
        sqlx::query_as!(
            $into,
            "select " + $what + r#"
            from plans p join plan_places l on l.plan_id = p.id
            left join lateral (
                select state, note from outcomes where event_id = l.event_id and received_at = l.received_at offset 0
            ) o on true
            left join lateral (
                select firing_id, reason, result from decisions
                where event_id = l.event_id and received_at = l.received_at order by decided_at desc limit 1
            ) d on true
            left join lateral (
                select true as waiting, max(last_error) as last_error from jobs
                where firing_id = d.firing_id having count(*) > 0
            ) j on true
            left join lateral (
                select coalesce(last_error, state) as last_error from finished_jobs
                where application_id = p.application_id and location_id = l.location_id and firing_id = d.firing_id
                  and finished_at >= p.applied_at and state in ('discarded', 'cancelled')
                order by step limit 1
            ) f on true
            cross join lateral (
                select case when l.event_id is null then 'planned'
                            when o.state is null then 'waiting'
                            when o.state = 'failed' then 'failed'
                            when d.firing_id is null then 'skipped'
                            when j.waiting then 'waiting'
                            when f.last_error is not null then 'failed'
                            when d.result = 'held' then 'waiting'
                            else 'done' end as state
            ) s
            "# + $which,
            $plans
        )
    };
}

/// A page of plans, newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(pool: &PgPool, filter: &Filter) -> sqlx::Result<Page<Plan>> {
    let rows = sqlx::query!(
        r#"
        select id, application_id, name, confirmation, made_at, applied_at, locations
        from plans where ($1::bigint is null or application_id = $1) and ($2::bigint is null or id < $2)
          and ($4::bigint is null or id = $4)
        order by id desc limit $3::bigint + 1
        "#,
        filter.application,
        filter.before,
        filter.limit,
        filter.id,
    )
    .fetch_all(pool)
    .await?;
    let plans = rows.into_iter().map(|row| Plan {
        id: row.id,
        application_id: row.application_id,
        name: row.name,
        confirmation: row.confirmation,
        made_at: row.made_at,
        applied_at: row.applied_at,
        locations: row.locations,
        done: 0,
        failed: 0,
        waiting: 0,
        skipped: 0,
    });
    let mut page = Page::cut(plans.collect(), filter.limit, |plan| plan.id.to_string());
    count(pool, &mut page.items).await?;
    Ok(page)
}

/// How many locations of a plan are in a state.
struct Count {
    plan_id: i64,
    state: String,
    count: i64,
}

/// Counts what became of the locations of plans that were applied.
async fn count(pool: &PgPool, plans: &mut [Plan]) -> sqlx::Result<()> {
    let applied = plans.iter().filter(|plan| plan.applied_at.is_some());
    let applied: Vec<i64> = applied.map(|plan| plan.id).collect();
    let counts = fates!(
        Count,
        r#"p.id as "plan_id!", s.state as "state!", count(*) as "count!""#,
        "where p.id = any($1) group by 1, 2",
        &applied
    );
    for Count { plan_id, state, count } in counts.fetch_all(pool).await? {
        let Some(plan) = plans.iter_mut().find(|plan| plan.id == plan_id) else {
            continue;
        };
        match state.as_str() {
            "done" => plan.done = count,
            "failed" => plan.failed = count,
            "waiting" => plan.waiting = count,
            "skipped" => plan.skipped = count,
            _ => {}
        }
    }
    Ok(())
}

/// One plan; `None` when there is none of that number.
///
/// # Errors
/// When the database does not answer.
pub async fn show(pool: &PgPool, id: i64) -> sqlx::Result<Option<Detail>> {
    let row = sqlx::query!(
        "select digest, source, left_out, requests, money from plans where id = $1",
        id
    )
    .fetch_optional(pool)
    .await?;
    let filter = Filter {
        id: Some(id),
        limit: 1,
        ..Filter::default()
    };
    let plan = list(pool, &filter).await?.items.pop();
    let (Some(row), Some(plan)) = (row, plan) else {
        return Ok(None);
    };
    Ok(Some(Detail {
        plan,
        digest: row.digest,
        source: row.source,
        left_out: row.left_out,
        requests: row.requests,
        money: row.money,
        items: concerned(pool, id).await?,
    }))
}

/// What became of each location of a plan.
async fn concerned(pool: &PgPool, id: i64) -> sqlx::Result<Vec<Concerned>> {
    let concerned = fates!(
        Concerned,
        r#"l.location_id as "location_id!", l.event_id, d.firing_id as "firing_id?", s.state as "state!",
           coalesce(o.note, d.reason, f.last_error, j.last_error) as reason"#,
        "where p.id = $1 order by l.location_id",
        id
    );
    concerned.fetch_all(pool).await
}
