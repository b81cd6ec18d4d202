use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::output::tell;
use crate::{config::Config, rules};

#[derive(Args)]
pub(super) struct Schema {
    /// Of which files.
    #[arg(value_enum)]
    of: Of,
}

#[derive(Clone, Copy, ValueEnum)]
enum Of {
    /// Files of rules.
    Rules,
    /// The configuration file.
    Config,
}

impl Schema {
    pub(super) fn run(self) -> Result<ExitCode> {
        let schema = match self.of {
            Of::Rules => rules::schema(),
            Of::Config => Config::schema(),
        };
        tell(&format!("{schema:#}"))
    }
}
