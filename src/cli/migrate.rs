use std::process::ExitCode;

use anyhow::{Context, Result};

use super::{ConfigFile, service::Database};
use crate::store;

pub(super) async fn run(config: &ConfigFile) -> Result<ExitCode> {
    let config = config.load()?;
    let database = Database::visit(&config).await?;
    let pool = database.pool().await?;
    let pending = store::pending_migrations(&pool).await?;
    store::migrate(&pool).await.context("applying migrations")?;
    match pending.len() {
        0 => println!("Nothing to do: all migrations are applied."),
        count => println!("Applied {count}: {}", pending.join(", ")),
    }
    pool.close().await;
    database.close().await?;
    Ok(ExitCode::SUCCESS)
}
