//! `bellhop bench`: how fast this build is on this machine, as ratios to references of the same run.
//!
//! Absolute figures depend on the disk and on the neighbours of a machine; ratios of paired rounds much less. So each
//! round runs Bellhop and its references one after another on the same private cluster, the order turns with every
//! round, and what is told is the median of the rounds' ratios with their range. docs/performance.md tells more.

mod database;
mod figure;
mod footprint;
mod ground;
mod http;
mod intake;
mod jobs;
mod load;
mod metrics;
mod payload;
mod process;
mod processing;
mod receiver;
mod reference;
mod retained;
mod round;
mod rules;
mod run;

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
    /// Acknowledgements while everything is judged, against acknowledgements alone.
    Processing,
    /// Ordered jobs that do nothing.
    Jobs,
    /// Memory and time to start.
    Footprint,
    /// Acknowledgements and jobs beside much old data, against an empty database.
    Retained,
}

impl Part {
    /// Those that take a minute or two each, in the order in which they are measured.
    pub const ALL: [Self; 5] = [
        Self::Intake,
        Self::SlowDisk,
        Self::Processing,
        Self::Jobs,
        Self::Footprint,
    ];

    /// Its name, for people and machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::SlowDisk => "slow-disk",
            Self::Processing => "processing",
            Self::Jobs => "jobs",
            Self::Footprint => "footprint",
            Self::Retained => "retained",
        }
    }
}

/// What lies in the database of [`Part::Retained`].
#[derive(Debug, Clone, Copy)]
pub struct Retained {
    /// Old events.
    pub events: u32,
    /// Moments to come.
    pub timers: u32,
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
    /// For [`Part::Retained`].
    pub retained: Retained,
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
        let cluster = match part {
            Part::SlowDisk => match ground.slow_cluster().await? {
                Some(cluster) => cluster,
                None => {
                    report.note("slow-disk left out: it needs Linux and a C compiler called `cc`");
                    continue;
                }
            },
            _ => ground.cluster("plain").await?,
        };
        match part {
            Part::Intake => intake::measure(&cluster, ground, pace, &mut report).await?,
            Part::SlowDisk => intake::measure_slow(&cluster, ground, pace, &mut report).await?,
            Part::Processing => processing::measure(&cluster, ground, pace, &mut report).await?,
            Part::Jobs => jobs::measure(&cluster, pace, &mut report).await?,
            Part::Footprint => footprint::measure(&cluster, ground, pace, &mut report).await?,
            Part::Retained => {
                let mut full = ground.cluster("full").await?;
                retained::fill(&mut full, plan.retained).await?;
                retained::measure((&cluster, &full), ground, pace, &mut report).await?;
                full.stop().await?;
            }
        }
        cluster.stop().await?;
    }
    Ok(report)
}
