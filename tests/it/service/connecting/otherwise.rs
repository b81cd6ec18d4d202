//! Connections that go another way: finished by the partner's own product, private ones, and those that
//! are interrupted.

use bellhop::{
    domain::{ids::ApplicationId, signature::application_hook_key},
    sandbox::{Application, Change, Connect, Fault, FaultKind, Shape},
};
use sqlx::PgPool;

use super::{Stage, WELCOME};
use crate::service::stage::{APP, HOOK_SECRET, OPERATOR_TOKEN};

impl Stage {
    pub(super) async fn activate_by_hand(&self, location: i64) {
        let url = self.operator_url(&format!("locations/{APP}/{location}/activate"));
        let answer = self
            .http
            .post(&url)
            .bearer_auth(OPERATOR_TOKEN)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 202);
    }
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn an_external_activation_waits_for_the_partners_own_product(pool: PgPool) {
    let more = "activation = \"external\"\ncontinue_url = \"https://example.com/finish?at={location_id}\"";
    let stage = Stage::set_with(pool, WELCOME, |_| {}, more).await;
    let connected = stage.connect_as(Shape::Brackets, &[1, 2]).await;
    stage.settled().await;
    for _ in 0..3 {
        stage.visit(&[1, 2]).await;
        stage.settled().await;
    }
    assert_eq!(
        (stage.status(1).await.as_str(), stage.called("activate").await),
        ("pending", 0)
    );
    let page = stage.page(&connected).await;
    assert_eq!(page.matches("One step left.").count(), 2, "{page}");
    assert!(page.contains("href=\"https://example.com/finish?at=1\""), "{page}");
    assert!(page.contains("It has to be finished by"), "{page}");
    // Whoever finishes it elsewhere finds the page right.
    assert!(page.contains("http-equiv=\"refresh\" content=\"60\""), "{page}");

    // It is finished on a bad day, while the owner opens the page again.
    stage
        .sandbox
        .fail(Fault::new("activate", FaultKind::Status).status(503).times(3))
        .await
        .expect("a fault");
    stage.activate_by_hand(1).await;
    stage.until("a try", async || stage.called("activate").await > 0).await;
    stage.visit(&[1, 2]).await;
    stage
        .until("the discount", async || stage.called("add_discount").await == 1)
        .await;
    stage.settled().await;
    assert_eq!(
        (stage.status(1).await, stage.status(2).await),
        ("active".to_owned(), "pending".to_owned())
    );
    let link = stage.sandbox.link(APP, 1).await.expect("a link");
    assert_eq!((link.link.activations, link.webhook_urls), (1, vec![stage.hook(1)]));
    // Asked for once more, nothing happens.
    let before = stage.called("activate").await;
    stage.activate_by_hand(1).await;
    stage.settled().await;
    assert_eq!(stage.called("activate").await, before);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_private_application_is_learnt_from_its_first_event(pool: PgPool) {
    let stage = Stage::set(pool, WELCOME).await;
    let key = application_hook_key(HOOK_SECRET, ApplicationId(APP));
    let private = Application {
        id: APP,
        public: false,
        callback_url: stage.url(&format!("apps/{APP}/callback")),
        notification_url: Some(stage.url(&format!("apps/{APP}/hooks/{key}"))),
        ..Application::default()
    };
    stage.sandbox.put_application(private).await.expect("an application");
    stage.sandbox.connect(Connect::new(APP, 1)).await.expect("connected");
    stage.settled().await;
    assert_eq!(stage.all_events().await, [""; 0], "nobody tells");
    for _ in 0..3 {
        stage
            .sandbox
            .change(Change::new(1, "client", "update"))
            .await
            .expect("a change");
    }
    stage.settled().await;
    let location = stage.location(1).await;
    assert_eq!(
        (location["status"].as_str(), location["generation"].as_i64()),
        (Some("active"), Some(1))
    );
    assert_eq!(stage.decisions(1).await, ["welcome-discount fired"]);
    assert_eq!(
        (stage.called("activate").await, stage.called("add_discount").await),
        (0, 1)
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_restart_goes_on_with_the_activations_under_way(pool: PgPool) {
    let stage = Stage::set(pool, WELCOME).await;
    stage
        .sandbox
        .fail(Fault::new("activate", FaultKind::Status).status(503).times(100_000))
        .await
        .expect("a fault");
    let connected = stage.connect_as(Shape::Csv, &[1, 2, 3]).await;
    stage
        .until("a try of each", async || stage.called("activate").await >= 3)
        .await;
    let path = connected.followed.expect("followed").location.expect("a way on");
    let stage = stage.restarted().await;
    // The page that is open goes on too.
    let progress = stage.url(&format!("apps/{APP}/{path}"));
    let page = stage.open(&progress).await.2;
    assert_eq!(page.matches("Connecting.").count(), 3, "{page}");
    stage.sandbox.clear_faults().await;
    stage
        .until("the discounts", async || stage.called("add_discount").await == 3)
        .await;
    stage.settled().await;
    assert_eq!(stage.open(&progress).await.2.matches("Connected.").count(), 3);
    for location in 1..=3 {
        assert_eq!(
            stage
                .sandbox
                .link(APP, location)
                .await
                .expect("a link")
                .link
                .activations,
            1
        );
        assert_eq!(stage.decisions(location).await, ["welcome-discount fired"]);
    }
    stage.end().await;
}
