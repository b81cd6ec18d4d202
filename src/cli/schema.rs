use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::output::tell;
use crate::{config::Config, rules, web};

#[derive(Args)]
pub(super) struct Schema {
    #[command(subcommand)]
    of: Of,
}

#[derive(Subcommand)]
enum Of {
    /// Print the JSON Schema of rule files.
    Rules,
    /// Print the JSON Schema of the file of a bulk action.
    Bulk,
    /// Print the JSON Schema of the configuration file.
    Config,
    /// Print the description of the JSON API: OpenAPI 3.1.
    Api,
}

impl Schema {
    pub(super) fn run(self) -> Result<ExitCode> {
        let schema = match self.of {
            Of::Rules => rules::schema(),
            Of::Bulk => rules::bulk_schema(),
            Of::Config => Config::schema(),
            Of::Api => web::openapi(),
        };
        tell(&format!("{schema:#}"))
    }
}
