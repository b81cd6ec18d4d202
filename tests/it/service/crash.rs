//! The real program, killed at the worst moments and started again.

use std::{
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use bellhop::{
    domain::signature::hook_key,
    sandbox::{Application, Brand, Change, Connect, Delivery, Fault, FaultKind, Location, Options, Sandbox, Status},
};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgPool};
use tokio::process::{Child, Command};

use super::stage::{APP, HOOK_SECRET, OPERATOR_TOKEN, TOKEN, place};
use crate::ports::free_port;

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
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/record"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ event.resource_id }}"

[[rule]]
name = "relay"
on = "client.*"
[[rule.then]]
action = "forward_event"
url = "{sandbox}/inbox/relay"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"#;

const PATIENCE: Duration = Duration::from_secs(20);

/// What outlives the process: its database, its configuration, the marketplace.
struct Scene {
    sandbox: Sandbox,
    pool: PgPool,
    http: reqwest::Client,
    folder: tempfile::TempDir,
    public: u16,
    operator: u16,
    process: Child,
}

impl Scene {
    async fn set(pool: PgPool) -> Self {
        let mut options = Options::new(TOKEN, Brand::Altegio);
        options.delivery = Delivery::immediate();
        let (public, operator) = (free_port(), free_port());
        options.applications.push(Application {
            id: APP,
            callback_url: format!("http://127.0.0.1:{public}/apps/{APP}/callback"),
            redirect_url: format!("http://127.0.0.1:{public}/apps/{APP}/connect"),
            ..Application::default()
        });
        let sandbox = Sandbox::start(options).await.expect("a sandbox");
        let folder = tempfile::tempdir().expect("a folder");
        let url = sandbox.url();
        std::fs::write(folder.path().join("rules.toml"), RULES.replace("{sandbox}", &url)).expect("written");
        let database = pool.connect_options().to_url_lossy();
        let config = format!(
            r#"
            [server]
            listen = "127.0.0.1:{public}"
            public_url = "http://127.0.0.1:{public}"
            threads = 1
            shutdown_grace = "10s"
            [operator]
            listen = "127.0.0.1:{operator}"
            token = "{OPERATOR_TOKEN}"
            [database]
            url = "{database}"
            connections = 6
            [security]
            hook_secret = "{HOOK_SECRET}"
            [reconcile]
            enabled = false
            [jobs]
            poll = "20ms"
            backoff = "50ms"
            lease = "20s"
            [[account]]
            name = "main"
            partner_token = "{TOKEN}"
            partner_base = "{url}/marketplace"
            api_base = "{url}/api/v1"
            request_timeout = "15s"
            requests_per_second = 1000
            requests_per_minute = 60000
            [[application]]
            id = {APP}
            account = "main"
            name = "Example app"
            rules = ["rules.toml"]
            "#
        );
        std::fs::write(folder.path().join("bellhop.toml"), config).expect("written");
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(5))
            .build()
            .expect("a client");
        let process = serve(&folder);
        let scene = Self {
            sandbox,
            pool,
            http,
            folder,
            public,
            operator,
            process,
        };
        scene.ready().await;
        scene
    }

    async fn ready(&self) {
        let url = format!("http://127.0.0.1:{}/readyz", self.operator);
        self.until("it is ready", async || {
            self.http
                .get(&url)
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
        })
        .await;
    }

    /// SIGKILL, and a new start. What was leased is found again when the lease is over.
    async fn killed_and_started(&mut self) {
        self.process.kill().await.expect("killed");
        // As if the lease had run out by waiting.
        sqlx::query("update lanes set leased_until = now() - interval '1 second' where leased_until is not null")
            .execute(&self.pool)
            .await
            .expect("updated");
        self.process = serve(&self.folder);
        self.ready().await;
    }

    async fn terminated(&mut self) -> ExitStatus {
        let id = self.process.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().await.expect("kill");
        assert!(sent.success());
        tokio::time::timeout(PATIENCE, self.process.wait())
            .await
            .expect("it ends")
            .expect("a status")
    }

    async fn connect(&self, location: i64) {
        self.sandbox
            .put_location(Location::new(location))
            .await
            .expect("a location");
        let connect = Connect {
            follow: true,
            ..Connect::new(APP, location)
        };
        self.sandbox.connect(connect).await.expect("connected");
    }

    async fn until(&self, what: &str, so: impl AsyncFn() -> bool) {
        let began = Instant::now();
        while !so().await {
            assert!(
                began.elapsed() < PATIENCE,
                "never came: {what}; {:?}",
                self.jobs().await
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn called(&self, call: &str) -> u64 {
        self.sandbox.calls().await.count(call)
    }

    async fn api(&self, path: &str) -> Value {
        let url = format!("http://127.0.0.1:{}/api/v1/{path}", self.operator);
        let answer = self
            .http
            .get(&url)
            .bearer_auth(OPERATOR_TOKEN)
            .send()
            .await
            .expect("an answer");
        serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON")
    }

    async fn order(&self, path: &str, said: &Value) -> Value {
        let url = format!("http://127.0.0.1:{}/api/v1/{path}", self.operator);
        let request = self.http.post(&url).bearer_auth(OPERATOR_TOKEN);
        let request = request
            .header("Content-Type", "application/json")
            .body(said.to_string());
        let answer = request.send().await.expect("an answer");
        serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON")
    }

    /// Jobs as `action state attempts`, oldest first, straight from the database.
    async fn jobs(&self) -> Vec<String> {
        let all =
            "select format('%s %s %s', action, state, attempts) from (select id, action, state, attempts from jobs
                   union all select id, action, state, attempts from finished_jobs) j order by id";
        sqlx::query_scalar(all).fetch_all(&self.pool).await.unwrap_or_default()
    }

    async fn end(mut self) {
        assert_eq!(self.terminated().await.code(), Some(0));
        self.sandbox.stop().await;
    }
}

fn serve(folder: &tempfile::TempDir) -> Child {
    Command::new(env!("CARGO_BIN_EXE_bellhop"))
        .args(["serve", "--config"])
        .arg(folder.path().join("bellhop.toml"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("started")
}

/// The call takes effect and its answer never comes.
fn unanswered(call: &str) -> Fault {
    Fault::new(call, FaultKind::TimeoutAfterEffect)
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn killed_between_a_call_and_its_record_it_looks_and_does_nothing_twice(pool: PgPool) {
    let mut scene = Scene::set(pool).await;
    scene.sandbox.fail(unanswered("activate")).await.expect("a fault");
    scene.connect(1).await;
    scene
        .until("the activation hangs", async || scene.called("activate").await == 1)
        .await;
    let link = scene.sandbox.link(APP, 1).await.expect("a link");
    assert_eq!(link.link.status, Status::Active, "it took effect");

    scene.sandbox.fail(unanswered("add_discount")).await.expect("a fault");
    scene.killed_and_started().await;
    scene
        .until("the discount hangs", async || scene.called("add_discount").await == 1)
        .await;
    let seen = scene.api(&format!("locations/{APP}/1")).await;
    assert_eq!([&seen["status"], &seen["connection"]], ["active", "active"]);
    assert_eq!(scene.called("activate").await, 1, "it was looked up, not repeated");

    scene.killed_and_started().await;
    let done = ["activate completed 2", "set_discount completed 2"];
    scene
        .until("everything is done", async || scene.jobs().await == done)
        .await;
    let link = scene.sandbox.link(APP, 1).await.expect("a link");
    assert_eq!((link.link.activations, link.link.discount), (1, Some(20.0)));
    // The same discount again changes nothing (contract M3).
    assert_eq!(scene.called("add_discount").await, 2);
    let seen = scene.api(&format!("locations/{APP}/1")).await;
    assert_eq!(seen["firings"].as_array().expect("a list").len(), 1);
    let job = scene.api(&format!("jobs/{}", seen["jobs"][0]["id"])).await;
    let outcomes: Vec<&str> = job["history"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|attempt| attempt["outcome"].as_str().unwrap_or("-"))
        .collect();
    assert_eq!(outcomes, ["lost", "done"]);
    scene.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn killed_in_the_middle_of_a_bulk_action_that_pays_it_pays_each_location_once(pool: PgPool) {
    let mut scene = Scene::set(pool).await;
    for location in 1..=3 {
        scene.connect(location).await;
    }
    scene
        .until("they work", async || {
            scene
                .jobs()
                .await
                .iter()
                .filter(|job| job.contains("completed"))
                .count()
                == 6
        })
        .await;
    let file = "[bulk]\nname = \"contract\"\n[[bulk.then]]\naction = \"report_payment\"\namount = 29.90\n\
                currency = \"EUR\"\nmonths = 1\n";
    let plan = scene.order("plans", &json!({"application": APP, "file": file})).await;
    scene.sandbox.fail(unanswered("report_payment")).await.expect("a fault");
    let confirm = json!({"confirm": plan["confirmation"]});
    let applied = scene.order(&format!("plans/{}/apply", plan["plan_id"]), &confirm).await;
    assert_eq!(applied["locations"], 3, "{applied}");
    scene
        .until("a report hangs", async || scene.called("report_payment").await >= 1)
        .await;
    scene.killed_and_started().await;
    // Whoever finds a report that may have been made waits until it cannot be under way any more.
    sqlx::query("update ledger set called_at = called_at - interval '1 minute' where state = 'unknown'")
        .execute(&scene.pool)
        .await
        .expect("aged");
    scene
        .until("all are paid", async || {
            sqlx::query("update lanes set run_at = now() where run_at > now()")
                .execute(&scene.pool)
                .await
                .expect("hurried");
            scene.api(&format!("plans/{}", plan["plan_id"])).await["done"] == 3
        })
        .await;
    for location in 1..=3 {
        let link = scene.sandbox.link(APP, location).await.expect("a link").link;
        let paid = link.payments.iter().filter(|payment| payment.currency_iso == "EUR");
        assert_eq!(paid.count(), 1, "location {location}");
    }
    let again = scene.order(&format!("plans/{}/apply", plan["plan_id"]), &confirm).await;
    assert_eq!(again["status"], 409);
    scene.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_was_acknowledged_before_a_kill_is_judged_after_it(pool: PgPool) {
    let mut scene = Scene::set(pool).await;
    scene.connect(1).await;
    scene
        .until("it works", async || {
            scene.jobs().await == ["activate completed 1", "set_discount completed 1"]
        })
        .await;
    // Nobody judges while somebody else holds the shards.
    let mut held = scene.pool.begin().await.expect("a transaction");
    sqlx::query("select pg_advisory_xact_lock(1650814060, n) from generate_series(0, 15) n")
        .execute(&mut *held)
        .await
        .expect("held");
    let key = hook_key(HOOK_SECRET, place(1));
    let url = format!("http://127.0.0.1:{}/apps/{APP}/hooks/1/{key}", scene.public);
    let events: Vec<String> = (1..=20)
        .map(|id| {
            format!(
                r#"{{"company_id":1,"resource":"record","resource_id":{id},"status":"create","data":{{"id":{id}}}}}"#
            )
        })
        .collect();
    for event in &events {
        let answer = scene
            .http
            .post(&url)
            .header("Content-Type", "application/json")
            .body(event.clone())
            .send()
            .await;
        assert_eq!(answer.expect("an answer").status(), 200);
    }
    let judged = scene.api("events?kind=record.created&state=processed").await;
    assert_eq!(
        judged["items"],
        Value::Array(Vec::new()),
        "nothing was judged before the kill"
    );
    scene.process.kill().await.expect("killed");
    held.rollback().await.expect("let go");
    scene.killed_and_started().await;
    scene
        .until("all are told", async || scene.sandbox.inbox().await.len() >= 20)
        .await;
    let told: Vec<String> = scene.sandbox.inbox().await.into_iter().map(|one| one.body).collect();
    let wanted: Vec<String> = (1..=20).map(|id| id.to_string()).collect();
    assert_eq!(told, wanted);
    // The sender did not hear the answer and sends one again.
    let again = scene
        .http
        .post(&url)
        .header("Content-Type", "application/json")
        .body(events[0].clone())
        .send()
        .await;
    assert_eq!(again.expect("an answer").status(), 200);
    let stored = scene.api("events?kind=record.created&limit=100").await;
    assert_eq!(stored["items"].as_array().expect("a list").len(), 20);
    scene.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn killed_again_and_again_it_forwards_every_event_in_its_order(pool: PgPool) {
    const EVENTS: i64 = 40;
    let mut scene = Scene::set(pool).await;
    scene.connect(1).await;
    scene.until("it works", async || scene.jobs().await.len() == 2).await;
    // Every second answer is a failure, so that there is time to die.
    let flaky = Fault::new("inbox.relay", FaultKind::Status)
        .status(500)
        .times(10_000)
        .every(2);
    scene.sandbox.fail(flaky).await.expect("a fault");
    let key = hook_key(HOOK_SECRET, place(1));
    let url = format!("http://127.0.0.1:{}/apps/{APP}/hooks/1/{key}", scene.public);
    for id in 1..=EVENTS {
        let event = format!(
            r#"{{"company_id":1,"resource":"client","resource_id":{id},"status":"create","data":{{"id":{id}}}}}"#
        );
        let sent = scene
            .http
            .post(&url)
            .header("Content-Type", "application/json")
            .body(event);
        assert_eq!(sent.send().await.expect("an answer").status(), 200);
    }
    let taken = async |scene: &Scene| -> Vec<i64> {
        let inbox = scene.sandbox.inbox().await;
        let took = inbox.iter().filter(|one| one.name == "relay" && one.status == 200);
        let number = |body: &str| -> i64 {
            let body: Value = serde_json::from_str(body).expect("JSON");
            body["data"]["event"]["resource_id"].as_i64().expect("a number")
        };
        took.map(|one| number(&one.body)).collect()
    };
    for goal in [5, 12, 20] {
        scene
            .until("some are taken", async || taken(&scene).await.len() >= goal)
            .await;
        scene.killed_and_started().await;
    }
    scene
        .until("the last is taken", async || taken(&scene).await.contains(&EVENTS))
        .await;
    // What was under way at a kill came again, under the same name; nothing overtook anything.
    let mut first = taken(&scene).await;
    first.dedup();
    let mut seen = std::collections::BTreeSet::new();
    first.retain(|number| seen.insert(*number));
    assert_eq!(first, (1..=EVENTS).collect::<Vec<_>>());
    scene.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn asked_to_stop_it_finishes_what_it_has_begun(pool: PgPool) {
    let mut scene = Scene::set(pool).await;
    scene.connect(1).await;
    scene.until("it works", async || scene.jobs().await.len() == 2).await;
    let mut slow = unanswered("add_discount");
    slow.hang_seconds = Some(1);
    scene.sandbox.fail(slow).await.expect("a fault");
    let mut slow = unanswered("activate");
    slow.hang_seconds = Some(1);
    scene.sandbox.fail(slow).await.expect("a fault");
    scene.connect(2).await;
    scene
        .until("the activation hangs", async || scene.called("activate").await == 2)
        .await;
    let began = Instant::now();
    assert_eq!(scene.terminated().await.code(), Some(0));
    assert!(began.elapsed() > Duration::from_millis(500), "it waited for the answer");
    let leased: i64 = sqlx::query_scalar("select count(*) from lanes where leased_until is not null")
        .fetch_one(&scene.pool)
        .await
        .expect("a count");
    assert_eq!(leased, 0, "whoever comes next need not wait for a lease");
    let open: i64 = sqlx::query_scalar("select count(*) from attempts where outcome is null")
        .fetch_one(&scene.pool)
        .await
        .expect("a count");
    assert_eq!(open, 0);

    scene.process = serve(&scene.folder);
    scene.ready().await;
    scene
        .sandbox
        .change(Change::new(1, "record", "create"))
        .await
        .expect("changed");
    scene
        .until("it goes on", async || {
            let jobs = scene.jobs().await;
            jobs.len() == 5 && jobs.iter().all(|job| job.contains("completed"))
        })
        .await;
    assert_eq!(scene.called("activate").await, 2);
    let killed = {
        scene.process.kill().await.expect("killed");
        scene.process.wait().await.expect("a status")
    };
    assert_eq!(killed.signal(), Some(9));
    scene.sandbox.stop().await;
}
