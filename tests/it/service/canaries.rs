//! Every secret there is, and what people are called, are planted; then they are looked for in everything that is
//! written or shown: log, database, spool, metrics, API, console, terminal.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bellhop::{
    domain::signature::{hmac_sha256, hook_key},
    sandbox::{Application, Brand, Connect, Location, Options, Sandbox},
};
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::process::Command;

use super::{
    doors::secrets::found,
    gate::{Gate, Way},
    program::{Program, ended, signal, until},
    stage::{APP, HOOK_SECRET, OPERATOR_TOKEN, TOKEN, place},
};

const FORMER: &str = "canary-former-partner-token";
const WEBHOOK_SECRET: &str = "whsec_Y2FuYXJ5LXdlYmhvb2stc2VjcmV0LTAwMDE=";

/// What nobody may find anywhere.
const SECRETS: [&str; 11] = [
    TOKEN,
    FORMER,
    OPERATOR_TOKEN,
    HOOK_SECRET,
    WEBHOOK_SECRET,
    "canary-database-password",
    "canary-user-token",
    "canary-crm-token",
    "canary-smtp-password",
    "canary-telegram-token",
    "canary-slack-path",
];

/// Who was there. It belongs into the database, into API and terminal, and nowhere else.
const PEOPLE: [&str; 4] = [
    "canary-person@example.com",
    "4915112345678",
    "Canary Person",
    "Canary Hair Studio",
];

const RULES: &str = r#"
[[rule]]
name = "tell"
on = "installation.activated"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/hook"
secret = "whsec_Y2FuYXJ5LXdlYmhvb2stc2VjcmV0LTAwMDE="
body = "{{ location.title }}"
[[rule]]
name = "chat"
on = "installation.activated"
[[rule.then]]
action = "send_telegram"
token = "123456:canary-telegram-token-of-some-length"
chat = "1"
text = "{{ location.title }}"
[[rule]]
name = "slack"
on = "installation.activated"
[[rule.then]]
action = "send_slack"
url = "http://127.0.0.1:1/canary-slack-path"
text = "{{ location.title }}"
[[rule]]
name = "mail"
on = "installation.activated"
[[rule.then]]
action = "send_email"
to = "canary-person@example.com"
subject = "Hello"
text = "{{ location.title }}"
"#;

/// Where everything is planted: the receivers of chats and mail do not answer, so that failures are told too.
const MORE: &str = r#"
user_token = "canary-user-token"
rules = ["rules.toml"]
[[application.telephony]]
name = "pbx"
location = 1
crm_token = "canary-crm-token"
[smtp]
host = "127.0.0.1"
port = 1
from = "Example <hello@example.com>"
tls = "none"
user = "bellhop"
password = "canary-smtp-password"
[telegram]
base = "http://127.0.0.1:1/telegram"
[log]
filter = "trace,actix_server=info"
"#;

struct Scene {
    program: Program,
    gate: Gate,
    sandbox: Sandbox,
    http: reqwest::Client,
}

impl Scene {
    async fn set(pool: PgPool) -> Self {
        let sandbox = Sandbox::start(Options::new(TOKEN, Brand::Altegio))
            .await
            .expect("a sandbox");
        let program = Program::new(pool, "threads = 1", MORE);
        let url = sandbox.url();
        program.change(
            "partner_base = \"http://127.0.0.1:1/",
            &format!("partner_token_previous = \"{FORMER}\"\npartner_base = \"{url}/"),
        );
        program.change("api_base = \"http://127.0.0.1:1/", &format!("api_base = \"{url}/"));
        fs::write(program.path("rules.toml"), RULES.replace("{sandbox}", &url)).expect("written");
        let gate = Gate::to(&program.pool, Way::Open).await;
        program.database_at(&gate.url().replace("@", ":canary-database-password@"));
        let here = |path: &str| format!("http://127.0.0.1:{}/apps/{APP}/{path}", program.public);
        let application = Application {
            id: APP,
            callback_url: here("callback"),
            redirect_url: here("connect"),
            ..Application::default()
        };
        sandbox.put_application(application).await.expect("an application");
        let mut location = Location::new(1);
        location.title = "Canary Hair Studio".to_owned();
        sandbox.put_location(location).await.expect("a location");
        Self {
            program,
            gate,
            sandbox,
            http: reqwest::Client::builder().no_proxy().build().expect("a client"),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.program.public)
    }

    async fn send(&self, path: &str, body: String) -> u16 {
        let request = self.http.post(self.url(path)).body(body).send();
        request.await.expect("an answer").status().as_u16()
    }

