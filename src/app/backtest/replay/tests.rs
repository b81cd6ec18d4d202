use super::*;
use crate::{
    domain::{
        event::{Fact, Kind},
        ids::{ApplicationId, LocationId},
        location::Location,
        payment::Periods,
    },
    rules::{RuleSet, SourceFile},
};

fn at(day: u32) -> DateTime<Utc> {
    DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(20_000 + i64::from(day))
}

fn place(location: i64) -> Place {
    Place {
        application_id: ApplicationId(1),
        location_id: LocationId(location),
    }
}

fn event(id: i64, day: u32, location: i64, fact: Fact, kind: Kind) -> Waiting {
    Waiting {
        id: EventId(id),
        received_at: at(day),
        place: place(location),
        kind,
        source: Source::Status,
        occurred_at: at(day),
        resource_id: None,
        digest: None,
        fact: Some(fact),
        unreadable: None,
        body: None,
    }
}

fn trial_until(day: u32) -> Periods {
    Periods {
        trial_ends_at: Some(at(day)),
        ..Periods::default()
    }
}

fn activated(id: i64, day: u32, location: i64, until: u32) -> Waiting {
    let periods = trial_until(until);
    event(
        id,
        day,
        location,
        Fact::Activated { periods },
        Kind::InstallationActivated,
    )
}

fn moved(id: i64, day: u32, location: i64, until: u32) -> Waiting {
    let periods = trial_until(until);
    event(id, day, location, Fact::PeriodChanged { periods }, Kind::PeriodChanged)
}

fn uninstalled(id: i64, day: u32, location: i64) -> Waiting {
    event(
        id,
        day,
        location,
        Fact::Uninstalled { generation: None },
        Kind::InstallationUninstalled,
    )
}

/// What a rule with this head would have done from day 1 to day 40, as `day location`, and why not.
fn replayed(head: &str, events: &[Waiting], forgotten: &[i64]) -> (Vec<String>, Vec<String>) {
    let text = format!("[[rule]]\nname = \"r\"\n{head}\n[[rule.then]]\naction = \"set_discount\"\npercent = 5\n");
    let file = SourceFile {
        name: "r".to_owned(),
        text,
    };
    let set = RuleSet::load(&[file], &|_| Err("none".to_owned())).expect("a rule");
    let mut history = History::new(0);
    events.iter().for_each(|event| history.take(event));
    let present = history.places.clone();
    let mut known = Known {
        application: ApplicationView {
            id: ApplicationId(1),
            name: "Example".to_owned(),
        },
        since: at(1),
        until: at(40),
        complete: history.complete(&present),
        present,
        locations: HashMap::from([(place(1), Location::unknown(LocationId(1)))]),
        tags: HashMap::new(),
    };
    known.complete.retain(|place| !forgotten.contains(&place.location_id.0));
    let report = Report {
        most: 100,
        ..Report::default()
    };
    let mut replay = Replay::new(&set.rules()[0], &known, 0, report);
    let seen = events
        .iter()
        .filter(|event| !forgotten.contains(&event.place.location_id.0));
    seen.for_each(|event| replay.take(event));
    let report = replay.end();
    assert_eq!(report.seen_as_now.len(), forgotten.len());
    let fired = report.firings.iter().map(|would| {
        let day = (would.at - at(0)).num_days();
        format!("{day} {}", would.location_id)
    });
    let skipped = report.skipped.iter().map(|(reason, times)| format!("{times} {reason}"));
    (fired.collect(), skipped.collect())
}

