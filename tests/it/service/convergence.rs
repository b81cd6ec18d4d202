//! Whatever happened and whatever was not told: after the next look Bellhop and the marketplace agree.

use std::{collections::BTreeSet, time::Duration};

use bellhop::{
    domain::{
        action::Action,
        event::{Draft, Fact, Source},
        payment::Periods,
    },
    sandbox::{Connect, Fault, FaultKind, Forged, Location, Origin, Pay, Place, Status},
    store::{
        self, events,
        jobs::{self, NewJob},
    },
};
use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use sqlx::PgPool;

use super::stage::{APP, Stage, days, place};

/// What happens at a location, in the words of a failure's message.
const STEPS: [&str; 12] = [
    "connect",
    "connect",
    "connect",
    "stumble",
    "open",
    "disconnect",
    "freeze",
    "pay",
    "refund",
    "lose a callback",
    "repeat",
    "pass",
];

/// One step; those that make no sense now do nothing.
async fn happen(stage: &Stage, location: i64, step: &str, random: &mut Rng) {
    let sandbox = &stage.sandbox;
    let there = Place {
        application_id: APP,
        location_id: location,
    };
    let none = match step {
        "connect" => {
            // Each in words of its own, so that it is not the same look as one of a second before.
            sandbox.put_location(Location::new(location)).await.expect("a location");
            let _ = sandbox.connect(Connect::new(APP, location)).await;
            opened(stage, location, random).await;
            Ok(())
        }
        "open" => {
            opened(stage, location, random).await;
            Ok(())
        }
        "disconnect" => sandbox.disconnect(there).await,
        "freeze" => sandbox.freeze(there).await,
        "pay" => {
            let pay = Pay {
                application_id: APP,
                location_id: location,
                ..Pay::default()
            };
            sandbox.pay(pay).await.map(drop)
        }
        "refund" => {
            let link = sandbox.link(APP, location).await;
            let payments = link.map(|link| link.link.payments).unwrap_or_default();
            // A trial is shown as a payment, but nobody gives it back.
            match payments.iter().rfind(|paid| paid.origin == Origin::Platform) {
                Some(paid) => sandbox.refund(paid.id).await,
                None => Ok(()),
            }
        }
        "lose a callback" => sandbox.fail(Fault::new("callback", FaultKind::Lost)).await,
        "stumble" => {
            sandbox
                .fail(Fault::new("status", FaultKind::Status).status(502).times(2))
                .await
        }
        "repeat" => {
            let event = ["uninstall", "freeze"][random.usize(..2)];
            sandbox.callback(Forged::new(APP, location, event)).await
        }
        "pass" => {
            stage
                .pass([Duration::from_secs(7200), days(3), days(20)][random.usize(..3)])
                .await;
            Ok(())
        }
        other => panic!("no step is called {other}"),
    };
    // A step that the marketplace refuses is one that did not happen.
    drop(none);
}

async fn opened(stage: &Stage, location: i64, random: &mut Rng) {
    let url = stage.url(&format!(
        "apps/{APP}/connect?salon_id={location}&from={}",
        random.u32(..)
    ));
    assert_eq!(stage.open(&url).await.0, 303);
}

