//! Rules that are only watched, and rules that may not fire more often than that.

use serde_json::Value;
use sqlx::PgPool;

use super::stage::{APP, Stage, days};

const SHADOW: &str = r#"
[[rule]]
name = "welcome"
on = "installation.activated"
once_per = "location"
mode = "MODE"
[[rule.then]]
action = "set_discount"
percent = 20
[[rule.then]]
action = "send_email"
to = "owner@example.com"
subject = "Welcome {{ location.id }}"
text = "20 % for {{ application.name }}"
"#;

const CAPPED: &str = r#"
[[rule]]
name = "welcome"
on = "installation.activated"
cap_per_day = 2
[[rule.then]]
action = "set_discount"
percent = 20
"#;

fn metric(metrics: &str, name: &str) -> Option<String> {
    let line = metrics.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.rsplit(' ').next()).map(str::to_owned)
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_rule_that_is_watched_does_nothing_and_says_what_it_would_do(pool: PgPool) {
    let stage = Stage::set(pool, &SHADOW.replace("MODE", "shadow")).await;
    stage.connected(&[100_001]).await;
    assert_eq!(stage.called("add_discount").await, 0);
    assert_eq!(stage.decisions(100_001).await, ["welcome shadow"]);
    let firing = stage.location(100_001).await["firings"][0].clone();
    assert_eq!(firing["mode"], "shadow", "{firing}");
    let would = &firing["results"]["would"];
    assert_eq!(would[0]["parameters"]["percent"], "20", "{would}");
    assert_eq!(would[1]["parameters"]["subject"], "Welcome 100001", "{would}");
    let rules = stage.api("rules").await;
    let counts = ["firings", "shadow_firings"].map(|key| rules["items"][0][key].as_i64());
    assert_eq!(counts, [Some(0), Some(1)]);
    stage.end().await;
}

/// It was watched, it was good, it is made to work.
#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_rule_that_was_watched_can_still_fire(pool: PgPool) {
    let stage = Stage::set(pool, &SHADOW.replace("MODE", "shadow")).await;
    stage.connected(&[100_001]).await;
    stage.write_rules(&SHADOW.replace("MODE", "live"));
    assert_eq!(stage.order("rules/reload").await.0, 200);
    let place = bellhop::sandbox::Place {
        application_id: APP,
        location_id: 100_001,
    };
    stage.sandbox.disconnect(place).await.expect("uninstalled");
    stage.settled().await;
    stage.connected(&[100_001]).await;
    assert_eq!(stage.called("add_discount").await, 1);
    // Once per location, also while it is watched.
    stage.write_rules(&SHADOW.replace("MODE", "shadow"));
    assert_eq!(stage.order("rules/reload").await.0, 200);
    stage.sandbox.disconnect(place).await.expect("uninstalled");
    stage.settled().await;
    stage.connected(&[100_001]).await;
    let decisions = stage.decisions(100_001).await;
    assert_eq!(
        decisions,
        [
            "welcome shadow",
            "welcome fired",
            "welcome skipped fired before (once per location)"
        ]
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_goes_beyond_the_cap_is_held_until_a_person_releases_it(pool: PgPool) {
    let stage = Stage::set(pool, CAPPED).await;
    let all = [100_001, 100_002, 100_003, 100_004];
    for location in all {
        stage.connected(&[location]).await;
    }
    assert_eq!(stage.called("add_discount").await, 2);
    assert_eq!(
        stage.decisions(100_004).await,
        ["welcome held number 4 of the day, and cap_per_day = 2"]
    );
    let held = stage.api("holds").await;
    let locations: Vec<i64> = held["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|item| item["location_id"].as_i64())
        .collect();
    assert_eq!(locations, [100_003, 100_004]);
    let gauge = format!("bellhop_firings_held{{application=\"{APP}\",rule=\"welcome\"}}");
    assert_eq!(metric(&stage.metrics().await, &gauge).as_deref(), Some("2"));
    let (status, answer) = stage.order(&format!("rules/{APP}/welcome/release?limit=1")).await;
    assert_eq!((status, &answer["released"]), (200, &Value::from(1)));
    stage.settled().await;
    assert_eq!(stage.called("add_discount").await, 3);
    let (status, answer) = stage.order(&format!("rules/{APP}/welcome/drop")).await;
    assert_eq!((status, &answer["dropped"]), (200, &Value::from(1)));
    assert_eq!(metric(&stage.metrics().await, &gauge).as_deref(), Some("0"));
    // A new day, a new count.
    stage.pass(days(1)).await;
    stage.connected(&[100_005]).await;
    assert_eq!(stage.called("add_discount").await, 4);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn two_who_release_at_once_do_it_once_and_an_uninstall_ends_a_hold(pool: PgPool) {
    let stage = Stage::set(pool, &CAPPED.replace("cap_per_day = 2", "cap_per_day = 1")).await;
    for location in [100_001, 100_002, 100_003] {
        stage.connected(&[location]).await;
    }
    let place = bellhop::sandbox::Place {
        application_id: APP,
        location_id: 100_003,
    };
    stage.sandbox.disconnect(place).await.expect("uninstalled");
    stage.settled().await;
    let release = format!("rules/{APP}/welcome/release");
    let (one, other) = tokio::join!(stage.order(&release), stage.order(&release));
    let released = one.1["released"]
        .as_i64()
        .zip(other.1["released"].as_i64())
        .map(|(one, other)| one + other);
    assert_eq!(released, Some(1), "{one:?} {other:?}");
    stage.settled().await;
    assert_eq!(stage.called("add_discount").await, 2);
    stage.end().await;
}

/// Two processes share the count.
#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_cap_holds_for_all_processes_together(pool: PgPool) {
    let rules = r#"
[[rule]]
name = "tell"
on = "record.created"
cap_per_day = 25
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/tell"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "x"
"#;
    let stage = Stage::set(pool, rules).await;
    let all: Vec<i64> = (100_001..100_011).collect();
    stage.connected(&all).await;
    let other = stage.another().await;
    let event = |location: i64, id: i64| {
        format!(
            r#"{{"company_id":{location},"resource":"record","resource_id":{id},"status":"create","data":{{"id":{id}}}}}"#
        )
    };
    for id in 0..8 {
        let posts = all
            .iter()
            .map(|location| async { stage.post(&stage.hook(*location), event(*location, id)).await });
        for (status, _) in futures_util::future::join_all(posts).await {
            assert_eq!(status, 200);
        }
    }
    stage.settled().await;
    assert_eq!(stage.inbox("tell").await.len(), 25);
    assert_eq!(
        stage.api("holds?limit=500").await["items"].as_array().map(Vec::len),
        Some(55)
    );
    other.stop().await;
    stage.end().await;
}
