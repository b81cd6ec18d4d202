//! What should have happened, from the marketplace's own log and payments alone.

use std::collections::BTreeMap;

use bellhop::sandbox::{Link, Origin, Status};
use chrono::{DateTime, TimeDelta, Utc};

use crate::service::stage::{APP, Stage};

/// An hour that a zone has twice can be read as either.
const TWICE: TimeDelta = TimeDelta::hours(1);

type Counts = BTreeMap<String, i64>;

/// How often each rule should have fired for a location.
fn should(link: &Link, now: DateTime<Utc>) -> Counts {
    let turns = |to: &[Status], from: &[Status]| {
        let turns = link.logs.iter();
        let turns = turns.filter(|line| to.contains(&line.status_to) && from.contains(&line.status_from));
        i64::try_from(turns.count()).expect("few")
    };
    let halted = [Status::Freezed, Status::Disabled];
    let anything = [
        Status::Pending,
        Status::Active,
        Status::Freezed,
        Status::Disabled,
        Status::Uninstalled,
    ];
    let activated = turns(&[Status::Active], &[Status::Pending]);
    let bought = || link.payments.iter().filter(|paid| paid.origin == Origin::Platform);
    let counts = [
        ("welcome", activated.min(1)),
        ("pending", turns(&[Status::Pending], &anything)),
        ("activated", activated),
        ("frozen", turns(&halted, &[Status::Active])),
        ("unfrozen", turns(&[Status::Active], &halted)),
        ("uninstalled", turns(&[Status::Uninstalled], &anything)),
        ("paid", i64::try_from(bought().count()).expect("few")),
        (
            "refunded",
            i64::try_from(bought().filter(|paid| paid.is_refunded).count()).expect("few"),
        ),
        ("trial-ended", trials_lived_through(link, now)),
        (PERIOD_ENDED, periods_lived_through(link, now).unwrap_or(0)),
    ];
    counts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(rule, count)| (rule.to_owned(), count))
        .collect()
}

/// Trials whose end came while the connection they were given to was there.
fn trials_lived_through(link: &Link, now: DateTime<Utc>) -> i64 {
    let ended = link.payments.iter().filter(|paid| {
        let left = |line: &&bellhop::sandbox::LogLine| {
            line.status_to == Status::Uninstalled && line.changed_at >= paid.period_from
        };
        let left_at = link.logs.iter().find(left).map_or(now, |line| line.changed_at);
        paid.origin == Origin::Trial && paid.period_to < left_at && paid.period_to <= now
    });
    i64::try_from(ended.count()).expect("few")
}

const PERIOD_ENDED: &str = "period-ended";

/// Paid periods whose end came while the connection they were paid for was there, and before they were paid on. `None`
/// where one cannot tell: the marketplace keeps no date of a refund, and of two things within a few seconds either may
/// be known first.
fn periods_lived_through(link: &Link, now: DateTime<Utc>) -> Option<i64> {
    let bought: Vec<_> = link
        .payments
        .iter()
        .filter(|paid| paid.origin == Origin::Platform)
        .collect();
    if bought.iter().any(|paid| paid.is_refunded) {
        return None;
    }
    let close = |one: DateTime<Utc>, other: DateTime<Utc>| (one - other).abs() < TWICE;
    let mut count = 0;
    for (number, paid) in bought.iter().enumerate() {
        let end = paid.period_to;
        let left = link
            .logs
            .iter()
            .find(|line| line.status_to == Status::Uninstalled && line.changed_at >= paid.payment_date)
            .map(|line| line.changed_at);
        // What is left of a period is cut off when the owner goes.
        if left.is_some_and(|left| end >= left) {
            continue;
        }
        let next = bought.get(number + 1).map(|next| next.payment_date);
        if [left, next, Some(now)].into_iter().flatten().any(|at| close(at, end)) {
            return None;
        }
        count += i64::from(end < now && next.is_none_or(|next| next > end));
    }
    Some(count)
}

/// The marketplace's log, in a line.
fn turns(link: &Link) -> String {
    let turns = link.logs.iter();
    let turns = turns.map(|line| format!("{} {:?}", line.changed_at.format("%m-%d %H:%M:%S%.3f"), line.status_to));
    turns.collect::<Vec<String>>().join(", ")
}

async fn fired(stage: &Stage) -> BTreeMap<i64, Counts> {
    let rows: Vec<(i64, String, i64)> = sqlx::query_as("select location_id, rule, count(*) from firings group by 1, 2")
        .fetch_all(&stage.pool)
        .await
        .expect("firings");
    let mut fired: BTreeMap<i64, Counts> = BTreeMap::new();
    for (location, rule, count) in rows {
        fired.entry(location).or_default().insert(rule, count);
    }
    fired
}

type Known = (i64, String, Option<DateTime<Utc>>);

async fn known(stage: &Stage) -> BTreeMap<i64, (String, Option<DateTime<Utc>>)> {
    let rows: Vec<Known> = sqlx::query_as(
        "select location_id, status, greatest(trial_ends_at, paid_until) from installations where application_id = $1",
    )
    .bind(APP)
    .fetch_all(&stage.pool)
    .await
    .expect("installations");
    rows.into_iter()
        .map(|(location, status, until)| (location, (status, until)))
        .collect()
}

/// Everything in which Bellhop differs from what should be.
pub(super) async fn disagreements(stage: &Stage) -> Vec<String> {
    let (truth, fired, known) = (stage.sandbox.truth().await, fired(stage).await, known(stage).await);
    let now = Utc::now();
    let mut wrong = Vec::new();
    for there in &truth.links {
        let (location, link) = (there.location_id, &there.link);
        let should = should(link, now);
        let mut is = fired.get(&location).cloned().unwrap_or_default();
        if periods_lived_through(link, now).is_none() {
            is.remove(PERIOD_ENDED);
        }
        if is != should {
            wrong.push(format!(
                "{location}: rules should have fired {should:?}, and did {is:?}\n  {}\n  {}",
                turns(link),
                stage.events(location).await.join("\n  ")
            ));
        }
        let status = match link.status {
            Status::Pending => "pending",
            Status::Active => "active",
            Status::Freezed | Status::Disabled => "frozen",
            Status::Uninstalled => "uninstalled",
        };
        let (believed, until) = known.get(&location).cloned().unwrap_or_default();
        if believed != status {
            wrong.push(format!("{location} is {status}, and Bellhop believes {believed:?}"));
        }
        let same = match (until, there.paid_until) {
            (Some(ours), Some(theirs)) => (ours - theirs).abs() <= TWICE + TimeDelta::seconds(1),
            (ours, theirs) => ours.is_none() && theirs.is_none(),
        };
        if status != "uninstalled" && !same {
            wrong.push(format!(
                "{location} is paid until {:?}, and Bellhop believes {until:?}",
                there.paid_until
            ));
        }
    }
    let undone: Vec<(String, i64)> = sqlx::query_as(
        "select 'failed events', count(*) from outcomes where state = 'failed'
         union all select 'jobs given up', count(*) from finished_jobs where state = 'discarded'",
    )
    .fetch_all(&stage.pool)
    .await
    .expect("counts");
    wrong.extend(
        undone
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| format!("{count} {what}")),
    );
    wrong
}
