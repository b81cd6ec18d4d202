//! A running Bellhop between a sandbox marketplace and a database of its own. It speaks the words of
//! the product; its end checks that nothing is stuck.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use bellhop::{
    cli::service::Service,
    config::Config,
    domain::{
        ids::{ApplicationId, LocationId, Place},
        signature::hook_key,
    },
    sandbox::{
        Application, Brand, Connect, Connected, Delivery, Location, Options, Received, Sandbox, Tariff, TariffOption,
    },
    store::ageing,
};
use serde_json::Value;
use sqlx::{ConnectOptions, PgPool};

use super::contract::{self, Answer};
use crate::ports::free_port;

pub(crate) const TOKEN: &str = "test-partner-token-0001";
pub(crate) const HOOK_SECRET: &str = "a hook secret for tests only";
pub(crate) const OPERATOR_TOKEN: &str = "operator-token-for-tests";
pub(crate) const APP: i64 = 18289;
/// A second application of the same developer account.
pub(crate) const SIBLING: i64 = 18290;
/// Nothing in a test takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Stage {
    pub(crate) service: Service,
    pub(crate) sandbox: Sandbox,
    pub(crate) pool: PgPool,
    pub(crate) http: reqwest::Client,
    folder: tempfile::TempDir,
    config: String,
}

/// The owner's way to these locations.
fn visit(locations: &[i64]) -> Connect {
    Connect {
        location_ids: locations.to_vec(),
        follow: true,
        ..Connect::new(APP, locations[0])
    }
}

impl Stage {
    /// A stage whose application has these rules.
    pub(crate) async fn set(pool: PgPool, rules: &str) -> Self {
        Self::set_with(pool, rules, |_| {}, "").await
    }

    /// The same with other terms of the sandbox, and with more configuration.
    pub(crate) async fn set_with(pool: PgPool, rules: &str, terms: impl FnOnce(&mut Options), more: &str) -> Self {
        let last = "rules = [\"rules.toml\"]";
        Self::set_edited(pool, rules, terms, &[(last, &format!("{last}\n{more}"))]).await
    }

    /// The same with other lines in place of some of the configuration.
    pub(crate) async fn set_edited(
        pool: PgPool,
        rules: &str,
        terms: impl FnOnce(&mut Options),
        edits: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut options = Options::new(TOKEN, Brand::Altegio);
        options.delivery = Delivery::immediate();
        options.mailbox = Some(([127, 0, 0, 1], 0).into());
        terms(&mut options);
        let sandbox = Sandbox::start(options).await.expect("a sandbox");
        std::fs::write(
            folder.path().join("rules.toml"),
            rules.replace("{sandbox}", &sandbox.url()),
        )
        .expect("written");
        let config = edited(configuration(&sandbox), edits);
        let service = start(&config, folder.path(), &pool).await;
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .expect("a client");
        let stage = Self {
            service,
            sandbox,
            pool,
            http,
            folder,
            config,
        };
        stage.tell_the_sandbox().await;
        stage
    }

    /// Tells the marketplace where we are: a free port after every start.
    async fn tell_the_sandbox(&self) {
        for id in [APP, SIBLING] {
            let application = Application {
                id,
                title: "Example".to_owned(),
                callback_url: self.url(&format!("apps/{id}/callback")),
                redirect_url: self.url(&format!("apps/{id}/connect")),
                tariffs: vec![Tariff {
                    id: 89,
                    title: "1 month".to_owned(),
                    options: vec![TariffOption {
                        id: 123,
                        ..TariffOption::default()
                    }],
                }],
                ..Application::default()
            };
            self.sandbox.put_application(application).await.expect("an application");
        }
    }

