//! Goes through what was stored, in its order, and asks a rule about each event. Pure: nothing is read
//! and nothing is called.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::{Report, Would};
use crate::{
    app::view::view,
    domain::{
        calendar::Calendar,
        event::Source,
        ids::{EventId, Place},
        installation::{Installation, Status},
        location::Location,
        moment::{Came, Mark, Moment, is_same_end},
    },
    rules::{self, ApplicationView, Decision, EventView, Facts, Rule, Subject},
    store::inbox::Waiting,
};

/// How installations become what they are, event by event.
pub(super) struct History {
    trial_days: u32,
    places: HashMap<Place, Installation>,
}

impl History {
    pub(super) fn new(trial_days: u32) -> Self {
        Self {
            trial_days,
            places: HashMap::new(),
        }
    }

    /// Applies what an event says. It had an effect when it was judged, whatever else was known then.
    pub(super) fn take(&mut self, event: &Waiting) {
        let Some(fact) = &event.fact else { return };
        let mut before = self.at(event.place, event.received_at);
        before.status_seen_at = before.status_seen_at.min(event.occurred_at);
        let (after, _) = before.apply(fact, event.occurred_at);
        self.places.insert(event.place, after.expecting_trial(self.trial_days));
    }

    fn at(&self, place: Place, now: DateTime<Utc>) -> Installation {
        let known = self.places.get(&place).cloned();
        known.unwrap_or_else(|| Installation::unknown(place, now))
    }

    /// The places whose history ends where they are: nothing of it is missing.
    pub(super) fn complete(&self, present: &HashMap<Place, Installation>) -> HashSet<Place> {
        let same =
            |one: &Installation, other: &Installation| (one.status, one.generation) == (other.status, other.generation);
        let places = present
            .values()
            .filter(|now| self.places.get(&now.place).is_some_and(|one| same(one, now)));
        places.map(|now| now.place).collect()
    }
}

/// What is known besides the events.
pub(super) struct Known {
    pub(super) application: ApplicationView,
    pub(super) since: DateTime<Utc>,
    pub(super) until: DateTime<Utc>,
    /// Installations as they are now.
    pub(super) present: HashMap<Place, Installation>,
    pub(super) locations: HashMap<Place, Location>,
    /// Marks of places as they are now.
    pub(super) tags: HashMap<Place, Vec<String>>,
    /// Places whose past is known as it was.
    pub(super) complete: HashSet<Place>,
}

/// An end of a place that is to come, or some time before it.
struct Planned {
    generation: i32,
    date: DateTime<Utc>,
    due_at: DateTime<Utc>,
    /// Since when its date was known; nothing happens before that.
    since: DateTime<Utc>,
    announced: bool,
}

/// One rule on its way through the past.
pub(super) struct Replay<'r> {
    rule: &'r Rule,
    known: &'r Known,
    history: History,
    /// Keys that have fired on the way.
    keys: HashSet<String>,
    planned: HashMap<Place, Planned>,
    /// The calendar of the rule, when it waits for one.
    calendar: Option<Calendar>,
    /// Up to when the calendar was asked about, by place.
    walked: HashMap<Place, DateTime<Utc>>,
    report: Report,
}

impl<'r> Replay<'r> {
    pub(super) fn new(rule: &'r Rule, known: &'r Known, trial_days: u32, report: Report) -> Self {
        let mut replay = Self {
            rule,
            known,
            history: History::new(trial_days),
            keys: HashSet::new(),
            planned: HashMap::new(),
            calendar: match rule.trigger.moment() {
                Some(Moment::Schedule { cron }) => Calendar::parse(cron).ok(),
                Some(_) | None => None,
            },
            walked: HashMap::new(),
            report,
        };
        let places = known.present.keys().filter(|place| !known.complete.contains(place));
        for place in places {
            replay.plan(*place, DateTime::<Utc>::MIN_UTC);
        }
        replay
    }

    /// The next event.
    pub(super) fn take(&mut self, event: &Waiting) {
        self.announce(event.place, event.received_at);
        self.walk(event.place, event.received_at);
        self.history.take(event);
        self.plan(event.place, event.received_at);
        // Ends are found by the dates and occurrences by the calendar, so that it does not matter whether anybody waited
        // for them.
        let trigger = &self.rule.trigger;
        let concerns = trigger.moment().is_none() && trigger.matches(&event.kind, None);
        if concerns && event.received_at >= self.known.since {
            let installation = self.installation(event.place, event.received_at);
            self.ask(&view(event), &installation, event.received_at);
        }
    }

    /// What came to pass after the last event.
    pub(super) fn end(mut self) -> Report {
        let to_come = self.planned.iter().map(|(place, planned)| (planned.due_at, *place));
        let mut to_come: Vec<(DateTime<Utc>, Place)> = to_come.collect();
        to_come.sort_unstable_by_key(|(due_at, place)| (*due_at, place.location_id.0));
        for (_, place) in to_come {
            self.announce(place, self.known.until);
        }
        for place in self.known.present.keys() {
            self.walk(*place, self.known.until);
        }
        self.report.firings.sort_by_key(|would| (would.at, would.event_id));
        self.report
    }

