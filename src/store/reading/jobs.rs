use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;

use super::Page;
use crate::domain::event::words;

/// A job in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Job {
    /// Number.
    pub id: i64,
    /// Application.
    pub application_id: i64,
    /// Location.
    pub location_id: i64,
    /// Firing it belongs to.
    pub firing_id: Option<i64>,
    /// Rule of that firing.
    pub rule: Option<String>,
    /// Step of that firing, from 0.
    pub step: i16,
    /// What it does.
    pub action: String,
    /// How far it is.
    #[schemars(with = "State")]
    pub state: String,
    /// When it is, or was, due.
    pub run_at: DateTime<Utc>,
    /// How often it was started.
    pub attempts: i32,
    /// After so many it is discarded.
    pub max_attempts: i32,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// What came of it.
    pub result: Option<Value>,
    /// When it was queued.
    pub created_at: DateTime<Utc>,
    /// When it left the queue.
    pub finished_at: Option<DateTime<Utc>>,
}

words! {
    /// How far a job is.
    #[schemars(rename = "JobState")]
    State {
        /// It waits for its turn.
        Available = "available",
        /// An attempt is under way.
        Running = "running",
        /// It is done.
        Completed = "completed",
        /// It was tried often enough, or cannot be done.
        Discarded = "discarded",
        /// It was given up.
        Cancelled = "cancelled",
    }
}

/// Which jobs to list.
#[derive(Debug, Default, Clone)]
pub struct Filter {
    /// Of one application.
    pub application: Option<i64>,
    /// Of one location.
    pub location: Option<i64>,
    /// In one state.
    pub state: Option<String>,
    /// Of one action.
    pub action: Option<String>,
    /// Of one rule.
    pub rule: Option<String>,
    /// Of one firing.
    pub firing: Option<i64>,
    /// Older than this number.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: i64,
}

/// A page of jobs, waiting and finished ones together, newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(pool: &PgPool, filter: &Filter) -> sqlx::Result<Page<Job>> {
    let items = sqlx::query_as!(
        Job,
        r#"
        select id as "id!", application_id as "application_id!", location_id as "location_id!", firing_id, rule,
               step as "step!", action as "action!", state as "state!", run_at as "run_at!", attempts as "attempts!",
               max_attempts as "max_attempts!", last_error, result, created_at as "created_at!", finished_at
        from (
            select id, application_id, location_id, firing_id, rule, step, action, state, run_at, attempts, max_attempts,
                   last_error, null::jsonb as result, created_at, null::timestamptz as finished_at from jobs
            union all
            select id, application_id, location_id, firing_id, rule, step, action, state, run_at, attempts, max_attempts,
                   last_error, result, created_at, finished_at from finished_jobs
        ) j
        where ($1::bigint is null or application_id = $1) and ($2::bigint is null or location_id = $2)
          and ($3::text is null or state = $3) and ($4::text is null or action = $4)
          and ($5::text is null or rule = $5) and ($6::bigint is null or id < $6)
          and ($8::bigint is null or firing_id = $8)
        order by id desc limit $7::bigint + 1
        "#,
        filter.application,
        filter.location,
        filter.state,
        filter.action,
        filter.rule,
        filter.before,
        filter.limit,
        filter.firing,
    )
    .fetch_all(pool)
    .await?;
    Ok(Page::cut(items, filter.limit, |job| job.id.to_string()))
}

/// One start of a job.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Attempt {
    /// From 1.
    pub attempt: i32,
    /// The process.
    pub worker: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// How long it took.
    pub duration_seconds: Option<f64>,
    /// `done`, `retry`, `snooze`, `discard`, `lost`; absent while it runs.
    pub outcome: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// Requests with their answers and how long each took, tokens removed.
    #[schemars(with = "Vec<Value>")]
    pub exchanges: Value,
}

/// Everything about one job.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "JobDetail")]
pub struct Detail {
    /// What the list says.
    #[serde(flatten)]
    pub job: Job,
    /// What it was told to do.
    pub params: Value,
    /// Every start, oldest first.
    pub history: Vec<Attempt>,
}

/// One job; `None` when there is none of that number.
///
/// # Errors
/// When the database does not answer.
pub async fn show(pool: &PgPool, id: i64) -> sqlx::Result<Option<Detail>> {
    let job = sqlx::query_as!(
        Job,
        r#"
        select id as "id!", application_id as "application_id!", location_id as "location_id!", firing_id, rule,
               step as "step!", action as "action!", state as "state!", run_at as "run_at!", attempts as "attempts!",
               max_attempts as "max_attempts!", last_error, result, created_at as "created_at!", finished_at
        from (
            select id, application_id, location_id, firing_id, rule, step, action, state, run_at, attempts, max_attempts,
                   last_error, null::jsonb as result, created_at, null::timestamptz as finished_at
            from jobs where id = $1
            union all
            select id, application_id, location_id, firing_id, rule, step, action, state, run_at, attempts, max_attempts,
                   last_error, result, created_at, finished_at from finished_jobs where id = $1
        ) j
        "#,
        id
    )
    .fetch_optional(pool)
    .await?;
    let Some(job) = job else { return Ok(None) };
    let params = sqlx::query_scalar!(
        r#"select params as "params!" from (select params from jobs where id = $1 union all select params from finished_jobs where id = $1) p"#,
        id
    )
    .fetch_optional(pool)
    .await?
    .unwrap_or_default();
    let history = sqlx::query_as!(
        Attempt,
        r#"select attempt, worker, started_at, finished_at,
                  extract(epoch from finished_at - started_at)::float8 as duration_seconds, outcome, error, exchanges
           from attempts where job_id = $1 order by attempt"#,
        id
    )
    .fetch_all(pool)
    .await?;
    Ok(Some(Detail { job, params, history }))
}
