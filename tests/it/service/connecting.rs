//! From Connect to a working installation.

mod bad_answers;
mod clocks;
mod otherwise;

use bellhop::sandbox::{self, Connect, Connected, Shape};
use sqlx::PgPool;

use super::stage::{APP, Stage};

const WELCOME: &str = r#"
[[rule]]
name = "welcome-discount"
on = "installation.activated"
once_per = "location"
[[rule.then]]
action = "set_discount"
percent = 20
"#;

impl Stage {
    /// The owner consents for these locations, and the browser follows a redirect of this shape.
    async fn connect_as(&self, shape: Shape, locations: &[i64]) -> Connected {
        self.sandbox
            .connect(visit(Some(shape), locations))
            .await
            .expect("connected")
    }

    /// The browser comes to the registration address without any consent.
    async fn visit(&self, locations: &[i64]) -> Connected {
        self.sandbox.open(visit(None, locations)).await.expect("opened")
    }

    /// Where the browser is sent by an opening.
    fn progress_url(&self, connected: &Connected) -> String {
        let followed = connected.followed.as_ref().expect("followed");
        assert_eq!(followed.status, 303, "{}", followed.body);
        let to = followed.location.as_ref().expect("a way on");
        self.url(&format!("apps/{APP}/{to}"))
    }

    /// What the page of an opening says now.
    async fn page(&self, connected: &Connected) -> String {
        let (status, _, page) = self.open(&self.progress_url(connected)).await;
        assert_eq!(status, 200);
        page.replace("&#x2f;", "/")
    }

    async fn disconnect(&self, location: i64) {
        let here = sandbox::Place {
            application_id: APP,
            location_id: location,
        };
        self.sandbox.disconnect(here).await.expect("disconnected");
    }
}

fn visit(shape: Option<Shape>, locations: &[i64]) -> Connect {
    Connect {
        location_ids: locations.to_vec(),
        shape,
        follow: true,
        ..Connect::new(APP, locations[0])
    }
}

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

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn every_shape_of_the_redirect_connects_each_of_its_locations_once(pool: PgPool) {
    let stage = Stage::set(pool, WELCOME).await;
    let shapes: [(Shape, &[i64]); 8] = [
        (Shape::Single, &[1]),
        (Shape::Brackets, &[2, 3]),
        (Shape::Brackets, &[4]),
        (Shape::Indexed, &[5]),
        (Shape::Indexed, &[6, 7]),
        (Shape::Csv, &[8, 9, 10]),
        (Shape::Urlsafe, &[11]),
        (Shape::UserIdKey, &[12]),
    ];
    for (shape, locations) in shapes {
        let connected = stage.connect_as(shape, locations).await;
        assert!(
            stage.progress_url(&connected).contains("/connect/progress/"),
            "{shape:?}"
        );
    }
    let unsigned = stage.connect_as(Shape::Unsigned, &[13]).await;
    stage.settled().await;
    for location in 1..=13 {
        assert_eq!(stage.status(location).await, "active", "location {location}");
        assert_eq!(
            stage.decisions(location).await,
            ["welcome-discount fired"],
            "location {location}"
        );
    }
    assert_eq!(
        (stage.called("activate").await, stage.called("add_discount").await),
        (13, 13)
    );
    assert!(stage.page(&unsigned).await.contains("Connected."));

    // Changed after it was signed: noted, refused, and nothing is asked.
    stage.sandbox.reset_calls().await;
    let tampered = stage
        .connect_as(Shape::Tampered, &[14])
        .await
        .followed
        .expect("followed");
    assert_eq!((tampered.status, tampered.location), (200, None));
    assert!(tampered.body.contains("could not be verified"), "{}", tampered.body);
    stage.settled().await;
    assert_eq!(
        stage.events(14).await,
        ["connect.opened connect rejected user_data_sign does not match"]
    );
    assert_eq!(stage.sandbox.calls().await.items.len(), 0);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn fifty_openings_activate_once_and_fire_nothing_twice(pool: PgPool) {
    let stage = Stage::set(pool, WELCOME).await;
    stage.connect_as(Shape::Single, &[1]).await;
    let openings = futures_util::future::join_all((0..49).map(|_| stage.visit(&[1]))).await;
    stage.settled().await;
    assert_eq!(stage.status(1).await, "active");
    assert!(stage.page(&openings[48]).await.contains("Connected."));
    // And once more when all is done.
    for _ in 0..5 {
        stage.visit(&[1]).await;
        stage.settled().await;
    }
    assert_eq!(
        (stage.called("activate").await, stage.called("add_discount").await),
        (1, 1)
    );
    assert_eq!(stage.decisions(1).await, ["welcome-discount fired"]);
    let moves: Vec<String> = stage
        .events(1)
        .await
        .into_iter()
        .filter(|line| line.starts_with("installation") && line.ends_with("processed"))
        .collect();
    assert_eq!(
        moves,
        [
            "installation.pending activation processed",
            "installation.activated activation processed"
        ]
    );
    // Openings cost the marketplace little: those that wait are one look.
    assert!(stage.called("status").await < 30, "{}", stage.called("status").await);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_location_that_did_not_consent_is_told_so_and_nothing_happens(pool: PgPool) {
    let stage = Stage::set(pool, WELCOME).await;
    let replayed = stage.visit(&[1, 2]).await;
    stage.settled().await;
    stage
        .until("the looks to end", async || {
            stage.page(&replayed).await.matches("Not connected.").count() == 2
        })
        .await;
    assert_eq!(stage.called("activate").await, 0);
    assert_eq!(
        stage.events(1).await,
        ["connect.opened connect processed the status call decides what an opened page means"]
    );
    // What a browser has named is no installation.
    let named = stage.location(1).await;
    assert_eq!(
        (named["status"].as_str(), named["generation"].as_i64()),
        (None, Some(0))
    );
    // The consent comes later: the same page goes on after the next opening.
    stage.connect_as(Shape::Single, &[1]).await;
    stage.settled().await;
    assert_eq!(stage.status(1).await, "active");
    let page = stage.page(&replayed).await;
    assert_eq!(
        (
            page.matches("Connected.").count(),
            page.matches("Not connected.").count()
        ),
        (1, 1)
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_reconnection_is_a_new_generation_even_when_nobody_told_of_the_disconnection(pool: PgPool) {
    let stage = Stage::set(pool, WELCOME).await;
    stage.connected(&[1]).await;
    stage.disconnect(1).await;
    stage.settled().await;
    stage.connected(&[1]).await;
    let lost = sandbox::Fault::new("callback.uninstall", sandbox::FaultKind::Lost);
    stage.sandbox.fail(lost).await.expect("a fault");
    stage.disconnect(1).await;
    stage.connected(&[1]).await;
    // To us it was active all the time, and a look that failed may wait for the next try.
    stage
        .until("the third connection is active", async || {
            let location = stage.location(1).await;
            location["generation"] == 3 && location["status"] == "active"
        })
        .await;
    stage.settled().await;
    assert_eq!(stage.called("activate").await, 3);
    assert_eq!(
        stage.decisions(1).await,
        [
            "welcome-discount fired",
            "welcome-discount skipped fired before (once per location)",
            "welcome-discount skipped fired before (once per location)",
        ]
    );
    assert_eq!(stage.called("add_discount").await, 1);
    let link = stage.sandbox.link(APP, 1).await.expect("a link");
    assert_eq!(link.webhook_urls, [stage.hook(1)]);
    stage.end().await;
}
