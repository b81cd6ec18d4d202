//! Ends of paid periods.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::{Stage, days, fired, pay, rule, there};

fn rules() -> String {
    [
        rule("ending", "period.ending", "before = \"3d\"\nmax_late = \"30d\""),
        rule("ended", "period.ended", "max_late = \"30d\""),
    ]
    .concat()
}

async fn counts(stage: &Stage, location: i64) -> (i64, i64) {
    (
        fired(stage, location, "ending").await,
        fired(stage, location, "ended").await,
    )
}

/// Time passes until so long before or after a date.
async fn pass_to(stage: &Stage, date: DateTime<Utc>, passed: Duration, hours: i64) {
    let left = date - Utc::now() + chrono::TimeDelta::hours(hours);
    stage.pass(left.to_std().expect("ahead") - passed).await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn every_paid_period_ends_once_and_a_trial_is_none(pool: PgPool) {
    let stage = Stage::set(pool, &rules()).await;
    stage.connected(&[1, 2]).await;
    let first = pay(&stage, 1).await;
    stage.pass(days(16)).await;
    assert_eq!(
        counts(&stage, 2).await,
        (0, 0),
        "its trial is over, and nothing was paid"
    );
    pass_to(&stage, first.period_to, days(16), -71).await;
    assert_eq!(counts(&stage, 1).await, (1, 0));
    assert_eq!(stage.status(1).await, "active");

    // It is paid on in time: that end does not come, and the next one offers anew.
    let (stage, before) = (stage.restarted().await, Utc::now());
    let second = pay(&stage, 1).await;
    let left = (second.period_to - before).to_std().expect("ahead");
    stage.pass(left - days(4)).await;
    assert_eq!(counts(&stage, 1).await, (1, 0));
    stage.pass(days(2)).await;
    assert_eq!(counts(&stage, 1).await, (2, 0));
    let other = stage.another().await;
    stage.pass(days(3)).await;
    other.stop().await;
    assert_eq!(counts(&stage, 1).await, (2, 1), "once, with two processes");
    stage.pass(days(3)).await;
    let stage = stage.restarted().await;
    stage.settled().await;
    assert_eq!(counts(&stage, 1).await, (2, 1));
    assert_eq!(counts(&stage, 2).await, (0, 0));
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn an_end_that_is_only_read_by_other_clocks_does_not_come_again(pool: PgPool) {
    let stage = Stage::set(pool, &rules()).await;
    stage.connected(&[1]).await;
    let paid = pay(&stage, 1).await;
    pass_to(&stage, paid.period_to, Duration::ZERO, -60).await;
    assert_eq!(counts(&stage, 1).await, (1, 0));
    // The place's clocks become known, and the same end reads nine hours earlier.
    super::put(&stage, 1, "Pacific/Pitcairn").await;
    shift(&stage, 1, -9).await;
    stage.pass(days(1)).await;
    assert_eq!(counts(&stage, 1).await, (1, 0));
    shift(&stage, 1, 9).await;
    stage.pass(Duration::from_secs(3600)).await;
    assert_eq!(counts(&stage, 1).await, (1, 0));
    stage.pass(days(2)).await;
    assert_eq!(counts(&stage, 1).await, (1, 1));
    shift(&stage, 1, -9).await;
    stage.settled().await;
    assert_eq!(counts(&stage, 1).await, (1, 1));
    stage.end().await;
}

/// The status tells another end, so many hours away.
async fn shift(stage: &Stage, location: i64, hours: i64) {
    let known: DateTime<Utc> = sqlx::query_scalar("select paid_until from installations where location_id = $1")
        .bind(location)
        .fetch_one(&stage.pool)
        .await
        .expect("a date");
    let periods = bellhop::domain::payment::Periods {
        trial_ends_at: None,
        paid_until: Some(known + chrono::TimeDelta::hours(hours)),
        has_paid: true,
    };
    let fact = bellhop::domain::event::Fact::PeriodChanged { periods };
    let draft = bellhop::domain::event::Draft {
        place: crate::service::stage::place(location),
        kind: fact.kind(),
        source: bellhop::domain::event::Source::Status,
        fact,
        occurred_at: Utc::now(),
    };
    let mut tx = stage.pool.begin().await.expect("a transaction");
    bellhop::store::events::append(&mut tx, &[draft])
        .await
        .expect("appended");
    tx.commit().await.expect("committed");
    stage.settled().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_disconnected_location_has_no_period_and_an_end_before_the_rule_was_there_is_left_alone(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    stage.connected(&[1, 2, 3]).await;
    for location in [1, 2, 3] {
        pay(&stage, location).await;
    }
    stage.pass(days(60)).await;
    let third = pay(&stage, 3).await;
    stage.sandbox.disconnect(there(2)).await.expect("gone");
    let late = rules().replace("30d", "2d");
    let stage = stage.away(days(1), &late).await;
    stage.settled().await;
    for location in [1, 2, 3] {
        assert_eq!(counts(&stage, location).await, (0, 0), "{location}");
    }
    pass_to(&stage, third.period_to, days(1), -48).await;
    assert_eq!(counts(&stage, 3).await, (1, 0));
    // Time passes in whole seconds, so a little more.
    stage.pass(days(2) + Duration::from_secs(5)).await;
    assert_eq!(counts(&stage, 3).await, (1, 1));
    assert_eq!(counts(&stage, 2).await, (0, 0));
    stage.end().await;
}
