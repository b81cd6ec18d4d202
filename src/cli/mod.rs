//! The commands, one file each.

mod bench;
mod check;
mod conformance;
/// Weeks of marketplace life in a minute.
pub mod demo;
mod erase;
mod marketplace;
mod migrate;
mod opening;
mod output;
mod reading;
mod reconcile;
mod rules;
mod sandbox;
mod schema;
mod serve;
/// A running service: database, listeners, workers.
pub mod service;
mod sheet;
mod succession;
mod table;
mod urls;

use std::{fmt, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::config::Config;

/// The back end of an Altegio or YCLIENTS marketplace application.
#[derive(Parser)]
#[command(version, about, propagate_version = true)]
struct Bellhop {
    #[command(subcommand)]
    command: Command,
}

#[derive(Args, Clone)]
struct ConfigFile {
    /// The configuration file.
    #[arg(long, env = "BELLHOP_CONFIG", default_value = "bellhop.toml", global = true)]
    config: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service.
    Serve(serve::Serve),
    /// See it work: a private database, a sandbox marketplace, and weeks of its life in a minute.
    Demo(demo::Demo),
    /// Measure how fast it is on this machine, as ratios to references of the same run.
    Bench(bench::Bench),
    /// The receiver that `bench` compares with.
    #[command(hide = true)]
    BenchReference(bench::Reference),
    /// Run the sandbox marketplace alone, to try any back end against it.
    Sandbox(sandbox::Sandbox),
    /// Play the marketplace against any back end, and tell what it gets right: to be used before moderation.
    Conformance(Box<conformance::Conformance>),
    /// Check the configuration and the rules, and show what is in effect.
    Check(check::Check),
    /// Apply the migrations that are missing.
    Migrate(ConfigFile),
    /// Show the addresses to enter in the developer cabinet.
    Urls(ConfigFile),
    /// Look at installations.
    Locations(reading::Locations),
    /// Look at events and what was decided about them, and have them judged once more.
    Events(reading::Events),
    /// Look at what rules did, would have done, or want to do.
    Firings(reading::Firings),
    /// Look at jobs and their attempts, have them tried again or give them up.
    Jobs(reading::Jobs),
    /// Show what a bulk action would do, and keep that as a plan.
    Plan(reading::Plan),
    /// Look at plans of bulk actions, and how far they are.
    Plans(reading::Plans),
    /// Do what a plan says.
    Apply(reading::Apply),
    /// Look at money movements, and close those whose end is unknown.
    Ledger(reading::Ledger),
    /// Compare with the marketplace now: find what no callback told.
    Reconcile(reconcile::Reconcile),
    /// Call the marketplace by hand, within the request budget that the service uses too.
    #[command(alias = "mp")]
    Marketplace(Box<marketplace::Marketplace>),
    /// Look at the rules.
    Rules(rules::Rules),
    /// Print the JSON Schema of rule files or of the configuration, for editors.
    Schema(schema::Schema),
    /// Take the personal data of one location away.
    Erase(erase::Erase),
}

/// A mistake of the user: told without a trace, exit code 2.
#[derive(Debug)]
pub struct Misused(pub String);

impl Misused {
    /// A mistake that another room has described.
    fn of(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for Misused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misused {}

impl ConfigFile {
    /// Reads the configuration.
    fn load(&self) -> Result<Config> {
        Config::load(&self.config).map_err(|problems| Misused(problems.to_string()).into())
    }
}

/// Runs the command line of this process. Exit codes: 0 fine, 1 failed, 2 wrong usage or configuration.
pub fn main() -> ExitCode {
    let bellhop = Bellhop::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("bellhop: the runtime did not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(bellhop.command)) {
        Ok(code) => code,
        Err(error) if error.is::<Misused>() => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
        // A reader that has seen enough, such as `head`, closes the pipe.
        Err(error) if broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bellhop: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Serve(serve) => serve.run().await,
        Command::Demo(demo) => demo.run().await,
        Command::Bench(bench) => bench.run().await,
        Command::BenchReference(reference) => reference.run().await,
        Command::Sandbox(sandbox) => sandbox.run().await,
        Command::Conformance(conformance) => conformance.run().await,
        Command::Check(check) => check.run().await,
        Command::Migrate(config) => migrate::run(&config).await,
        Command::Urls(config) => urls::run(&config),
        Command::Locations(locations) => locations.run().await,
        Command::Events(events) => events.run().await,
        Command::Firings(firings) => firings.run().await,
        Command::Jobs(jobs) => jobs.run().await,
        Command::Plan(plan) => plan.run().await,
        Command::Plans(plans) => plans.run().await,
        Command::Apply(apply) => apply.run().await,
        Command::Ledger(ledger) => ledger.run().await,
        Command::Reconcile(reconcile) => reconcile.run().await,
        Command::Marketplace(marketplace) => marketplace.run().await,
        Command::Rules(rules) => rules.run().await,
        Command::Schema(schema) => schema.run(),
        Command::Erase(erase) => erase.run().await,
    }
}