    fn installation(&self, place: Place, now: DateTime<Utc>) -> Installation {
        if self.known.complete.contains(&place) {
            return self.history.at(place, now);
        }
        let present = self.known.present.get(&place).cloned();
        present.unwrap_or_else(|| Installation::unknown(place, now))
    }

    /// Looks which end of the place comes next, after something has changed.
    fn plan(&mut self, place: Place, since: DateTime<Utc>) {
        let Some((term, time)) = self.rule.trigger.moment().and_then(Moment::end) else {
            return;
        };
        let there = self.installation(place, since);
        let generation = there.generation;
        let date = term.end(&there);
        let date = date.filter(|_| matches!(there.status, Status::Active | Status::Frozen));
        let Some((date, due_at)) = date.and_then(|date| Some((date, before(date, time)?))) else {
            self.planned.remove(&place);
            return;
        };
        let known = self.planned.get(&place).filter(|known| known.generation == generation);
        let announced = known.is_some_and(|known| known.announced && is_same_end(known.date, date));
        if !announced && known.is_some_and(|known| known.date == date) {
            return;
        }
        let planned = Planned {
            generation,
            date,
            due_at,
            since,
            announced,
        };
        self.planned.insert(place, planned);
    }

    /// Asks about the end of a place when it came before `now`.
    fn announce(&mut self, place: Place, now: DateTime<Utc>) {
        let (Some(moment), Some(planned)) = (self.rule.trigger.moment(), self.planned.get_mut(&place)) else {
            return;
        };
        let (due_at, at) = (planned.due_at, planned.due_at.max(planned.since));
        if planned.announced || at >= now {
            return;
        }
        planned.announced = true;
        let mark = Mark::End(planned.date);
        if at >= self.known.since {
            self.came(place, (moment, mark), due_at, at);
        }
    }

    /// Asks about what the calendar of the rule says for a place, up to `now`. Nothing has changed there since it was
    /// asked about last.
    fn walk(&mut self, place: Place, now: DateTime<Utc>) {
        let (Some(calendar), Some(moment)) = (self.calendar.take(), self.rule.trigger.moment()) else {
            return;
        };
        let zone = self
            .known
            .locations
            .get(&place)
            .and_then(|location| location.timezone_name.as_deref());
        let zone = zone.and_then(|zone| zone.parse().ok()).unwrap_or(Tz::UTC);
        let mut from = self
            .walked
            .insert(place, now)
            .unwrap_or(self.known.since)
            .max(self.known.since);
        while self.installation(place, from).status == Status::Active {
            match calendar.around(from, zone).next {
                Some(next) if next.due_at < now => {
                    from = next.due_at;
                    self.came(place, (moment, Mark::Local(next.local_at)), from, from);
                }
                Some(_) | None => break,
            }
        }
        self.calendar = Some(calendar);
    }

    fn came(&mut self, place: Place, (moment, mark): (&Moment, Mark), due_at: DateTime<Utc>, at: DateTime<Utc>) {
        let event = EventView {
            id: EventId(0),
            kind: moment.kind(),
            source: Source::Timer,
            at: due_at,
            subject: Subject::Moment(Came {
                moment: moment.clone(),
                due_at,
                mark,
            }),
        };
        let installation = self.installation(place, at);
        self.ask(&event, &installation, at);
    }

    fn ask(&mut self, event: &EventView, installation: &Installation, now: DateTime<Utc>) {
        let place = installation.place;
        let unknown = Location::unknown(place.location_id);
        let location = self.known.locations.get(&place).unwrap_or(&unknown);
        let tags = self.known.tags.get(&place).map_or(&[][..], Vec::as_slice);
        let facts = Facts::new(event, installation, location, &self.known.application, now).with_tags(tags);
        self.report.considered += 1;
        if !self.known.complete.contains(&place) {
            self.report.seen_as_now.insert(place.location_id);
        }
        let key = match rules::would(self.rule, &facts) {
            Decision::Skip { reason, .. } => return self.skip(reason),
            Decision::Fire { key, .. } => key,
        };
        if !self.keys.insert(key.clone()) {
            return self.skip(format!("fired before (once per {})", self.rule.once_per));
        }
        let steps = rules::preview(self.rule, &facts);
        self.report.fire(
            self.rule,
            Would {
                application_id: place.application_id,
                location_id: place.location_id,
                at: now,
                event_id: (event.id.0 > 0).then_some(event.id),
                kind: event.kind.clone(),
                key,
                steps,
            },
        );
    }

    fn skip(&mut self, reason: String) {
        *self.report.skipped.entry(reason).or_default() += 1;
    }
}

fn before(date: DateTime<Utc>, time: Duration) -> Option<DateTime<Utc>> {
    date.checked_sub_signed(TimeDelta::from_std(time).ok()?)
}

#[cfg(test)]
mod tests;
