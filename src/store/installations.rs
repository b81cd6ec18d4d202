use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, PgPool, PgTransaction, types::Json};

use super::events::SHARDS;
use crate::domain::{
    event::Source,
    ids::{ApplicationId, EventId, LocationId, Place},
    installation::{Installation, Status},
    location::Location,
    payment::{Payment, Periods},
};

struct Row {
    application_id: i64,
    location_id: i64,
    status: String,
    generation: i32,
    status_since: DateTime<Utc>,
    connected_at: Option<DateTime<Utc>>,
    activated_at: Option<DateTime<Utc>>,
    trial_ends_at: Option<DateTime<Utc>>,
    paid_until: Option<DateTime<Utc>>,
    has_paid: bool,
    seen_at: Option<DateTime<Utc>>,
}

impl From<Row> for Installation {
    fn from(row: Row) -> Self {
        Self {
            place: Place {
                application_id: ApplicationId(row.application_id),
                location_id: LocationId(row.location_id),
            },
            status: Status::parse(&row.status).unwrap_or(Status::Uninstalled),
            generation: row.generation,
            status_since: row.status_since,
            // The version before this one moves the status and notes no sightings.
            status_seen_at: row.seen_at.map_or(row.status_since, |seen| seen.max(row.status_since)),
            connected_at: row.connected_at,
            activated_at: row.activated_at,
            periods: Periods {
                trial_ends_at: row.trial_ends_at,
                paid_until: row.paid_until,
                has_paid: row.has_paid,
            },
        }
    }
}

/// An installation as we know it; one we never heard of comes back as unknown.
///
/// # Errors
/// When the database does not answer.
pub async fn get(pool: &PgPool, place: Place) -> sqlx::Result<Installation> {
    let row = sqlx::query_as!(
        Row,
        r#"select i.application_id, i.location_id, i.status, i.generation, i.status_since, i.connected_at, i.activated_at,
                  i.trial_ends_at, i.paid_until, i.has_paid, s.seen_at as "seen_at?"
           from installations i left join sightings s using (application_id, location_id)
           where application_id = $1 and location_id = $2"#,
        place.application_id.0,
        place.location_id.0
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map_or_else(|| Installation::unknown(place, Utc::now()), Installation::from))
}

/// Those of some places that we have heard of.
///
/// # Errors
/// When the database does not answer.
pub async fn read(tx: &mut PgTransaction<'_>, places: &[Place]) -> sqlx::Result<Vec<Installation>> {
    let (applications, locations) = columns(places);
    let rows = sqlx::query_as!(
        Row,
        r#"select i.application_id, i.location_id, i.status, i.generation, i.status_since, i.connected_at, i.activated_at,
                  i.trial_ends_at, i.paid_until, i.has_paid, s.seen_at as "seen_at?"
           from unnest($1::bigint[], $2::bigint[]) as w(application_id, location_id)
           join installations i using (application_id, location_id) left join sightings s using (application_id, location_id)"#,
        &applications,
        &locations
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(Installation::from).collect())
}

fn columns(places: &[Place]) -> (Vec<i64>, Vec<i64>) {
    places
        .iter()
        .map(|place| (place.application_id.0, place.location_id.0))
        .unzip()
}

/// The same for a change: nobody else changes it until the transaction ends. An installation that
/// does not exist yet is guarded too.
///
/// # Errors
/// When the database does not answer.
pub async fn lock(tx: &mut PgTransaction<'_>, place: Place) -> sqlx::Result<Installation> {
    let lock = format!("bellhop:installation:{place}");
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1, 0))", lock)
        .execute(&mut **tx)
        .await?;
    let row = sqlx::query_as!(
        Row,
        r#"select i.application_id, i.location_id, i.status, i.generation, i.status_since, i.connected_at, i.activated_at,
                  i.trial_ends_at, i.paid_until, i.has_paid, s.seen_at as "seen_at?"
           from installations i left join sightings s using (application_id, location_id)
           where application_id = $1 and location_id = $2 for update of i"#,
        place.application_id.0,
        place.location_id.0
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map_or_else(|| Installation::unknown(place, Utc::now()), Installation::from))
}

