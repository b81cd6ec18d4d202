//! One run of one side.

use std::{fs, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::{process::Command, time::timeout};

use super::{
    database,
    ground::{Cluster, Ground},
    http,
    load::Load,
    metrics, payload, process,
    receiver::{Receiver, Who},
    round::Pace,
};

/// What is left to do when a run is over takes no longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What one run found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Acknowledgements or transactions in a second.
    pub(super) per_second: f64,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    /// Time on a processor for each acknowledgement, of the receiver and the server together.
    pub(super) processor_us: Option<f64>,
    /// The receiver's resident memory, at its highest.
    pub(super) peak_mib: Option<f64>,
    /// From the start of the receiver's process until it was ready.
    pub(super) ready_ms: Option<f64>,
    /// How judging kept up, where there was any.
    pub(super) judged: Option<Judged>,
}

/// How judging kept up with the load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judged {
    /// From an event's becoming durable to its being judged, for all but a hundredth of those that were judged.
    pub(super) lag_p99_ms: f64,
    /// Events that waited when the load ended.
    pub(super) waiting: f64,
}

/// One receiver under the load of so many connections.
pub(super) async fn receive(
    who: Who,
    connections: usize,
    pace: Pace,
    (ground, cluster): (&Ground, &Cluster),
) -> Result<Sample> {
    match cluster.keeps {
        true => database::empty_queues(&cluster.pool).await?,
        false => database::empty(&cluster.pool).await?,
    }
    let stored_before = database::stored(&cluster.pool).await?;
    let receiver = Receiver::start(who, ground, cluster).await?;
    let load = Load {
        address: receiver.public,
        connections,
        warm_up: pace.warm_up,
        span: pace.span,
        keys: payload::keys(),
    };
    let processes: Option<Vec<u32>> = cluster.postmaster.map(|server| vec![receiver.pid, server]);
    let spent = || processes.as_deref().and_then(process::processor_seconds);
    let running = load.start()?;
    running.begun().await;
    let before = spent();
    running.over().await;
    let after = spent();
    let judged = match who {
        Who::Whole(_) => Some(judged(&receiver).await?),
        Who::Intake | Who::OneInsert => None,
    };
    let heard = timeout(PATIENCE, running.heard())
        .await
        .context("the last answers did not come")??;
    let sample = Sample {
        per_second: heard.per_second,
        p50_ms: Some(heard.p50_ms),
        p99_ms: Some(heard.p99_ms),
        processor_us: before
            .zip(after)
            .map(|(before, after)| (after - before) * 1e6 / heard.acks as f64),
        peak_mib: process::memory_mib(receiver.pid, "VmHWM"),
        ready_ms: Some(receiver.ready_after.as_secs_f64() * 1000.0),
        judged,
    };
    receiver.end().await?;
    let stored = database::stored(&cluster.pool).await? - stored_before;
    if stored < heard.acks {
        bail!(
            "{} deliveries were acknowledged, and only {stored} are stored",
            heard.acks
        );
    }
    Ok(sample)
}

/// What the receiver's metrics say about judging, since its start.
async fn judged(receiver: &Receiver) -> Result<Judged> {
    let (status, text) = http::get(receiver.operator, "/metrics").await?;
    let waiting = metrics::value(&text, "bellhop_events_unprocessed").context("no events_unprocessed")?;
    let lag = metrics::quantile(&text, "bellhop_event_lag_seconds", 0.99);
    if status != 200 {
        bail!("the metrics answer {status}");
    }
    Ok(Judged {
        // Nothing was judged: as late as can be told.
        lag_p99_ms: lag.unwrap_or(f64::INFINITY) * 1000.0,
        waiting,
    })
}

/// How pgbench hands the body over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// As it does by itself: as a literal in the statement, which is parsed every time.
    Simple,
    /// As a parameter of a prepared statement.
    Prepared,
}

/// pgbench, inserting one row with the same body in each transaction.
pub(super) async fn pgbench(
    clients: usize,
    protocol: Protocol,
    pace: Pace,
    (ground, cluster): (&Ground, &Cluster),
) -> Result<Sample> {
    database::empty(&cluster.pool).await?;
    let script = ground.corner("pgbench")?.join("insert.sql");
    let (name, text) = match protocol {
        Protocol::Simple => ("simple", database::literal_script(&payload::body())),
        Protocol::Prepared => ("prepared", database::PREPARED_SCRIPT.to_owned()),
    };
    fs::write(&script, text)?;
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
        .args(["--no-vacuum", "--jobs=2"])
        .arg(format!("--protocol={name}"))
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
            peak_mib: None,
            ready_ms: None,
            judged: None,
        }),
        _ => bail!("pgbench: {said}{}", String::from_utf8_lossy(&output.stderr)),
    }
}
