//! Calendars, by the clocks of each location.

use std::time::Duration;

use bellhop::sandbox::{Connect, Fault, FaultKind};
use chrono::{DateTime, Datelike, Days, NaiveDateTime, TimeDelta, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use sqlx::PgPool;

use super::{APP, Stage, compare, days, fired, keys, pay, put, rule, there};

const INDIA: &str = "Asia/Kolkata";
const FAR_EAST: &str = "Pacific/Kiritimati";

async fn connect_in(stage: &Stage, location: i64, zone: &str) {
    put(stage, location, zone).await;
    let connect = Connect {
        follow: true,
        ..Connect::new(APP, location)
    };
    stage.sandbox.connect(connect).await.expect("connected");
    stage.settled().await;
    stage
        .until("it is active", async || stage.status(location).await == "active")
        .await;
    stage.settled().await;
}

/// The next Monday at nine in a zone, found by walking over the days.
fn next_monday(zone: &str) -> NaiveDateTime {
    let zone: Tz = zone.parse().expect("a zone");
    let now = Utc::now().with_timezone(&zone).naive_local();
    (0..8)
        .map(|ahead| (now.date() + Days::new(ahead)).and_hms_opt(9, 0, 0).expect("a time"))
        .find(|at| *at > now && at.weekday() == Weekday::Mon)
        .expect("one in eight days")
}

fn show(at: NaiveDateTime) -> String {
    at.format("%Y-%m-%dT%H:%M").to_string()
}

async fn planned(stage: &Stage, location: i64) -> (NaiveDateTime, DateTime<Utc>) {
    sqlx::query_as("select local_at, due_at from schedules where location_id = $1")
        .bind(location)
        .fetch_one(&stage.pool)
        .await
        .expect("one row")
}

/// Every day at this time of day.
fn daily(at: NaiveDateTime) -> String {
    format!("cron = \"{} {} * * *\"", at.minute(), at.hour())
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn mondays_at_nine_come_once_a_week_by_the_clocks_of_each_active_location(pool: PgPool) {
    let rules = rule("report", "schedule", "cron = \"0 9 * * MON\"\nmax_late = \"7d\"");
    let stage = Stage::set(pool, &rules).await;
    for (location, zone) in [(1, INDIA), (2, FAR_EAST), (3, INDIA), (4, FAR_EAST)] {
        // Of the last one nobody tells what it is like.
        let silent = Fault::new("salons", FaultKind::Status).status(503).times(100);
        if location == 4 {
            stage.sandbox.fail(silent).await.expect("a fault");
        }
        connect_in(&stage, location, zone).await;
        pay(&stage, location).await;
    }
    for (location, zone, offset) in [(1, INDIA, 330), (2, FAR_EAST, 840), (4, "UTC", 0)] {
        let local_at = next_monday(zone);
        let due_at = (local_at - TimeDelta::minutes(offset)).and_utc();
        assert_eq!(planned(&stage, location).await, (local_at, due_at), "{location}");
    }
    stage.sandbox.clear_faults().await;
    stage.sandbox.freeze(there(3)).await.expect("frozen");
    stage.settled().await;
    let (first, week) = (next_monday(INDIA), Days::new(7));
    stage.pass(days(7)).await;
    let stage = stage.restarted().await;
    stage.settled().await;
    assert_eq!(keys(&stage, 1, "schedule").await, [show(first)]);
    assert_eq!(keys(&stage, 2, "schedule").await, [show(next_monday(FAR_EAST))]);
    assert_eq!(fired(&stage, 3, "report").await, 0, "it is frozen");
    let other = stage.another().await;
    stage.pass(days(7)).await;
    other.stop().await;
    assert_eq!(keys(&stage, 1, "schedule").await, [show(first), show(first + week)]);
    // It works again, and goes on with the next one; the other is gone.
    pay(&stage, 3).await;
    stage.sandbox.disconnect(there(2)).await.expect("gone");
    stage.pass(days(7)).await;
    assert_eq!(keys(&stage, 3, "schedule").await, [show(first + week + week)]);
    assert_eq!(
        (fired(&stage, 1, "report").await, fired(&stage, 2, "report").await),
        (3, 2)
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn of_occurrences_missed_while_nobody_was_there_the_last_alone_is_made_up_for_within_an_hour(pool: PgPool) {
    let now = Utc::now().naive_utc();
    let (lately, before) = (now - TimeDelta::minutes(30), now - TimeDelta::hours(3));
    let rules = [
        rule("lately", "schedule", &daily(lately)),
        rule("before", "schedule", &daily(before)),
        rule("patient", "schedule", &format!("{}\nmax_late = \"6h\"", daily(before))),
    ]
    .concat();
    let stage = Stage::set(pool, &rules).await;
    connect_in(&stage, 1, "UTC").await;
    let stage = stage.away(days(5), &rules).await;
    stage.settled().await;
    let decisions = stage.decisions(1).await;
    assert_eq!(decisions.len(), 3, "{decisions:?}");
    assert_eq!(
        decisions
            .iter()
            .filter(|line| line.starts_with("before skipped late by 3h"))
            .count(),
        1
    );
    assert_eq!(
        decisions.iter().filter(|line| line.ends_with("fired")).count(),
        2,
        "{decisions:?}"
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_location_whose_clocks_change_has_each_local_time_once(pool: PgPool) {
    let zone: Tz = INDIA.parse().expect("a zone");
    let soon = (Utc::now() + TimeDelta::minutes(10)).with_timezone(&zone).naive_local();
    let rules = rule("daily", "schedule", &format!("{}\nmax_late = \"1d\"", daily(soon)));
    let edits = [("enabled = false", "interval = \"1h\"")];
    let stage = Stage::set_edited(pool, &rules, |_| {}, &edits).await;
    connect_in(&stage, 1, INDIA).await;
    stage.pass(Duration::from_secs(3600)).await;
    let label = show(soon);
    assert_eq!(keys(&stage, 1, "schedule").await, std::slice::from_ref(&label));
    // Twelve hours and more behind, the same time of the same day is yet to come.
    put(&stage, 1, "Pacific/Pitcairn").await;
    compare(&stage).await;
    assert_eq!(show(planned(&stage, 1).await.0), label);
    stage.pass(Duration::from_secs(14 * 3600)).await;
    assert_eq!(
        stage.decisions(1).await,
        ["daily fired", "daily skipped fired before (once per occurrence)"]
    );
    stage.pass(days(1)).await;
    assert_eq!(keys(&stage, 1, "schedule").await, [label, show(soon + Days::new(1))]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_rule_that_is_changed_waits_for_the_new_calendar_alone(pool: PgPool) {
    let stage = Stage::set(pool, &rule("r", "schedule", "cron = \"0 9 * * *\"")).await;
    connect_in(&stage, 1, "UTC").await;
    stage.write_rules(&rule("r", "schedule", "cron = \"0 10 1 * *\""));
    assert_eq!(stage.order("rules/reload").await.0, 200);
    let (local_at, _) = planned(&stage, 1).await;
    assert_eq!((local_at.day(), local_at.hour()), (1, 10));
    stage.write_rules("");
    assert_eq!(stage.order("rules/reload").await.0, 200);
    let left: i64 = sqlx::query_scalar("select count(*) from schedules")
        .fetch_one(&stage.pool)
        .await
        .expect("a count");
    assert_eq!(left, 0);
    stage.end().await;
}