/// Writes an installation.
///
/// # Errors
/// When the database does not answer.
pub async fn save(tx: &mut PgTransaction<'_>, installation: &Installation) -> sqlx::Result<()> {
    let periods = installation.periods;
    sqlx::query!(
        r#"
        with saved as (
            insert into installations (application_id, location_id, status, generation, status_since, connected_at,
                activated_at, trial_ends_at, paid_until, has_paid)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            on conflict (application_id, location_id) do update set status = excluded.status,
                generation = excluded.generation, status_since = excluded.status_since,
                connected_at = excluded.connected_at, activated_at = excluded.activated_at,
                trial_ends_at = excluded.trial_ends_at, paid_until = excluded.paid_until, has_paid = excluded.has_paid
        )
        insert into sightings (application_id, location_id, seen_at) values ($1, $2, $11)
        on conflict (application_id, location_id) do update set seen_at = excluded.seen_at
        "#,
        installation.place.application_id.0,
        installation.place.location_id.0,
        installation.status.as_str(),
        installation.generation,
        installation.status_since,
        installation.connected_at,
        installation.activated_at,
        periods.trial_ends_at,
        periods.paid_until,
        periods.has_paid,
        installation.status_seen_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes that the status, as it is known, was seen at a moment. Nothing for a place that is not known, and nothing while
/// events of the place wait to be judged: the status seen may be what they are about to tell, and noting it for the
/// status before them would make them look late. The caller holds the installation's lock.
///
/// # Errors
/// When the database does not answer.
pub async fn seen_again(tx: &mut PgTransaction<'_>, place: Place, at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into sightings (application_id, location_id, seen_at)
         select application_id, location_id, $3 from installations where application_id = $1 and location_id = $2
             and not exists (select from inbox where shard = abs($2 % $4)::smallint and inbox.location_id = $2
                             and inbox.application_id = $1)
         on conflict (application_id, location_id) do update set seen_at = greatest(sightings.seen_at, excluded.seen_at)",
        place.application_id.0,
        place.location_id.0,
        at,
        i64::from(SHARDS),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes that an installation moved.
///
/// # Errors
/// When the database does not answer.
pub async fn remember_move(
    tx: &mut PgTransaction<'_>,
    from: Status,
    now: &Installation,
    source: Source,
    event: EventId,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into installation_history
            (application_id, location_id, generation, from_status, to_status, source, event_id, occurred_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        "#,
        now.place.application_id.0,
        now.place.location_id.0,
        now.generation,
        from.as_str(),
        now.status.as_str(),
        source.as_str(),
        event.0,
        now.status_since,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The payments we have seen.
///
/// # Errors
/// When the database does not answer.
pub async fn payments(tx: &mut PgTransaction<'_>, place: Place) -> sqlx::Result<Vec<Payment>> {
    let rows = sqlx::query_scalar!(
        r#"select payment as "payment: Json<Payment>" from payments where application_id = $1 and location_id = $2"#,
        place.application_id.0,
        place.location_id.0
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|payment| payment.0).collect())
}

/// Notes a payment, or what became of it. Returns whether this is news.
///
/// # Errors
/// When the database does not answer.
pub async fn remember_payment(tx: &mut PgTransaction<'_>, place: Place, payment: &Payment) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        r#"
        insert into payments as known (application_id, location_id, payment_key, payment) values ($1, $2, $3, $4)
        on conflict (application_id, location_id, payment_key) do update set payment = excluded.payment
            where known.payment->'refunded' is distinct from excluded.payment->'refunded'
        "#,
        place.application_id.0,
        place.location_id.0,
        payment.key(),
        Json(payment) as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// The currencies of the payments that are known, by application; nothing where nobody said it.
///
/// # Errors
/// When the database does not answer.
pub async fn currencies(pool: &PgPool) -> sqlx::Result<Vec<(ApplicationId, Option<String>)>> {
    let rows = sqlx::query!("select distinct application_id, payment->>'currency' as currency from payments")
        .fetch_all(pool)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (ApplicationId(row.application_id), row.currency))
        .collect())
}

/// What is known of the place.
///
/// # Errors
/// When the database does not answer.
pub async fn location(executor: impl PgExecutor<'_>, place: Place) -> sqlx::Result<Option<Location>> {
    let row = sqlx::query!(
        r#"select l.data as "data: Json<Location>", c.iso_code as "country?"
           from locations l left join countries c
               on c.application_id = l.application_id and c.country_id = (l.data->>'country_id')::bigint
           where l.application_id = $1 and l.location_id = $2"#,
        place.application_id.0,
        place.location_id.0
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.map(|row| Location {
        country: row.country,
        ..row.data.0
    }))
}

/// What is known of some places.
///
/// # Errors
/// When the database does not answer.
pub async fn locations(tx: &mut PgTransaction<'_>, places: &[Place]) -> sqlx::Result<Vec<(Place, Location)>> {
    let (applications, locations) = columns(places);
    let rows = sqlx::query!(
        r#"select l.application_id, l.location_id, l.data as "data: Json<Location>", c.iso_code as "country?"
           from unnest($1::bigint[], $2::bigint[]) as w(application_id, location_id)
           join locations l using (application_id, location_id) left join countries c
               on c.application_id = l.application_id and c.country_id = (l.data->>'country_id')::bigint"#,
        &applications,
        &locations
    )
    .fetch_all(&mut **tx)
    .await?;
    let place = |application, location| Place {
        application_id: ApplicationId(application),
        location_id: LocationId(location),
    };
    Ok(rows
        .into_iter()
        .map(|row| {
            let location = Location {
                country: row.country,
                ..row.data.0
            };
            (place(row.application_id, row.location_id), location)
        })
        .collect())
}

/// Writes what was learnt of some places. What is the same is not written again.
///
/// # Errors
/// When the database does not answer.
pub async fn save_locations(
    executor: impl PgExecutor<'_>,
    application: ApplicationId,
    locations: &[Location],
) -> sqlx::Result<()> {
    let ids: Vec<i64> = locations.iter().map(|location| location.id.0).collect();
    let titles: Vec<Option<String>> = locations.iter().map(|location| location.title.clone()).collect();
    let data: Vec<serde_json::Value> = locations
        .iter()
        .map(|location| serde_json::to_value(location).expect("locations are plain data"))
        .collect();
    sqlx::query!(
        r#"
        insert into locations as known (application_id, location_id, title, data)
        select distinct on (location_id) $1, location_id, title, data
        from unnest($2::bigint[], $3::text[], $4::jsonb[]) as t(location_id, title, data)
        order by location_id
        on conflict (application_id, location_id) do update
            set title = excluded.title, data = excluded.data, seen_at = now()
            where known.data is distinct from excluded.data or known.seen_at < now() - interval '1 day'
        "#,
        application.0,
        &ids,
        &titles as &[Option<String>],
        &data,
    )
    .execute(executor)
    .await?;
    Ok(())
}
