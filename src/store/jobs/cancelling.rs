//! Jobs that are not wanted any more, and lanes that are left without any.

use sqlx::{PgPool, PgTransaction};

use crate::domain::ids::{FiringId, Place};

/// Why the steps after one that was given up are cancelled. They come back with it.
pub(super) const GIVEN_UP_BEFORE: &str = "an earlier step was given up";

/// Which waiting jobs are not wanted any more.
#[derive(Debug, Clone)]
pub enum Cancel<'a> {
    /// The steps after one that was given up.
    RestOfFiring(FiringId),
    /// What rules wanted at a location that was uninstalled, except for rules that keep going.
    Rules {
        /// The location.
        place: Place,
        /// Names of rules that are not cancelled.
        except: &'a [String],
    },
}

/// Cancels waiting jobs; a running one is left to its worker. Returns how many.
///
/// # Errors
/// When the database does not answer.
pub async fn cancel(tx: &mut PgTransaction<'_>, which: &Cancel<'_>, reason: &str) -> sqlx::Result<u64> {
    let (firing, place, except) = match which {
        Cancel::RestOfFiring(firing) => (Some(firing.0), None, &[][..]),
        Cancel::Rules { place, except } => (None, Some(*place), *except),
    };
    if let Some(place) = place {
        lock_lanes(tx, place).await?;
    }
    let done = sqlx::query!(
        r#"
        with gone as (
            delete from jobs where state = 'available' and firing_id is not null
              and ($1::bigint is null or firing_id = $1)
              and ($2::bigint is null or (application_id = $2 and location_id = $3 and rule <> all($4)))
            returning *
        )
        insert into finished_jobs (id, application_id, location_id, firing_id, rule, step, step_id, action, params, state,
            run_at, attempts, max_attempts, last_error, created_at, wait_seconds, conditional)
        select id, application_id, location_id, firing_id, rule, step, step_id, action, params, 'cancelled', run_at,
            attempts, max_attempts, $5, created_at, wait_seconds, conditional
        from gone
        "#,
        firing,
        place.map(|place| place.application_id.0),
        place.map(|place| place.location_id.0),
        except,
        reason,
    )
    .execute(&mut **tx)
    .await?;
    if let Some(place) = place {
        free_lanes(tx, place).await?;
    }
    Ok(done.rows_affected())
}

/// Lanes are locked before their jobs, as a claim and a settlement do it: a settlement that has not
/// committed would otherwise leave a lane for a job that is cancelled in the same moment.
pub(super) async fn lock_lanes(tx: &mut PgTransaction<'_>, place: Place) -> sqlx::Result<()> {
    sqlx::query!(
        "select id from lanes where application_id = $1 and location_id = $2 order by name for update",
        place.application_id.0,
        place.location_id.0,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(())
}

/// Makes the lanes of a place that nobody leases agree with their jobs: an empty one goes, and the
/// others are due when their first job is.
pub(super) async fn free_lanes(tx: &mut PgTransaction<'_>, place: Place) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        with free as (
            select l.id, (select run_at from jobs j where j.lane_id = l.id order by j.id limit 1) as head
            from lanes l
            where l.application_id = $1 and l.location_id = $2 and (l.leased_until is null or l.leased_until < now())
        ), empty as (
            delete from lanes where id in (select id from free where head is null)
        )
        update lanes set run_at = free.head, leased_by = null, leased_until = null
        from free where lanes.id = free.id and free.head is not null
        "#,
        place.application_id.0,
        place.location_id.0,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Drops lanes without jobs that nobody leases, and returns how many. They come about when the jobs of a
/// lane are cancelled while a worker leases it who dies before he gives it back.
///
/// # Errors
/// When the database does not answer.
pub async fn drop_empty_lanes(pool: &PgPool) -> sqlx::Result<u64> {
    let mut tx = pool.begin().await?;
    // Locked first and judged by a second statement, which sees what an enqueue has committed since.
    let locked = sqlx::query_scalar!(
        "select id from lanes l where (leased_until is null or leased_until < now())
            and not exists (select from jobs j where j.lane_id = l.id) for update skip locked"
    )
    .fetch_all(&mut *tx)
    .await?;
    let done = sqlx::query!(
        "delete from lanes l where id = any($1) and not exists (select from jobs j where j.lane_id = l.id)",
        &locked
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}
