//! The next occurrence of each calendar at each place. What is next is reckoned by the caller: the database knows
//! neither cron expressions nor what a place's clocks skip.

use chrono::{DateTime, NaiveDateTime, Utc};
use sqlx::PgTransaction;

use super::timers::GAP;
use crate::domain::{
    ids::{ApplicationId, LocationId, Place},
    installation::Status,
};

/// A calendar of a place, and what is known of the place's zone; empty for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which location.
    pub location_id: LocationId,
    /// The cron expression.
    pub cron: String,
    /// The name of the zone.
    pub zone: String,
    /// By how many seconds time has passed faster here ([`super::ageing`]).
    pub aged_seconds: i64,
}

/// Forgets the calendars nobody waits for, of one location or of all, and tells those that have to be planned: new
/// ones, and those whose place has another zone now. A frozen place keeps its calendars, so that it goes on with the
/// next occurrence.
///
/// # Errors
/// When the database does not answer.
pub async fn unplanned(
    tx: &mut PgTransaction<'_>,
    application: ApplicationId,
    location: Option<LocationId>,
    crons: &[String],
) -> sqlx::Result<Vec<Line>> {
    let rows = sqlx::query!(
        r#"
        with wanted as (
            select i.application_id, i.location_id, c.cron, coalesce(l.data->>'timezone_name', '') as zone
            from installations i cross join unnest($3::text[]) as c(cron)
            left join locations l using (application_id, location_id)
            where i.application_id = $1 and ($2::bigint is null or i.location_id = $2) and i.status in ('active', 'frozen')
        ), gone as (
            delete from schedules s
            where s.application_id = $1 and ($2::bigint is null or s.location_id = $2)
              and not exists (select from wanted w where w.location_id = s.location_id and w.cron = s.cron)
        )
        select w.location_id as "location_id!", w.cron as "cron!", w.zone as "zone!",
               coalesce(s.aged_seconds, 0) as "aged_seconds!"
        from wanted w left join schedules s using (application_id, location_id, cron)
        where s.zone is distinct from w.zone
        "#,
        application.0,
        location.map(|id| id.0),
        crons,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Line {
            location_id: LocationId(row.location_id),
            cron: row.cron,
            zone: row.zone,
            aged_seconds: row.aged_seconds,
        })
        .collect())
}

/// What comes next at a place.
#[derive(Debug, Clone)]
pub struct Next {
    /// Whose.
    pub line: Line,
    /// What the clocks will show.
    pub local_at: NaiveDateTime,
    /// When that is.
    pub due_at: DateTime<Utc>,
}

/// Writes what comes next.
///
/// # Errors
/// When the database does not answer.
pub async fn write(tx: &mut PgTransaction<'_>, application: ApplicationId, next: &[Next]) -> sqlx::Result<()> {
    let locations: Vec<i64> = next.iter().map(|next| next.line.location_id.0).collect();
    let crons: Vec<String> = next.iter().map(|next| next.line.cron.clone()).collect();
    let zones: Vec<String> = next.iter().map(|next| next.line.zone.clone()).collect();
    let locals: Vec<NaiveDateTime> = next.iter().map(|next| next.local_at).collect();
    let dues: Vec<DateTime<Utc>> = next.iter().map(|next| next.due_at).collect();
    sqlx::query!(
        r#"
        insert into schedules (application_id, location_id, cron, zone, local_at, due_at)
        select $1, * from unnest($2::bigint[], $3::text[], $4::text[], $5::timestamp[], $6::timestamptz[])
        on conflict (application_id, location_id, cron) do update
            set zone = excluded.zone, local_at = excluded.local_at, due_at = excluded.due_at
        "#,
        application.0,
        &locations,
        &crons,
        &zones,
        &locals,
        &dues,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// An occurrence that has come.
#[derive(Debug, Clone)]
pub struct Due {
    /// Of which application.
    pub application_id: ApplicationId,
    /// Which calendar, and in which zone the place is now.
    pub line: Line,
    /// In which zone it was when this was planned.
    pub planned_zone: String,
    /// Where the installation stands.
    pub status: Status,
    /// Which connection it is.
    pub generation: i32,
}

impl Due {
    /// Where.
    pub fn place(&self) -> Place {
        Place {
            application_id: self.application_id,
            location_id: self.line.location_id,
        }
    }
}

/// Takes occurrences that have come, for this transaction; who commits writes what comes next.
///
/// # Errors
/// When the database does not answer.
pub async fn take_due(tx: &mut PgTransaction<'_>, limit: i64) -> sqlx::Result<Vec<Due>> {
    let rows = sqlx::query!(
        r#"
        select s.application_id, s.location_id, s.cron, s.zone, s.aged_seconds, i.status, i.generation,
               coalesce(l.data->>'timezone_name', '') as "zone_now!"
        from schedules s join installations i using (application_id, location_id)
        left join locations l using (application_id, location_id)
        where s.due_at <= now() and not exists (
            select from reconciliations r left join looks k
                on k.application_id = s.application_id and k.location_id = s.location_id
            where r.application_id = s.application_id and r.gap_since > now() - $2::text::interval
              and (k.looked_at is null or k.looked_at < r.gap_since))
        order by s.due_at limit $1 for update of s skip locked
        "#,
        limit,
        GAP,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Due {
            application_id: ApplicationId(row.application_id),
            line: Line {
                location_id: LocationId(row.location_id),
                cron: row.cron,
                zone: row.zone_now,
                aged_seconds: row.aged_seconds,
            },
            planned_zone: row.zone,
            status: Status::parse(&row.status).unwrap_or(Status::Uninstalled),
            generation: row.generation,
        })
        .collect())
}
