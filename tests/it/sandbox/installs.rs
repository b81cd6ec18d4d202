//! Connecting, activating, disconnecting.

use std::time::Duration;

use bellhop::sandbox::{Brand, Connect, DateZone, Shape, Status};
use serde_json::json;

use super::{APP, SALON, Stage, TOKEN, place, read};

#[tokio::test]
async fn a_connected_location_is_pending_until_the_application_activates_it() {
    let stage = Stage::set().await;
    assert_eq!(stage.status().await.status, 404);
    stage.connect().await;
    let pending = stage.status().await;
    assert_eq!(pending.status, 200);
    assert_eq!(pending.body["data"]["connection_status"]["status"], "pending");
    assert_eq!(pending.body["data"]["payments"], json!([]));

    let activated = stage.activate(json!([stage.receiver.url("hooks")])).await;
    assert_eq!(activated.status, 201);
    assert!(activated.body["data"]["user_id"].is_i64());
    let active = stage.status().await.body;
    assert_eq!(active["data"]["connection_status"]["status"], "active");
    assert_eq!(active["data"]["payments"][0]["payment_sum"], 0);
    assert_eq!(active["data"]["logs"][0]["status_from"], "uninstalled");
    assert_eq!(active["data"]["logs"][1]["status_to"], "active");
    assert_eq!(active["data"]["logs"][1]["source"], "partner_api");
    let link = stage.sandbox.link(APP, SALON).await.expect("a link");
    assert_eq!(link.webhook_urls, [stage.receiver.url("hooks")]);
}

#[tokio::test]
async fn a_second_activation_is_refused_and_its_settings_are_not_applied() {
    let stage = Stage::set().await;
    stage.install().await;
    let again = stage.activate(json!(["https://other.example.com/hook"])).await;
    assert_eq!(again.status, 403);
    assert_eq!(again.message(), "The user has already installed this application.");
    let link = stage.sandbox.link(APP, SALON).await.expect("a link");
    assert_eq!(link.webhook_urls, [stage.receiver.url("hooks")]);
    assert_eq!(link.link.activations, 1);
}

#[tokio::test]
async fn yclients_refuses_in_russian_and_wants_its_own_media_type() {
    let stage = Stage::set_with(|options| options.brand = Brand::Yclients).await;
    stage.install().await;
    let again = stage.activate(json!([])).await;
    assert_eq!(again.message(), "Пользователь уже установил это приложение.");
    let url = format!("{}/marketplace/application/{APP}/tariffs", stage.sandbox.url());
    let altegio = stage.http.get(url).header("Accept", "application/vnd.api.v2+json");
    let altegio = altegio.header("Authorization", format!("Bearer {TOKEN}"));
    assert_eq!(read(altegio).await.status, 400);
}

#[tokio::test]
async fn an_activation_after_the_limit_is_refused_and_the_link_is_cleaned_up() {
    let stage = Stage::set().await;
    stage.connect().await;
    let almost = Duration::from_secs(11 * 3600);
    stage.sandbox.advance(almost).await.expect("time passes");
    assert_eq!(stage.truth().await, Some(Status::Pending));
    stage
        .sandbox
        .advance(Duration::from_secs(3601))
        .await
        .expect("time passes");
    assert_eq!(stage.truth().await, Some(Status::Uninstalled));
    assert_eq!(stage.activate(json!([])).await.status, 403);
    assert_eq!(stage.status().await.status, 404);
    assert!(stage.receiver.at("callback").is_empty(), "nobody is told");
    stage.connect().await;
    assert_eq!(stage.activate(json!([])).await.status, 201);
    let link = stage.sandbox.link(APP, SALON).await.expect("a link");
    assert_eq!(link.link.connects, 2);
}

#[tokio::test]
async fn an_owner_who_disconnects_ends_webhooks_and_calls_back() {
    let stage = Stage::set().await;
    stage.install().await;
    stage.sandbox.disconnect(place()).await.expect("it is connected");
    let callbacks = stage.receiver.at("callback");
    assert_eq!(callbacks.len(), 1);
    let expected = json!({
        "salon_id": SALON, "application_id": APP, "event": "uninstall", "partner_token": TOKEN,
    });
    assert_eq!(callbacks[0].body, expected);
    assert_eq!(stage.status().await.status, 404);
    assert!(stage.sandbox.disconnect(place()).await.is_err());
    let truth = stage.sandbox.truth().await;
    assert!(truth.locations[0].hooks.is_empty());
}

#[tokio::test]
async fn an_uninstall_by_the_application_calls_back_too_and_may_be_repeated() {
    let stage = Stage::set().await;
    stage.install().await;
    let path = format!("/api/v1/marketplace/salon/{SALON}/application/{APP}/uninstall");
    for _ in 0..2 {
        let answered = stage.post(&path, json!({})).await;
        assert_eq!(answered.status, 200);
        assert!(answered.body["data"].is_null());
    }
    stage.sandbox.settle().await.expect("idle");
    assert_eq!(stage.receiver.at("callback").len(), 1);
    let nowhere = format!("/marketplace/salon/5/application/{APP}/uninstall");
    assert_eq!(stage.post(&nowhere, json!({})).await.status, 404);
}

