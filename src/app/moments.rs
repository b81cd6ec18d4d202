//! The moments that rules wait for, as they follow from rules and installations.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::{
    domain::{
        calendar::{Calendar, Occurrence},
        ids::{ApplicationId, LocationId},
        moment::Moment,
    },
    rules::RuleSet,
    store::{
        self, PgTransaction,
        schedules::{self, Line, Next},
        silences, timers,
    },
};

/// Plans the moments that rules wait for, at one location or at all, and forgets those nobody waits for any more. To be
/// repeated when rules or installations change, and now and then: zones change too.
///
/// # Errors
/// When the database does not answer.
pub async fn plan(
    tx: &mut PgTransaction<'_>,
    (application, location): (ApplicationId, Option<LocationId>),
    rules: &RuleSet,
) -> store::Result<()> {
    let moments = rules.moments();
    let max_late = i64::try_from(rules.max_late().as_secs()).unwrap_or(i64::MAX);
    timers::plan(&mut **tx, application, location, &moments, max_late).await?;
    let crons: Vec<String> = moments.iter().filter_map(cron).collect();
    let lasting: Vec<Duration> = moments.iter().filter_map(lasting).collect();
    // Those of rules that are gone were forgotten with the rules, for all locations at once.
    if location.is_none() || !crons.is_empty() {
        plan_schedules(tx, (application, location), &crons).await?;
    }
    if location.is_none() || !lasting.is_empty() {
        silences::plan(tx, application, location, &lasting).await?;
    }
    Ok(())
}

fn cron(moment: &Moment) -> Option<String> {
    match moment {
        Moment::Schedule { cron } => Some(cron.clone()),
        _ => None,
    }
}

fn lasting(moment: &Moment) -> Option<Duration> {
    match moment {
        Moment::Silence { lasting } => Some(*lasting),
        _ => None,
    }
}

async fn plan_schedules(
    tx: &mut PgTransaction<'_>,
    (application, location): (ApplicationId, Option<LocationId>),
    crons: &[String],
) -> store::Result<()> {
    let unplanned = schedules::unplanned(tx, application, location, crons).await?;
    if unplanned.is_empty() {
        return Ok(());
    }
    let now = store::now(&mut **tx).await?;
    let mut calendars = Calendars::default();
    let next: Vec<Next> = unplanned
        .into_iter()
        .map(|line| calendars.around(&line, now).next(line, now))
        .collect();
    schedules::write(tx, application, &next).await
}

/// Calendars, each read once.
#[derive(Default)]
pub struct Calendars(HashMap<String, Option<Calendar>>);

/// What lies around now for a calendar at a place.
#[derive(Debug, Clone, Copy)]
pub struct Around {
    /// The last occurrence that was.
    pub last: Option<Occurrence>,
    next: Option<Occurrence>,
}

/// A calendar that cannot be read, which only another version can have written, is looked at so often.
const UNREADABLE: TimeDelta = TimeDelta::days(1);

impl Calendars {
    /// Looks around an instant by the clocks of the place, or of UTC when its zone is not known.
    pub fn around(&mut self, line: &Line, now: DateTime<Utc>) -> Around {
        let calendar = self.0.entry(line.cron.clone());
        let calendar = calendar.or_insert_with_key(|cron| Calendar::parse(cron).ok());
        let aged = TimeDelta::seconds(line.aged_seconds);
        let zone = line.zone.parse().unwrap_or(Tz::UTC);
        let around = calendar.as_ref().map(|calendar| calendar.around(now + aged, zone));
        let back = |one: Occurrence| Occurrence {
            due_at: one.due_at - aged,
            ..one
        };
        Around {
            last: around.and_then(|around| around.last).map(back),
            next: around.and_then(|around| around.next).map(back),
        }
    }
}

impl Around {
    /// What comes next, to be written.
    pub fn next(self, line: Line, now: DateTime<Utc>) -> Next {
        let next = self.next.unwrap_or(Occurrence {
            local_at: (now + UNREADABLE).naive_utc(),
            due_at: now + UNREADABLE,
        });
        Next {
            line,
            local_at: next.local_at,
            due_at: next.due_at,
        }
    }
}
