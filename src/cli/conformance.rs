use std::{io::IsTerminal, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use url::Url;

use super::{Misused, output, table::Table};
use crate::{
    domain::span,
    sandbox::{
        Brand, Delivery, Limits, Options, Sandbox,
        conformance::{self, Outcome, Trial, Verdict},
    },
};

/// The target may be started at the same time as we are.
const TARGET_PATIENCE: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(super) struct Conformance {
    /// The backend that is tried, of any make: where its paths begin.
    #[arg(long, value_name = "URL", required_unless_present = "list")]
    target: Option<Url>,
    /// Its registration redirect URL, or the path of it below the target.
    #[arg(long, value_name = "PATH", default_value = "/connect")]
    connect_path: String,
    /// Its callback URL, or the path of it below the target.
    #[arg(long, value_name = "PATH", default_value = "/callback")]
    callback_path: String,
    /// Where the marketplace is played: the target's partner base is this with /marketplace, its API base
    /// with /api/v1.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Number of the application that the target serves; the next number is another application of yours.
    #[arg(long, value_name = "NUMBER", default_value_t = 18_289)]
    application: i64,
    /// The partner token that the target is configured with.
    #[arg(long, value_name = "TOKEN", default_value = "sandbox-partner-token")]
    partner_token: String,
    /// A file that holds it.
    #[arg(long, value_name = "FILE", conflicts_with = "partner_token")]
    partner_token_file: Option<PathBuf>,
    /// The user token of the application's system user, if the target reads webhook settings or calls.
    #[arg(long, value_name = "TOKEN", default_value = "conformance-user-token")]
    user_token: String,
    /// Which brand is played.
    #[arg(long, value_enum, default_value_t = Played::Altegio)]
    brand: Played,
    /// The application does not ask for user data, so its redirects are not signed.
    #[arg(long)]
    no_user_data: bool,
    /// The application takes one location at a time.
    #[arg(long)]
    one_location: bool,
    /// How long the target may take for what it has to do by itself.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = span::parse)]
    patience: Duration,
    /// How long is watched that nothing happens where nothing should.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = span::parse)]
    quiet: Duration,
    /// How long a call hangs that gets no answer: longer than the target waits for one.
    #[arg(long, value_name = "TIME", default_value = "25s", value_parser = span::parse)]
    hang: Duration,
    /// Wait so long at the end for a payment and a refund that you report by hand.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = span::parse)]
    wait: Duration,
    /// Make these checks only.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// The first of the made-up locations [default: one of this second, so that no two runs share any].
    #[arg(long, value_name = "NUMBER")]
    first_location: Option<i64>,
    /// Name the checks, and make none.
    #[arg(long)]
    list: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Played {
    Altegio,
    Yclients,
}

impl Conformance {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let Some(target) = self.target.as_ref().filter(|_| !self.list) else {
            return list(self.json);
        };
        let trial = self.trial(target)?;
        let marketplace = self.marketplace().await?;
        eprintln!(
            "The marketplace is played at {0}; the target's partner base is {0}/marketplace, its API base {0}/api/v1.\n\
             Connecting is tried at {1}, callbacks go to {2}.",
            marketplace.url(),
            trial.connect_url,
            trial.callback_url
        );
        awaited(target).await?;
        let shows = std::io::stderr().is_terminal();
        let told = |outcome: &Outcome| {
            if shows {
                eprintln!("  {:8}  {}", outcome.result.as_str(), outcome.check);
            }
        };
        let outcomes = conformance::play(&marketplace, &trial, &told).await;
        marketplace.stop().await;
        self.tell(&outcomes?)
    }

    fn trial(&self, target: &Url) -> Result<Trial> {
        for name in &self.only {
            if conformance::checks().all(|(known, _)| known != name) {
                return Err(Misused(format!(
                    "there is no check named `{name}`. Remedy: `bellhop conformance --list` names them"
                ))
                .into());
            }
        }
        Ok(Trial {
            user_token: self.user_token.clone(),
            first_location: self.first_location.unwrap_or_else(new_location),
            user_data: !self.no_user_data,
            several: !self.one_location,
            patience: self.patience,
            quiet: self.quiet,
            hang: self.hang,
            wait: self.wait,
            only: self.only.clone(),
            ..Trial::new(
                self.application,
                below(target, &self.connect_path)?,
                below(target, &self.callback_path)?,
            )
        })
    }

    async fn marketplace(&self) -> Result<Sandbox> {
        let token = match &self.partner_token_file {
            None => self.partner_token.clone(),
            Some(file) => std::fs::read_to_string(file)
                .with_context(|| format!("{} cannot be read", file.display()))
                .map_err(|error| Misused(format!("{error:#}")))?
                .trim()
                .to_owned(),
        };
        let brand = match self.brand {
            Played::Altegio => Brand::Altegio,
            Played::Yclients => Brand::Yclients,
        };
        let options = Options {
            listen: self.listen,
            limits: Some(Limits::default()),
            // As the real one, without the five seconds before each event.
            delivery: Delivery {
                delay: Duration::ZERO,
                ..Delivery::default()
            },
            ..Options::new(token, brand)
        };
        Sandbox::start(options)
            .await
            .map_err(|error| Misused(format!("{error:#}. Remedy: choose another --listen")).into())
    }

    fn tell(&self, outcomes: &[Outcome]) -> Result<ExitCode> {
        let number = |verdict| outcomes.iter().filter(|outcome| outcome.result == verdict).count();
        let (pass, fail) = (number(Verdict::Pass), number(Verdict::Fail));
        let (warn, not_seen) = (number(Verdict::Warn), number(Verdict::NotSeen));
        if self.json {
            let report = json!({
                "items": outcomes,
                "summary": { "pass": pass, "fail": fail, "warn": warn, "not_seen": not_seen },
            });
            output::tell(&serde_json::to_string_pretty(&report)?)?;
        } else {
            let mut table = Table::new(&["result", "check", "seen"]);
            for outcome in outcomes {
                let seen = match outcome.result {
                    Verdict::Pass | Verdict::NotSeen => outcome.seen.clone(),
                    Verdict::Fail | Verdict::Warn => format!("{} Seen: {}", outcome.about, outcome.seen),
                };
                table.row([outcome.result.as_str().to_owned(), outcome.check.to_owned(), seen]);
            }
            table.print()?;
            output::tell(&format!(
                "{}: {pass} passed, {fail} failed, {warn} with a warning, {not_seen} not seen",
                output::count(outcomes.len(), "check")
            ))?;
        }
        Ok(if fail == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// A number that no run before had: the target may remember what it has connected. It fits into 32 bits.
fn new_location() -> i64 {
    1_000_000_000 + chrono::Utc::now().timestamp() % 1_000_000_000
}

fn list(json: bool) -> Result<ExitCode> {
    if json {
        let items: Vec<Value> = conformance::checks()
            .map(|(name, about)| json!({"check": name, "about": about}))
            .collect();
        return output::tell(&json!({"items": items, "next_cursor": null}).to_string());
    }
    let mut table = Table::new(&["check", "what should be"]);
    for (name, about) in conformance::checks() {
        table.row([name.to_owned(), about.to_owned()]);
    }
    table.print()?;
    Ok(ExitCode::SUCCESS)
}

/// A path below the target, or a whole address of its own.
fn below(target: &Url, path: &str) -> Result<String> {
    if path.starts_with("http://") || path.starts_with("https://") {
        return Ok(path.to_owned());
    }
    if !matches!(target.scheme(), "http" | "https") {
        return Err(Misused(format!("{target} is no address of a web server")).into());
    }
    let base = target.as_str().trim_end_matches('/');
    Ok(format!("{base}/{}", path.trim_start_matches('/')))
}

/// Waits until somebody listens there.
async fn awaited(target: &Url) -> Result<()> {
    let host = target
        .host_str()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .to_owned();
    let port = target.port_or_known_default().unwrap_or(80);
    let began = std::time::Instant::now();
    while tokio::net::TcpStream::connect((host.as_str(), port)).await.is_err() {
        if began.elapsed() > TARGET_PATIENCE {
            return Err(Misused(format!(
                "nobody listens at {host}:{port}. Remedy: start your backend, or correct --target"
            ))
            .into());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
