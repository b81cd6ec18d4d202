//! A marketplace, a database and some processes of Bellhop behind one door.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bellhop::sandbox::{
    Application, Brand, CallRecord, Delivery, Limits, Location, Mail, Options, Received, Sandbox, Sent, Tariff,
    TariffOption, Truth,
};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::time::sleep;

use super::{door::Door, oracle::Oracle, plan::Plan, process::Process};
use crate::service::stage::{APP, HOOK_SECRET, OPERATOR_TOKEN, SIBLING, TOKEN};

/// The marketplace's trial, in days.
pub(crate) const TRIAL: u32 = 14;

/// Every kind of work: calls that may be repeated, calls that move money, messages, steps that need each other's
/// results, a condition.
pub(crate) const RULES: &str = r#"
[[rule]]
name = "welcome"
on = "installation.activated"
once_per = "location"
[[rule.then]]
action = "set_discount"
percent = 20

[[rule]]
name = "contract"
on = "installation.activated"
[[rule.then]]
action = "report_payment"
amount = 29.90
currency = "EUR"
days = 1

[[rule]]
name = "mistake"
on = "installation.activated"
[[rule.then]]
id = "wrong"
action = "report_payment"
amount = 19.90
currency = "EUR"
days = 1
[[rule.then]]
action = "refund_payment"
payment = "{{ wrong.payment_id }}"

[[rule]]
name = "goodbye"
on = "installation.uninstalled"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/goodbye"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

[[rule]]
name = "paid"
on = "payment.received"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/paid"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

[[rule]]
name = "told"
on = "record.created"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/told"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ event.resource_id }}"

[[rule]]
name = "came"
on = "record.updated"
when = 'event.data.attendance == 1'
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/came"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ event.resource_id }}"

[[rule]]
name = "offer"
on = "record.deleted"
[[rule.then]]
id = "link"
action = "create_payment_link"
discount = 10
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/offer"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ link.url }}"

[[rule]]
name = "letter"
on = "client.created"
[[rule.then]]
action = "send_email"
to = "client@example.com"
subject = "Hello {{ event.resource_id }}"
text = "Hello."
"#;

/// The kinds of entity events that rules wait for, and how many rules each.
pub(crate) const WAITED_FOR: [&str; 4] = ["record.created", "record.updated", "record.deleted", "client.created"];

