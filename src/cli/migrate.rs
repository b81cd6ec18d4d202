use std::process::ExitCode;

use anyhow::{Context, Result};

use super::{ConfigFile, output, service::Database};
use crate::store::{self, PgPool};

pub(super) async fn run(config: &ConfigFile) -> Result<ExitCode> {
    let config = config.load()?;
    let database = Database::visit(&config).await?;
    let applied = database
        .with_pool(async |pool: &PgPool| {
            let pending = store::pending_migrations(pool).await?;
            store::migrate(pool).await.context("applying migrations")?;
            Ok(pending)
        })
        .await?;
    output::tell(&match applied.len() {
        0 => "Nothing to do: all migrations are applied.".to_owned(),
        count => format!("Applied {count}:\n  {}", applied.join("\n  ")),
    })
}
