use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{
    ConfigFile, Misused,
    service::{Database, reachable},
};
use crate::{
    app::{App, line::Line},
    domain::action::Priority,
    marketplace::calls,
    store,
};

#[derive(Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigFile,
    /// Also ask the database, and the marketplace once for each application.
    #[arg(long)]
    online: bool,
}

impl Check {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let config = self.config.load()?;
        let shown = toml::to_string(&config)?;
        // Building reads the rules and prepares the clients; nothing is asked yet.
        let offline = "postgres://nobody@localhost/nothing";
        let database = if self.online {
            Some(Database::visit(&config).await?)
        } else {
            None
        };
        let url = database.as_ref().map_or(offline, |database| database.url.as_str());
        let app = App::build(config, url).map_err(|error| Misused(format!("{error:#}")))?;
        println!("# What is in effect; secrets are masked.\n{shown}");
        for served in app.all_served() {
            println!("# application {}: {} rules", served.id, served.rules.rules().len());
        }
        let fine = if self.online { online(&app).await? } else { true };
        app.pool.close().await;
        if let Some(database) = database {
            database.close().await?;
        }
        Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

async fn online(app: &App) -> Result<bool> {
    reachable(&app.pool).await?;
    let pending = store::pending_migrations(&app.pool).await?;
    println!("# database: answers; {} migrations to apply", pending.len());
    if !pending.is_empty() {
        println!(
            "# marketplace: not asked, because the request budget lives in the database. Remedy: `bellhop migrate`"
        );
        return Ok(true);
    }
    let mut fine = true;
    for served in app.all_served() {
        let mut line = Line::new(app, served, Priority::Rule);
        match line.send(&calls::inventory::salons(served.id, 1, 1)?).await {
            Ok(_) => println!("# application {}: the marketplace answers and knows it", served.id),
            Err(failure) => {
                fine = false;
                println!("# application {}: {failure}", served.id);
            }
        }
    }
    Ok(fine)
}
