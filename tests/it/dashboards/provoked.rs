//! Alerts that a running Bellhop is made to raise, as a real Prometheus sees it. The unit tests of the rules have the rest,
//! and all of these again.

use std::{collections::BTreeSet, time::Duration};

use bellhop::{
    sandbox::{Change, Fault, FaultKind, Forged, ForgedToken},
    store::ageing,
};
use sqlx::PgPool;

use super::prometheus::Prometheus;
use crate::service::stage::{APP, Stage};

/// What the test of this file sees fire, in this order.
pub(super) const FIRED_BY_A_RUNNING_BELLHOP: [&str; 18] = [
    "BellhopNoFigures",
    "BellhopActivationLate",
    "BellhopActivationDeadline",
    "BellhopBodiesRefused",
    "BellhopConditionsFail",
    "BellhopDeliveriesQuarantined",
    "BellhopDeliveriesRejected",
    "BellhopForwardingReceiverDown",
    "BellhopJobsDiscarded",
    "BellhopJobsFailing",
    "BellhopRuleHeld",
    "BellhopRulesRefused",
    "BellhopMarketplaceUnauthorized",
    "BellhopMarketplaceThrottled",
    "BellhopPaymentUnknown",
    "BellhopMarketplaceSilent",
    "BellhopDatabaseDown",
    "BellhopDown",
];

const RULES: &str = r#"
[[rule]]
name = "welcome"
on = "installation.activated"
cap_per_day = 1
[[rule.then]]
action = "set_tag"
tag = "new"
[[rule]]
name = "contract"
on = "installation.activated"
when = 'location.id == 3'
[[rule.then]]
action = "report_payment"
amount = 29.90
currency = "EUR"
months = 1
[[rule]]
name = "discount"
on = "record.created"
[[rule.then]]
action = "set_discount"
percent = 20
[[rule]]
name = "careless"
on = "record.updated"
when = 'event.data.price > 100.0'
[[rule.then]]
action = "set_tag"
tag = "large"
[[rule]]
name = "relay"
on = "record.deleted"
[[rule.then]]
action = "forward_event"
url = "http://127.0.0.1:9/nobody"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"#;

async fn changes(stage: &Stage, status: &str, count: usize) {
    for _ in 0..count {
        let change = Change::new(1, "record", status);
        stage.sandbox.change(change).await.expect("changed");
    }
}

async fn fault(stage: &Stage, fault: Fault) {
    stage.sandbox.fail(fault).await.expect("a fault");
}

/// Things that go wrong at the doors and in rules. Counters are noticed when they grow, so all of it comes twice.
async fn trouble_at_the_doors(stage: &Stage) {
    for _ in 0..12 {
        let wrong = stage.url(&format!("apps/{APP}/hooks/1/not-the-key"));
        let number = fastrand::u32(..);
        let body = format!(r#"{{"resource": "record", "status": "create", "resource_id": {number}}}"#);
        stage.post(&wrong, body).await;
    }
    for _ in 0..6 {
        // The same again would be a duplicate.
        let mut forged = Forged::new(APP, fastrand::i64(1000..1_000_000_000), "uninstall");
        forged.token = ForgedToken::Wrong;
        stage.sandbox.callback(forged).await.expect("sent");
    }
    let (status, _) = stage.post(&stage.hook(1), vec![b' '; 1_100_000]).await;
    assert_eq!(status, 413);
    changes(stage, "update", 2).await;
    changes(stage, "delete", 6).await;
}

/// The marketplace refuses what rules want, is told too much, and does not take our token.
async fn trouble_at_the_marketplace(stage: &Stage) {
    fault(
        stage,
        Fault::new("add_discount", FaultKind::Status).status(403).times(8),
    )
    .await;
    changes(stage, "create", 8).await;
    fault(stage, Fault::new("add_discount", FaultKind::RateLimited).times(8)).await;
    changes(stage, "create", 8).await;
    fault(
        stage,
        Fault::new("add_discount", FaultKind::Status).status(401).times(3),
    )
    .await;
    changes(stage, "create", 3).await;
}

/// Waits until each of these has fired, and tells which those were that were waited for.
async fn fires(prometheus: &Prometheus, seen: &mut BTreeSet<String>, alerts: &[&str]) {
    for alert in alerts {
        let fires = async |prometheus: &Prometheus| prometheus.firing().await.contains_key(*alert);
        prometheus.until(alert, fires).await;
        seen.insert((*alert).to_owned());
    }
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn alerts_fire_when_a_running_bellhop_is_in_trouble(pool: PgPool) {
    let quick = [("request_timeout = \"2s\"", "request_timeout = \"400ms\"")];
    let stage = Stage::set_edited(pool, RULES, |_| {}, &quick).await;
    let port = stage.service.listeners.operator.port();
    let prometheus = Prometheus::watching(port, &["bellhop-imposter"], (1, 1)).await;
    let mut seen = BTreeSet::new();
    stage.connected(&[1, 2]).await;
    fires(&prometheus, &mut seen, &["BellhopRuleHeld", "BellhopNoFigures"]).await;

    stage.write_rules("[[rule]]\nname = \"no trigger\"\n");
    stage.order("rules/reload").await;
    for _ in 0..2 {
        trouble_at_the_doors(&stage).await;
        trouble_at_the_marketplace(&stage).await;
        tokio::time::sleep(Duration::from_millis(2500)).await;
    }
    fires(&prometheus, &mut seen, &FIRED_BY_A_RUNNING_BELLHOP[3..14]).await;

    // A payment whose answer is lost, and nobody can look whether it was made.
    let lost = [
        Fault::new("report_payment", FaultKind::TimeoutAfterEffect).at(3),
        Fault::new("status", FaultKind::Status).at(3).times(1000),
    ];
    stage.sandbox.clear_faults().await;
    fault(&stage, lost[0].clone()).await;
    stage.connect(&[3]).await;
    stage
        .until("it is reported", async || stage.called("report_payment").await > 0)
        .await;
    fault(&stage, lost[1].clone()).await;
    fires(&prometheus, &mut seen, &["BellhopPaymentUnknown"]).await;

    // An owner waits, and the marketplace does not answer any more.
    fault(&stage, Fault::new("activate", FaultKind::Status).at(5).times(1000)).await;
    let tried = stage.called("activate").await;
    stage.connect(&[5]).await;
    stage
        .until("it was tried", async || stage.called("activate").await > tried)
        .await;
    ageing::age(&stage.pool, 3200).await.expect("aged");
    let waits = ["BellhopActivationLate", "BellhopActivationDeadline"];
    fires(&prometheus, &mut seen, &waits).await;
    fault(&stage, Fault::new("*", FaultKind::DropConnection).times(100_000)).await;
    changes(&stage, "create", 12).await;
    fires(&prometheus, &mut seen, &["BellhopMarketplaceSilent"]).await;

    stage.without_database().await;
    // Prometheus waits for less here than a pool does for a database.
    stage.service.app.pool.close().await;
    fires(&prometheus, &mut seen, &["BellhopDatabaseDown"]).await;
    stage.service.stop().await;
    fires(&prometheus, &mut seen, &["BellhopDown"]).await;
    stage.sandbox.stop().await;
    let table: BTreeSet<String> = FIRED_BY_A_RUNNING_BELLHOP.map(str::to_owned).into();
    assert_eq!(seen, table);
}
