//! `bellhop bench`: how fast this build is on this machine, as ratios to references of the same run.
//!
//! Absolute figures depend on the disk and on the neighbours of a machine; ratios of paired rounds much less. So each
//! round runs Bellhop and its references one after another on the same private cluster, the order turns with every
//! round, and what is told is the median of the rounds' ratios with their range. docs/performance.md tells more.

mod database;
mod figure;
mod ground;
mod http;
mod intake;
mod load;
mod payload;
mod process;
mod receiver;
mod reference;
mod round;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use anyhow::Result;

pub use self::{
    figure::{Figure, Report, Target, Unit},
    reference::serve as serve_reference,
};
use self::{ground::Ground, round::Pace};

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Durable acknowledgements against pgbench and against a receiver with one INSERT for each request.
    Intake,
    /// The same while every commit waits one millisecond longer for the disk.
    SlowDisk,
}

impl Part {
    /// All of them, in the order in which they are measured.
    pub const ALL: [Self; 2] = [Self::Intake, Self::SlowDisk];

    /// Its name, for people and machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::SlowDisk => "slow-disk",
        }
    }
}

/// What is measured, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Which parts.
    pub parts: Vec<Part>,
    /// Paired rounds of each.
    pub rounds: usize,
    /// Length of the measured stretch of each run.
    pub span: Duration,
    /// Runs before the measured stretch, not counted.
    pub warm_up: Duration,
    /// Where the private clusters are made; as the system's folder for temporary files when `None`.
    pub folder: Option<PathBuf>,
    /// The folder of PostgreSQL's programs, when it is not found by itself.
    pub bin_dir: Option<PathBuf>,
    /// The value of `PATH`.
    pub search_path: Option<OsString>,
}

/// Measures. Everything that is made for it is gone when this returns, whatever it returns; `stopped` ends it early.
///
/// # Errors
/// When PostgreSQL's programs are missing, a receiver does not start, or a delivery is refused.
pub async fn run(plan: &Plan, stopped: impl Future<Output = Result<()>>) -> Result<Report> {
    let ground = Ground::prepare(plan).await?;
    let measured = tokio::select! {
        measured = measure(plan, &ground) => measured,
        stopped = stopped => stopped.and_then(|()| anyhow::bail!("stopped before the end")),
    };
    ground.clear().await?;
    measured
}

async fn measure(plan: &Plan, ground: &Ground) -> Result<Report> {
    let pace = Pace {
        rounds: plan.rounds,
        warm_up: plan.warm_up,
        span: plan.span,
    };
    let mut report = Report::new(ground.notes());
    for part in &plan.parts {
        match part {
            Part::Intake => {
                let cluster = ground.cluster().await?;
                intake::measure(&cluster, ground, pace, &mut report).await?;
                cluster.stop().await?;
            }
            Part::SlowDisk => match ground.slow_cluster().await? {
                Some(cluster) => {
                    intake::measure_slow(&cluster, ground, pace, &mut report).await?;
                    cluster.stop().await?;
                }
                None => report.note("slow-disk left out: it needs Linux and a C compiler called `cc`"),
            },
        }
    }
    Ok(report)
}
