//! A year in the life of many locations while a third of all callbacks is lost. In the end both sides agree, and every
//! rule has fired exactly where an oracle that knows nothing of Bellhop says it should.

mod life;
mod oracle;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bellhop::{
    domain::ids::ApplicationId,
    sandbox::{Fault, FaultKind, SentOutcome},
    store::{self, reconciliations},
};
use fastrand::Rng;
use sqlx::PgPool;
use tokio::time::sleep;

use crate::service::stage::{APP, Stage, days};

/// How much is lived through.
#[derive(Debug, Clone, Copy)]
struct Scale {
    locations: i64,
    days: u64,
    /// Days that pass at once. Nobody can find out about what happened and was undone between two rounds.
    step: u64,
}

const RULES: &str = include_str!("rules.toml");

/// Short enough for every run of the tests.
#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn after_months_without_a_third_of_the_callbacks_both_sides_agree_and_rules_fired_where_they_should(
    pool: PgPool,
) {
    let scale = Scale {
        locations: 12,
        days: 70,
        step: 5,
    };
    live_through(pool, scale, 7).await;
}

/// `make simulate`.
#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
#[ignore = "takes minutes: make simulate"]
async fn the_long_form(pool: PgPool) {
    let asked = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let scale = Scale {
        locations: i64::try_from(asked("SIMULATE_LOCATIONS").unwrap_or(1000)).expect("fewer"),
        days: asked("SIMULATE_DAYS").unwrap_or(365),
        step: asked("SIMULATE_STEP").unwrap_or(7),
    };
    let seed = asked("SIMULATE_SEED").unwrap_or_else(|| fastrand::u64(1..1_000_000));
    println!("{scale:?}, seed {seed}");
    live_through(pool, scale, seed).await;
}

async fn live_through(pool: PgPool, scale: Scale, seed: u64) {
    let began = Instant::now();
    let mut random = Rng::with_seed(seed);
    let edits = [
        ("enabled = false", "interval = \"1d\"\nshare = 1.0"),
        (
            "backoff_limit = \"400ms\"",
            "backoff_limit = \"400ms\"\nconcurrency = 6",
        ),
        ("requests_per_minute = 60000", "requests_per_minute = 15000"),
    ];
    let stage = Stage::set_edited(pool, RULES, |_| {}, &edits).await;
    for location in 1..=scale.locations {
        life::open_shop(&stage, location).await;
    }
    let third = Fault::new("callback", FaultKind::Lost).times(u32::MAX).every(3);
    stage.sandbox.fail(third).await.expect("a fault");
    let mut now = 0;
    while now < scale.days {
        let before = life::statuses(&stage).await;
        stage.pass(days(scale.step)).await;
        now += scale.step;
        let after = life::statuses(&stage).await;
        for location in 1..=scale.locations {
            // One thing at a time: between two rounds nobody can tell more.
            if before.get(&location) == after.get(&location) {
                life::perhaps(&stage, location, after.get(&location).copied(), &mut random).await;
            }
        }
        compared(&stage).await;
    }
    let told = story(&stage, scale, began.elapsed()).await;
    let wrong = oracle::disagreements(&stage).await;
    println!("{told}");
    assert!(
        wrong.is_empty(),
        "seed {seed}: {} disagreements\n{}",
        wrong.len(),
        wrong.iter().take(8).cloned().collect::<Vec<String>>().join("\n")
    );
    stage.end().await;
}

/// Waits for a round that began after this, and for what follows from it.
async fn compared(stage: &Stage) {
    let application = ApplicationId(APP);
    stage.settled().await;
    let asked = store::now(&stage.pool).await.expect("now");
    reconciliations::ask(&stage.pool, application).await.expect("asked");
    let began = Instant::now();
    loop {
        let last = reconciliations::last(&stage.pool, application).await.expect("a round");
        if last.is_some_and(|last| last.is_over && last.begun_at.is_some_and(|at| at > asked)) {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(300), "the round does not end");
        sleep(Duration::from_millis(20)).await;
    }
    stage.settled().await;
}

async fn story(stage: &Stage, scale: Scale, took: Duration) -> String {
    let sent = stage.sandbox.deliveries().await;
    let lost = sent.iter().filter(|one| one.outcome == SentOutcome::Lost).count();
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "select source, count(*) from events group by 1 union all select 'firings', count(*) from firings",
    )
    .fetch_all(&stage.pool)
    .await
    .expect("counts");
    let counts: BTreeMap<String, i64> = rows.into_iter().collect();
    let calls = stage.sandbox.calls().await.items.len();
    format!(
        "{} locations, {} days in steps of {}, {took:.0?}: {} deliveries of which {lost} were lost, {calls} calls of the \
         marketplace, events by source {counts:?}",
        scale.locations,
        scale.days,
        scale.step,
        sent.len()
    )
}
