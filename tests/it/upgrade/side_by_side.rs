//! The program of the version before and this one, on one database and under load. `scripts/upgrade-test.sh` builds the
//! former and runs these.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use bellhop::{
    domain::signature::hook_key,
    sandbox::{Application, Brand, Connect, Delivery, Location, Options, Sandbox},
};
use sqlx::{ConnectOptions, PgPool};
use tokio::{
    process::{Child, Command},
    sync::RwLock,
    task::JoinSet,
};

use crate::ports::free_port;
use crate::service::stage::{APP, HOOK_SECRET, OPERATOR_TOKEN, TOKEN, place};

const RULES: &str = r#"
[[rule]]
name = "welcome"
on = "installation.activated"
once_per = "location"
[[rule.then]]
action = "set_discount"
percent = 20

[[rule]]
name = "record"
on = "record.created"
when = "event.resource_id % 10 == 0"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/record"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ event.resource_id }}"
"#;

/// Nothing here takes longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Locations that are connected from the beginning.
const LOCATIONS: i64 = 4;

/// The program of the version before.
fn before() -> PathBuf {
    let path = std::env::var_os("BELLHOP_BEFORE").expect("BELLHOP_BEFORE names the program of the version before");
    PathBuf::from(path)
}

fn this() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_bellhop"))
}

/// A process with its ports.
struct Running {
    process: Child,
    public: u16,
    operator: u16,
}

struct Scene {
    sandbox: Sandbox,
    pool: PgPool,
    http: reqwest::Client,
    folder: tempfile::TempDir,
    load: Arc<Load>,
    senders: JoinSet<()>,
}

/// Deliveries without a pause, some of them twice.
struct Load {
    http: reqwest::Client,
    /// Where they go; who changes it waits for those under way.
    doors: RwLock<Vec<u16>>,
    next: AtomicI64,
    over: AtomicBool,
    refused: AtomicI64,
}

