use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::{
    ConfigFile, Misused, output,
    service::{Database, reachable},
};
use crate::{
    app::{
        App,
        line::{Failure, Line},
        spool_place,
    },
    config::Config,
    domain::{action::Priority, ids::ApplicationId},
    marketplace::{calls, error::Error},
    store,
};

#[derive(Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigFile,
    /// Also ask the database, and the marketplace once for each application.
    #[arg(long)]
    online: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What was found out, and whether it is as it should be.
struct Findings {
    lines: Vec<String>,
    fine: bool,
}

impl Check {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let config = self.config.load()?;
        let shown = toml::to_string(&config)?;
        // The address is not used: building reads the rules and prepares the ways out, and asks nobody.
        let app = build(config.clone(), "postgres://nobody@localhost/nothing")?;
        if let Some(place) = spool_place(&config) {
            place.inspect().map_err(Misused::of)?;
        }
        let loaded = app.rulebook.now();
        let rules: Vec<(ApplicationId, String, usize)> = app
            .all_served()
            .map(|served| {
                let number = loaded.of(served.id).rules().len();
                (served.id, served.config.name.clone(), number)
            })
            .collect();
        app.pool.close().await;
        if self.json {
            return self.as_json(config, &rules).await;
        }
        let rules = rules.iter().map(|(id, name, number)| {
            let rules = output::count(*number, "rule");
            format!("# application {id} ({name}): {rules}\n")
        });
        let rules: String = rules.collect();
        output::tell(&format!(
            "# What is in effect; secrets are masked.\n{shown}\n{rules}# The configuration has no mistakes."
        ))?;
        if !self.online {
            return Ok(ExitCode::SUCCESS);
        }
        let found = online(config).await?;
        output::tell(&found.lines.join("\n"))?;
        Ok(found.code())
    }

    async fn as_json(&self, config: Config, rules: &[(ApplicationId, String, usize)]) -> Result<ExitCode> {
        let applications = rules
            .iter()
            .map(|(id, name, number)| json!({"application_id": id, "name": name, "rules": number}));
        let mut whole = json!({"configuration": &config, "applications": applications.collect::<Vec<_>>()});
        let mut code = ExitCode::SUCCESS;
        if self.online {
            let found = online(config).await?;
            let lines: Vec<&str> = found.lines.iter().map(|line| line.trim_start_matches("# ")).collect();
            whole["online"] = json!({"fine": found.fine, "findings": lines});
            code = found.code();
        }
        output::tell(&whole.to_string())?;
        Ok(code)
    }
}

impl Findings {
    fn code(&self) -> ExitCode {
        if self.fine {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

fn build(config: Config, url: &str) -> Result<App> {
    App::build(config, url, None).map_err(|error| Misused(format!("{error:#}")).into())
}

async fn online(config: Config) -> Result<Findings> {
    let database = Database::visit(&config).await?;
    let found = match build(config, &database.url) {
        Ok(app) => {
            let found = ask(&app).await;
            app.pool.close().await;
            found
        }
        Err(error) => Err(error),
    };
    database.close().await?;
    found
}

async fn ask(app: &App) -> Result<Findings> {
    reachable(&app.pool).await?;
    let pending = store::pending_migrations(&app.pool).await?;
    if !pending.is_empty() {
        return Ok(Findings {
            lines: vec![
                format!(
                    "# database: answers; {} to apply",
                    output::count(pending.len(), "migration")
                ),
                "# marketplace: not asked, because the request budget lives in the database. Remedy: `bellhop migrate`"
                    .to_owned(),
            ],
            fine: true,
        });
    }
    let mut found = Findings {
        lines: vec!["# database: answers; all migrations are applied".to_owned()],
        fine: true,
    };
    for served in app.all_served() {
        let mut line = Line::new(app, served, Priority::Rule);
        let answer = match line.send(&calls::inventory::salons(served.id, 1, 1)?).await {
            Ok(_) => "the marketplace answers and knows it".to_owned(),
            Err(failure) => {
                found.fine = false;
                format!("{failure}. Remedy: {}", remedy(&failure, &served.account.name))
            }
        };
        found.lines.push(format!("# application {}: {answer}", served.id));
    }
    Ok(found)
}

fn remedy(failure: &Failure, account: &str) -> String {
    let Failure::Call(error) = failure else {
        return "try again; other processes spend the request budget, or the database is away".to_owned();
    };
    match error {
        Error::Unauthorized { .. } => format!("correct partner_token of account `{account}`"),
        Error::Forbidden { .. } | Error::NotFound { .. } => {
            format!("correct the application's id, or its account: it must belong to the developer account `{account}`")
        }
        Error::Unavailable { .. } => format!("correct partner_base of account `{account}`, or open the way to it"),
        Error::Throttled { .. } | Error::Unknown { .. } | Error::Fault { .. } => "try again in some minutes".to_owned(),
        Error::Invalid { .. } | Error::Rejected { .. } => format!("look at partner_base of account `{account}`"),
    }
}
