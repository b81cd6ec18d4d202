//! `reconcile` beside a service that does not compare by itself.

use bellhop::sandbox::{Connect, Fault, FaultKind, Place};
use serde_json::Value;
use sqlx::PgPool;

use super::{database::url, desk::Desk};
use crate::service::stage::{APP, Stage, TOKEN};

fn desk(pool: &PgPool, stage: &Stage) -> Desk {
    let desk = Desk::with_database(&url(pool));
    let sandbox = stage.sandbox.url();
    desk.change(
        "secret-partner-token-0001\"",
        &format!(
            "{TOKEN}\"\npartner_base = \"{sandbox}/marketplace\"\nrequests_per_second = 100\nrequests_per_minute = 6000"
        ),
    );
    desk
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_dry_run_shows_what_differs_and_a_run_repairs_it(pool: PgPool) {
    let database = pool.clone();
    let stage = Stage::set(pool, "").await;
    let desk = desk(&database, &stage);
    stage.connected(&[100_001]).await;
    let lost = Fault::new("callback", FaultKind::Lost).times(10);
    stage.sandbox.fail(lost).await.expect("a fault");
    let gone = Place {
        application_id: APP,
        location_id: 100_001,
    };
    stage.sandbox.disconnect(gone).await.expect("disconnected");
    stage
        .sandbox
        .connect(Connect::new(APP, 100_002))
        .await
        .expect("connected");

    let shown = desk.run(&["reconcile", "--dry-run"]).await;
    assert_eq!((shown.code, shown.err.as_str()), (0, ""));
    let expected = "Application 18289: looked at 2 locations, found 2 differences.
LOCATION  WOULD BECOME
100001    installation.uninstalled
100002    installation.pending
Nothing was written.
";
    assert_eq!(shown.out, expected);
    assert_eq!(stage.status(100_001).await, "active");

    let done = desk.run(&["reconcile", "--json"]).await;
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let said: Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(said["items"][0]["complete"], true, "{said}");
    assert_eq!(
        said["items"][0]["differences"].as_array().map(Vec::len),
        Some(2),
        "{said}"
    );
    stage.settled().await;
    assert_eq!(stage.status(100_001).await, "uninstalled");
    assert_eq!(stage.status(100_002).await, "active", "found, and then activated");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_plan_says_how_long_ten_thousand_locations_take_and_asks_nobody(pool: PgPool) {
    let desk = Desk::with_database(&url(&pool));
    let shown = desk.run(&["reconcile", "--plan", "--locations", "10000"]).await;
    assert_eq!((shown.code, shown.err.as_str()), (0, ""));
    for said in [
        "10011 in a round",
        "60 of 200 a minute (reconcile.share = 0.3)",
        "a round takes      2h 46m",
        "found at the latest after 2h 46m",
        "Rounds take longer than reconcile.interval (10m)",
    ] {
        assert!(shown.out.contains(said), "{said}: {}", shown.out);
    }
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_marketplace_that_refuses_is_told_and_ends_with_one(pool: PgPool) {
    let database = pool.clone();
    let stage = Stage::set(pool, "").await;
    let desk = desk(&database, &stage);
    desk.change(TOKEN, "another-token-0000000001");
    for arguments in [&["reconcile"][..], &["reconcile", "--dry-run"]] {
        let ended = desk.run(arguments).await;
        assert_eq!(ended.code, 1, "{}", ended.out);
        let said = format!("{}{}", ended.out, ended.err);
        assert!(said.contains("the token was not accepted (401)"), "{said}");
    }
    stage.end().await;
}
