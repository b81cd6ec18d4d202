//! The statements, one batch each.

use sqlx::PgPool;

use super::{Extent, Order, number};

/// Rows in one statement.
const BATCH: i64 = 200;

/// One batch, in order of numbers. Returns the last number it looked at.
pub(super) async fn empty_events(
    pool: &PgPool,
    order: &Order,
    after: i64,
    needed: &[i64],
    gone: &mut Extent,
) -> sqlx::Result<Option<i64>> {
    let page = sqlx::query!(
        r#"
        select id, received_at, (body is not null or headers is not null or digest is not null) and id <> all($6) as "full!"
        from events
        where application_id = $1 and location_id = $2 and id > $3 and received_at < $4
          and ($5::timestamptz is null or received_at >= $5)
        order by id limit $7
        "#,
        order.place.application_id.0,
        order.place.location_id.0,
        after,
        order.before,
        order.since,
        needed,
        BATCH,
    )
    .fetch_all(pool)
    .await?;
    let ids: Vec<i64> = page.iter().filter(|row| row.full).map(|row| row.id).collect();
    // Between these only the days of the batch are looked at.
    let times = || page.iter().filter(|row| row.full).map(|row| row.received_at);
    if let (Some(first), Some(last)) = (times().min(), times().max()) {
        let done = sqlx::query!(
            r#"
            with notes as (
                update outcomes set note = null
                where event_id = any($1) and received_at between $2 and $3 and state = 'failed'
            ), reasons as (
                update decisions set reason = 'condition failed'
                where event_id = any($1) and received_at between $2 and $3 and reason like 'condition failed:%'
            )
            update events set body = null, headers = null, digest = null
            where id = any($1) and received_at between $2 and $3
            "#,
            &ids,
            first,
            last
        )
        .execute(pool)
        .await?;
        gone.events += done.rows_affected();
    }
    Ok(page.last().map(|row| row.id))
}

pub(super) async fn empty_finished_jobs(
    pool: &PgPool,
    order: &Order,
    after: i64,
    gone: &mut Extent,
) -> sqlx::Result<Option<i64>> {
    let page = sqlx::query!(
        r#"
        select id, finished_at from finished_jobs
        where application_id = $1 and location_id = $2 and id > $3 and finished_at < $4
          and ($5::timestamptz is null or finished_at >= $5)
        order by id limit $6
        "#,
        order.place.application_id.0,
        order.place.location_id.0,
        after,
        order.before,
        order.since,
        BATCH,
    )
    .fetch_all(pool)
    .await?;
    let ids: Vec<i64> = page.iter().map(|row| row.id).collect();
    let ended = page.iter().map(|row| row.finished_at);
    // Attempts may be older than their job: one that came back to the queue is as old as its return.
    if let (Some(first), Some(last)) = (ended.clone().min(), ended.max()) {
        let row = sqlx::query!(
            r#"
            with jobs as (
                update finished_jobs set params = '{}', result = null, last_error = null
                where id = any($1) and finished_at between $2 and $3
                  and (params <> '{}' or result is not null or last_error is not null)
                returning 1
            ), attempts as (
                update attempts set exchanges = '[]', error = null
                where job_id = any($1) and started_at <= $3 and (exchanges <> '[]' or error is not null)
                returning 1
            )
            select (select count(*) from jobs) as "jobs!", (select count(*) from attempts) as "attempts!"
            "#,
            &ids,
            first,
            last
        )
        .fetch_one(pool)
        .await?;
        gone.jobs += number(row.jobs);
        gone.attempts += number(row.attempts);
    }
    Ok(page.last().map(|row| row.id))
}

/// Of a job that waits only what went wrong so far: what it is told to do is the rule's text.
pub(super) async fn empty_waiting_jobs(pool: &PgPool, order: &Order, gone: &mut Extent) -> sqlx::Result<()> {
    let row = sqlx::query!(
        r#"
        with mine as (
            select id from jobs where application_id = $1 and location_id = $2
        ), waiting as (
            update jobs set last_error = null
            where id in (select id from mine) and state = 'available' and last_error is not null and created_at < $3
            returning 1
        ), attempts as (
            update attempts set exchanges = '[]', error = null
            where job_id in (select id from mine) and finished_at < $3 and (exchanges <> '[]' or error is not null)
            returning 1
        )
        select (select count(*) from waiting) as "jobs!", (select count(*) from attempts) as "attempts!"
        "#,
        order.place.application_id.0,
        order.place.location_id.0,
        order.before,
    )
    .fetch_one(pool)
    .await?;
    gone.jobs += number(row.jobs);
    gone.attempts += number(row.attempts);
    Ok(())
}

/// The key stays, so that the rule does not fire again; the results stay while further steps need them.
pub(super) async fn empty_firings(
    pool: &PgPool,
    order: &Order,
    after: i64,
    gone: &mut Extent,
) -> sqlx::Result<Option<i64>> {
    let row = sqlx::query!(
        r#"
        with page as (
            select id from firings where application_id = $1 and location_id = $2 and id > $3 and fired_at < $4
            order by id limit $5
        ), emptied as (
            update firings f set results = '{}' from page p
            where f.id = p.id and f.results <> '{}' and not exists (select from jobs j where j.firing_id = f.id)
            returning 1
        )
        select (select max(id) from page) as last, (select count(*) from emptied) as "count!"
        "#,
        order.place.application_id.0,
        order.place.location_id.0,
        after,
        order.before,
        BATCH,
    )
    .fetch_one(pool)
    .await?;
    gone.firings += number(row.count);
    Ok(row.last)
}

/// Name, address, how the connection went on; and the note that it is done.
pub(super) async fn forget_place(pool: &PgPool, order: &Order, gone: &mut Extent) -> sqlx::Result<()> {
    let row = sqlx::query!(
        r#"
        with place as (
            delete from locations where application_id = $1 and location_id = $2 and seen_at < $3 returning 1
        ), connection as (
            delete from activations where application_id = $1 and location_id = $2 and changed_at < $3
                and state not in ('activating', 'external')
            returning 1
        ), noted as (
            insert into erasures as e (application_id, location_id, asked_by, erased_before) values ($1, $2, $4, $3)
            on conflict (application_id, location_id, asked_by) do update
                set erased_before = greatest(e.erased_before, excluded.erased_before), erased_at = now()
        )
        select (select count(*) from place) as "locations!", (select count(*) from connection) as "activations!"
        "#,
        order.place.application_id.0,
        order.place.location_id.0,
        order.before,
        order.asked_by.as_str(),
    )
    .fetch_one(pool)
    .await?;
    gone.locations += number(row.locations);
    gone.activations += number(row.activations);
    Ok(())
}
