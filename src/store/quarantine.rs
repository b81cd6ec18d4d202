//! How much of a day's refused deliveries is kept. The bound holds for all processes together and
//! across restarts, so it is counted here; processes take shares, so that a flood does not ask here for
//! every delivery.

use sqlx::PgPool;

/// A number of deliveries, and the bytes of their bodies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// Deliveries.
    pub deliveries: i64,
    /// Bytes.
    pub bytes: i64,
}

/// Takes a share of today's limit. False when less than that is left; nothing is taken then.
///
/// # Errors
/// When the database does not answer.
pub async fn reserve(pool: &PgPool, share: Share, limit: Share) -> sqlx::Result<bool> {
    if share.deliveries > limit.deliveries || share.bytes > limit.bytes {
        return Ok(false);
    }
    let taken = sqlx::query!(
        "insert into quarantine_days as today (day, deliveries, bytes)
         values ((now() at time zone 'UTC')::date, $1, $2)
         on conflict (day) do update
         set deliveries = today.deliveries + excluded.deliveries, bytes = today.bytes + excluded.bytes
         where today.deliveries + excluded.deliveries <= $3 and today.bytes + excluded.bytes <= $4",
        share.deliveries,
        share.bytes,
        limit.deliveries,
        limit.bytes,
    )
    .execute(pool)
    .await?;
    Ok(taken.rows_affected() == 1)
}