    /// An address of the public listener.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.service.listeners.public.port())
    }

    /// A webhook address as Bellhop registers it.
    pub(crate) fn hook(&self, location: i64) -> String {
        let key = hook_key(HOOK_SECRET, place(location));
        self.url(&format!("apps/{APP}/hooks/{location}/{key}"))
    }

    /// The owner of these locations presses Connect and the browser follows.
    pub(crate) async fn connect(&self, locations: &[i64]) -> Connected {
        for location in locations {
            self.sandbox
                .put_location(Location::new(*location))
                .await
                .expect("a location");
        }
        self.sandbox.connect(visit(locations)).await.expect("connected")
    }

    /// Connects and waits until everything that follows from it is done.
    pub(crate) async fn connected(&self, locations: &[i64]) {
        let began = Instant::now();
        let mut seen = self.connect(locations).await.followed;
        // On a busy machine the page may say that the visit could not be noted in time; it opens itself again.
        while seen.is_some_and(|page| page.status == 503) {
            assert!(began.elapsed() < PATIENCE, "no visit is noted");
            tokio::time::sleep(Duration::from_millis(100)).await;
            seen = self.sandbox.open(visit(locations)).await.expect("opened").followed;
        }
        self.settled().await;
        for location in locations {
            // A try that failed may wait for the next one.
            self.until("it is active", async || self.status(*location).await == "active")
                .await;
        }
        self.settled().await;
    }

    /// Sends bytes to a public address; the status and the body of the answer.
    pub(crate) async fn post(&self, url: &str, body: impl Into<Vec<u8>>) -> (u16, String) {
        let request = self
            .http
            .post(url)
            .header("Content-Type", "application/json")
            .body(body.into());
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }

    /// Reads a public page; status, `Location`, body.
    pub(crate) async fn open(&self, url: &str) -> (u16, Option<String>, String) {
        let answer = self.http.get(url).send().await.expect("an answer");
        let to = answer
            .headers()
            .get("location")
            .map(|to| to.to_str().expect("text").to_owned());
        (answer.status().as_u16(), to, answer.text().await.expect("a body"))
    }

    /// Asks the operator API.
    pub(crate) async fn api(&self, path: &str) -> Value {
        let answer = self.asked("GET", path, None).await;
        assert_eq!(answer.status, 200, "{path}");
        answer.json()
    }

    /// Everything Bellhop knows of a location.
    pub(crate) async fn location(&self, location: i64) -> Value {
        self.api(&format!("locations/{APP}/{location}")).await
    }

    /// Where it stands for Bellhop.
    pub(crate) async fn status(&self, location: i64) -> String {
        self.location(location).await["status"]
            .as_str()
            .unwrap_or("nothing")
            .to_owned()
    }

    /// Events as `kind source state reason`, oldest first.
    pub(crate) async fn events(&self, location: i64) -> Vec<String> {
        let page = self.api(&format!("events?location={location}&limit=500")).await;
        let text = |item: &Value, key: &str| item[key].as_str().unwrap_or("").to_owned();
        let line = |item: &Value| {
            ["kind", "source", "state", "reason"]
                .map(|key| text(item, key))
                .join(" ")
                .trim_end()
                .to_owned()
        };
        let mut lines: Vec<String> = page["items"].as_array().expect("a list").iter().map(line).collect();
        lines.reverse();
        lines
    }

    /// Jobs as `rule action state attempts`, oldest first.
    pub(crate) async fn jobs(&self, location: i64) -> Vec<String> {
        let page = self.api(&format!("jobs?location={location}&limit=500")).await;
        let line = |item: &Value| {
            let rule = item["rule"].as_str().unwrap_or("-");
            let (action, state) = (
                item["action"].as_str().unwrap_or(""),
                item["state"].as_str().unwrap_or(""),
            );
            format!("{rule} {action} {state} {}", item["attempts"])
        };
        let mut lines: Vec<String> = page["items"].as_array().expect("a list").iter().map(line).collect();
        lines.reverse();
        lines
    }

    /// What was decided about a location's events, as `rule result reason`, in order.
    pub(crate) async fn decisions(&self, location: i64) -> Vec<String> {
        sqlx::query_scalar(
            "select concat_ws(' ', d.rule, d.result, d.reason) from decisions d join events e on e.id = d.event_id
             where e.location_id = $1 order by e.id, d.rule",
        )
        .bind(location)
        .fetch_all(&self.pool)
        .await
        .expect("decisions")
    }

    /// Waits until every event is judged and every job that is due is done, on both sides. Where there is much to do it
    /// may take longer.
    pub(crate) async fn settled(&self) {
        let began = Instant::now();
        let (mut quiet, mut most) = (0, 0);
        while quiet < 2 {
            self.sandbox.settle().await.expect("the sandbox settles");
            let busy: i64 = sqlx::query_scalar(
                "select (select count(*) from inbox)
                    + (select count(*) from lanes where run_at <= now() or leased_until is not null)
                    + (select count(*) from replayed where judged_at is null)
                    + (select count(*) from timers where due_at <= now() and fired_for is distinct from due_at)
                    + (select count(*) from schedules where due_at <= now())
                    + (select count(*) from silences where due_at <= now())",
            )
            .fetch_one(&self.pool)
            .await
            .expect("a count");
            quiet = if busy == 0 { quiet + 1 } else { 0 };
            most = busy.max(most);
            let allowed = PATIENCE + Duration::from_millis(200) * u32::try_from(most).expect("a count");
            assert!(began.elapsed() < allowed, "not settled: {:?}", self.stuck().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn stuck(&self) -> Vec<String> {
        sqlx::query_scalar("select concat_ws(' ', location_id, rule, action, state, attempts, last_error) from jobs")
            .fetch_all(&self.pool)
            .await
            .expect("jobs")
    }

    /// Time passes, for both sides.
    pub(crate) async fn pass(&self, time: Duration) {
        self.settled().await;
        ageing::age(&self.pool, i64::try_from(time.as_secs()).expect("not that long"))
            .await
            .expect("aged");
        self.sandbox.advance(time).await.expect("time passes");
        self.settled().await;
    }

    /// Stops the service and starts another on the same database.
    pub(crate) async fn restarted(self) -> Self {
        let pool = self.pool.clone();
        self.moved(pool).await
    }

    /// Stops the service and starts another on that database.
    pub(crate) async fn moved(self, pool: PgPool) -> Self {
        let Self {
            service,
            sandbox,
            http,
            folder,
            config,
            ..
        } = self;
        service.stop().await;
        let service = start(&config, folder.path(), &pool).await;
        let stage = Self {
            service,
            sandbox,
            pool,
            http,
            folder,
            config,
        };
        stage.tell_the_sandbox().await;
        stage
    }

    /// The same with another configuration.
    pub(crate) async fn reconfigured(self, edits: &[(&str, &str)]) -> Self {
        let config = edited(self.config, edits);
        Self { config, ..self }.restarted().await
    }

    /// All events as `location kind source state reason`, oldest first; `-` without a location.
    pub(crate) async fn all_events(&self) -> Vec<String> {
        let page = self.api("events?limit=500").await;
        let line = |item: &Value| {
            let location = item["location_id"].as_i64().map_or("-".to_owned(), |id| id.to_string());
            let words = ["kind", "source", "state", "reason"].map(|key| item[key].as_str().unwrap_or(""));
            format!("{location} {}", words.join(" ")).trim_end().to_owned()
        };
        let mut lines: Vec<String> = page["items"].as_array().expect("a list").iter().map(line).collect();
        lines.reverse();
        lines
    }

    /// An address of the operator API.
    pub(crate) fn operator_url(&self, path: &str) -> String {
        format!(
            "http://127.0.0.1:{}/api/v1/{path}",
            self.service.listeners.operator.port()
        )
    }

    /// The metrics as Prometheus reads them.
    pub(crate) async fn metrics(&self) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.service.listeners.operator.port());
        let answer = self.http.get(&url).send().await.expect("an answer");
        answer.text().await.expect("a body")
    }

    /// How often the marketplace was asked to do something.
    pub(crate) async fn called(&self, call: &str) -> u64 {
        self.sandbox.calls().await.count(call)
    }

    /// Asks again and again until it is so.
    pub(crate) async fn until(&self, what: &str, so: impl AsyncFn() -> bool) {
        let began = Instant::now();
        while !so().await {
            assert!(
                began.elapsed() < PATIENCE,
                "never came: {what}; {:?} {:?} {:#?}",
                self.odd().await,
                self.stuck().await,
                self.newest().await
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What was learnt and done last.
    async fn newest(&self) -> Vec<String> {
        sqlx::query_scalar(
            "select line from (
                select e.received_at as at, concat_ws(' ', 'event', e.id, e.location_id, e.kind, e.source, e.verdict, o.state,
                    coalesce(e.reason, o.note)) as line
                from events e left join outcomes o on o.event_id = e.id
                union all select finished_at, concat_ws(' ', 'job', id, location_id, rule, action, state, last_error, result)
                from finished_jobs
                union all select now(), concat_ws(' ', 'installation', location_id, status, generation, pending_since)
                from installations
             ) as told order by at desc limit 60",
        )
        .fetch_all(&self.pool)
        .await
        .expect("what happened")
    }

    async fn odd(&self) -> Vec<String> {
        sqlx::query_scalar(
            "select 'lease ' || name from lanes where leased_by is not null
             union all select 'lane without jobs ' || name from lanes l where not exists (select from jobs where lane_id = l.id)
             union all select 'job without lane ' || id from jobs j where not exists (select from lanes where id = j.lane_id)
             union all select 'event without an end ' || e.id from events e
                where e.verdict = 'received' and e.location_id is not null and not exists (select from outcomes where event_id = e.id)
             union all select 'open attempt of job ' || job_id from attempts where outcome is null",
        )
        .fetch_all(&self.pool)
        .await
        .expect("invariants")
    }

    /// Ends the scene: nothing may be stuck, leased or unexplained.
    pub(crate) async fn end(self) {
        // What is tried again later may just have begun again.
        self.until("the end", async || {
            self.settled().await;
            self.odd().await.is_empty()
        })
        .await;
        self.service.stop().await;
        self.sandbox.stop().await;
    }

    /// Another process's worth of service on the same database.
    pub(crate) async fn another(&self) -> Service {
        start(&self.config, self.folder.path(), &self.pool).await
    }

    /// Nobody is at home for a while; whoever comes back has these rules. What the sandbox tells
    /// meanwhile is lost.
    pub(crate) async fn away(self, time: Duration, rules: &str) -> Self {
        self.settled().await;
        // Read by the next start only.
        self.write_rules(rules);
        self.service.stop().await;
        ageing::age(&self.pool, i64::try_from(time.as_secs()).expect("not that long"))
            .await
            .expect("aged");
        self.sandbox.advance(time).await.expect("time passes");
        let service = start(&self.config, self.folder.path(), &self.pool).await;
        let stage = Self { service, ..self };
        stage.tell_the_sandbox().await;
        stage
    }

    /// The database takes nobody any more, and lets everybody go: also who looks at it from a test.
    pub(crate) async fn without_database(&self) {
        let mut alone = self.pool.connect_options().connect().await.expect("a connection");
        let name: String = sqlx::query_scalar("select quote_ident(current_database())")
            .fetch_one(&mut alone)
            .await
            .expect("its name");
        sqlx::query(sqlx::AssertSqlSafe(format!("alter database {name} connection limit 0")))
            .execute(&mut alone)
            .await
            .expect("closed");
        sqlx::query(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid()",
        )
        .execute(&mut alone)
        .await
        .expect("let go");
    }

    /// Other rules stand in the file; nobody has read them yet.
    pub(crate) fn write_rules(&self, rules: &str) {
        let rules = rules.replace("{sandbox}", &self.sandbox.url());
        std::fs::write(self.folder.path().join("rules.toml"), rules).expect("written");
    }

    /// Asks the operator API to do something; the status and what it says.
    pub(crate) async fn order(&self, path: &str) -> (u16, Value) {
        let answer = self.asked("POST", path, None).await;
        (answer.status, answer.json())
    }

    /// An answer of the operator API, which is one that its description tells of.
    pub(crate) async fn asked(&self, method: &str, path: &str, said: Option<&Value>) -> Answer {
        let verb = method.parse().expect("a method");
        let mut request = self
            .http
            .request(verb, self.operator_url(path))
            .bearer_auth(OPERATOR_TOKEN);
        if let Some(said) = said {
            request = request
                .header("Content-Type", "application/json")
                .body(said.to_string());
        }
        let answer = Answer::read(request.send().await.expect("an answer")).await;
        contract::fits(method, &format!("/api/v1/{path}"), &answer);
        answer
    }

    /// The same with more to say.
    pub(crate) async fn order_with(&self, path: &str, said: &Value) -> (u16, Value) {
        let answer = self.asked("POST", path, Some(said)).await;
        (answer.status, answer.json())
    }

    /// The requests that one of the sandbox's inboxes took, oldest first.
    pub(crate) async fn inbox(&self, name: &str) -> Vec<Received> {
        let all = self.sandbox.inbox().await;
        all.into_iter().filter(|received| received.name == name).collect()
    }

    /// Everything about the newest job of a location.
    pub(crate) async fn last_job(&self, location: i64) -> Value {
        let page = self.api(&format!("jobs?location={location}&limit=1")).await;
        self.api(&format!("jobs/{}", page["items"][0]["id"])).await
    }
}

pub(crate) fn place(location: i64) -> Place {
    Place {
        application_id: ApplicationId(APP),
        location_id: LocationId(location),
    }
}

pub(crate) fn days(count: u64) -> Duration {
    Duration::from_secs(count * 24 * 60 * 60)
}

fn edited(mut config: String, edits: &[(&str, &str)]) -> String {
    for (line, other) in edits {
        assert!(config.contains(line), "no such line: {line}");
        config = config.replacen(line, other, 1);
    }
    config
}

fn configuration(sandbox: &Sandbox) -> String {
    let url = sandbox.url();
    let smtp = sandbox.smtp_addr().expect("a mailbox").port();
    format!(
        r#"
        [server]
        listen = "127.0.0.1:0"
        public_url = "http://127.0.0.1:1"
        threads = 1
        [operator]
        listen = "127.0.0.1:0"
        token = "{OPERATOR_TOKEN}"
        [database]
        connections = 8
        [security]
        hook_secret = "{HOOK_SECRET}"
        [reconcile]
        enabled = false
        [jobs]
        poll = "20ms"
        backoff = "50ms"
        backoff_limit = "400ms"
        lease = "3s"
        [smtp]
        host = "127.0.0.1"
        port = {smtp}
        from = "Example <hello@example.com>"
        tls = "none"
        [telegram]
        base = "{url}/telegram"
        [[account]]
        name = "main"
        partner_token = "{TOKEN}"
        partner_base = "{url}/marketplace"
        api_base = "{url}/api/v1"
        request_timeout = "2s"
        requests_per_second = 1000
        requests_per_minute = 60000
        [[application]]
        id = {APP}
        account = "main"
        name = "Example app"
        rules = ["rules.toml"]
        "#
    )
}

/// The public address is only known once the port is taken, and the webhook addresses contain it: the
/// port is chosen first.
async fn start(config: &str, folder: &Path, pool: &PgPool) -> Service {
    let port = free_port();
    let config = config
        .replacen("127.0.0.1:0", &format!("127.0.0.1:{port}"), 1)
        .replace("http://127.0.0.1:1\"", &format!("http://127.0.0.1:{port}\""));
    let config = Config::from_text(&config, folder).expect("a valid configuration");
    let url = pool.connect_options().to_url_lossy().to_string();
    Service::start(config, &url, true).await.expect("a service")
}
