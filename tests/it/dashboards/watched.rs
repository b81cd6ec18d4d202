//! A healthy Bellhop under the load of a sandbox, watched by a real Prometheus: every panel shows something, or is empty
//! because all is well; no alert fires that gets people up.

use std::{collections::BTreeSet, time::Duration};

use bellhop::sandbox::{Application, Change, Fault, FaultKind, Pay, Place, Tariff, TariffOption};
use serde_json::Value;
use sqlx::PgPool;

use super::{asking, dashboards, prometheus::Prometheus};
use crate::service::stage::{APP, Stage, days};

const USER: &str = "system-user-token";

/// What is empty in a healthy run, by panel and legend, and why.
const EMPTY_WHEN_ALL_IS_WELL: [(&str, &str, &str); 11] = [
    ("Alerts that fire", "{{alertname}} ({{severity}})", "no alert fires"),
    ("Failures", "deliveries refused", "every delivery is taken in"),
    ("Failures", "events failed", "every event can be judged"),
    ("Failures", "conditions failed", "every condition can be answered"),
    ("Failures", "jobs given up", "no job fails for good"),
    ("Failures", "steps failed", "every worker steps"),
    (
        "Jobs in the queue",
        "{{action}}",
        "what is queued is done before anybody looks",
    ),
    ("Starts that failed", "{{action}}", "no job fails"),
    ("Given up", "{{action}}", "no job fails for good"),
    ("Deliveries not taken in", "{{result}}", "every delivery is taken in"),
    ("Failed steps of workers", "{{worker}}", "every worker steps"),
];

const RULES: &str = r#"
[[rule]]
name = "welcome"
on = "installation.activated"
[[rule.then]]
action = "set_discount"
percent = 20
[[rule.then]]
action = "send_email"
to = "owner@example.com"
subject = "Welcome"
text = "20 % for {{ location.id }}"
[[rule]]
name = "contract"
on = "installation.activated"
when = 'location.id == 2'
[[rule.then]]
action = "report_payment"
amount = 29.90
currency = "EUR"
months = 1
[[rule]]
name = "offer"
on = "installation.frozen"
[[rule.then]]
action = "create_payment_link"
discount = 15
[[rule]]
name = "relay"
on = "record.*"
[[rule.then]]
action = "forward_event"
url = "{sandbox}/inbox/relay"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
[[rule]]
name = "marked"
on = "record.updated"
cap_per_day = 100000
[[rule.then]]
action = "set_tag"
tag = "busy"
[[rule]]
name = "considered"
on = "record.updated"
mode = "shadow"
[[rule.then]]
action = "set_tag"
tag = "considered"
"#;

fn at(location_id: i64) -> Place {
    Place {
        application_id: APP,
        location_id,
    }
}

/// The application with a user token, so that webhook settings can be read, and something that can be bought.
async fn furnished(pool: PgPool) -> Stage {
    let token = format!("rules = [\"rules.toml\"]\nuser_token = \"{USER}\"");
    let edits = [
        ("rules = [\"rules.toml\"]", token.as_str()),
        ("enabled = false", "interval = \"1s\"\nhooks_interval = \"1m\""),
    ];
    let stage = Stage::set_edited(pool, RULES, |_| {}, &edits).await;
    let application = Application {
        id: APP,
        callback_url: stage.url(&format!("apps/{APP}/callback")),
        redirect_url: stage.url(&format!("apps/{APP}/connect")),
        system_user_token: USER.to_owned(),
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
    stage
        .sandbox
        .put_application(application)
        .await
        .expect("an application");
    stage
}

/// Weeks of marketplace life: who connects, pays, does not pay and leaves.
async fn live(stage: &Stage) {
    stage.connected(&[1, 2, 3, 4]).await;
    let pay = Pay {
        application_id: APP,
        location_id: 1,
        ..Pay::default()
    };
    stage.sandbox.pay(pay).await.expect("paid");
    stage.sandbox.disconnect(at(4)).await.expect("uninstalled");
    // The trial ends: those who have not paid are frozen.
    stage.pass(days(20)).await;
    let pay = Pay {
        application_id: APP,
        location_id: 3,
        ..Pay::default()
    };
    stage.sandbox.pay(pay).await.expect("paid");
    stage.settled().await;
}

/// A moment of every day: somebody connects and leaves, which nobody tells us, and appointments change.
async fn bustle(stage: &Stage, location: i64) {
    stage.connected(&[location]).await;
    let lost = Fault::new("callback.uninstall", FaultKind::Lost);
    stage.sandbox.fail(lost).await.expect("a fault");
    stage.sandbox.disconnect(at(location)).await.expect("uninstalled");
    for at in [1, 2, 3] {
        for change in ["create", "update", "delete"] {
            stage
                .sandbox
                .change(Change::new(at, "record", change))
                .await
                .expect("changed");
        }
    }
}

/// An expression as Grafana would send it for a view of the last minute.
fn filled_in(expression: &str) -> String {
    expression
        .replace("$__rate_interval", "10s")
        .replace("$__interval", "10s")
        .replace("$__range", "1m")
        .replace("$application", ".*")
        .replace("$job", "bellhop")
}

/// The queries of all panels that answer nothing, as panel and legend.
async fn silent(prometheus: &Prometheus) -> BTreeSet<(String, String)> {
    let mut silent = BTreeSet::new();
    for (_, dashboard) in &dashboards() {
        for panel in asking(dashboard) {
            for target in panel["targets"].as_array().unwrap() {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                let answer = prometheus.ask(&filled_in(&text(&target["expr"]))).await;
                if !answer.iter().any(|(_, value)| value.is_finite()) {
                    silent.insert((text(&panel["title"]), text(&target["legendFormat"])));
                }
            }
        }
    }
    silent
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn every_panel_shows_a_healthy_bellhop_and_nobody_is_got_up(pool: PgPool) {
    let stage = furnished(pool).await;
    let prometheus = Prometheus::watching(stage.service.listeners.operator.port(), &[], (2, 15)).await;
    live(&stage).await;
    let expected = EMPTY_WHEN_ALL_IS_WELL.map(|(panel, legend, _)| (panel.to_owned(), legend.to_owned()));
    let expected = BTreeSet::from(expected);
    // What never showed anything, and what showed something at every look: a busy machine misses a scrape now and then, and
    // what only shows when it is going on needs some moments of life between two looks.
    let (mut never, mut always) = (None, expected.clone());
    for location in 10..40 {
        bustle(&stage, location).await;
        tokio::time::sleep(Duration::from_millis(2200)).await;
        let silent = silent(&prometheus).await;
        always.retain(|one| !silent.contains(one));
        let still: BTreeSet<_> = match never {
            None => silent,
            Some(never) => silent.intersection(&never).cloned().collect(),
        };
        let firing = prometheus.firing().await;
        assert!(!firing.values().any(|severity| severity == "critical"), "{firing:?}");
        let is_enough = still.is_subset(&expected) && always.is_empty() && location > 12;
        never = Some(still);
        if is_enough {
            break;
        }
    }
    let missing: Vec<_> = never.iter().flatten().filter(|one| !expected.contains(one)).collect();
    assert!(missing.is_empty(), "these panels show nothing: {missing:?}");
    assert!(
        always.is_empty(),
        "these were said to be empty when all is well: {always:?}"
    );
    stage.end().await;
}
