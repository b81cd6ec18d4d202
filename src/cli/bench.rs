use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::{output::tell, serve::stop_asked, table::Table};
use crate::{
    bench::{self, Figure, Part, Plan, Report, Retained, Unit},
    config::Config,
};

/// Options of the measurement.
#[derive(Args)]
pub(super) struct Bench {
    /// What to measure; `all` leaves out `retained`, which takes minutes and gigabytes.
    #[arg(value_enum, default_value = "all")]
    part: Which,
    /// Paired rounds; the median is told.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=99))]
    rounds: u8,
    /// Length of each measured stretch, in seconds.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=3600))]
    seconds: u16,
    /// Old events, for `retained`; a million takes about 600 MB.
    #[arg(long, default_value_t = 10_000_000)]
    retained: u32,
    /// Moments to come, for `retained`.
    #[arg(long, default_value_t = 1_000_000)]
    timers: u32,
    /// One short round of everything: whether it works, not how fast it is.
    #[arg(long)]
    quick: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Where the private databases are made for the time being; on the disk that is to be measured.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Where the PostgreSQL programs are; found by itself in the usual places.
    #[arg(long, value_name = "FOLDER", env = "PG_BIN")]
    postgres: Option<PathBuf>,
}

/// What is measured: the parts, and `all`. Plain comments keep the help short.
#[derive(Clone, Copy, ValueEnum)]
enum Which {
    // Everything but `retained`.
    All,
    // Durable acknowledgements, against two references.
    Intake,
    // The same on a disk that takes a millisecond longer.
    SlowDisk,
    // Acknowledgements while everything is judged, and how late judging is.
    Processing,
    // The queue of jobs.
    Jobs,
    // Memory and time to start.
    Footprint,
    // Acknowledgements and jobs beside much old data; takes minutes and gigabytes.
    Retained,
}

impl Which {
    fn parts(self) -> Vec<Part> {
        match self {
            Self::All => Part::ALL.to_vec(),
            Self::Intake => vec![Part::Intake],
            Self::SlowDisk => vec![Part::SlowDisk],
            Self::Processing => vec![Part::Processing],
            Self::Jobs => vec![Part::Jobs],
            Self::Footprint => vec![Part::Footprint],
            Self::Retained => vec![Part::Retained],
        }
    }
}

/// The receiver that Bellhop is compared with, as a process of its own.
#[derive(Args)]
pub(super) struct Reference {
    /// The database's address.
    #[arg(long)]
    database: String,
    /// Where it listens.
    #[arg(long)]
    listen: SocketAddr,
}

impl Reference {
    pub(super) async fn run(self) -> Result<ExitCode> {
        bench::serve_reference(&self.database, self.listen).await?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Bench {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let (rounds, span, warm_up) = match self.quick {
            true => (1, Duration::from_millis(500), Duration::from_millis(200)),
            false => (
                usize::from(self.rounds),
                Duration::from_secs(self.seconds.into()),
                Duration::from_secs(1),
            ),
        };
        let plan = Plan {
            parts: self.part.parts(),
            rounds,
            span,
            warm_up,
            retained: Retained {
                events: self.retained,
                timers: self.timers,
            },
            folder: self.dir,
            bin_dir: self.postgres,
            search_path: Config::search_path(),
        };
        let report = bench::run(&plan, stop_asked()).await?;
        match self.json {
            true => tell(&serde_json::to_string_pretty(&report)?),
            false => tell(&table(&report)),
        }
    }
}

fn table(report: &Report) -> String {
    let mut table = Table::new(&["part", "figure", "median", "range", "target", ""]);
    for figure in &report.figures {
        let (low, high) = figure.range();
        let verdict = match figure.reached() {
            Some(true) => "reached",
            Some(false) => "short",
            None => "",
        };
        table.row([
            figure.part.to_owned(),
            figure.name.clone(),
            shown(figure, figure.median()),
            format!("{} – {}", shown(figure, low), shown(figure, high)),
            figure.target.map_or_else(String::new, |target| target.to_string()),
            verdict.to_owned(),
        ]);
    }
    let mut lines = report.notes.clone();
    lines.push(String::new());
    lines.extend(table.lines());
    lines.join("\n")
}

fn shown(figure: &Figure, value: f64) -> String {
    match figure.unit {
        Unit::Ratio => format!("{value:.2}"),
        Unit::Count => format!("{value:.0}"),
        Unit::PerSecond => format!("{value:.0} /s"),
        Unit::Milliseconds => format!("{value:.2} ms"),
        Unit::Microseconds => format!("{value:.0} µs"),
        Unit::Mebibytes => format!("{value:.1} MiB"),
    }
}
