//! Money in the console.

use sqlx::PgPool;

use super::{
    desk::{Desk, has_orders, words},
    *,
};

const CONTRACT: &str = r#"
[[rule]]
name = "contract"
on = "installation.activated"
[[rule.then]]
action = "report_payment"
amount = 29.90
currency = "EUR"
months = 1
"#;

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_is_in_doubt_stands_first_and_says_what_to_do(pool: PgPool) {
    let stage = Stage::set(pool, CONTRACT).await;
    let desk = Desk::operator(&stage).await;
    let said = words(&desk.page("/ledger").await);
    assert!(said.contains("No rule has moved money yet."), "{said}");
    stage.connected(&[1, 2]).await;
    stage
        .until("both are done", async || {
            words(&desk.page("/ledger").await).matches("payment").count() >= 2
        })
        .await;
    let said = words(&desk.page("/ledger").await);
    assert!(
        said.contains("29.90 EUR") && !said.contains("Money is in doubt"),
        "{said}"
    );
    sqlx::query("update ledger set state = 'unknown', note = '<i>no answer</i>' where location_id = 1")
        .execute(&stage.pool)
        .await
        .expect("in doubt");
    let page = desk.page("/ledger").await;
    let said = words(&page);
    for sentence in ["Money is in doubt", "BellhopPaymentUnknown", "--not-made"] {
        assert!(said.contains(sentence), "{sentence}: {said}");
    }
    assert!(page.contains("&lt;i&gt;no answer") && !page.contains("<i>"), "{page}");
    let (open, settled) = said.split_once("Settled").expect("two parts");
    assert!(open.contains("unknown") && !open.contains("done 29.90"), "{open}");
    assert!(
        settled.contains("done 29.90") && !settled.contains("unknown"),
        "{settled}"
    );
    let job = stage.api("jobs?action=report_payment&location=1").await["items"][0]["id"].clone();
    assert!(page.contains(&format!("href=\"/jobs/{job}\"")), "{page}");
    assert!(!has_orders(&page), "{page}");
    let said = words(&desk.page("/ledger?location=2").await);
    assert!(said.contains("done 29.90") && !said.contains("in doubt"), "{said}");
    let said = words(&desk.page("/ledger?state=failed").await);
    assert!(said.contains("No entry is so."), "{said}");
    assert_eq!(desk.open("/ledger?state=lost").await.0, 400);
    let said = words(&desk.page(&format!("/jobs/{job}")).await);
    assert!(said.contains("unknown payment 29.90 EUR ledger entry"), "{said}");
    stage.end().await;
}