    /// Deliveries that are genuine and such that are not, each with as much in them as possible.
    async fn deliver(&self) {
        let key = hook_key(HOOK_SECRET, place(1));
        let hook = format!("apps/{APP}/hooks/1/{key}");
        let client = json!({"name": PEOPLE[2], "phone": PEOPLE[1], "email": PEOPLE[0]});
        let record = json!({"company_id": 1, "resource": "record", "resource_id": 7, "status": "update",
            "data": {"id": 7, "client": client, "comment": TOKEN}});
        let callback = |token: &str| {
            json!({"salon_id": 1, "application_id": APP, "event": "freeze", "partner_token": token, "data": client})
                .to_string()
        };
        for (path, body) in [
            (&hook, record.to_string()),
            (&format!("apps/{APP}/hooks/1/wrong"), record.to_string()),
            (&format!("apps/{APP}/callback"), callback(TOKEN)),
            (&format!("apps/{APP}/callback"), callback(FORMER)),
            (&format!("apps/{APP}/callback"), callback("somebody-elses-token")),
            (&format!("apps/{APP}/callback"), format!("partner_token={TOKEN}&broken")),
            (&hook, format!("[{record}, {TOKEN}, {{\"user_token\": ")),
        ] {
            assert_eq!(self.send(path, body).await, 200, "{path}");
        }
        let data = json!({"id": 1, "name": PEOPLE[2], "phone": PEOPLE[1], "email": PEOPLE[0]}).to_string();
        let sign = hex::encode(hmac_sha256(TOKEN.as_bytes(), data.as_bytes()));
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("salon_id", "1")
            .append_pair("user_data", &STANDARD.encode(data))
            .append_pair("user_data_sign", &sign)
            .append_pair("partner_token", TOKEN)
            .finish();
        let page = self.http.get(self.url(&format!("apps/{APP}/connect?{query}"))).send();
        page.await.expect("a page, or the word to try again");
    }

    /// What the operator's listener shows at a path.
    async fn shown(&self, path: &str) -> String {
        let url = format!("http://127.0.0.1:{}/{path}", self.program.operator);
        let answer = self
            .http
            .get(url)
            .bearer_auth(OPERATOR_TOKEN)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.expect("a text")
    }

    /// All that the API shows.
    async fn api(&self) -> String {
        let mut all = String::new();
        for list in ["locations", "events", "jobs", "ledger", "rules", "plans"] {
            let text = self.shown(&format!("api/v1/{list}")).await;
            let read: Value = serde_json::from_str(&text).expect("JSON");
            for id in read["items"].as_array().into_iter().flatten().map(|item| &item["id"]) {
                if id.is_i64() {
                    all += &self.shown(&format!("api/v1/{list}/{id}")).await;
                }
            }
            all += &text;
        }
        all += &self.shown(&format!("api/v1/locations/{APP}/1")).await;
        all
    }

    /// All that the console shows: every page that a link leads to, from the first one on.
    async fn console(&self) -> BTreeMap<String, String> {
        let address = format!("http://127.0.0.1:{}", self.program.operator);
        let plain = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build();
        let plain = plain.expect("a client");
        let login = plain
            .post(format!("{address}/login"))
            .body(format!("token={OPERATOR_TOKEN}"));
        let came = login.send().await.expect("an answer");
        let cookie = came.headers().get("set-cookie").expect("a session").clone();
        let (mut pages, mut to_see) = (BTreeMap::new(), vec!["/".to_owned()]);
        while let Some(path) = to_see.pop().filter(|_| pages.len() < 500) {
            let asked = plain.get(format!("{address}{path}")).header("cookie", &cookie);
            let answer = asked.send().await.expect("an answer");
            assert_eq!(answer.status(), 200, "{path}");
            let page = answer.text().await.expect("a text");
            let links = page.split(" href=\"").skip(1).filter_map(|rest| rest.split('"').next());
            let links: Vec<String> = links
                .map(|link| link.replace("&#x2f;", "/").replace("&amp;", "&"))
                .collect();
            pages.insert(path, page);
            let new = |link: &String| link.starts_with('/') && !pages.contains_key(link) && !to_see.contains(link);
            let new: BTreeSet<String> = links.into_iter().filter(new).collect();
            to_see.extend(new);
        }
        pages
    }

