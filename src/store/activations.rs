use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgPool, PgTransaction};

use crate::domain::{
    event::words,
    ids::{ApplicationId, LocationId, Place},
};

words! {
    /// How far a connection has come.
    Progress {
        /// The owner's browser was here; nothing is proven yet.
        Requested = "requested",
        /// The marketplace says it is pending; we are activating it.
        Activating = "activating",
        /// It is pending, and the partner's own product activates it.
        External = "external",
        /// It works.
        Active = "active",
        /// It is connected, but works only again when somebody pays.
        Frozen = "frozen",
        /// The marketplace says that it is not connected.
        NotConnected = "not_connected",
        /// The time to activate is over; the owner has to press Connect again.
        Expired = "expired",
        /// The marketplace refused the activation.
        Failed = "failed",
    }
}

/// One connection on its way.
#[derive(Debug, Clone)]
pub struct Activation {
    /// Which location.
    pub location_id: LocationId,
    /// How far.
    pub progress: Progress,
    /// What the operator should know about it.
    pub message: Option<String>,
    /// Since when it is pending at the marketplace; the clocks count from here.
    pub pending_since: Option<DateTime<Utc>>,
    /// Name of the location, when known.
    pub title: Option<String>,
    /// IANA name of its time zone, when known.
    pub timezone_name: Option<String>,
}

/// Notes how far a connection has come.
///
/// # Errors
/// When the database does not answer.
pub async fn note(
    tx: &mut PgTransaction<'_>,
    place: Place,
    progress: Progress,
    message: Option<&str>,
    pending_since: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into activations as known (application_id, location_id, state, message, pending_since)
        values ($1, $2, $3, $4, $5)
        on conflict (application_id, location_id) do update set state = excluded.state, message = excluded.message,
            pending_since = coalesce(excluded.pending_since, known.pending_since), changed_at = now()
        "#,
        place.application_id.0,
        place.location_id.0,
        progress.as_str(),
        message,
        pending_since,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes that a browser was here: starts a new look, unless one is under way.
///
/// # Errors
/// When the database does not answer.
pub async fn open(tx: &mut PgTransaction<'_>, place: Place) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into activations as known (application_id, location_id, state) values ($1, $2, 'requested')
        on conflict (application_id, location_id) do update
            set state = case when known.state in ('activating', 'external') then known.state else 'requested' end,
                pending_since = case when known.state in ('activating', 'external') then known.pending_since end,
                opened_at = now(), changed_at = now(), message = null
        "#,
        place.application_id.0,
        place.location_id.0,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether a connection of this location was looked at within this time.
///
/// # Errors
/// When the database does not answer.
pub async fn looked_at(tx: &mut PgTransaction<'_>, place: Place, within: Duration) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from activations where application_id = $1 and location_id = $2
               and changed_at > now() - make_interval(secs => $3)) as "exists!""#,
        place.application_id.0,
        place.location_id.0,
        within.as_secs_f64(),
    )
    .fetch_one(&mut **tx)
    .await
}

/// How far the connections of some locations have come, in the order asked for.
///
/// # Errors
/// When the database does not answer.
pub async fn of(pool: &PgPool, application: ApplicationId, locations: &[LocationId]) -> sqlx::Result<Vec<Activation>> {
    let ids: Vec<i64> = locations.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"
        select w.location_id as "location_id!", a.state as "state?", a.message, a.pending_since, l.title as "title?",
               l.data->>'timezone_name' as timezone_name
        from unnest($2::bigint[]) with ordinality as w(location_id, n)
        left join activations a on a.application_id = $1 and a.location_id = w.location_id
        left join locations l on l.application_id = $1 and l.location_id = w.location_id
        order by w.n
        "#,
        application.0,
        &ids
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Activation {
            location_id: LocationId(row.location_id),
            progress: row
                .state
                .as_deref()
                .and_then(Progress::parse)
                .unwrap_or(Progress::Requested),
            message: row.message,
            pending_since: row.pending_since,
            title: row.title,
            timezone_name: row.timezone_name,
        })
        .collect())
}
