use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use super::{ConfigFile, output, service::Database};
use crate::store::{self, PgPool};

#[derive(Args)]
pub(super) struct Migrate {
    #[command(flatten)]
    config: ConfigFile,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let config = self.config.load()?;
        let database = Database::visit(&config).await?;
        let applied = database
            .with_pool(async |pool: &PgPool| {
                let pending = store::pending_migrations(pool).await?;
                store::migrate(pool).await.context("applying migrations")?;
                Ok(pending)
            })
            .await?;
        if self.json {
            return output::tell(&json!({"applied": applied}).to_string());
        }
        output::tell(&match applied.len() {
            0 => "Nothing to do: all migrations are applied.".to_owned(),
            count => format!("Applied {count}:\n  {}", applied.join("\n  ")),
        })
    }
}