#[tokio::test]
async fn a_followed_redirect_reaches_the_application_in_the_shape_asked_for() {
    let stage = Stage::set().await;
    let connect = Connect {
        location_ids: vec![SALON, 100_002],
        shape: Some(Shape::Indexed),
        follow: true,
        ..Connect::new(APP, SALON)
    };
    let connected = stage.sandbox.connect(connect).await.expect("a connection");
    let followed = connected.followed.expect("it followed");
    assert_eq!((followed.status, followed.body.as_str()), (200, "noted"));
    let seen = stage.receiver.at("connect");
    let query = &seen[0].query;
    assert!(query.starts_with("salon_ids%5B0%5D=100001&salon_ids%5B1%5D=100002&user_data="));
    let opened = stage.sandbox.open(Connect::new(APP, SALON)).await.expect("opened");
    assert_eq!(opened.links[0].status, Status::Pending);
    let link = stage.sandbox.link(APP, SALON).await.expect("a link");
    assert_eq!(link.link.connects, 1);
}

#[tokio::test]
async fn a_non_public_application_is_active_at_once_and_hears_at_its_notification_address() {
    let stage = Stage::set_with(|options| {
        options.applications[0].public = false;
        options.applications[0].notification_url = Some("https://app.example.com/n".to_owned());
    })
    .await;
    let connected = stage.sandbox.connect(Connect::new(APP, SALON)).await;
    let connected = connected.expect("a connection");
    assert!(connected.redirect_url.is_none());
    assert_eq!(connected.links[0].status, Status::Active);
    let link = stage.sandbox.link(APP, SALON).await.expect("a link");
    assert_eq!(link.webhook_urls, ["https://app.example.com/n"]);
}

#[tokio::test]
async fn the_activation_for_browsers_redirects_to_the_card() {
    let mut stage = Stage::set().await;
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    stage.http = builder.build().expect("a client");
    stage.connect().await;
    let body = json!({"salon_id": SALON, "application_id": APP});
    let path = "/marketplace/partner/callback/redirect";
    let redirected = stage.post(path, body).await;
    assert_eq!(redirected.status, 301);
    let card = format!("https://app.alteg.io/appstore/{SALON}/applications/{APP}/info");
    assert_eq!(redirected.location, Some(card));
    assert_eq!(stage.truth().await, Some(Status::Active));
}

#[tokio::test]
async fn bad_activations_are_refused_with_their_errors() {
    let stage = Stage::set().await;
    stage.connect().await;
    let bad = [
        json!({"u": "https://a.example.com"}),
        json!(["http://a.example.com"]),
        json!(["https://a.example.com", "https://a.example.com"]),
        json!(
            (0..11)
                .map(|n| format!("https://a.example.com/{n}"))
                .collect::<Vec<_>>()
        ),
    ];
    for urls in bad {
        let refused = stage.activate(urls).await;
        assert_eq!(refused.status, 422);
        assert!(refused.body["meta"]["errors"].is_array());
    }
    let path = "/marketplace/partner/callback";
    let of = |application: i64| json!({"salon_id": SALON, "application_id": application});
    assert_eq!(stage.post(path, of(666)).await.status, 403);
    assert_eq!(stage.post(path, of(12)).await.status, 404);
    assert_eq!(stage.truth().await, Some(Status::Pending));
}

#[tokio::test]
async fn tokens_and_media_type_are_demanded() {
    let stage = Stage::set().await;
    let url = format!("{}/marketplace/application/{APP}/tariffs", stage.sandbox.url());
    let media = "application/vnd.api.v2+json";
    let plain = stage.http.get(&url).header("Accept", media);
    assert_eq!(read(plain).await.message(), "Authentication needed.");
    let wrong = stage.http.get(&url).header("Accept", media);
    assert_eq!(read(wrong.header("Authorization", "Bearer x")).await.status, 401);
    let no_type = stage.http.get(&url).header("Authorization", format!("Bearer {TOKEN}"));
    assert_eq!(read(no_type).await.status, 400);
    assert_eq!(stage.get("/marketplace/application/666/tariffs").await.status, 403);
    assert_eq!(stage.get("/marketplace/application/12/tariffs").await.status, 404);
    assert_eq!(stage.get("/marketplace/no/such/call").await.status, 404);
}

#[tokio::test]
async fn dates_are_printed_in_the_zone_of_the_location_or_in_utc() {
    let local = Stage::set().await;
    let utc = Stage::set_with(|options| options.terms.payment_dates = DateZone::Utc).await;
    for (stage, hours_behind) in [(&local, 4..=5), (&utc, 0..=0)] {
        stage.install().await;
        let body = stage.status().await.body;
        let printed = body["data"]["connection_status"]["created_at"]
            .as_str()
            .expect("a date");
        let printed = chrono::NaiveDateTime::parse_from_str(printed, "%Y-%m-%d %H:%M:%S");
        let behind = chrono::Utc::now().naive_utc() - printed.expect("without an offset");
        assert!(hours_behind.contains(&behind.num_hours()), "{behind}");
    }
}
