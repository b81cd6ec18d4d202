//! The fault suite: real processes, a real database and the sandbox, hurt in every way that is promised to be
//! survived. A seed decides everything about a round. `make faults` runs it for minutes; here is the short form, and
//! what shows that each check can fail.

mod checks;
mod cluster;
mod door;
mod driver;
mod oracle;
mod plan;
mod process;
mod receiver;
mod round;
mod sabotage;
mod scene;
mod table;
mod troubles;
mod world;

use std::time::{Duration, Instant};

use cluster::Cluster;
use plan::{Plan, Scale};
use table::Table;

const SHORT: Scale = Scale {
    events: 300,
    locations: 3,
    length: Duration::from_millis(2_500),
    blows: 3,
    bad_days: 4,
};

const LONG: Scale = Scale {
    events: 2_000,
    locations: 6,
    length: Duration::from_secs(15),
    blows: 14,
    bad_days: 16,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_is_done_twice() {
    let cluster = Cluster::start(false).await;
    let mut table = Table::default();
    let seed = asked("FAULTS_SEED").unwrap_or(1);
    let round = round::run(&Plan::new(seed, SHORT), &cluster, Duration::from_secs(40)).await;
    let said: Vec<String> = round.breaches.iter().map(ToString::to_string).collect();
    table.add(seed, round);
    assert!(said.is_empty(), "{}\n{table}", said.join("\n"));
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// `make faults`: rounds until the time is over, or so many of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make faults"]
async fn the_long_form() {
    let minutes = asked("FAULTS_MINUTES").unwrap_or(5);
    let rounds = asked("FAULTS_ROUNDS").unwrap_or(u64::MAX);
    let first = asked("FAULTS_SEED").unwrap_or_else(|| fastrand::u64(1..1_000_000));
    let scale = if asked("FAULTS_SHORT").is_some() { SHORT } else { LONG };
    let again = if asked("FAULTS_SHORT").is_some() {
        " --short 1"
    } else {
        ""
    };
    let cluster = Cluster::start(true).await;
    let mut table = Table::default();
    let began = Instant::now();
    let mut seed = first;
    while began.elapsed() < Duration::from_secs(minutes * 60) && seed - first < rounds {
        let plan = Plan::new(seed, scale);
        let round = round::run(&plan, &cluster, Duration::from_secs(90)).await;
        println!(
            "seed {seed}: {} processes, {} faults, {} deliveries acknowledged, {} after {:.0?}",
            plan.clocks.len(),
            round.injected.values().sum::<u64>(),
            round.acknowledged,
            if round.breaches.is_empty() {
                "all checks passed"
            } else {
                "BROKEN"
            },
            began.elapsed(),
        );
        for breach in &round.breaches {
            println!("  {breach}");
        }
        if !round.breaches.is_empty() {
            println!("  again: make faults ARGS=\"--seed {seed} --rounds 1{again}\"");
        }
        table.add(seed, round);
        seed += 1;
    }
    println!("\n{table}");
    if !table.failed().is_empty() {
        std::fs::write(cluster.folder().join("keep"), "").expect("written");
        println!("logs are in {}", cluster.folder().display());
    }
    assert!(
        table.failed().is_empty(),
        "promises were broken with the seeds {:?}",
        table.failed()
    );
}
