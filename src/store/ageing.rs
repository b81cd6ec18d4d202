//! The clock of stored facts is the database's and cannot be moved. To live through weeks in a
//! minute, the demonstration and the tests move the facts instead: everything that was stored gets
//! older. The sandbox does the same with its own facts, so that both keep agreeing.

use sqlx::{PgPool, PgTransaction};

/// Makes everything that has a date of the marketplace's life older: installations with their history,
/// moments, waiting jobs, connections under way, delivery keys. Events keep their dates, because they
/// are filed by day; so do payments, which are told apart by number. What a calendar shows does not age either: it notes
/// by how much time has passed faster.
///
/// # Errors
/// When the database does not answer.
pub async fn age(pool: &PgPool, seconds: i64) -> sqlx::Result<()> {
    // It takes every row there is, in another order than the workers take theirs.
    for _ in 0..10 {
        match age_once(pool, seconds as f64).await {
            Err(error) if super::is_transient(&error) => {}
            aged => return aged,
        }
    }
    age_once(pool, seconds as f64).await
}

async fn age_once(pool: &PgPool, by: f64) -> sqlx::Result<()> {
    let mut tx = pool.begin().await?;
    sqlx::query!(
        "update installations set status_since = status_since - make_interval(secs => $1),
            connected_at = connected_at - make_interval(secs => $1), activated_at = activated_at - make_interval(secs => $1),
            trial_ends_at = trial_ends_at - make_interval(secs => $1), paid_until = paid_until - make_interval(secs => $1)",
        by
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("update sightings set seen_at = seen_at - make_interval(secs => $1)", by)
        .execute(&mut *tx)
        .await?;
    sqlx::query!(
        "update timers set date = date - make_interval(secs => $1), due_at = due_at - make_interval(secs => $1),
            fired_for = fired_for - make_interval(secs => $1)",
        by
    )
    .execute(&mut *tx)
    .await?;
    moments(&mut tx, by).await?;
    sqlx::query!("update jobs set run_at = run_at - make_interval(secs => $1), created_at = created_at - make_interval(secs => $1)", by)
        .execute(&mut *tx)
        .await?;
    sqlx::query!("update lanes set run_at = run_at - make_interval(secs => $1), leased_until = leased_until - make_interval(secs => $1)", by)
        .execute(&mut *tx)
        .await?;
    sqlx::query!("update activations set pending_since = pending_since - make_interval(secs => $1), opened_at = opened_at - make_interval(secs => $1), changed_at = changed_at - make_interval(secs => $1)", by)
        .execute(&mut *tx)
        .await?;
    sqlx::query!(
        "update installation_history set occurred_at = occurred_at - make_interval(secs => $1)",
        by
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update delivery_keys set seen_at = seen_at - make_interval(secs => $1)",
        by
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update reconciliations set next_at = next_at - make_interval(secs => $1), begun_at = begun_at - make_interval(secs => $1),
            listed_at = listed_at - make_interval(secs => $1), finished_at = finished_at - make_interval(secs => $1),
            succeeded_at = succeeded_at - make_interval(secs => $1), leased_until = leased_until - make_interval(secs => $1),
            alive_at = alive_at - make_interval(secs => $1), gap_since = gap_since - make_interval(secs => $1)",
        by
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update looks set looked_at = looked_at - make_interval(secs => $1), skipped_until = skipped_until - make_interval(secs => $1),
            link_made_at = link_made_at - make_interval(secs => $1), hooks_seen_at = hooks_seen_at - make_interval(secs => $1)",
        by
    )
    .execute(&mut *tx)
    .await?;
    // What was counted today was counted on a day that is over now.
    sqlx::query!("delete from rule_days where $1::float8 >= 86400", by)
        .execute(&mut *tx)
        .await?;
    sqlx::query!(
        "update dictionaries set read_at = read_at - make_interval(secs => $1), failed_at = failed_at - make_interval(secs => $1)",
        by
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// Moments that are no ends, and the dates in firing keys, which stand at their end and in seconds.
async fn moments(tx: &mut PgTransaction<'_>, by: f64) -> sqlx::Result<()> {
    sqlx::query!(
        "update schedules set due_at = due_at - make_interval(secs => $1), aged_seconds = aged_seconds + $1::float8::bigint",
        by
    )
    .execute(&mut **tx)
    .await?;
    // Events do not age, so what they say is noted before.
    sqlx::query!(
        "with heard as (
            select s.application_id, s.location_id, max(e.id) as id, max(e.received_at) as at
            from (select application_id, location_id, min(heard_id) as heard_id from silences group by 1, 2) s
            join events e on e.application_id = s.application_id and e.location_id = s.location_id and e.id > s.heard_id
                and e.fact is null and e.verdict = 'received' and e.source <> 'telephony'
            group by 1, 2
        )
        update silences s set heard_id = h.id, heard_at = h.at, is_announced = false,
            due_at = h.at + make_interval(secs => s.lasting_seconds)
        from heard h
        where h.application_id = s.application_id and h.location_id = s.location_id and h.id > s.heard_id"
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "update silences set heard_at = heard_at - make_interval(secs => $1), due_at = due_at - make_interval(secs => $1)",
        by
    )
    .execute(&mut **tx)
    .await?;
    // In two steps, so that no key is another's on the way.
    for step in ["~", ""] {
        sqlx::query!(
            r"update firings set key = case when $2 = '' then substr(key, 2) else
                    '~' || regexp_replace(key, '\d+$', (substring(key from '\d+$')::bigint - $1::float8::bigint)::text) end
              where key ~ '\|(end|since)=\d+$' and (key like '~%') = ($2 = '')",
            by,
            step
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}
