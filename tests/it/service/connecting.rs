//! From Connect to a working installation.

use sqlx::PgPool;

use super::stage::Stage;

const WELCOME: &str = r#"
[[rule]]
name = "welcome-discount"
on = "installation.activated"
once_per = "location"
[[rule.then]]
action = "set_discount"
percent = 20
"#;

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn an_owner_connects_and_gets_the_welcome_discount_once(pool: PgPool) {
    let stage = Stage::set(pool, WELCOME).await;
    stage.connected(&[100_001]).await;
    assert_eq!(
        stage.events(100_001).await,
        [
            "connect.opened connect processed the status call decides what an opened page means",
            "installation.pending activation processed",
            "installation.activated activation processed",
        ]
    );
    assert_eq!(
        stage.jobs(100_001).await,
        ["- activate completed 1", "welcome-discount set_discount completed 1"]
    );
    let link = stage.sandbox.link(18289, 100_001).await.expect("a link");
    assert_eq!(link.webhook_urls, [stage.hook(100_001)]);
    assert_eq!(stage.decisions(100_001).await, ["welcome-discount fired"]);
    stage.end().await;
}
