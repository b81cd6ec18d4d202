//! What no callback told is found by comparing, becomes the event a callback would have been, and fires once.

use std::{collections::BTreeMap, time::Duration};

use bellhop::{
    domain::ids::ApplicationId,
    sandbox::{Application, Connect, Fault, FaultKind, Location, Options, Origin, Pay, Place, Status},
    store::reconciliations,
};
use sqlx::PgPool;

use super::stage::{APP, Stage, days};

/// One rule for each thing that may happen to an installation.
fn rules() -> String {
    let kinds = [
        "installation.pending",
        "installation.activated",
        "installation.frozen",
        "installation.unfrozen",
        "installation.uninstalled",
        "payment.received",
        "payment.refunded",
    ];
    let rule = |kind: &str| {
        let name = kind.replace('.', "-");
        format!("[[rule]]\nname = \"{name}\"\non = \"{kind}\"\n[[rule.then]]\naction = \"set_discount\"\npercent = 5\n")
    };
    kinds.map(rule).concat()
}

async fn set(pool: PgPool, rules: &str, terms: impl FnOnce(&mut Options)) -> Stage {
    let edits = [("enabled = false", "interval = \"1h\"")];
    Stage::set_edited(pool, rules, terms, &edits).await
}

/// A round from its beginning to its end, and what follows from it.
async fn compare(stage: &Stage) {
    let app = ApplicationId(APP);
    stage.settled().await;
    reconciliations::ask(&stage.pool, app).await.expect("asked");
    stage.until("the round is over", async || is_over(stage).await).await;
    stage.settled().await;
}

async fn is_over(stage: &Stage) -> bool {
    sqlx::query_scalar("select coalesce(finished_at >= begun_at, false) from reconciliations where application_id = $1")
        .bind(APP)
        .fetch_one(&stage.pool)
        .await
        .expect("a round")
}

/// How often each rule fired for a location.
async fn firings(stage: &Stage, location: i64) -> BTreeMap<String, i64> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("select rule, count(*) from firings where location_id = $1 group by 1")
            .bind(location)
            .fetch_all(&stage.pool)
            .await
            .expect("firings");
    rows.into_iter().collect()
}

fn counts(list: &[(&str, i64)]) -> BTreeMap<String, i64> {
    list.iter().map(|(rule, count)| ((*rule).to_owned(), *count)).collect()
}

fn there(location: i64) -> Place {
    Place {
        application_id: APP,
        location_id: location,
    }
}

/// Nothing that the marketplace sends arrives any more.
async fn deaf(stage: &Stage) {
    let lost = Fault::new("callback", FaultKind::Lost).times(1000);
    stage.sandbox.fail(lost).await.expect("a fault");
}

