//! The stage of the demonstration: everything real, everything on this machine, everything gone
//! afterwards.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::Demo;
use crate::{
    cli::{
        Misused,
        sandbox::tariffs,
        service::{Database, Service, random_secret},
    },
    config::Config,
    sandbox::{Application, Brand, Delivery, Limits, Options, Sandbox},
    store::{ageing, stats},
    telemetry::{self, Form},
};

/// The application of the story.
pub(super) const APPLICATION: i64 = 18_289;

/// Nothing in the story takes longer to settle.
const PATIENCE: Duration = Duration::from_secs(90);

pub(super) struct World {
    pub(super) sandbox: Sandbox,
    pub(super) service: Service,
    database: Database,
    folder: PathBuf,
}

impl World {
    pub(super) async fn create(demo: &Demo) -> Result<Self> {
        telemetry::start(Form::Text, if demo.verbose { "info" } else { "error" });
        let folder = std::env::temp_dir().join(format!("bellhop-demo-{}", std::process::id()));
        // The server of the private cluster may run as another user, who has to get to its folder.
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let sandbox = Sandbox::start(Options {
            mailbox: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            limits: Some(Limits::default()),
            delivery: Delivery {
                delay: Duration::from_millis(500),
                ..Delivery::default()
            },
            ..Options::new(TOKEN, Brand::Altegio)
        })
        .await?;
        let rules = include_str!("rules.toml").replace("{sandbox}", &sandbox.url());
        std::fs::write(folder.join("rules.toml"), rules)?;
        let text = configuration(&sandbox, free(demo.listen)?, free(demo.operator)?)?;
        let config = Config::from_text(&text, &folder).map_err(|problems| Misused(problems.to_string()))?;
        let database = Database::open(&config).await?;
        let service = match Service::start(config, &database.url, true).await {
            Ok(service) => service,
            Err(error) => {
                database.close().await?;
                return Err(error);
            }
        };
        let world = Self {
            sandbox,
            service,
            database,
            folder,
        };
        world.register().await?;
        Ok(world)
    }

    /// What the developer cabinet is told.
    async fn register(&self) -> Result<()> {
        let base = format!("http://{}/apps/{APPLICATION}", self.service.listeners.public);
        let application = Application {
            id: APPLICATION,
            title: "Salon Reminders".to_owned(),
            callback_url: format!("{base}/callback"),
            redirect_url: format!("{base}/connect"),
            tariffs: tariffs(),
            ..Application::default()
        };
        self.sandbox.put_application(application).await
    }

    /// Waits until nothing is left to do on either side.
    pub(super) async fn settled(&self) -> Result<()> {
        let began = Instant::now();
        let mut quiet = 0;
        while quiet < 2 {
            self.sandbox.settle().await?;
            let app = &self.service.app;
            let stats = stats::read(&app.pool, app.config.activation.limit, PATIENCE).await?;
            let stats = stats.context("the figures took too long")?;
            let busy = stats.events_unprocessed > 0 || stats.moments_due > 0 || !stats.jobs.is_empty();
            quiet = if busy { 0 } else { quiet + 1 };
            if began.elapsed() > PATIENCE {
                bail!("something is left to do after {PATIENCE:?}: {:?}", stats.jobs);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Time passes: everything that was stored gets older, on both sides.
    pub(super) async fn pass(&self, time: Duration) -> Result<()> {
        self.settled().await?;
        ageing::age(&self.service.app.pool, i64::try_from(time.as_secs()).unwrap_or(0)).await?;
        self.sandbox.advance(time).await?;
        self.settled().await
    }

    pub(super) fn where_to_look(&self) {
        let (operator, sandbox) = (self.service.listeners.operator, self.sandbox.url());
        println!("\nIt keeps running until you press Ctrl-C. Look around:");
        println!("  the console             http://{operator}/");
        println!("  what Bellhop knows      curl -s http://{operator}/api/v1/locations");
        println!("  one location's story    curl -s http://{operator}/api/v1/locations/{APPLICATION}/100001");
        println!("  events and decisions    curl -s http://{operator}/api/v1/events");
        println!("  jobs and attempts       curl -s http://{operator}/api/v1/jobs");
        println!("  metrics                 curl -s http://{operator}/metrics");
        println!("  the marketplace's truth curl -s {sandbox}/_sandbox/truth");
        println!("  mails that were sent    curl -s {sandbox}/_sandbox/mails");
        println!("  webhooks that were sent curl -s {sandbox}/_sandbox/inbox");
        println!("  connect one more        curl -s {sandbox}/_sandbox/connect -H 'Content-Type: application/json' \\");
        println!(
            "                            -d '{{\"application_id\": {APPLICATION}, \"location_ids\": [100777], \"follow\": true}}'"
        );
    }

    pub(super) async fn destroy(self) -> Result<()> {
        self.service.stop().await;
        self.sandbox.stop().await;
        self.database.close().await?;
        std::fs::remove_dir_all(&self.folder).with_context(|| format!("removing {}", self.folder.display()))
    }
}

const TOKEN: &str = "demo-partner-token";

/// The address, or one with a free port when it is taken.
fn free(address: SocketAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind(address).or_else(|_| TcpListener::bind((address.ip(), 0)));
    Ok(listener
        .with_context(|| format!("no port is free at {}", address.ip()))?
        .local_addr()?)
}

fn configuration(sandbox: &Sandbox, public: SocketAddr, operator: SocketAddr) -> Result<String> {
    let smtp = sandbox.smtp_addr().context("the mailbox is open")?.port();
    let (url, secret) = (sandbox.url(), random_secret());
    Ok(format!(
        r#"
        [server]
        listen = "{public}"
        public_url = "http://{public}"
        [operator]
        listen = "{operator}"
        [security]
        hook_secret = "{}"
        [database]
        data_dir = "database"
        [jobs]
        poll = "100ms"
        [smtp]
        host = "127.0.0.1"
        port = {smtp}
        from = "Salon Reminders <hello@reminders.example>"
        tls = "none"
        [[account]]
        name = "demo"
        partner_token = "{TOKEN}"
        partner_base = "{url}/marketplace"
        api_base = "{url}/api/v1"
        [[application]]
        id = {APPLICATION}
        account = "demo"
        name = "Salon Reminders"
        trial_days = 14
        rules = ["rules.toml"]
        "#,
        secret.expose()
    ))
}
