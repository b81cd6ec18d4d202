use sqlx::PgConnection;

use super::complaints;

/// Nothing waits, nothing is held. A lane that was emptied under the eyes of a worker who died is no breach: its lease
/// is over, and the pruner takes it away.
pub(super) async fn nothing_left(connection: &mut PgConnection) -> Vec<String> {
    complaints(
        connection,
        "select 'in the inbox: event ' || event_id from inbox
         union all select format('lane %s is leased until %s', name, leased_until) from lanes l where leased_until > now()
            or (leased_until is not null and exists (select from jobs where lane_id = l.id))
         union all select 'lane without jobs: ' || name from lanes l where leased_until is null
            and not exists (select from jobs where lane_id = l.id)
         union all select concat_ws(' ', 'job', id, rule, action, state, attempts, last_error) from jobs
         union all select 'open attempt of job ' || job_id from attempts where outcome is null
         union all select 'a moment that came: ' || kind from timers where due_at <= now() and fired_for is distinct from due_at
         union all select 'an occurrence that came: ' || cron from schedules where due_at <= now()
         union all select 'nobody looked whether it is silent: ' || location_id from silences where due_at <= now()",
    )
    .await
}

/// What is counted in two places is the same in both.
pub(super) async fn sums(connection: &mut PgConnection) -> Vec<String> {
    complaints(
        connection,
        "select format('%s events wait for nothing, %s have an outcome, and %s are stored', others, ended, stored) from (
            select count(*) as stored, count(*) filter (where verdict <> 'received' or location_id is null) as others,
                (select count(*) from outcomes) as ended from events) c
         where others + ended <> stored
         union all
         select format('job %s was started %s times and has %s attempts', j.id, j.attempts, count(a.job_id))
         from finished_jobs j left join attempts a on a.job_id = j.id group by j.id, j.attempts having count(a.job_id) <> j.attempts
         union all
         select format('attempts of no job: %s', a.job_id) from attempts a
         where not exists (select from finished_jobs j where j.id = a.job_id)
         union all
         select format('job %s ended %s times', id, count(*)) from finished_jobs group by id having count(*) > 1
         union all
         select format('job %s is completed, and its attempts end with %s', j.id, a.outcome) from finished_jobs j
         join attempts a on a.job_id = j.id and a.attempt = j.attempts where j.state = 'completed' and a.outcome <> 'done'
         union all
         select format('job %s was done %s times', job_id, count(*)) from attempts where outcome = 'done'
         group by job_id having count(*) > 1
         union all
         select format('history of %s/%s ends with %s, and it is %s', i.application_id, i.location_id, h.to_status, i.status)
         from installations i join lateral (select to_status from installation_history h where h.application_id = i.application_id
            and h.location_id = i.location_id order by id desc limit 1) h on true where h.to_status <> i.status",
    )
    .await
}
