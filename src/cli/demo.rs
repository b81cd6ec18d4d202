use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

/// Options of the demonstration.
#[derive(Args)]
pub struct Demo {}

impl Demo {
    pub(super) async fn run(self) -> Result<ExitCode> {
        Ok(ExitCode::SUCCESS)
    }
}
