//! Which jobs an order is for, when a filter says it and no numbers.

use sqlx::PgPool;

use super::{Order, cancelling::GIVEN_UP_BEFORE};
use crate::{
    domain::action::Action,
    store::reading::jobs::{Filter, Job},
};

/// The jobs that an order is for.
#[derive(Debug)]
pub struct Meant {
    /// In the order in which they were made, as they are to be obeyed: what comes back keeps its order.
    pub jobs: Vec<Job>,
    /// There are more than these: the order has to be repeated.
    pub more: bool,
}

/// The first jobs of a filter that were made, at most `filter.limit`; those that were discarded or wait, as the order
/// wants it, unless the filter names a state. What would be refused as often as it is asked is left out, so that it
/// stands in nobody's way: jobs of connections, steps behind one that was given up, what was erased, and money that did
/// not move or is in doubt.
///
/// # Errors
/// When the database does not answer.
pub async fn meant(pool: &PgPool, order: Order, filter: &Filter) -> sqlx::Result<Meant> {
    let (usual, is_retry) = match order {
        Order::Retry { .. } => ("discarded", true),
        Order::Cancel => ("available", false),
    };
    let connections: Vec<String> = Action::OF_CONNECTIONS.iter().map(|&action| action.to_owned()).collect();
    let mut jobs = sqlx::query_as!(
        Job,
        r#"
        select id as "id!", application_id as "application_id!", location_id as "location_id!", firing_id, rule,
               step as "step!", action as "action!", state as "state!", run_at as "run_at!", attempts as "attempts!",
               max_attempts as "max_attempts!", last_error, result, created_at as "created_at!", finished_at
        from (
            select id, application_id, location_id, firing_id, rule, step, action, params, state, run_at, attempts,
                   max_attempts, last_error, null::jsonb as result, created_at, null::timestamptz as finished_at from jobs
            union all
            select id, application_id, location_id, firing_id, rule, step, action, params, state, run_at, attempts,
                   max_attempts, last_error, result, created_at, finished_at from finished_jobs
        ) j
        where ($1::bigint is null or application_id = $1) and ($2::bigint is null or location_id = $2)
          and state = $3 and ($4::text is null or action = $4) and ($5::text is null or rule = $5)
          and ($6::bigint is null or firing_id = $6) and action <> all($8)
          and case when $9 then
                  last_error is distinct from $10 and params <> '{}' and (state <> 'available' or attempts > 0)
                  and not exists (select from ledger l where l.job_id = j.id and l.state = 'failed')
              else not exists (select from ledger l where l.job_id = j.id and l.state = 'unknown') end
        order by id limit $7::bigint + 1
        "#,
        filter.application,
        filter.location,
        filter.state.as_deref().unwrap_or(usual),
        filter.action,
        filter.rule,
        filter.firing,
        filter.limit,
        &connections,
        is_retry,
        GIVEN_UP_BEFORE,
    )
    .fetch_all(pool)
    .await?;
    let most = usize::try_from(filter.limit).unwrap_or(0);
    let more = jobs.len() > most;
    jobs.truncate(most);
    Ok(Meant { jobs, more })
}
