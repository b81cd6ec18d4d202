//! What the business is told: money, offers and trials, counted once however many processes work on one database.

use std::collections::BTreeMap;

use bellhop::sandbox::Pay;
use sqlx::PgPool;

use super::stage::{APP, Stage, days};

const RULES: &str = r#"
[[rule]]
name = "offer"
on = "installation.activated"
[[rule.then]]
action = "set_discount"
percent = 20
[[rule.then]]
action = "create_payment_link"
discount = 15
[[rule]]
name = "contract"
on = "installation.activated"
when = 'location.id == 2'
[[rule.then]]
action = "report_payment"
amount = 29.90
currency = "EUR"
months = 1
"#;

/// The metrics of a process, without the prefix.
async fn figures(stage: &Stage, port: u16) -> BTreeMap<String, f64> {
    let url = format!("http://127.0.0.1:{port}/metrics");
    let text = stage
        .http
        .get(&url)
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("a body");
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("bellhop_")?.rsplit_once(' '));
    lines
        .map(|(name, value)| (name.to_owned(), value.parse().expect("a number")))
        .collect()
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn money_offers_and_trials_are_counted_once_by_application_and_currency(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    let other = stage.another().await;
    let ports = [&stage.service, &other].map(|service| service.listeners.operator.port());
    let zero = figures(&stage, ports[0]).await;
    for name in ["conversions", "discounts_set", "payment_links"] {
        assert_eq!(
            zero[&format!("{name}_total{{application=\"{APP}\"}}")],
            0.0,
            "it begins with zero"
        );
    }
    stage.connected(&[1, 2, 3]).await;
    let pay = Pay {
        application_id: APP,
        location_id: 1,
        ..Pay::default()
    };
    let paid = stage.sandbox.pay(pay).await.expect("paid");
    stage.settled().await;
    stage.sandbox.refund(paid.payment_id).await.expect("given back");
    stage.order(&format!("locations/{APP}/1/reconcile")).await;
    stage.settled().await;

    let both = [figures(&stage, ports[0]).await, figures(&stage, ports[1]).await];
    let sum = |name: &str, labels: &str| -> f64 {
        let name = format!("{name}{{application=\"{APP}\"{labels}}}");
        both.iter().filter_map(|figures| figures.get(&name)).sum()
    };
    let money = |currency: &str, result: &str| {
        let labels = format!(",currency=\"{currency}\",result=\"{result}\"");
        (sum("payments_total", &labels), sum("payments_amount_total", &labels))
    };
    let amount = paid.amount.as_f64().expect("a number");
    assert_eq!(money("USD", "received"), (1.0, amount));
    assert_eq!(money("USD", "refunded"), (1.0, amount));
    assert_eq!(money("EUR", "received"), (1.0, 29.9));
    assert_eq!(money("unknown", "received"), (0.0, 0.0));
    assert_eq!(sum("conversions_total", ""), 2.0);
    assert_eq!(sum("discounts_set_total", ""), 3.0);
    assert_eq!(sum("payment_links_total", ""), 3.0);
    assert_eq!(sum("rule_skips_total", ",reason=\"condition\",rule=\"contract\""), 2.0);
    // What comes from the database is the same in each process.
    for figures in &both {
        let stage_of =
            |stage: &str| figures[&format!("active_installations{{application=\"{APP}\",stage=\"{stage}\"}}")];
        assert_eq!(["trial", "paid", "other"].map(stage_of), [2.0, 1.0, 0.0]);
    }
    other.stop().await;
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn trials_that_end_soon_and_how_they_ended_are_told(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    stage.connected(&[1, 2, 3]).await;
    let port = stage.service.listeners.operator.port();
    let ended = async || {
        let figures = figures(&stage, port).await;
        let outcome = |outcome: &str| figures[&format!("trials_ended{{application=\"{APP}\",outcome=\"{outcome}\"}}")];
        let soon = figures[&format!("trials_ending_soon{{application=\"{APP}\"}}")];
        (soon, ["paid", "unpaid", "left"].map(outcome))
    };
    let place = |location_id| bellhop::sandbox::Place {
        application_id: APP,
        location_id,
    };
    let pay = Pay {
        application_id: APP,
        location_id: 1,
        ..Pay::default()
    };
    stage.sandbox.pay(pay).await.expect("paid");
    stage.settled().await;
    let link = stage.sandbox.link(APP, 1).await.expect("a link");
    let left = (link.trial_to.expect("a trial") - chrono::Utc::now()).num_days();
    stage.pass(days(u64::try_from(left - 3).expect("days"))).await;
    assert_eq!(ended().await, (2.0, [0.0, 0.0, 0.0]));
    stage.sandbox.disconnect(place(3)).await.expect("uninstalled");
    stage.pass(days(5)).await;
    assert_eq!(ended().await, (0.0, [1.0, 1.0, 1.0]));
    stage.pass(days(31)).await;
    assert_eq!(ended().await, (0.0, [0.0, 0.0, 0.0]));
    stage.end().await;
}
