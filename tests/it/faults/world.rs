//! What a scene is made of: the rules, the configuration of a process, and the marketplace.

use bellhop::sandbox::{Application, Brand, Delivery, Limits, Location, Options, Sandbox, Tariff, TariffOption};
use chrono::TimeDelta;
use serde_json::json;

use super::{plan::Plan, scene::Ground};
use crate::service::stage::{APP, HOOK_SECRET, OPERATOR_TOKEN, SIBLING, TOKEN};

/// The marketplace's trial, in days.
pub(crate) const TRIAL: u32 = 14;

/// What signs every webhook here.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The location of a telephony system: its owner connects before anything happens, and stays.
pub(crate) const RECEPTION: i64 = 90;

/// The name of that system.
pub(crate) const SYSTEM: &str = "reception";

const CRM_TOKEN: &str = "00000000-0000-4000-8000-000000000001";

/// How often `capped` may fire on a day.
pub(crate) const CAP: i64 = 5;

/// How long the second step of `later` waits.
pub(crate) const WAIT: TimeDelta = TimeDelta::seconds(2);

/// Every kind of work: calls that may be repeated, calls that move money, messages, steps that need each other's
/// results, a condition, a mark, a step that waits, a rule that is only watched, one with a cap, and one that relays
/// whatever happens.
const RULES: &str = r#"
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
secret = "{secret}"

[[rule]]
name = "paid"
on = "payment.received"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/paid"
secret = "{secret}"

[[rule]]
name = "told"
on = "record.created"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/told"
secret = "{secret}"
body = "{{ event.resource_id }}"

[[rule]]
name = "came"
on = "record.updated"
when = 'event.data.attendance == 1'
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/came"
secret = "{secret}"
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
secret = "{secret}"
body = "{{ link.url }}"

[[rule]]
name = "letter"
on = "client.created"
[[rule.then]]
action = "send_email"
to = "client@example.com"
subject = "Hello {{ event.resource_id }}"
text = "Hello."
[[rule.then]]
action = "set_tag"
tag = "wrote"

[[rule]]
name = "later"
on = "finances_operation.updated"
keep_after_uninstall = true
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/now"
secret = "{secret}"
body = "{{ application.id }} {{ location.id }} {{ event.resource_id }}"
[[rule.then]]
after = "{wait}"
action = "send_webhook"
url = "{sandbox}/inbox/later"
secret = "{secret}"
body = "{{ application.id }} {{ location.id }} {{ event.resource_id }}"

[[rule]]
name = "capped"
on = "record.updated"
cap_per_day = {cap}
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/capped"
secret = "{secret}"
body = "{{ application.id }} {{ event.id }}"

[[rule]]
name = "watched"
on = "record.created"
mode = "shadow"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/watched"
secret = "{secret}"

[[rule]]
name = "relay"
on = "*"
[[rule.then]]
action = "forward_event"
url = "{receiver}/events"
secret = "{secret}"
"#;

/// The kinds of entity events that rules wait for, and how many rules each: of these every event gets so many
/// decisions. `relay` is one of them.
pub(crate) const WAITED_FOR: [(&str, i64); 6] = [
    ("record.created", 3),
    ("record.updated", 3),
    ("record.deleted", 2),
    ("client.created", 2),
    ("finances_operation.updated", 2),
    ("schedule.updated", 1),
];

/// The rules, with the addresses of those they speak to.
pub(crate) fn rules(sandbox: &str, receiver: &str) -> String {
    let wait = format!("{}s", WAIT.num_seconds());
    let words = [
        ("{sandbox}", sandbox),
        ("{receiver}", receiver),
        ("{secret}", SECRET),
        ("{wait}", &wait),
        ("{cap}", &CAP.to_string()),
    ];
    words
        .iter()
        .fold(RULES.to_owned(), |text, (word, meaning)| text.replace(word, meaning))
}

/// The marketplace, with the locations of a plan and a telephone line that is on.
pub(super) async fn marketplace(door: u16, plan: &Plan) -> Sandbox {
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
    let sandbox = Sandbox::start(options).await.expect("a sandbox");
    let locations = plan.lives.iter().map(|life| life.place.1).chain([RECEPTION]);
    for location in locations {
        sandbox.put_location(Location::new(location)).await.expect("a location");
    }
    enable_line(&sandbox).await;
    sandbox
}

/// By a call of its own, which the marketplace then forgets: it is none of Bellhop's.
async fn enable_line(sandbox: &Sandbox) {
    let enabled = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
        .post(format!("{}/api/v1/voip/integration", sandbox.url()))
        .header("Accept", "application/vnd.api.v2+json")
        .header("Content-Type", "application/json")
        .header("Authorization", format!("Bearer {TOKEN}"))
        .body(json!({"command": "setup", "type": "enable", "crm_token": CRM_TOKEN}).to_string())
        .send()
        .await
        .expect("an answer");
    assert_eq!(enabled.status(), 202);
    sandbox.reset_calls().await;
}

/// `{public}` and `{operator}` are filled in by each process.
pub(super) fn configuration(plan: &Plan, ground: &Ground<'_>, sandbox: &Sandbox, door: u16) -> String {
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
    let telephony = format!(
        "[[application.telephony]]\nname = \"{SYSTEM}\"\nlocation = {RECEPTION}\ncrm_token = \"{CRM_TOKEN}\"\n"
    );
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
{}{telephony}{}"#,
        application(APP),
        application(SIBLING),
        spool = if plan.spool.shared { "../spool" } else { "spool" },
        limit = if plan.spool.small { "384KiB" } else { "64MiB" },
        database = ground.database,
    )
}