    /// All that the terminal shows.
    async fn terminal(&self) -> String {
        let commands: [&[&str]; 9] = [
            &["check"],
            &["urls"],
            &["locations", "list", "--json"],
            &["locations", "show", "18289", "1"],
            &["events", "list", "--json"],
            &["events", "show", "1"],
            &["jobs", "list", "--json"],
            &["jobs", "show", "1"],
            &["rules", "list"],
        ];
        let mut all = String::new();
        for args in commands {
            let mut command = Command::new(env!("CARGO_BIN_EXE_bellhop"));
            let output = command
                .args(args)
                .arg("--config")
                .arg(self.program.path("bellhop.toml"))
                .output();
            let output = output.await.expect("it runs");
            assert_eq!(
                output.status.code(),
                Some(0),
                "{args:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            all += &String::from_utf8_lossy(&[output.stdout, output.stderr].concat());
        }
        all
    }

    /// Every byte of the spool.
    fn spool(&self) -> String {
        let mut all = String::new();
        let mut folders = vec![self.program.path("bellhop-spool")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder").flatten() {
                match entry.path() {
                    path if path.is_dir() => folders.push(path),
                    path => all += &String::from_utf8_lossy(&fs::read(path).expect("a file")),
                }
            }
        }
        all
    }

    /// Nothing is left to do, but for what is tried again later.
    async fn quiet(&self) {
        until("everything is done", async || {
            let busy = "select (select count(*) from inbox) + (select count(*) from lanes where run_at <= now() or leased_until is not null)";
            let busy: i64 = sqlx::query_scalar(busy).fetch_one(&self.program.pool).await.expect("a count");
            busy == 0
        })
        .await;
    }
}

/// The planted texts of a list that stand in a text, in clear or in the usual disguises.
fn standing_in(text: &str, planted: &[&'static str]) -> Vec<&'static str> {
    let stands = |secret: &&&str| {
        let disguises = [
            (**secret).to_owned(),
            hex::encode(secret),
            STANDARD.encode(secret).trim_end_matches('=').to_owned(),
            url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        ];
        disguises.iter().any(|disguise| text.contains(disguise.as_str()))
    };
    planted.iter().filter(stands).copied().collect()
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn no_planted_secret_and_no_person_is_found_where_they_do_not_belong(pool: PgPool) {
    let scene = Scene::set(pool).await;
    let mut process = scene.program.start(Vec::new()).await;
    let connect = Connect {
        follow: true,
        ..Connect::new(APP, 1)
    };
    scene.sandbox.connect(connect).await.expect("connected");
    until("it is connected", async || {
        scene.shown("api/v1/locations").await.contains("\"status\":\"active\"")
    })
    .await;
    scene.deliver().await;
    scene.quiet().await;
    scene.gate.now(Way::Shut);
    scene.deliver().await;
    let spool = scene.spool();
    assert!(spool.contains(PEOPLE[1]), "deliveries wait in the spool");
    scene.gate.now(Way::Open);
    until("the spool is empty", async || {
        scene.shown("metrics").await.contains("\nbellhop_spool_events 0\n")
    })
    .await;
    scene.quiet().await;

    let (api, terminal, metrics) = (scene.api().await, scene.terminal().await, scene.shown("metrics").await);
    let pages = scene.console().await;
    for seen in [
        "/locations/18289/1",
        "/events/1",
        "/jobs/1",
        "/firings/1",
        "/rules",
        "/reconciliation",
        "/ledger",
    ] {
        assert!(pages.contains_key(seen), "{seen}: {:?}", pages.keys());
    }
    let console: String = pages.into_values().collect();
    signal(process.id().expect("it runs"), "TERM");
    ended(&mut process).await;
    let log = scene.program.log();
    for text in [&api, &terminal, &console] {
        assert!(text.contains(PEOPLE[3]), "the places are shown");
    }
    for rule in ["tell", "chat", "slack", "mail"] {
        assert!(api.contains(&format!("\"rule\":\"{rule}\"")), "{rule} was tried");
    }
    assert!(
        log.contains("TRACE") && metrics.contains("bellhop_jobs"),
        "they say something"
    );
    for (what, text) in [
        ("spool", &spool),
        ("API", &api),
        ("console", &console),
        ("terminal", &terminal),
        ("metrics", &metrics),
        ("log", &log),
    ] {
        assert_eq!(standing_in(text, &SECRETS), [""; 0], "{what}");
    }
    for (what, text) in [("metrics", &metrics), ("log", &log)] {
        assert_eq!(standing_in(text, &PEOPLE), [""; 0], "{what}");
    }
    for secret in SECRETS {
        assert_eq!(found(&scene.program.pool, secret).await, [""; 0], "{secret}");
    }
    scene.sandbox.stop().await;
}
