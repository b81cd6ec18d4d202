use std::collections::{BTreeMap, BTreeSet};

use bellhop::sandbox::Received;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::faults::{
    oracle::{Oracle, Released},
    world::CAP,
};

/// What wanted to fire was done or is held, never more than the cap of a day before somebody released it, and what was
/// released was released once.
pub(super) async fn all(connection: &mut PgConnection, oracle: &Oracle, inbox: &[Received]) -> Vec<String> {
    let mut found = written(connection).await;
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as(
        "select f.application_id, count(distinct (f.fired_at at time zone 'utc')::date),
            (select count(*) from holds h where h.application_id = f.application_id and h.state = 'released')
         from firings f where f.rule = 'capped' group by f.application_id",
    )
    .fetch_all(connection)
    .await
    .expect("firings");
    let rows: BTreeMap<i64, (i64, i64)> = rows.into_iter().map(|(of, days, out)| (of, (days, out))).collect();
    let done = done(inbox, &mut found);
    let releases = oracle.releases();
    for (application, times) in &done {
        let (days, released) = rows.get(application).copied().unwrap_or_default();
        let asked = releases.iter().filter(|release| release.application == *application);
        let first = asked.map(|release| release.asked_at).min();
        let before = times
            .values()
            .filter(|at| first.is_none_or(|first| **at < first))
            .count();
        if count(before) > CAP * days {
            found.push(format!(
                "{application} did {before} of a rule with the cap {CAP}, and nobody released any"
            ));
        }
        if count(times.len()) > CAP * days + released {
            let all = times.len();
            found.push(format!(
                "{application} did {all} with the cap {CAP}, and {released} were released"
            ));
        }
    }
    for (application, (_, released)) in rows {
        found.extend(told(application, released, &releases));
    }
    found
}

fn count(items: usize) -> i64 {
    i64::try_from(items).expect("not that many")
}

async fn written(connection: &mut PgConnection) -> Vec<String> {
    let question = "with capped as (
            select f.id, f.application_id, (f.fired_at at time zone 'utc')::date as day, h.state, h.firing_id is not null as was_held,
                (select count(*) from finished_jobs j where j.firing_id = f.id) as jobs
            from firings f left join holds h on h.firing_id = f.id where f.rule = 'capped')
         select format('%s fired %s times on a day, and %s were held', application_id, count(*), count(*) filter (where was_held))
         from capped group by application_id, day having count(*) filter (where not was_held) <> least(count(*), $1)
         union all
         select format('firing %s is %s and has %s jobs', id, coalesce(state, 'not held'), jobs) from capped
         where jobs <> case when state in ('held', 'dropped') then 0 else 1 end
         union all
         select format('firing %s was judged %s, and is %s', c.id, d.result, coalesce(c.state, 'not held'))
         from capped c left join decisions d on d.firing_id = c.id
         where d.result is distinct from case when c.was_held then 'held' else 'fired' end
         union all
         select format('event %s wanted to fire and was told: %s', event_id, reason) from decisions
         where rule = 'capped' and result not in ('fired', 'held') and reason not like 'fired before%'";
    let complaints = sqlx::query_scalar(question).bind(CAP).fetch_all(connection).await;
    complaints.unwrap_or_else(|error| vec![error.to_string()])
}

/// When each event was first spoken of, by application; complains of those that came under two names.
fn done(inbox: &[Received], found: &mut Vec<String>) -> BTreeMap<i64, BTreeMap<i64, DateTime<Utc>>> {
    let mut done: BTreeMap<i64, BTreeMap<i64, DateTime<Utc>>> = BTreeMap::new();
    let mut names: BTreeSet<(i64, &str)> = BTreeSet::new();
    for one in inbox.iter().filter(|one| one.name == "capped") {
        let numbers = one.body.split_once(' ');
        let numbers = numbers.and_then(|(of, event)| Some((of.parse().ok()?, event.parse().ok()?)));
        let Some((application, event)) = numbers else {
            found.push(format!("nobody understands `{}`", one.body));
            continue;
        };
        done.entry(application).or_default().entry(event).or_insert(one.at);
        names.insert((event, one.headers.get("webhook-id").map_or("", String::as_str)));
    }
    let mut times: BTreeMap<i64, u32> = BTreeMap::new();
    for (event, _) in names {
        *times.entry(event).or_default() += 1;
    }
    let twice = times.iter().filter(|(_, times)| **times > 1);
    found.extend(twice.map(|(event, times)| format!("event {event} was spoken of under {times} names")));
    done
}

/// Whoever was answered was told the truth; who was not may have released some.
fn told(application: i64, released: i64, releases: &[Released]) -> Option<String> {
    let of_application = releases.iter().filter(|release| release.application == application);
    let (mut told, mut silent) = (0, false);
    for release in of_application {
        told += release.count.unwrap_or(0);
        silent |= release.count.is_none();
    }
    let wrong = if silent { told > released } else { told != released };
    wrong.then(|| format!("{application} released {released}, and people were told {told}"))
}
