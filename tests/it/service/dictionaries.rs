//! What the marketplace's numbers of countries stand for: read once a day, seen by rules.

use std::time::Duration;

use bellhop::sandbox::{Connect, Fault, FaultKind, Location};
use sqlx::PgPool;

use super::stage::{APP, Stage, days};

const RULES: &str = r#"
[[rule]]
name = "american"
on = "installation.activated"
when = 'location.country == "US" && location.country_name == "United States"'
[[rule.then]]
action = "set_discount"
percent = 20

[[rule]]
name = "unknown"
on = "installation.activated"
when = '!has(location.country)'
[[rule.then]]
action = "set_discount"
percent = 10
"#;

/// The owner of a location in this country connects.
async fn connected_in(stage: &Stage, location: i64, country_id: i64) {
    let place = Location {
        country_id,
        ..Location::new(location)
    };
    stage.sandbox.put_location(place).await.expect("a location");
    let connect = Connect {
        follow: true,
        ..Connect::new(APP, location)
    };
    stage.sandbox.connect(connect).await.expect("connected");
    stage.settled().await;
    assert_eq!(stage.status(location).await, "active");
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn rules_about_an_activation_know_the_country_and_a_day_of_them_costs_one_request(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    connected_in(&stage, 100_001, 7).await;
    connected_in(&stage, 100_002, 4711).await;
    assert_eq!(
        stage.decisions(100_001).await,
        [
            "american fired",
            "unknown skipped condition is false: !has(location.country)"
        ]
    );
    assert_eq!(
        stage.decisions(100_002).await,
        [
            "american skipped condition failed: no such key: country",
            "unknown fired"
        ]
    );
    assert_eq!(stage.called("countries").await, 1);
    let shown = stage.location(100_001).await["location"].clone();
    assert_eq!(
        (&shown["country"], &shown["country_name"]),
        (&"US".into(), &"United States".into())
    );
    stage.pass(days(2)).await;
    connected_in(&stage, 100_003, 7).await;
    assert_eq!(stage.called("countries").await, 2);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_connection_does_not_wait_for_a_dictionary_that_cannot_be_read(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    let broken = Fault::new("countries", FaultKind::Status).times(10);
    stage.sandbox.fail(broken).await.expect("a fault");
    connected_in(&stage, 100_001, 7).await;
    connected_in(&stage, 100_002, 7).await;
    assert_eq!(stage.called("countries").await, 1, "it is left alone for a while");
    assert_eq!(stage.decisions(100_002).await[1], "unknown fired");
    stage.sandbox.clear_faults().await;
    stage.pass(Duration::from_secs(3600)).await;
    connected_in(&stage, 100_003, 7).await;
    assert_eq!(stage.decisions(100_003).await[0], "american fired");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_round_of_comparing_learns_the_countries_of_places_that_are_known_already(pool: PgPool) {
    let round = "enabled = true\ninterval = \"1s\"\nhooks_interval = \"1d\"";
    let stage = Stage::set_edited(pool, RULES, |_| {}, &[("enabled = false", round)]).await;
    stage
        .until("they are read", async || stage.called("countries").await == 1)
        .await;
    connected_in(&stage, 100_001, 7).await;
    assert_eq!(stage.decisions(100_001).await[0], "american fired");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(stage.called("countries").await, 1);
    stage.end().await;
}
