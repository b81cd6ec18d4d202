use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use super::{
    ConfigFile,
    service::{Database, Service},
};
use crate::{
    config::LogFormat,
    telemetry::{self, Form},
};

#[derive(Args)]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigFile,
    /// Refuse to start when migrations are missing, instead of applying them.
    #[arg(long)]
    no_migrate: bool,
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
        let config = self.config.load()?;
        let form = match config.log.format {
            LogFormat::Text => Form::Text,
            LogFormat::Json => Form::Json,
        };
        telemetry::start(form, &config.log.filter);
        let public_url = config.server.public_url.clone();
        let database = Database::open(&config).await?;
        let started = match self.only {
            None => Service::start(config, &database.url, !self.no_migrate).await,
            Some(Only::Intake) => Service::start_intake(config, &database.url, !self.no_migrate).await,
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
        stop_asked().await?;
        info!("Stopping");
        service.stop().await;
        database.close().await?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns on Ctrl-C or SIGTERM.
pub(super) async fn stop_asked() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        asked = tokio::signal::ctrl_c() => asked?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
