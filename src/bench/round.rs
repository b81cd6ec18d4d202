//! One run of one side, and how often.

use std::{fs, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::{process::Command, time::timeout};

use super::{
    database,
    ground::{Cluster, Ground},
    load::Load,
    payload, process,
    receiver::{Receiver, Who},
};

/// What is left to do when a run is over takes no longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often and how long.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub(super) rounds: usize,
    pub(super) warm_up: Duration,
    pub(super) span: Duration,
}

/// What one run found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Acknowledgements or transactions in a second.
    pub(super) per_second: f64,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    /// Time on a processor for each acknowledgement, of the receiver and the server together.
    pub(super) processor_us: Option<f64>,
}

/// One receiver under the load of so many connections, on emptied tables.
pub(super) async fn receive(
    who: Who,
    connections: usize,
    pace: Pace,
    (ground, cluster): (&Ground, &Cluster),
) -> Result<Sample> {
    database::empty(&cluster.pool).await?;
    let receiver = Receiver::start(who, ground, cluster).await?;
    let load = Load {
        address: receiver.public,
        connections,
        warm_up: pace.warm_up,
        span: pace.span,
        keys: payload::keys(),
        created_every: None,
    };
    let processes: Option<Vec<u32>> = cluster.postmaster.map(|server| vec![receiver.pid, server]);
    let spent = || processes.as_deref().and_then(process::processor_seconds);
    let running = load.start()?;
    running.begun().await;
    let before = spent();
    running.over().await;
    let after = spent();
    let heard = timeout(PATIENCE, running.heard())
        .await
        .context("the last answers did not come")??;
    receiver.end().await?;
    let stored = database::stored(&cluster.pool).await?;
    if stored < heard.acks {
        bail!(
            "{} deliveries were acknowledged, and only {stored} are stored",
            heard.acks
        );
    }
    Ok(Sample {
        per_second: heard.per_second,
        p50_ms: Some(heard.p50_ms),
        p99_ms: Some(heard.p99_ms),
        processor_us: before
            .zip(after)
            .map(|(before, after)| (after - before) * 1e6 / heard.acks as f64),
    })
}

/// pgbench, inserting one row with the same body in each transaction.
pub(super) async fn pgbench(clients: usize, pace: Pace, (ground, cluster): (&Ground, &Cluster)) -> Result<Sample> {
    database::empty(&cluster.pool).await?;
    let script = ground.corner("pgbench")?.join("insert.sql");
    fs::write(&script, database::PGBENCH_SCRIPT)?;
    let pgbench = cluster.programs.join("pgbench");
    if !pgbench.exists() {
        bail!(
            "there is no {}. Remedy: install the package that has pgbench (postgresql-contrib, or the server's own)",
            pgbench.display()
        );
    }
    let seconds = pace.span.as_secs().max(1);
    let mut command = Command::new(&pgbench);
    command
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
        .arg(format!("--client={clients}"))
        .arg(format!("--time={seconds}"))
        .arg("--file")
        .arg(&script)
        .arg(format!("--define=body={}", payload::body()))
        .arg(&cluster.url)
        .kill_on_drop(true);
    let output = timeout(pace.span + PATIENCE, command.output())
        .await
        .context("pgbench does not end")??;
    let said = String::from_utf8_lossy(&output.stdout);
    let per_second = said
        .lines()
        .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    match per_second {
        Some(per_second) if output.status.success() => Ok(Sample {
            per_second,
            p50_ms: None,
            p99_ms: None,
            processor_us: None,
        }),
        _ => bail!("pgbench: {said}{}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// The order of a round: everybody goes first once, so that what wears off or builds up hits all alike.
pub(super) fn order<T: Copy>(sides: &[T], round: usize) -> Vec<(usize, T)> {
    let mut order: Vec<(usize, T)> = sides.iter().copied().enumerate().collect();
    order.rotate_left(round % sides.len().max(1));
    order
}
