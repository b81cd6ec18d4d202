use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::{
    ConfigFile, Misused,
    service::{Database, Service},
    succession,
};
use crate::{
    app::rulebook,
    config::{self, Config, LogFormat},
    telemetry::{self, Form},
    web::{End, Inherited, make_room_for_connections},
};

#[derive(Args)]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigFile,
    /// Refuse to start when migrations are missing, instead of applying them.
    #[arg(long)]
    no_migrate: bool,
    /// Set by the process that this one takes over from.
    #[arg(long, hide = true)]
    successor: bool,
    /// Do only this part: `intake` takes deliveries; another process on the same database has to do the rest.
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<Only>,
}

/// A part of the service that can run by itself.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    // Take deliveries and write them down; judge nothing and do no jobs. A doc comment would lengthen the help.
    Intake,
}

impl Serve {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let sockets = Inherited::take(&config::names_of_inherited_sockets()).map_err(misused)?;
        let config = self.config.load()?;
        start_log(&config);
        make_room_for_connections(&config).map_err(misused)?;
        let mut signals = Signals::new()?;
        let public_url = config.server.public_url.clone();
        let private = config.database.url.is_none();
        let database = Database::open(&config).await?;
        let started = match self.only {
            None => Service::start_on(sockets, config, &database.url, !self.no_migrate).await,
            Some(Only::Intake) => Service::start_intake(sockets, config, &database.url, !self.no_migrate).await,
        };
        let service = match started {
            Ok(service) => service,
            Err(error) => {
                database.close().await?;
                return Err(error);
            }
        };
        info!(
            public = %service.listeners.public, operator = %service.listeners.operator, public_url,
            "Bellhop is open; `bellhop urls` shows the addresses for the developer cabinet"
        );
        tell(&[NotifyState::Ready]);
        if self.successor {
            succession::tell_predecessor()?;
        }
        let end = signals.end_of(&service, private).await;
        info!("Stopping");
        let stopped = tokio::select! {
            () = service.end(end) => true,
            () = signals.stop.asked() => false,
        };
        if !stopped {
            warn!("Asked to stop a second time: what was begun is broken off, and started again later");
        }
        database.close().await?;
        Ok(if stopped { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn misused(error: impl std::fmt::Display) -> Misused {
    Misused(error.to_string())
}

fn start_log(config: &Config) {
    let form = match config.log.format {
        LogFormat::Text => Form::Text,
        LogFormat::Json => Form::Json,
    };
    telemetry::start(form, &config.log.filter);
}

/// Tells systemd, when it listens.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "systemd cannot be told");
    }
}

/// What operators and supervisors ask of a process.
struct Signals {
    stop: Stop,
    hand_over: Signal,
    reload: Signal,
}

/// What ends a process.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            stop: Stop::new()?,
            hand_over: signal(SignalKind::user_defined2())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    /// Returns when the service has to end: it was asked to, or it has a successor.
    async fn end_of(&mut self, service: &Service, private: bool) -> End {
        loop {
            tokio::select! {
                () = self.stop.asked() => break,
                _ = self.hand_over.recv() => {}
                _ = self.reload.recv() => {
                    tokio::select! {
                        () = reload_rules(service) => continue,
                        () = self.stop.asked() => break,
                    }
                }
            }
            info!("Asked to hand over: starting a successor");
            let handed = tokio::select! {
                handed = hand_over(service, private) => handed,
                () = self.stop.asked() => break,
            };
            match handed {
                Ok(id) => {
                    info!(successor = id, "The successor is ready");
                    // The service goes on under another number.
                    tell(&[NotifyState::MainPid(id)]);
                    return End::Succeeded;
                }
                Err(error) => error!(
                    error = format!("{error:#}"),
                    "There is no successor; this process goes on"
                ),
            }
        }
        tell(&[NotifyState::Stopping]);
        End::Asked
    }
}

impl Stop {
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Returns on Ctrl-C or SIGTERM.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn reload_rules(service: &Service) {
    match rulebook::reload(&service.app).await {
        Ok(rules) => info!(rules = rules.count(), "The rules were read again and are in use"),
        Err(error) => error!(
            error = error.to_string(),
            "The rules were not replaced; those before are still in use"
        ),
    }
}

async fn hand_over(service: &Service, private: bool) -> Result<u32> {
    if private {
        bail!("a private PostgreSQL belongs to one process. Remedy: database.url, or a restart");
    }
    succession::hand_over(service.listeners.copies()?).await
}

/// Returns on Ctrl-C or SIGTERM.
pub(super) async fn stop_asked() -> Result<()> {
    Stop::new()?.asked().await;
    Ok(())
}
