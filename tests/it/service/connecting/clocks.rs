//! The time limits of a connection: one hour is promised, twelve are tried (contract 8).

use std::time::Duration;

use bellhop::sandbox::{Fault, FaultKind, Shape};
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;

use super::Stage;
use crate::service::stage::APP;

fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3600)
}

async fn refuse_activations(stage: &Stage) {
    let busy = Fault::new("activate", FaultKind::Status).status(503).times(100_000);
    stage.sandbox.fail(busy).await.expect("a fault");
}

/// Whether a page names a time so far ahead, to the minute.
fn names(page: &str, ahead: TimeDelta) -> bool {
    [TimeDelta::zero(), TimeDelta::seconds(-60)].iter().any(|slack| {
        let at = Utc::now() + ahead + *slack;
        page.contains(&format!("finished by {}", at.format("%H:%M UTC on %-d %B")))
    })
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_page_shows_the_hour_that_is_promised_then_the_twelve_and_then_asks_to_connect_again(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    refuse_activations(&stage).await;
    let connected = stage.connect_as(Shape::Single, &[1]).await;
    stage.until("a try", async || stage.called("activate").await > 0).await;
    let page = stage.page(&connected).await;
    assert!(
        page.contains("Connecting.") && names(&page, TimeDelta::hours(1)),
        "{page}"
    );
    stage.pass(hours(2)).await;
    let page = stage.page(&connected).await;
    assert!(
        page.contains("Connecting.") && names(&page, TimeDelta::hours(10)),
        "{page}"
    );
    assert_eq!(stage.status(1).await, "pending");

    // The marketplace has cleaned up without a word.
    stage.pass(hours(11)).await;
    stage
        .until("the end of it", async || {
            stage.page(&connected).await.contains("Please connect again.")
        })
        .await;
    stage
        .until("the end of the pending link", async || {
            stage.status(1).await == "uninstalled"
        })
        .await;
    let page = stage.page(&connected).await;
    assert!(
        !page.contains("http-equiv=\"refresh\"") && !page.contains("finished by"),
        "{page}"
    );
    let tried = stage.called("activate").await;

    // The owner does, and the clock begins anew.
    stage.sandbox.clear_faults().await;
    refuse_activations(&stage).await;
    let again = stage.connect_as(Shape::Single, &[1]).await;
    stage
        .until("a try", async || stage.called("activate").await > tried)
        .await;
    let page = stage.page(&again).await;
    assert!(
        page.contains("Connecting.") && names(&page, TimeDelta::hours(1)),
        "{page}"
    );
    stage.sandbox.clear_faults().await;
    stage
        .until("the connection", async || {
            stage.page(&again).await.contains("Connected.")
        })
        .await;
    stage.settled().await;
    assert_eq!(stage.location(1).await["generation"], 2);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_link_that_stays_pending_for_days_is_given_up_after_twelve_hours_and_taken_up_by_an_opening(pool: PgPool) {
    let stage = Stage::set_with(
        pool,
        "",
        |options| options.terms.activation_limit = TimeDelta::days(7),
        "",
    )
    .await;
    refuse_activations(&stage).await;
    let connected = stage.connect_as(Shape::Single, &[1]).await;
    stage.until("a try", async || stage.called("activate").await > 0).await;
    stage.pass(hours(13)).await;
    stage
        .until("the end of it", async || {
            stage.page(&connected).await.contains("Please connect again.")
        })
        .await;
    stage.settled().await;
    let tried = stage.called("activate").await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(stage.called("activate").await, tried, "it is not tried any more");
    stage.sandbox.clear_faults().await;
    stage.visit(&[1]).await;
    // Perhaps only after the circuit has closed.
    stage
        .until("the connection", async || stage.status(1).await == "active")
        .await;
    stage.settled().await;
    assert_eq!(stage.sandbox.link(APP, 1).await.expect("a link").link.activations, 1);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_new_link_has_a_clock_of_its_own_and_needs_its_own_word_to_be_activated(pool: PgPool) {
    let stage = Stage::set_with(pool, "", |_| {}, "activation = \"external\"").await;
    stage.connect_as(Shape::Single, &[1]).await;
    stage.settled().await;
    stage.pass(hours(3)).await;
    stage.disconnect(1).await;
    stage.settled().await;
    let again = stage.connect_as(Shape::Single, &[1]).await;
    stage.settled().await;
    let page = stage.page(&again).await;
    assert!(
        page.contains("One step left.") && names(&page, TimeDelta::hours(1)),
        "{page}"
    );
    assert_eq!(
        (stage.status(1).await.as_str(), stage.called("activate").await),
        ("pending", 0)
    );
    stage.end().await;
}