fn word(status: Option<Status>) -> &'static str {
    match status {
        Some(Status::Pending) => "pending",
        Some(Status::Active) => "active",
        Some(Status::Freezed | Status::Disabled) => "frozen",
        Some(Status::Uninstalled) | None => "uninstalled",
    }
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn after_any_history_one_look_makes_both_sides_agree(pool: PgPool) {
    let edits = [("[jobs]", "[intake]\nunsigned_connects_per_minute = 1000\n[jobs]")];
    let stage = Stage::set_edited(pool, "", |_| {}, &edits).await;
    let mut seen = BTreeSet::new();
    for case in 1..=8 {
        let mut random = Rng::with_seed(case);
        let location = i64::try_from(case).expect("small");
        let mut story = Vec::new();
        for number in 0..random.usize(3..10) {
            let step = STEPS[if number == 0 { 0 } else { random.usize(..STEPS.len()) }];
            story.push(step);
            happen(&stage, location, step, &mut random).await;
            if random.bool() {
                stage.settled().await;
            }
        }
        stage.sandbox.clear_faults().await;
        stage.settled().await;
        let action = Action::ReadStatus { expect_payment: None };
        jobs::enqueue_alone(&stage.pool, &NewJob::look(place(location), &action))
            .await
            .expect("a look");
        stage.settled().await;
        let page = stage.api(&format!("locations?q={location}")).await;
        let ours = page["items"][0]["status"].as_str().unwrap_or("uninstalled").to_owned();
        let theirs = stage.sandbox.link(APP, location).await;
        let status = theirs.as_ref().map(|link| link.link.status);
        assert_eq!(
            ours,
            word(status),
            "case {case}: {story:?}, {:#?}",
            stage.events(location).await
        );
        seen.insert(ours.clone());
        let paid_until = theirs.and_then(|link| link.paid_until).map(|until| until.timestamp());
        if matches!(ours.as_str(), "active" | "frozen") {
            let item = &page["items"][0];
            let seconds = |key: &str| {
                item[key]
                    .as_str()
                    .map(|at| at.parse::<DateTime<Utc>>().expect("a time").timestamp())
            };
            assert_eq!(
                seconds("paid_until").max(seconds("trial_ends_at")),
                paid_until,
                "case {case}: {story:?}"
            );
        }
    }
    for status in ["active", "frozen", "uninstalled"] {
        assert!(seen.contains(status), "the cases are worth their time: {seen:?}");
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_connection_whose_redirect_never_came_is_finished_when_a_look_finds_it(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let consent = Connect::new(APP, 1);
    stage.sandbox.connect(consent).await.expect("connected");
    let action = Action::ReadStatus { expect_payment: None };
    jobs::enqueue_alone(&stage.pool, &NewJob::look(place(1), &action))
        .await
        .expect("a look");
    stage.settled().await;
    assert_eq!(stage.status(1).await, "active");
    assert_eq!(
        stage.jobs(1).await,
        ["- read_status completed 1", "- activate completed 1"]
    );
    stage.end().await;
}

/// Something that comes late: it happened at that time.
async fn late(stage: &Stage, fact: Fact, occurred_at: DateTime<Utc>) {
    let draft = Draft {
        place: place(1),
        kind: fact.kind(),
        source: Source::Callback,
        fact,
        occurred_at,
    };
    let mut tx = stage.pool.begin().await.expect("a transaction");
    events::append(&mut tx, &[draft]).await.expect("appended");
    tx.commit().await.expect("committed");
    stage.settled().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_comes_late_does_not_undo_what_was_seen_or_told_again_since(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    stage.connected(&[1]).await;
    stage.settled().await;
    let before_the_look = store::now(&stage.pool).await.expect("now");
    let action = Action::ReadStatus { expect_payment: None };
    jobs::enqueue_alone(&stage.pool, &NewJob::look(place(1), &action))
        .await
        .expect("a look");
    stage.settled().await;
    late(&stage, Fact::Frozen, before_the_look).await;
    assert_eq!(stage.status(1).await, "active", "it was seen to be active after that");

    let now = store::now(&stage.pool).await.expect("now");
    late(&stage, Fact::Frozen, now).await;
    late(&stage, Fact::Frozen, now + TimeDelta::seconds(2)).await;
    let periods = Periods::default();
    late(&stage, Fact::Unfrozen { periods }, now + TimeDelta::seconds(1)).await;
    assert_eq!(stage.status(1).await, "frozen", "it was said to be frozen after that");
    late(&stage, Fact::Unfrozen { periods }, now + TimeDelta::seconds(3)).await;
    assert_eq!(stage.status(1).await, "active");
    stage.end().await;
}