/// What the round plays in.
pub(crate) struct Scene {
    pub(crate) sandbox: Sandbox,
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
        let sandbox = marketplace(door.port).await;
        for life in &plan.lives {
            sandbox
                .put_location(Location::new(life.place.1))
                .await
                .expect("a location");
        }
        let configuration = configuration(plan, &ground, &sandbox, door.port);
        let processes: Vec<Process> = plan
            .clocks
            .iter()
            .enumerate()
            .map(|(n, clock)| {
                let folder = ground.folder.join(format!("bellhop-{n}"));
                std::fs::create_dir_all(&folder).expect("a folder");
                std::fs::write(folder.join("rules.toml"), RULES.replace("{sandbox}", &sandbox.url())).expect("written");
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

    /// Waits until nobody has anything to do any more; what there still is, when that does not come.
    pub(crate) async fn drained(&self, patience: Duration) -> Result<(), Vec<String>> {
        let began = Instant::now();
        let mut quiet = 0;
        loop {
            let settled = tokio::time::timeout(patience, self.sandbox.settle()).await;
            let left = match settled {
                Ok(Ok(())) => self.left().await,
                _ => vec!["the marketplace is still sending".to_owned()],
            };
            quiet = if left.is_empty() { quiet + 1 } else { 0 };
            if quiet == 3 {
                return Ok(());
            }
            if began.elapsed() > patience {
                return Err(left);
            }
            sleep(Duration::from_millis(40)).await;
        }
    }

    async fn left(&self) -> Vec<String> {
        let left = "select 'event ' || event_id from inbox
            union all select concat_ws(' ', 'job', id, application_id, location_id, rule, action, state, attempts, last_error) from jobs
            union all select concat_ws(' ', 'lane', name, leased_until) from lanes where leased_until > now()
            union all select 'moment ' || kind from timers where due_at <= now() and fired_for is distinct from due_at
            limit 20";
        let rows = sqlx::query_scalar(left).fetch_all(&self.pool).await;
        let mut left = rows.unwrap_or_else(|error| vec![error.to_string()]);
        left.extend(spooled(&self.folder));
        left
    }

    /// What the marketplace remembers.
    pub(crate) async fn memory(&self) -> Memory {
        Memory {
            truth: self.sandbox.truth().await,
            calls: self.sandbox.calls().await.items,
            sent: self.sandbox.deliveries().await,
            inbox: self.sandbox.inbox().await,
            mails: self.sandbox.mails().await,
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

/// Everything the sandbox noted.
#[derive(Clone)]
pub(crate) struct Memory {
    pub(crate) truth: Truth,
    pub(crate) calls: Vec<CallRecord>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) inbox: Vec<Received>,
    pub(crate) mails: Vec<Mail>,
}

async fn marketplace(door: u16) -> Sandbox {
    let mut options = Options::new(TOKEN, Brand::Altegio);
    options.delivery = Delivery::immediate();
    options.mailbox = Some(([127, 0, 0, 1], 0).into());
    for id in [APP, SIBLING] {
        options.applications.push(Application {
            id,
            trial_days: TRIAL,
            callback_url: format!("http://127.0.0.1:{door}/apps/{id}/callback"),
            redirect_url: format!("http://127.0.0.1:{door}/apps/{id}/connect"),
            tariffs: vec![Tariff {
                id: 89,
                title: "1 month".to_owned(),
                options: vec![TariffOption {
                    id: 123,
                    ..TariffOption::default()
                }],
            }],
            ..Application::default()
        });
    }
    Sandbox::start(options).await.expect("a sandbox")
}

/// `{public}` and `{operator}` are filled in by each process.
fn configuration(plan: &Plan, ground: &Ground<'_>, sandbox: &Sandbox, door: u16) -> String {
    let smtp = sandbox.smtp_addr().expect("a mailbox").port();
    let url = ground.marketplace.clone().unwrap_or_else(|| sandbox.url());
    let Limits {
        per_second, per_minute, ..
    } = plan.limits;
    let application = |id: i64| {
        format!(
            "[[application]]\nid = {id}\naccount = \"main\"\nname = \"Example\"\ntrial_days = {TRIAL}\nrules = [\"rules.toml\"]\n"
        )
    };
    format!(
        r#"
[server]
listen = "127.0.0.1:{{public}}"
public_url = "http://127.0.0.1:{door}"
threads = 1
ack_deadline = "2s"
body_limit = 24576
shutdown_grace = "8s"
[operator]
listen = "127.0.0.1:{{operator}}"
token = "{OPERATOR_TOKEN}"
[database]
url = "{database}"
connections = 8
[security]
hook_secret = "{HOOK_SECRET}"
[intake]
duplicate_window = "80d"
unsigned_connects_per_minute = 10000
[reconcile]
interval = "15s"
share = 0.8
[jobs]
poll = "50ms"
backoff = "50ms"
backoff_limit = "1s"
lease = "3s"
max_attempts = 1000
[smtp]
host = "127.0.0.1"
port = {smtp}
from = "Example <hello@example.com>"
tls = "none"
[[account]]
name = "main"
partner_token = "{TOKEN}"
partner_base = "{url}/marketplace"
api_base = "{url}/api/v1"
request_timeout = "1s"
requests_per_second = {per_second}
requests_per_minute = {per_minute}
[spool]
dir = "{spool}"
limit = "{limit}"
{}{}"#,
        application(APP),
        application(SIBLING),
        spool = if plan.spool.shared { "../spool" } else { "spool" },
        limit = if plan.spool.small { "384KiB" } else { "64MiB" },
        database = ground.database,
    )
}