async fn pay(stage: &Stage, location: i64) {
    let pay = Pay {
        application_id: APP,
        location_id: location,
        ..Pay::default()
    };
    stage.sandbox.pay(pay).await.expect("paid");
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn everything_that_no_callback_told_is_found_by_a_round_and_fires_once(pool: PgPool) {
    let stage = set(pool, &rules(), |_| {}).await;
    stage.connected(&[1]).await;
    stage.connected(&[2]).await;
    deaf(&stage).await;
    let connected = [("installation-pending", 1), ("installation-activated", 1)];

    // A consent whose redirect never came.
    stage.sandbox.put_location(Location::new(3)).await.expect("a location");
    stage.sandbox.connect(Connect::new(APP, 3)).await.expect("connected");
    compare(&stage).await;
    assert_eq!(stage.status(3).await, "active");
    assert_eq!(firings(&stage, 3).await, counts(&connected));

    // The trials end, and the marketplace freezes.
    stage.pass(days(16)).await;
    compare(&stage).await;
    for location in 1..=3 {
        assert_eq!(stage.status(location).await, "frozen", "{location}");
    }
    // Payment brings one back; another is disconnected while frozen.
    pay(&stage, 1).await;
    stage.sandbox.disconnect(there(2)).await.expect("disconnected");
    compare(&stage).await;
    assert_eq!(
        (stage.status(1).await.as_str(), stage.status(2).await.as_str()),
        ("active", "uninstalled")
    );
    // The money goes back, and the other owner comes back.
    let link = stage.sandbox.link(APP, 1).await.expect("a link").link;
    let paid = link
        .payments
        .iter()
        .find(|paid| paid.origin == Origin::Platform)
        .expect("a payment");
    stage.sandbox.refund(paid.id).await.expect("refunded");
    stage.sandbox.connect(Connect::new(APP, 2)).await.expect("connected");
    compare(&stage).await;
    assert_eq!(stage.status(2).await, "active");

    assert_eq!(
        firings(&stage, 1).await,
        counts(&[
            connected[0],
            connected[1],
            ("installation-frozen", 1),
            ("installation-unfrozen", 1),
            ("payment-received", 1),
            ("payment-refunded", 1),
        ])
    );
    assert_eq!(
        firings(&stage, 2).await,
        counts(&[
            ("installation-pending", 2),
            ("installation-activated", 2),
            ("installation-frozen", 1),
            ("installation-uninstalled", 1),
        ])
    );
    // What is told late, after it was found, is known.
    compare(&stage).await;
    stage.sandbox.clear_faults().await;
    let before = firings(&stage, 1).await;
    stage
        .sandbox
        .callback(bellhop::sandbox::Forged::new(APP, 3, "freeze"))
        .await
        .expect("told late");
    stage.settled().await;
    assert_eq!(firings(&stage, 3).await["installation-frozen"], 1);
    assert_eq!(firings(&stage, 1).await, before);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_reinstall_that_left_the_place_active_again_is_two_events(pool: PgPool) {
    let stage = set(pool, &rules(), |_| {}).await;
    let private = Application {
        id: APP,
        callback_url: stage.url(&format!("apps/{APP}/callback")),
        public: false,
        ..Application::default()
    };
    stage.sandbox.put_application(private).await.expect("an application");
    deaf(&stage).await;
    stage.sandbox.put_location(Location::new(1)).await.expect("a location");
    stage.sandbox.connect(Connect::new(APP, 1)).await.expect("connected");
    compare(&stage).await;
    assert_eq!(stage.status(1).await, "active", "found, though nobody told of it");
    stage.pass(days(5)).await;
    stage.sandbox.disconnect(there(1)).await.expect("disconnected");
    stage.sandbox.connect(Connect::new(APP, 1)).await.expect("connected");
    compare(&stage).await;
    compare(&stage).await;
    assert_eq!(
        firings(&stage, 1).await,
        counts(&[("installation-activated", 2), ("installation-uninstalled", 1)])
    );
    assert_eq!(stage.location(1).await["generation"], 2);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_list_without_pending_and_frozen_places_does_not_lose_them(pool: PgPool) {
    let stage = set(pool, &rules(), |options| options.terms.listed = vec![Status::Active]).await;
    stage.connected(&[1]).await;
    deaf(&stage).await;
    stage.pass(days(16)).await;
    compare(&stage).await;
    assert_eq!(stage.status(1).await, "frozen");
    compare(&stage).await;
    pay(&stage, 1).await;
    compare(&stage).await;
    assert_eq!(stage.status(1).await, "active");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn an_odd_answer_about_one_place_holds_up_no_other_and_the_round_says_so(pool: PgPool) {
    let stage = set(pool, &rules(), |_| {}).await;
    stage.connected(&[1]).await;
    stage.connected(&[2]).await;
    deaf(&stage).await;
    for location in [1, 2] {
        stage.sandbox.disconnect(there(location)).await.expect("disconnected");
    }
    stage
        .sandbox
        .fail(Fault::new("status", FaultKind::Html).times(1))
        .await
        .expect("a fault");
    compare(&stage).await;
    let statuses = [stage.status(1).await, stage.status(2).await];
    assert!(
        statuses.contains(&"active".to_owned()) && statuses.contains(&"uninstalled".to_owned()),
        "{statuses:?}"
    );
    let metrics = stage.metrics().await;
    assert!(
        metrics.contains("bellhop_reconcile_runs_total{application=\"18289\",result=\"incomplete\"} 1"),
        "{metrics}"
    );
    stage.pass(Duration::from_secs(61)).await;
    compare(&stage).await;
    for location in [1, 2] {
        assert_eq!(stage.status(location).await, "uninstalled");
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn while_the_list_cannot_be_read_nothing_is_concluded_from_it(pool: PgPool) {
    let stage = set(pool, &rules(), |_| {}).await;
    stage.connected(&[1]).await;
    for kind in [FaultKind::Html, FaultKind::Empty, FaultKind::SuccessFalse] {
        stage.sandbox.fail(Fault::new("salons", kind)).await.expect("a fault");
        reconciliations::ask(&stage.pool, ApplicationId(APP))
            .await
            .expect("asked");
        stage
            .until("the round rests", async || {
                sqlx::query_scalar(
                    "select error is not null and next_at > now() from reconciliations where application_id = $1",
                )
                .bind(APP)
                .fetch_one(&stage.pool)
                .await
                .expect("a round")
            })
            .await;
        assert_eq!(stage.status(1).await, "active", "{kind:?}");
    }
    compare(&stage).await;
    assert_eq!(stage.status(1).await, "active");
    stage.end().await;
}

const TRIAL_ENDED: &str = r#"
    [[rule]]
    name = "last-call"
    on = "trial.ended"
    when = "!installation.has_paid"
    [[rule.then]]
    action = "set_discount"
    percent = 5
"#;

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn after_a_pause_moments_wait_until_it_is_known_what_happened_meanwhile(pool: PgPool) {
    let stage = set(pool, TRIAL_ENDED, |_| {}).await;
    stage.connected(&[1]).await;
    stage.connected(&[2]).await;
    compare(&stage).await;
    // Both owners pay while nobody is at home, and the marketplace is slow to say so for one of them.
    pay_while_away(&stage).await;
    let stage = stage.away(days(14) + Duration::from_secs(3600), TRIAL_ENDED).await;
    stage.settled().await;
    compare(&stage).await;
    assert_eq!(
        firings(&stage, 1).await,
        counts(&[]),
        "it was known in time that they had paid"
    );
    assert_eq!(firings(&stage, 2).await, counts(&[("last-call", 1)]));
    stage.end().await;
}

async fn pay_while_away(stage: &Stage) {
    deaf(stage).await;
    pay(stage, 1).await;
    // Bellhop has not heard: no round begins before the pause.
    assert_eq!(stage.location(1).await["has_paid"], false);
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_location_whose_webhooks_do_not_come_to_us_is_found(pool: PgPool) {
    let more = [
        ("enabled = false", "interval = \"1h\"\nhooks_interval = \"1m\""),
        (
            "rules = [\"rules.toml\"]",
            "rules = [\"rules.toml\"]\nuser_token = \"system-user-token\"",
        ),
    ];
    let stage = Stage::set_edited(pool, "", |_| {}, &more).await;
    let known = Application {
        id: APP,
        callback_url: stage.url(&format!("apps/{APP}/callback")),
        redirect_url: stage.url(&format!("apps/{APP}/connect")),
        system_user_token: "system-user-token".to_owned(),
        ..Application::default()
    };
    stage.sandbox.put_application(known).await.expect("an application");
    stage.connected(&[1]).await;
    compare(&stage).await;
    let gauge = |state: &str, count: i64| format!("bellhop_hooks{{application=\"{APP}\",state=\"{state}\"}} {count}\n");
    let metrics = stage.metrics().await;
    assert!(metrics.contains(&gauge("registered", 1)), "{metrics}");
    // Another application's careless write takes our address away.
    let api = format!("{}/api/v1/hooks_settings/1", stage.sandbox.url());
    let written = stage
        .http
        .post(&api)
        .header("Accept", "application/vnd.api.v2+json")
        .header("Content-Type", "application/json")
        .header(
            "Authorization",
            "Bearer test-partner-token-0001, User system-user-token",
        )
        .body(r#"{"active": 1, "urls": ["https://other.example.com/hook"]}"#)
        .send()
        .await
        .expect("an answer");
    assert_eq!(written.status(), 201, "{}", written.text().await.expect("text"));
    stage.pass(Duration::from_secs(120)).await;
    compare(&stage).await;
    let metrics = stage.metrics().await;
    assert!(metrics.contains(&gauge("missing", 1)), "{metrics}");
    assert!(metrics.contains(&gauge("registered", 0)), "{metrics}");
    stage.end().await;
}
