//! Comparing with the marketplace, in the console.

use bellhop::sandbox::{Fault, FaultKind, Place};
use sqlx::PgPool;

use super::{
    desk::{Desk, has_orders, words},
    *,
};

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_round_is_asked_for_and_its_differences_are_shown(pool: PgPool) {
    let edits = [WITH_READ_TOKEN, ("enabled = false", "interval = \"1h\"")];
    let stage = Stage::set_edited(pool, RULES, |_| {}, &edits).await;
    stage.connected(&[1]).await;
    let (desk, reader) = (Desk::operator(&stage).await, Desk::reader(&stage).await);
    let compare = format!("/reconciliation/{APP}");
    desk.refuses_others(&reader, &[&compare]).await;
    assert!(!has_orders(&reader.page("/reconciliation").await));
    stage
        .until("the first round is over", async || {
            words(&desk.page("/reconciliation").await).contains("complete")
        })
        .await;

    let lost = Fault::new("callback", FaultKind::Lost).times(10);
    stage.sandbox.fail(lost).await.expect("a fault");
    let place = Place {
        application_id: APP,
        location_id: 1,
    };
    stage.sandbox.disconnect(place).await.expect("disconnected");
    let said = words(&desk.follow(&compare, &[]).await);
    assert!(said.contains("A round begins within seconds"), "{said}");
    stage
        .until("it is found", async || {
            let said = words(&desk.page("/reconciliation").await);
            said.contains("1 difference found") && said.contains("installation.uninstalled")
        })
        .await;
    let said = words(&desk.page("/reconciliation?location=2").await);
    assert!(said.contains("No difference is so."), "{said}");
    assert_eq!(desk.send("/reconciliation/1", &[]).await.status, 404);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn where_comparing_is_switched_off_the_page_says_so(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    let desk = Desk::operator(&stage).await;
    let page = desk.page("/reconciliation").await;
    assert!(
        words(&page).contains("Comparing is switched off") && !has_orders(&page),
        "{page}"
    );
    let refused = desk.send(&format!("/reconciliation/{APP}"), &[]).await;
    assert_eq!(refused.status, 409);
    assert!(words(&refused.body).contains("`bellhop reconcile`"), "{}", refused.body);
    stage.end().await;
}
