//! Ordered jobs that do nothing: claimed, started, completed, with lease, attempts and history, by the queue's own
//! functions. Only the queue is measured, so nothing is called.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::task::JoinSet;

use super::{
    Part, database,
    figure::{Report, Unit, Values},
    ground::Cluster,
    round::{Pace, order},
};
use crate::{
    domain::action::Priority,
    store::{
        PgPool,
        jobs::{self, Hands, Outcome, Settlement},
    },
};

/// Jobs of one lane that are claimed together.
const JOBS_OF_A_LANE: i64 = 64;

/// Tasks that claim and complete beside each other.
const WORKERS: usize = 4;
/// Lanes that one of them claims at once.
const LANES_AT_ONCE: i64 = 64;
/// More than any worker does in a second on the machines this is for: the queue does not run empty.
const JOBS_A_SECOND: u64 = 30_000;
const LEASE: Duration = Duration::from_secs(30);

/// How the jobs lie in their lanes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Depth {
    /// So many lanes share all jobs.
    Lanes(u64),
    /// Each job has its own.
    OneEach,
}

pub(super) async fn measure(cluster: &Cluster, pace: Pace, report: &mut Report) -> Result<()> {
    let sides = [Depth::Lanes(200), Depth::OneEach];
    let mut rounds = [Vec::new(), Vec::new()];
    for round in 0..pace.rounds {
        eprintln!("{}: round {} of {}", Part::Jobs.name(), round + 1, pace.rounds);
        for (at, depth) in order(&sides, round) {
            rounds[at].push(drain(cluster, depth, pace).await?);
        }
    }
    let [deep, single] = rounds.map(per_second);
    let part = Part::Jobs.name();
    report.tell(part, "ordered no-op jobs/s, 200 deep lanes", deep);
    report.tell(part, "ordered no-op jobs/s, one job in each lane", single);
    Ok(())
}

/// One value for each round.
pub(super) fn per_second(rounds: Vec<f64>) -> Values {
    (Unit::PerSecond, rounds)
}

/// Fills the queue, and does its jobs for a while or until it is empty. Returns how many in a second.
pub(super) async fn drain(cluster: &Cluster, depth: Depth, pace: Pace) -> Result<f64> {
    match cluster.keeps {
        true => database::empty_queues(&cluster.pool).await?,
        false => database::empty(&cluster.pool).await?,
    }
    let jobs = (pace.span.as_secs_f64() * JOBS_A_SECOND as f64) as u64;
    let lanes = match depth {
        Depth::Lanes(lanes) => lanes,
        Depth::OneEach => jobs,
    };
    database::queue_jobs(&cluster.pool, lanes, jobs / lanes).await?;
    let done = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let ends = begun + pace.span;
    let mut workers = JoinSet::new();
    for number in 0..WORKERS {
        let (pool, done) = (cluster.pool.clone(), Arc::clone(&done));
        workers.spawn(async move {
            let name = format!("bench-{number}");
            while Instant::now() < ends {
                let count = claim_and_complete(&pool, &name).await?;
                done.fetch_add(count, Ordering::Relaxed);
                if count == 0 {
                    break;
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.context("a worker")??;
    }
    Ok(done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}

/// One turn of a worker. Returns how many jobs it completed.
async fn claim_and_complete(pool: &PgPool, worker: &str) -> Result<u64> {
    let hands = Hands {
        worker,
        lease: LEASE,
        among: (Priority::Activation, Priority::Unproven),
        except: &[],
        lanes: LANES_AT_ONCE,
        depth: JOBS_OF_A_LANE,
    };
    let claimed = jobs::claim(pool, hands).await?;
    let (outcome, exchanges) = (Outcome::Done(Value::Null), Value::Array(Vec::new()));
    let settlement = |job| Settlement {
        job,
        outcome: &outcome,
        exchanges: &exchanges,
    };
    let settlements: Vec<_> = claimed.iter().map(settlement).collect();
    let mut tx = pool.begin().await?;
    let settled = jobs::settle(&mut tx, &settlements).await?;
    tx.commit().await?;
    let completed = settled.iter().filter(|counts| **counts).count() as u64;
    Ok(completed)
}