impl Load {
    async fn send(self: Arc<Self>, sender: usize) {
        let mut sent = 0;
        while !self.over.load(Ordering::Relaxed) {
            let fresh = sent % 5 != 4;
            let number = match fresh {
                true => self.next.fetch_add(1, Ordering::Relaxed),
                false => self.next.load(Ordering::Relaxed) - 1 - i64::try_from(sender).expect("small"),
            };
            let doors = self.doors.read().await;
            let location = 1 + number % LOCATIONS;
            let key = hook_key(HOOK_SECRET, place(location));
            let url = format!(
                "http://127.0.0.1:{}/apps/{APP}/hooks/{location}/{key}",
                doors[sent % doors.len()]
            );
            let body = format!(
                r#"{{"company_id":{location},"resource":"record","resource_id":{number},"status":"create","data":{{"id":{number}}}}}"#
            );
            let request = self
                .http
                .post(&url)
                .header("Content-Type", "application/json")
                .body(body);
            match request.send().await {
                Ok(answer) if answer.status() == 200 => {}
                Ok(answer) => {
                    eprintln!("{number}: {}", answer.status());
                    self.refused.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    eprintln!("{number}: {error:?}");
                    self.refused.fetch_add(1, Ordering::Relaxed);
                }
            }
            drop(doors);
            sent += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Scene {
    async fn set(pool: PgPool) -> Self {
        let mut options = Options::new(TOKEN, Brand::Altegio);
        options.delivery = Delivery::immediate();
        let sandbox = Sandbox::start(options).await.expect("a sandbox");
        let folder = tempfile::tempdir().expect("a folder");
        let rules = RULES.replace("{sandbox}", &sandbox.url());
        std::fs::write(folder.path().join("rules.toml"), rules).expect("written");
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10));
        let http = client.build().expect("a client");
        let load = Arc::new(Load {
            http: http.clone(),
            doors: RwLock::default(),
            next: AtomicI64::new(1),
            over: AtomicBool::new(false),
            refused: AtomicI64::new(0),
        });
        Self {
            sandbox,
            pool,
            http,
            folder,
            load,
            senders: JoinSet::new(),
        }
    }

    fn config(&self, name: &str, public: u16, operator: u16) -> PathBuf {
        let (database, url) = (self.pool.connect_options().to_url_lossy(), self.sandbox.url());
        let config = format!(
            r#"
            [server]
            listen = "127.0.0.1:{public}"
            public_url = "http://127.0.0.1:{public}"
            [operator]
            listen = "127.0.0.1:{operator}"
            token = "{OPERATOR_TOKEN}"
            [database]
            url = "{database}"
            [security]
            hook_secret = "{HOOK_SECRET}"
            [jobs]
            poll = "50ms"
            [[account]]
            name = "main"
            partner_token = "{TOKEN}"
            partner_base = "{url}/marketplace"
            api_base = "{url}/api/v1"
            requests_per_second = 1000
            requests_per_minute = 60000
            [[application]]
            id = {APP}
            account = "main"
            name = "Example app"
            rules = ["rules.toml"]
            "#
        );
        let path = self.folder.path().join(name);
        std::fs::write(&path, config).expect("written");
        path
    }

    async fn start(&self, program: PathBuf, more: &[&str]) -> Running {
        let (public, operator) = (free_port(), free_port());
        let config = self.config(&format!("{public}.toml"), public, operator);
        let mut process = Command::new(program)
            .arg("serve")
            .args(more)
            .arg("--config")
            .arg(config)
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("started");
        let url = format!("http://127.0.0.1:{operator}/readyz");
        self.until("it is ready", async || {
            assert_eq!(process.try_wait().expect("a status"), None, "it ended");
            let answer = self.http.get(&url).send().await;
            answer.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        Running {
            process,
            public,
            operator,
        }
    }

    async fn connect(&self, through: &Running, location: i64) {
        let application = Application {
            id: APP,
            callback_url: format!("http://127.0.0.1:{}/apps/{APP}/callback", through.public),
            redirect_url: format!("http://127.0.0.1:{}/apps/{APP}/connect", through.public),
            ..Application::default()
        };
        self.sandbox.put_application(application).await.expect("an application");
        self.sandbox
            .put_location(Location::new(location))
            .await
            .expect("a location");
        let connect = Connect {
            follow: true,
            ..Connect::new(APP, location)
        };
        self.sandbox.connect(connect).await.expect("connected");
        let url = format!(
            "http://127.0.0.1:{}/api/v1/locations/{APP}/{location}",
            through.operator
        );
        self.until("the location is active, and has its discount", async || {
            let answer = self
                .http
                .get(&url)
                .bearer_auth(OPERATOR_TOKEN)
                .send()
                .await
                .expect("an answer");
            let text = answer.text().await.expect("a body");
            let seen: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let link = self.sandbox.link(APP, location).await.expect("a link");
            seen["status"] == "active" && link.link.discount == Some(20.0)
        })
        .await;
    }

    async fn until(&self, what: &str, mut so: impl AsyncFnMut() -> bool) {
        let began = Instant::now();
        while !so().await {
            assert!(began.elapsed() < PATIENCE, "never came: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The load goes to these from now on, and everything that was under way has its answer.
    async fn turn_to(&mut self, doors: &[&Running]) {
        *self.load.doors.write().await = doors.iter().map(|running| running.public).collect();
        if self.senders.is_empty() {
            for sender in 0..4 {
                self.senders.spawn(Arc::clone(&self.load).send(sender));
            }
        }
    }

    async fn number(&self, statement: &'static str) -> i64 {
        sqlx::query_scalar(statement)
            .fetch_one(&self.pool)
            .await
            .expect("a number")
    }

    /// Waits until so many more deliveries came in.
    async fn more(&self, count: i64) {
        let now = self.load.next.load(Ordering::Relaxed);
        let next = &self.load.next;
        self.until("deliveries", async || next.load(Ordering::Relaxed) >= now + count)
            .await;
        assert_eq!(self.load.refused.load(Ordering::Relaxed), 0, "no delivery is refused");
    }

    /// Everything that came is judged and done.
    async fn idle(&self) {
        let busy = "select (select count(*) from inbox) + (select count(*) from jobs)";
        self.until("everything is judged and done", async || self.number(busy).await == 0)
            .await;
    }

    /// The queue is as short as it is when nothing is wrong.
    async fn idle_at(&self, most: i64) {
        let busy = "select (select count(*) from inbox) + (select count(*) from jobs)";
        self.until("the queue is short", async || self.number(busy).await <= most)
            .await;
    }

    /// Ends the load and compares what was sent with what is there.
    async fn compare(mut self, connected: i64) {
        self.load.over.store(true, Ordering::Relaxed);
        while self.senders.join_next().await.is_some() {}
        self.idle().await;
        assert_eq!(self.load.refused.load(Ordering::Relaxed), 0, "no delivery is refused");
        let last = self.load.next.load(Ordering::Relaxed) - 1;
        let stored: Vec<i64> = sqlx::query_scalar(
            "select resource_id from events where kind = 'record.created' and source = 'webhook' and body is not null order by 1",
        )
        .fetch_all(&self.pool)
        .await
        .expect("numbers");
        assert_eq!(
            stored,
            (1..=last).collect::<Vec<i64>>(),
            "every delivery is stored once"
        );
        let mut told: BTreeMap<i64, usize> = BTreeMap::new();
        for received in self.sandbox.inbox().await {
            *told.entry(received.body.parse().expect("a number")).or_default() += 1;
        }
        let wanted: BTreeMap<i64, usize> = (1..=last).filter(|n| n % 10 == 0).map(|n| (n, 1)).collect();
        assert_eq!(told, wanted, "every rule fires once");
        let failed = "select count(*) from outcomes where state = 'failed'";
        let unjudged = "select count(*) from events e where verdict = 'received' and body is not null
                        and not exists (select from outcomes o where o.event_id = e.id)";
        let retried = "select count(*) from attempts where outcome is distinct from 'done'";
        let leased = "select count(*) from lanes where leased_by is not null";
        for statement in [failed, unjudged, retried, leased] {
            assert_eq!(self.number(statement).await, 0, "{statement}");
        }
        let calls = self.sandbox.calls().await;
        let once = u64::try_from(connected).expect("small");
        assert_eq!((calls.count("activate"), calls.count("add_discount")), (once, once));
        eprintln!("{last} deliveries, {} of them fired a rule", wanted.len());
        self.sandbox.stop().await;
    }
}

async fn stopped(mut running: Running) {
    let id = running.process.id().expect("it runs").to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status().await.expect("kill");
    assert!(sent.success());
    let ended = tokio::time::timeout(PATIENCE, running.process.wait())
        .await
        .expect("it ends");
    assert_eq!(ended.expect("a status").code(), Some(0));
}

/// Days full of events that were judged long ago.
async fn fill(pool: &PgPool) {
    sqlx::raw_sql(
        "insert into events (application_id, location_id, kind, source, verdict, headers)
         select 18289, n % 100, 'client.updated', 'webhook', 'received', '{}' from generate_series(1, 20000) n;
         insert into outcomes (event_id, received_at, state) select id, received_at, 'processed' from events;
         insert into delivery_keys (key) select sha256(n::text::bytea) from generate_series(1, 20000) n",
    )
    .execute(pool)
    .await
    .expect("filled");
}

async fn upgrade(pool: PgPool, by_hand: bool) {
    let mut scene = Scene::set(pool).await;
    let old = scene.start(before(), &[]).await;
    fill(&scene.pool).await;
    for location in 1..=LOCATIONS {
        scene.connect(&old, location).await;
    }
    scene.turn_to(&[&old]).await;
    scene.more(200).await;
    // Somebody reads for longer than a migration waits for a lock.
    let mut reader = scene.pool.begin().await.expect("a transaction");
    let read =
        "select (select count(*) from events) + (select count(*) from delivery_keys) + (select count(*) from jobs)";
    sqlx::query(read).execute(&mut *reader).await.expect("read");
    let reading = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        reader.commit().await.expect("read");
    });
    let count = || scene.number("select count(*) from _sqlx_migrations");
    assert_eq!(count().await, 1, "it is the first release");
    let new = if by_hand {
        let config = scene.config("migrate.toml", 1, 2);
        let migrate = Command::new(this()).arg("migrate").arg("--config").arg(config).status();
        let status = tokio::time::timeout(PATIENCE, migrate)
            .await
            .expect("in time")
            .expect("started");
        assert!(status.success());
        // The version before has the new schema for itself.
        scene.more(300).await;
        scene.idle_at(200).await;
        scene.connect(&old, LOCATIONS + 1).await;
        scene.start(this(), &["--no-migrate"]).await
    } else {
        scene.start(this(), &[]).await
    };
    assert!(count().await > 1, "migrations were applied");
    reading.await.expect("read");
    scene.turn_to(&[&old, &new]).await;
    scene.more(400).await;
    scene.connect(&new, LOCATIONS + 2).await;
    // A version that does not know these migrations yet was not made to start on them by itself.
    let again = scene.start(before(), &["--no-migrate"]).await;
    scene.turn_to(&[&old, &again, &new]).await;
    scene.more(200).await;
    scene.turn_to(&[&new]).await;
    stopped(old).await;
    stopped(again).await;
    scene.more(200).await;
    scene.compare(LOCATIONS + if by_hand { 2 } else { 1 }).await;
    stopped(new).await;
}

#[sqlx::test(migrations = false)]
#[ignore = "needs the program of the version before: make upgrade"]
async fn migrated_by_hand_under_load_nothing_is_lost_and_nothing_happens_twice(pool: PgPool) {
    upgrade(pool, true).await;
}

#[sqlx::test(migrations = false)]
#[ignore = "needs the program of the version before: make upgrade"]
async fn migrated_by_the_start_of_the_new_version_nothing_is_lost_and_nothing_happens_twice(pool: PgPool) {
    upgrade(pool, false).await;
}
