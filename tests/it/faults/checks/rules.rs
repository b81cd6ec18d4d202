use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;

use super::complaints;
use crate::faults::{scene::Memory, world::WAITED_FOR};

/// Told from the events and not from the keys, which are Bellhop's own idea of what is the same.
pub(super) async fn fired_once(connection: &mut PgConnection) -> Vec<String> {
    complaints(
        connection,
        "with fired as (
            select f.*, e.resource_id, e.body, e.fact,
                case when e.source = 'webhook'
                    then coalesce(convert_from(e.body, 'UTF8')::jsonb #>> '{data,last_change_date}', sha256(e.body)::text) end as version
            from firings f left join events e on e.id = f.event_id and e.received_at = f.event_received_at)
         select format('%s fired %s times for %s %s of %s/%s', rule, count(*), kind, resource_id, application_id, location_id)
         from fired where resource_id is not null
         group by rule, application_id, location_id, generation, kind, resource_id, version having count(*) > 1
         union all
         select format('%s fired %s times at %s/%s', rule, count(*), application_id, location_id)
         from fired where once_per = 'location' group by rule, application_id, location_id having count(*) > 1
         union all
         select format('%s fired %s times for payment %s', rule, count(*), fact #>> '{payment,id}')
         from fired where kind = 'payment.received' group by rule, application_id, location_id, fact #>> '{payment,id}' having count(*) > 1
         union all
         select format('%s fired %s times for event %s', rule, count(*), event_id) from fired
         group by rule, event_id having count(*) > 1
         union all
         select format('the key %s fired %s times', key, count(*)) from fired group by key having count(*) > 1",
    )
    .await
}

/// Every event ends; every rule that waits for its kind says what it did; what it did is there.
pub(super) async fn decided(connection: &mut PgConnection) -> Vec<String> {
    let mut found = complaints(
        connection,
        "select format('event %s (%s) has no end', e.id, e.kind) from events e
         where e.verdict = 'received' and e.location_id is not null
            and not exists (select from outcomes o where o.event_id = e.id)
         union all
         select format('event %s failed: %s', event_id, note) from outcomes where state <> 'processed'
         union all
         select format('event %s ended %s times', event_id, count(*)) from outcomes group by event_id having count(*) > 1
         union all
         select format('%s decisions fired, and there are %s firings', d.count, f.count)
         from (select count(firing_id) from decisions where result in ('fired', 'held', 'shadow')) d, (select count(*) from firings) f
         where d.count <> f.count
         union all
         select format('firing %s belongs to %s decisions', f.id, count(d.firing_id)) from firings f
         left join decisions d on d.firing_id = f.id group by f.id having count(d.firing_id) <> 1
         union all
         select format('%s was said to have fired before for event %s, and never did', d.rule, e.id)
         from decisions d join events e on e.id = d.event_id
         where d.reason like 'fired before%' and not exists (select from firings f where f.rule = d.rule
            and f.application_id = e.application_id and f.location_id = e.location_id)
         union all
         select format('%s/%s became active, and nobody was welcomed', h.application_id, h.location_id)
         from installation_history h where h.to_status = 'active' and h.from_status <> 'frozen' and not exists (select from firings f
            where f.rule = 'welcome' and f.application_id = h.application_id and f.location_id = h.location_id)
         union all
         select format('event %s (%s) was not looked at by the rule that relays everything', e.id, e.kind)
         from events e join outcomes o on o.event_id = e.id and o.received_at = e.received_at and o.note is null
         where (e.fact is null or e.kind like 'installation.%' or e.kind in ('payment.received', 'payment.refunded'))
            and not exists (select from decisions d where d.event_id = e.id and d.rule = 'relay'
                and (d.result = 'fired' or d.reason like 'fired before%'))",
    )
    .await;
    let silent: Vec<String> = sqlx::query_scalar(
        "select format('event %s (%s) has %s decisions', e.id, e.kind, count(d.rule))
         from events e join unnest($1::text[], $2::bigint[]) as w(kind, rules) using (kind)
         left join decisions d on d.event_id = e.id where e.verdict = 'received'
         group by e.id, e.kind, w.rules having count(d.rule) <> w.rules",
    )
    .bind(WAITED_FOR.map(|(kind, _)| kind.to_owned()).to_vec())
    .bind(WAITED_FOR.map(|(_, rules)| rules).to_vec())
    .fetch_all(connection)
    .await
    .expect("decisions");
    found.extend(silent);
    found
}

struct Finished {
    id: i64,
    place: (i64, i64),
    firing: i64,
    step: i16,
    action: String,
    state: String,
    attempts: i32,
    error: String,
}

/// As many steps as the rule has, none of a rule that is watched or held; and the marks that steps set.
async fn steps_and_marks(connection: &mut PgConnection) -> Vec<String> {
    complaints(
        connection,
        "select format('firing %s of %s has %s steps', f.id, f.rule, count(j.id)) from firings f
         left join finished_jobs j on j.firing_id = f.id left join holds h on h.firing_id = f.id
         group by f.id, f.rule, f.mode, h.state
         having count(j.id) <> case when f.mode = 'shadow' or h.state in ('held', 'dropped') then 0
            when f.rule in ('offer', 'mistake', 'letter', 'later') then 2 else 1 end
         union all
         select format('%s/%s was marked, and has no mark', j.application_id, j.location_id) from finished_jobs j
         where j.action = 'set_tag' and j.state = 'completed' and not exists (select from tags t
            where t.application_id = j.application_id and t.location_id = j.location_id and t.tag = 'wrote')
         union all
         select format('%s/%s has a mark that nobody set', t.application_id, t.location_id) from tags t
         where not exists (select from finished_jobs j where j.action = 'set_tag' and j.state = 'completed'
            and j.application_id = t.application_id and j.location_id = t.location_id)",
    )
    .await
}

/// Idempotent work: at least once when it is called done, and never out of nothing.
pub(super) async fn effects(connection: &mut PgConnection, memory: &Memory) -> Vec<String> {
    let mut found = steps_and_marks(connection).await;
    let finished = finished(connection).await;
    let mut heard: BTreeMap<&str, i32> = BTreeMap::new();
    let mut heard_well: BTreeSet<&str> = BTreeSet::new();
    for one in &memory.inbox {
        let id = one.headers.get("webhook-id").map_or("no name", String::as_str);
        *heard.entry(id).or_default() += 1;
        if one.status == 200 {
            heard_well.insert(id);
        }
    }
    let mut sets: BTreeMap<(i64, i64), u32> = BTreeMap::new();
    let mut links: BTreeMap<(i64, i64), usize> = BTreeMap::new();
    for job in &finished {
        let name = format!("bellhop-{}-{}", job.firing, job.step);
        let times = heard.remove(name.as_str()).unwrap_or(0);
        if times > job.attempts {
            found.push(format!(
                "job {} was started {} times and heard {times} times",
                job.id, job.attempts
            ));
        }
        match (job.state.as_str(), job.action.as_str()) {
            ("completed", "send_webhook") if !heard_well.contains(name.as_str()) => {
                found.push(format!("job {} is called done, and nobody heard {name}", job.id));
            }
            ("completed", "send_email") if !memory.mails.iter().any(|mail| mail.raw.contains(&name)) => {
                found.push(format!("job {} is called done, and there is no mail {name}", job.id));
            }
            ("completed", "set_discount") => *sets.entry(job.place).or_default() += 1,
            ("completed", "create_payment_link") => *links.entry(job.place).or_default() += 1,
            ("completed", _) => {}
            (_, _) if excused(job) => {}
            (state, action) => found.push(format!("job {} ({action}) is {state}: {}", job.id, job.error)),
        }
    }
    found.extend(heard.keys().map(|name| format!("the message {name} belongs to no job")));
    for link in &memory.truth.links {
        let place = (link.application_id, link.location_id);
        let (wanted, set) = (sets.get(&place).copied().unwrap_or(0), link.link.discount_sets);
        if set < wanted {
            found.push(format!(
                "{wanted} discounts of {place:?} are called done, and the marketplace set {set}"
            ));
        }
        let (wanted, made) = (links.get(&place).copied().unwrap_or(0), link.link.payment_links.len());
        if made < wanted {
            found.push(format!(
                "{wanted} payment links of {place:?} are called done, and the marketplace made {made}"
            ));
        }
    }
    found
}

/// Some work loses its sense: the place was left, or the marketplace says no.
fn excused(job: &Finished) -> bool {
    let reasons = [
        "the application was uninstalled",
        "the connection it was meant for is over",
        "an earlier step was given up",
    ];
    let left = reasons.iter().any(|reason| job.error.contains(reason));
    left || (job.action != "send_webhook" && job.action != "send_email" && job.state == "discarded")
}

async fn finished(connection: &mut PgConnection) -> Vec<Finished> {
    type Row = (i64, i64, i64, i64, i16, String, String, i32, String);
    let rows: Vec<Row> = sqlx::query_as(
        "select id, application_id, location_id, firing_id, step, action, state, attempts, coalesce(last_error, '')
         from finished_jobs where firing_id is not null",
    )
    .fetch_all(connection)
    .await
    .expect("jobs");
    rows.into_iter()
        .map(
            |(id, application, location, firing, step, action, state, attempts, error)| Finished {
                id,
                place: (application, location),
                firing,
                step,
                action,
                state,
                attempts,
                error,
            },
        )
        .collect()
}
