//! Telephone calls: events that jobs read again.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::domain::action::EventAt;

/// What a telephony system told.
#[derive(Debug)]
pub struct Told {
    /// The name of that system in the configuration.
    pub telephony: Option<String>,
    /// The bytes; absent when they were erased.
    pub body: Option<Vec<u8>>,
    /// When it arrived.
    pub occurred_at: DateTime<Utc>,
}

/// Reads it; `None` when the event is not there any more.
///
/// # Errors
/// When the database does not answer.
pub async fn told(pool: &PgPool, call: EventAt) -> sqlx::Result<Option<Told>> {
    sqlx::query_as!(
        Told,
        "select headers->>'telephony' as telephony, body, occurred_at from events where id = $1 and received_at = $2",
        call.id.0,
        call.received_at
    )
    .fetch_optional(pool)
    .await
}