#[test]
fn moments_are_found_by_the_dates_of_that_time() {
    let events = [
        activated(1, 1, 1, 15),
        activated(2, 2, 2, 16),
        // Its trial grows before the moment, and that of 2 ends with the connection.
        moved(3, 5, 1, 30),
        uninstalled(4, 6, 2),
        // It is known too late for the moment, and the rule acts at once.
        activated(5, 14, 3, 16),
    ];
    let (fired, skipped) = replayed("on = \"trial.ending\"\nbefore = \"3d\"", &events, &[]);
    assert_eq!((fired, skipped), (vec!["14 3".to_owned(), "27 1".to_owned()], vec![]));
    let (fired, skipped) = replayed(
        "on = \"trial.ending\"\nbefore = \"3d\"\nmax_late = \"12h\"",
        &events,
        &[],
    );
    assert_eq!(fired, ["27 1"]);
    assert_eq!(skipped, ["1 late by 1d, max_late 12h"]);
}

#[test]
fn a_trial_that_is_extended_after_its_moment_does_not_fire_twice() {
    let events = [activated(1, 1, 1, 15), moved(2, 13, 1, 30)];
    let (fired, skipped) = replayed("on = \"trial.ending\"\nbefore = \"3d\"", &events, &[]);
    assert_eq!(fired, ["12 1"]);
    assert_eq!(skipped, ["1 fired before (once per occurrence)"]);
}

#[test]
fn conditions_see_the_installation_as_it_was_and_else_as_it_is_now() {
    let events = [
        activated(1, 1, 1, 15),
        uninstalled(2, 3, 1),
        activated(3, 5, 1, 25),
        uninstalled(4, 7, 1),
    ];
    let head = "on = \"installation.activated\"\nwhen = 'installation.generation == 1'";
    assert_eq!(replayed(head, &events, &[]).0, ["1 1"]);
    // The first connection is not known any more: for all that is known it was always the second.
    let (trial, _) = replayed("on = \"trial.ended\"", &[activated(1, 1, 1, 15)], &[1]);
    assert_eq!(trial, ["15 1"], "by the date as it is now");
}

fn paid(id: i64, day: u32, location: i64, until: u32) -> Waiting {
    let periods = Periods {
        paid_until: Some(at(until)),
        has_paid: true,
        ..trial_until(4)
    };
    event(id, day, location, Fact::PeriodChanged { periods }, Kind::PeriodChanged)
}

#[test]
fn every_paid_period_is_asked_about_and_one_that_was_paid_on_in_time_is_not() {
    let events = [
        activated(1, 1, 1, 4),
        paid(2, 2, 1, 10),
        paid(3, 12, 1, 20),
        paid(4, 18, 1, 30),
        // Nothing was paid here, and this one is disconnected.
        activated(5, 1, 2, 4),
        activated(6, 1, 3, 4),
        paid(7, 2, 3, 25),
        uninstalled(8, 24, 3),
    ];
    let (fired, skipped) = replayed("on = \"period.ended\"", &events, &[]);
    assert_eq!((fired, skipped), (vec!["10 1".to_owned(), "30 1".to_owned()], vec![]));
    let (fired, _) = replayed("on = \"period.ending\"\nbefore = \"5d\"", &events, &[]);
    assert_eq!(fired, ["5 1", "15 1", "20 3", "25 1"]);
}

#[test]
fn a_calendar_is_asked_about_while_the_location_was_active() {
    let unfrozen = Fact::Unfrozen {
        periods: trial_until(35),
    };
    let events = [
        activated(1, 5, 1, 12),
        event(2, 12, 1, Fact::Frozen, Kind::InstallationFrozen),
        event(3, 20, 1, unfrozen, Kind::InstallationUnfrozen),
        uninstalled(4, 30, 1),
    ];
    // The first day is a Saturday.
    let (fired, skipped) = replayed("on = \"schedule\"\ncron = \"0 0 * * MON\"", &events, &[]);
    assert_eq!((fired, skipped), (vec!["10 1".to_owned(), "24 1".to_owned()], vec![]));
    let head = "on = \"schedule\"\ncron = \"0 0 * * MON\"\nwhen = 'installation.generation == 2'";
    assert_eq!(
        replayed(head, &events, &[]).1,
        ["2 condition is false: installation.generation == 2"]
    );
}
