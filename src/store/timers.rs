//! A timer is the end of a trial or of a paid period, or some time before it, that some rule waits for.
//! Which timers there should be follows from the installation's dates and from the rules; `plan` makes
//! it so, and is repeated whenever one of the two changes.

use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, PgTransaction};

use crate::domain::{
    event::Fact,
    ids::{ApplicationId, LocationId, Place},
    moment::{Moment, SAME_END, Term},
};

/// Makes the timers of one location, or of all, what the rules of the application wait for. A
/// moment that was over before anybody waited for it (`max_late_seconds`) is marked as announced,
/// so that a new rule does not fire for years of history. One that was announced stays so when its
/// end is only read by another zone ([`SAME_END`]). Rows that are right are left alone.
///
/// # Errors
/// When the database does not answer.
pub async fn plan(
    executor: impl PgExecutor<'_>,
    application: ApplicationId,
    location: Option<LocationId>,
    moments: &[Moment],
    max_late_seconds: i64,
) -> sqlx::Result<()> {
    let ends = moments.iter().filter_map(|moment| Some((moment.kind(), moment.end()?)));
    let (mut kinds, mut terms, mut befores) = (Vec::new(), Vec::new(), Vec::new());
    for (kind, (term, before)) in ends {
        kinds.push(kind.to_string());
        terms.push(term.as_str().to_owned());
        befores.push(i64::try_from(before.as_secs()).unwrap_or(i64::MAX));
    }
    sqlx::query!(
        r#"
        with dated as (
            select i.application_id, i.location_id, i.generation, m.kind, m.before_seconds,
                   case when m.term = 'trial' then i.trial_ends_at
                        when i.has_paid and i.paid_until > coalesce(i.connected_at, '-infinity') then i.paid_until end as date
            from installations i cross join unnest($3::text[], $6::text[], $4::bigint[]) as m(kind, term, before_seconds)
            where i.application_id = $1 and ($2::bigint is null or i.location_id = $2) and i.status in ('active', 'frozen')
        ), wanted as (
            select *, date - make_interval(secs => before_seconds) as due_at from dated where date is not null
        ), gone as (
            delete from timers t
            where t.application_id = $1 and ($2::bigint is null or t.location_id = $2)
              and not exists (select from wanted w where w.location_id = t.location_id and w.kind = t.kind
                              and w.before_seconds = t.before_seconds)
        )
        insert into timers as known
            (application_id, location_id, kind, before_seconds, generation, date, due_at, fired_for)
        select application_id, location_id, kind, before_seconds, generation, date, due_at,
               case when due_at < now() - make_interval(secs => $5) then due_at end
        from wanted w
        where not exists (
            select from timers t
            where (t.application_id, t.location_id, t.kind, t.before_seconds, t.generation, t.date, t.due_at)
                = (w.application_id, w.location_id, w.kind, w.before_seconds, w.generation, w.date, w.due_at))
        on conflict (application_id, location_id, kind, before_seconds) do update
            set generation = excluded.generation, date = excluded.date, due_at = excluded.due_at,
                fired_for = case
                    when known.generation <> excluded.generation then excluded.fired_for
                    when known.fired_for = known.due_at and excluded.date > known.date - make_interval(secs => $7)
                         and excluded.date < known.date + make_interval(secs => $7) then excluded.due_at
                    else known.fired_for
                end
        "#,
        application.0,
        location.map(|id| id.0),
        &kinds,
        &befores,
        max_late_seconds as f64,
        &terms,
        SAME_END.num_seconds() as f64,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// A moment that has come.
#[derive(Debug, Clone)]
pub struct Due {
    /// Where.
    pub place: Place,
    /// When it came due.
    pub due_at: DateTime<Utc>,
    /// The event's fact.
    pub fact: Fact,
}

/// After a pause nobody knows what happened meanwhile, so a moment waits until its place was looked at since, but not
/// longer than this.
pub(super) const GAP: &str = "15 minutes";

/// Marks moments that have come as announced and returns them; who commits announces them.
///
/// # Errors
/// When the database does not answer.
pub async fn take_due(tx: &mut PgTransaction<'_>, limit: i64) -> sqlx::Result<Vec<Due>> {
    let rows = sqlx::query!(
        r#"
        update timers t set fired_for = t.due_at
        from (select application_id, location_id, kind, before_seconds from timers w
              where due_at <= now() and fired_for is distinct from due_at
                and not exists (
                    select from reconciliations r left join looks l
                        on l.application_id = w.application_id and l.location_id = w.location_id
                    where r.application_id = w.application_id and r.gap_since > now() - $2::text::interval
                      and (l.looked_at is null or l.looked_at < r.gap_since))
              order by due_at limit $1 for update skip locked) d
        where (t.application_id, t.location_id, t.kind, t.before_seconds)
            = (d.application_id, d.location_id, d.kind, d.before_seconds)
        returning t.application_id, t.location_id, t.kind, t.before_seconds, t.generation, t.date, t.due_at
        "#,
        limit,
        GAP
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Due {
            place: Place {
                application_id: ApplicationId(row.application_id),
                location_id: LocationId(row.location_id),
            },
            due_at: row.due_at,
            fact: Fact::MomentCame {
                generation: row.generation,
                date: row.date,
                before_seconds: row.before_seconds,
                of: if row.kind.starts_with("period.") {
                    Term::Period
                } else {
                    Term::Trial
                },
            },
        })
        .collect())
}
