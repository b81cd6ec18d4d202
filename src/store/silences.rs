//! Places that are listened to. An entity event writes nothing here, because thousands come in a second: a place is
//! looked at when it would have been silent for long enough, and by the events that are stored it is known whether it
//! was.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgPool, PgTransaction};

use super::timers::GAP;
use crate::domain::{
    event::Fact,
    ids::{ApplicationId, EventId, LocationId, Place},
};

/// After a pause of more than this part of a silence it counts from the beginning, but shorter than a day is no pause.
const PART: i64 = 10;

/// What was written to the disk while the database was away comes in within this time. Until then nobody is silent.
const CATCH_UP: &str = "5 minutes";

/// Makes the silences that are waited for, of one location or of all, what the rules of the application say. A place
/// begins to count when it becomes active.
///
/// # Errors
/// When the database does not answer.
pub async fn plan(
    tx: &mut PgTransaction<'_>,
    application: ApplicationId,
    location: Option<LocationId>,
    lasting: &[Duration],
) -> sqlx::Result<()> {
    let lasting: Vec<i64> = lasting
        .iter()
        .map(|time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
        .collect();
    sqlx::query!(
        r#"
        with wanted as (
            select i.application_id, i.location_id, s.lasting_seconds, i.status_since
            from installations i cross join unnest($3::bigint[]) as s(lasting_seconds)
            where i.application_id = $1 and ($2::bigint is null or i.location_id = $2) and i.status = 'active'
        ), gone as (
            delete from silences s
            where s.application_id = $1 and ($2::bigint is null or s.location_id = $2)
              and not exists (select from wanted w where w.location_id = s.location_id and w.lasting_seconds = s.lasting_seconds)
        )
        insert into silences (application_id, location_id, lasting_seconds, heard_at, due_at)
        select application_id, location_id, lasting_seconds, status_since,
               status_since + make_interval(secs => lasting_seconds)
        from wanted w
        where not exists (
            select from silences s
            where (s.application_id, s.location_id, s.lasting_seconds) = (w.application_id, w.location_id, w.lasting_seconds))
        on conflict do nothing
        "#,
        application.0,
        location.map(|id| id.0),
        &lasting,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A place that fell silent.
#[derive(Debug, Clone)]
pub struct Due {
    /// Where.
    pub place: Place,
    /// When it had been silent for so long.
    pub due_at: DateTime<Utc>,
    /// The event's fact.
    pub fact: Fact,
}

/// What looking at some places found.
#[derive(Debug, Clone)]
pub struct Looked {
    /// How many were looked at.
    pub places: usize,
    /// Those that fell silent.
    pub silent: Vec<Due>,
}

/// Looks at places whose time has come, and notes when to look again: when they will have been silent for long since
/// the last event that is found. A silence is announced once; after that a place is looked at as often, until an event
/// is found, and then it is early enough still. Who commits announces.
///
/// # Errors
/// When the database does not answer.
pub async fn take_due(tx: &mut PgTransaction<'_>, limit: i64) -> sqlx::Result<Looked> {
    // The date of the event bounds the days that are looked into.
    let rows = sqlx::query!(
        r#"
        with due as (
            select s.*, i.generation from silences s join installations i using (application_id, location_id)
            where s.due_at <= now() and not exists (select from presence where back_at > now() - $3::text::interval)
              and not exists (
                select from reconciliations r left join looks k
                    on k.application_id = s.application_id and k.location_id = s.location_id
                where r.application_id = s.application_id and r.gap_since > now() - $2::text::interval
                  and (k.looked_at is null or k.looked_at < r.gap_since))
            order by s.due_at limit $1 for update of s skip locked
        ), heard as (
            select d.application_id, d.location_id, d.lasting_seconds, d.generation, d.is_announced,
                   coalesce(e.id, d.heard_id) as id, coalesce(e.received_at, d.heard_at) as at, e.id is not null as is_newer,
                   coalesce(e.received_at, d.heard_at) + make_interval(secs => d.lasting_seconds) as silent_at
            from due d left join lateral (
                select id, received_at from events
                where application_id = d.application_id and location_id = d.location_id and id > d.heard_id
                  and received_at >= d.heard_at and fact is null and verdict = 'received'
                  and source <> 'telephony'
                order by id desc limit 1
            ) e on true
        )
        update silences s set heard_id = h.id, heard_at = h.at, is_announced = h.silent_at <= now(),
            due_at = case when h.silent_at > now() then h.silent_at
                          else now() + make_interval(secs => h.lasting_seconds) end
        from heard h
        where (s.application_id, s.location_id, s.lasting_seconds) = (h.application_id, h.location_id, h.lasting_seconds)
        returning s.application_id, s.location_id, s.lasting_seconds, s.heard_id, s.heard_at, h.generation,
                  h.silent_at as "silent_at!", h.silent_at <= now() and (h.is_newer or not h.is_announced) as "falls_silent!"
        "#,
        limit,
        GAP,
        CATCH_UP,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(Looked {
        places: rows.len(),
        silent: rows
            .into_iter()
            .filter(|row| row.falls_silent)
            .map(|row| Due {
                place: Place {
                    application_id: ApplicationId(row.application_id),
                    location_id: LocationId(row.location_id),
                },
                due_at: row.silent_at,
                fact: Fact::FellSilent {
                    generation: row.generation,
                    lasting_seconds: row.lasting_seconds,
                    since: row.heard_at,
                    after: (row.heard_id > 0).then_some(EventId(row.heard_id)),
                },
            })
            .collect(),
    })
}

/// Notes that somebody is there. After a pause, silences that are not announced count from now on when the pause was a
/// good part of them: what came meanwhile was not heard.
///
/// # Errors
/// When the database does not answer.
pub async fn listen(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        with before as (
            select alive_at, now() - alive_at as pause from presence where alive_at < now() - interval '10 seconds' for update
        ), back as (
            update presence p set alive_at = now(),
                back_at = case when before.pause > interval '1 minute' then now() else p.back_at end
            from before returning 1
        )
        update silences s set heard_at = now(), due_at = now() + make_interval(secs => s.lasting_seconds)
        from before
        where not s.is_announced and before.pause > interval '1 minute'
          and before.pause > least(make_interval(secs => s.lasting_seconds / $1::bigint), interval '1 day')
        "#,
        PART,
    )
    .execute(pool)
    .await?;
    Ok(())
}
