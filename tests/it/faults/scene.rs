//! A marketplace, a database and some processes of Bellhop behind one door.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bellhop::sandbox::{CallRecord, Limits, Mail, Received, Sandbox, Sent, Truth};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::time::sleep;

use super::{
    door::Door,
    driver::visit,
    oracle::Oracle,
    plan::Plan,
    process::Process,
    receiver::{Heard, Receiver},
    world::{RECEPTION, configuration, marketplace, rules},
};
use crate::service::stage::APP;

/// What the round plays in.
pub(crate) struct Scene {
    pub(crate) sandbox: Sandbox,
    /// Whom everything is relayed to.
    pub(crate) receiver: Receiver,
    pub(crate) processes: Vec<Process>,
    pub(crate) http: reqwest::Client,
    pub(crate) pool: PgPool,
    pub(crate) oracle: Oracle,
    pub(crate) folder: PathBuf,
    pub(crate) limits: Limits,
    /// Whether a process is stopped for long.
    pub(crate) stands_still: bool,
    door: Door,
}

/// Where a scene is set.
pub(crate) struct Ground<'a> {
    pub(crate) database: &'a str,
    pub(crate) folder: &'a Path,
    /// Instead of the sandbox, what the marketplace's address leads to.
    pub(crate) marketplace: Option<String>,
}

impl Scene {
    /// Sets the scene of a plan; returns when every process is ready.
    pub(crate) async fn set(plan: &Plan, ground: Ground<'_>) -> Self {
        let mut door = Door::new().await;
        let sandbox = marketplace(door.port, plan).await;
        let receiver = Receiver::open().await;
        let configuration = configuration(plan, &ground, &sandbox, door.port);
        let processes: Vec<Process> = plan
            .clocks
            .iter()
            .enumerate()
            .map(|(n, clock)| {
                let folder = ground.folder.join(format!("bellhop-{n}"));
                std::fs::create_dir_all(&folder).expect("a folder");
                std::fs::write(folder.join("rules.toml"), rules(&sandbox.url(), &receiver.url())).expect("written");
                Process::start(&folder, &configuration, *clock)
            })
            .collect();
        door.open(processes.iter().map(|process| process.public).collect());
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(5))
            .build()
            .expect("a client");
        let pool = PgPoolOptions::new()
            .max_connections(2)
            .connect_lazy(ground.database)
            .expect("an address");
        let scene = Self {
            sandbox,
            receiver,
            processes,
            http,
            pool,
            oracle: Oracle::default(),
            folder: ground.folder.to_owned(),
            limits: plan.limits,
            stands_still: plan.stands_still(),
            door,
        };
        assert!(
            scene.ready(Duration::from_secs(60)).await,
            "no process gets ready: {}",
            scene.said()
        );
        scene
    }

    /// The owner of the telephony's location connects, and calls are told to the marketplace from now on.
    pub(crate) async fn take_calls(&self) {
        assert!(
            visit(self, (APP, RECEPTION), true).await,
            "nobody opens: {}",
            self.said()
        );
        let began = Instant::now();
        let active = "select exists (select from installations where location_id = $1 and status = 'active')";
        while !sqlx::query_scalar::<_, bool>(active)
            .bind(RECEPTION)
            .fetch_one(&self.pool)
            .await
            .expect("an answer")
        {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "not activated: {}",
                self.said()
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// A public address.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.door.port)
    }

    /// Waits until every process is ready.
    pub(crate) async fn ready(&self, patience: Duration) -> bool {
        let began = Instant::now();
        for process in &self.processes {
            while !process.is_ready(&self.http).await {
                if began.elapsed() > patience {
                    return false;
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
        true
    }

    /// Waits until nobody has anything to do any more; what there still is, when it has not become less for so long.
    pub(crate) async fn drained(&self, patience: Duration) -> Result<(), Vec<String>> {
        let (mut fewest, mut since) = (usize::MAX, Instant::now());
        let mut quiet = 0;
        loop {
            let settled = tokio::time::timeout(patience, self.sandbox.settle()).await;
            let (count, left) = match settled {
                Ok(Ok(())) => self.left().await,
                _ => (usize::MAX, vec!["the marketplace is still sending".to_owned()]),
            };
            quiet = if count == 0 { quiet + 1 } else { 0 };
            if quiet == 3 {
                return Ok(());
            }
            if count < fewest {
                (fewest, since) = (count, Instant::now());
            }
            if since.elapsed() > patience {
                return Err(left);
            }
            sleep(Duration::from_millis(40)).await;
        }
    }

    /// How much is left to do, and the first of it.
    async fn left(&self) -> (usize, Vec<String>) {
        let left = "select what, count(*) over () from (
            select 'event ' || event_id from inbox
            union all select concat_ws(' ', 'job', id, application_id, location_id, rule, action, state, attempts, last_error) from jobs
            union all select concat_ws(' ', 'lane', name, leased_until) from lanes where leased_until > now()
            union all select 'moment ' || kind from timers where due_at <= now() and fired_for is distinct from due_at
            ) as left_over (what) limit 20";
        let rows: Result<Vec<(String, i64)>, _> = sqlx::query_as(left).fetch_all(&self.pool).await;
        let rows = rows.unwrap_or_else(|error| vec![(error.to_string(), i64::MAX)]);
        let spooled = spooled(&self.folder);
        let count = rows
            .first()
            .map_or(0, |(_, count)| usize::try_from(*count).unwrap_or(usize::MAX));
        let count = count.saturating_add(spooled.len());
        (count, rows.into_iter().map(|(what, _)| what).chain(spooled).collect())
    }

    /// What the marketplace remembers.
    pub(crate) async fn memory(&self) -> Memory {
        Memory {
            truth: self.sandbox.truth().await,
            calls: self.sandbox.calls().await.items,
            sent: self.sandbox.deliveries().await,
            inbox: self.sandbox.inbox().await,
            mails: self.sandbox.mails().await,
            relayed: self.receiver.heard(),
        }
    }

    /// The last lines of every process.
    pub(crate) fn said(&self) -> String {
        let logs = (0..self.processes.len()).map(|n| {
            let text = std::fs::read_to_string(self.folder.join(format!("bellhop-{n}/log"))).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            format!("bellhop-{n}:\n{}", lines[lines.len().saturating_sub(15)..].join("\n"))
        });
        logs.collect::<Vec<String>>().join("\n")
    }

    /// Ends it; how processes ended that did not end well.
    pub(crate) async fn end(self) -> Vec<String> {
        let mut odd = Vec::new();
        for (n, process) in self.processes.into_iter().enumerate() {
            match process.stop().await {
                Some(0) => {}
                other => odd.push(format!("process {n} ended with {other:?} when it was asked to stop")),
            }
        }
        self.pool.close().await;
        self.sandbox.stop().await;
        odd
    }
}

/// Files of spools in a folder: what waits, and what was put aside for people.
pub(crate) fn spooled(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            if path.is_dir() {
                folders.push(path);
            } else if matches!(ending, Some("spool" | "refused" | "damaged")) {
                found.push(format!("a file of a spool: {}", path.display()));
            }
        }
    }
    found
}

/// Everything the sandbox noted, and the receiver of relayed events.
#[derive(Clone)]
pub(crate) struct Memory {
    pub(crate) truth: Truth,
    pub(crate) calls: Vec<CallRecord>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) inbox: Vec<Received>,
    pub(crate) mails: Vec<Mail>,
    pub(crate) relayed: Vec<Heard>,
}
