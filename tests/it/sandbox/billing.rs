//! Trials, payments, discounts, freezing.

use std::time::Duration;

use bellhop::sandbox::{Pay, Status};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{APP, SALON, Stage, TOKEN, place};

fn sign(text: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(TOKEN.as_bytes()).expect("any key");
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

fn report(from: DateTime<Utc>, sum: Value) -> Value {
    let date = |at: DateTime<Utc>| {
        let local = at.with_timezone(&chrono_tz::America::New_York);
        local.format("%Y-%m-%d %H:%M:%S").to_string()
    };
    json!({
        "salon_id": SALON, "application_id": APP, "payment_sum": sum, "currency_iso": "USD",
        "payment_date": date(Utc::now()), "period_from": date(from),
        "period_to": date(from + TimeDelta::days(30)),
    })
}

#[tokio::test]
async fn a_trial_that_ends_freezes_and_calls_back() {
    let stage = Stage::set().await;
    stage.install().await;
    stage.days(13).await;
    assert_eq!(stage.truth().await, Some(Status::Active));
    stage.days(2).await;
    assert_eq!(stage.truth().await, Some(Status::Freezed));
    let body = stage.status().await.body;
    assert_eq!(body["data"]["connection_status"]["status"], "freezed");
    let callbacks = stage.receiver.at("callback");
    assert_eq!(callbacks.len(), 1);
    assert_eq!(callbacks[0].body["event"], "freeze");
    let link = stage.sandbox.link(APP, SALON).await.expect("a link");
    assert!(link.webhook_urls.is_empty(), "no events while frozen");
    let logged = link.link.logs.last().expect("a line").changed_at;
    let age = (Utc::now() - logged).num_hours();
    assert_eq!(age, 24, "dated when the trial ended, a day ago");
}

#[tokio::test]
async fn a_platform_payment_wakes_a_frozen_link_and_is_announced_with_a_valid_signature() {
    let stage = Stage::set().await;
    stage.install().await;
    stage.sandbox.freeze(place()).await.expect("it is active");
    let pay = Pay {
        application_id: APP,
        location_id: SALON,
        discount: Some(15.5),
        ..Pay::default()
    };
    let paid = stage.sandbox.pay(pay).await.expect("the owner may pay");
    assert_eq!(paid.amount.to_string(), "42.25");
    let link = stage.sandbox.link(APP, SALON).await.expect("a link");
    assert_eq!(link.link.status, Status::Active);
    assert_eq!(link.webhook_urls, [stage.receiver.url("hooks")], "the address is back");
    let callback = stage.receiver.at("callback").pop().expect("a callback").body;
    assert_eq!(callback["event"], "payment");
    assert_eq!(callback["payment_id"], paid.payment_id);
    assert_eq!(callback["tariff_option_id"], 123);
    let expected = sign(&format!("salon_id={SALON}&amount=42.25&discount=15.5"));
    assert_eq!(callback["sign"], expected);
}

#[tokio::test]
async fn a_payment_link_carries_its_discount_into_the_payment() {
    let stage = Stage::set().await;
    stage.install().await;
    let path = format!("/marketplace/application/payment_link?salon_id={SALON}&application_id={APP}&discount=20");
    let url = stage.get(&path).await.body["data"]["url"].clone();
    let url = url.as_str().expect("a link").to_owned();
    assert!(
        url.starts_with("https://alteg.io/appstore/payment/?salon_id=100001"),
        "{url}"
    );
    assert!(url.contains("&discount=20&source=api&sign="), "{url}");
    let pay = Pay {
        link: Some(url.clone()),
        ..Pay::default()
    };
    let paid = stage.sandbox.pay(pay).await.expect("the link is known");
    assert_eq!(paid.amount.to_string(), "40");
    let link = stage.sandbox.link(APP, SALON).await.expect("a link");
    assert_eq!(link.link.payment_links[0].url, url);
    let after_trial = (paid.period_from - Utc::now()).num_days();
    assert_eq!(after_trial, 13, "the period follows the trial");
    assert_eq!(stage.get(&format!("{path}&tariff_option_id=5")).await.status, 404);
    assert_eq!(stage.get(&path.replace("=20", "=200")).await.status, 422);
}

#[tokio::test]
async fn a_stored_discount_is_set_and_not_added() {
    let stage = Stage::set().await;
    stage.install().await;
    let path = "/api/v1/marketplace/application/add_discount";
    let body = |application: i64, percent: f64| json!({"salon_ids": [SALON], "application_id": application, "discount": percent});
    for _ in 0..2 {
        let set = stage.post(path, body(APP, 15.54)).await;
        assert_eq!((set.status, &set.body["data"]), (200, &json!({})));
    }
    let link = stage.sandbox.link(APP, SALON).await.expect("a link").link;
    assert_eq!((link.discount, link.discount_sets), (Some(15.54), 2));
    assert_eq!(
        stage.post(path, body(666, 5.0)).await.message(),
        "No access to application"
    );
    assert_eq!(stage.post(path, body(12, 5.0)).await.message(), "Application not found");
    assert_eq!(stage.post(path, body(APP, 101.0)).await.status, 422);
    let partly = json!({"salon_ids": [SALON, 5], "application_id": APP, "discount": 1});
    assert_eq!(stage.post(path, partly).await.status, 404);
    let link = stage.sandbox.link(APP, SALON).await.expect("a link").link;
    assert_eq!(link.discount_sets, 2, "all locations or none");
}

#[tokio::test]
async fn a_reported_payment_wakes_a_frozen_link_and_is_dated_as_sent() {
    let stage = Stage::set().await;
    stage.install().await;
    stage.days(15).await;
    let body = report(Utc::now(), json!(1523.12));
    let reported = stage.post("/marketplace/partner/payment", body.clone()).await;
    assert_eq!(reported.status, 200);
    let status = stage.status().await.body;
    assert_eq!(status["data"]["connection_status"]["status"], "active");
    let recorded = &status["data"]["payments"][1];
    assert_eq!(recorded["id"], reported.body["data"]["id"]);
    assert_eq!(recorded["payment_sum"], 1523.12);
    assert_eq!(recorded["period_to"], body["period_to"]);
    let mut bad = body;
    bad["period_to"] = json!("2026-01-01");
    assert_eq!(stage.post("/marketplace/partner/payment", bad).await.status, 422);
}

#[tokio::test]
async fn a_refund_of_the_running_period_disables_within_the_hour() {
    let stage = Stage::set().await;
    stage.install().await;
    stage.days(15).await;
    let body = report(Utc::now() - TimeDelta::minutes(1), json!(10));
    let reported = stage.post("/marketplace/partner/payment", body).await;
    let id = &reported.body["data"]["id"];
    let path = format!("/marketplace/partner/payment/refund/{id}");
    let refunded = stage.post(&path, json!({})).await;
    assert_eq!((refunded.status, refunded.text.as_str()), (200, ""));
    assert_eq!(stage.truth().await, Some(Status::Active));
    stage
        .sandbox
        .advance(Duration::from_secs(3600))
        .await
        .expect("time passes");
    assert_eq!(stage.truth().await, Some(Status::Disabled));
    assert_eq!(stage.receiver.at("callback").len(), 1, "only the freeze before");
    assert_eq!(stage.post(&path, json!({})).await.status, 422);
}

#[tokio::test]
async fn a_pending_location_can_neither_pay_nor_be_reported() {
    let stage = Stage::set().await;
    stage.connect().await;
    let body = report(Utc::now(), json!(10));
    assert_eq!(stage.post("/marketplace/partner/payment", body).await.status, 403);
    let pay = Pay {
        application_id: APP,
        location_id: SALON,
        ..Pay::default()
    };
    assert!(stage.sandbox.pay(pay).await.is_err());
    assert!(stage.sandbox.freeze(place()).await.is_err());
}

#[tokio::test]
async fn the_list_of_locations_comes_in_pages() {
    let stage = Stage::set().await;
    for salon in [5, 6, 7] {
        let connect = bellhop::sandbox::Connect::new(APP, salon);
        stage.sandbox.connect(connect).await.expect("a connection");
    }
    let page = async |page: u32| {
        let path = format!("/marketplace/application/{APP}/salons?page={page}&count=2");
        let body = stage.get(&path).await.body;
        let items = body["data"].as_array().expect("a list").clone();
        items
            .iter()
            .map(|item| item["id"].as_i64().expect("an id"))
            .collect::<Vec<_>>()
    };
    assert_eq!(page(0).await, [5, 6]);
    assert_eq!(page(1).await, [5, 6]);
    assert_eq!(page(2).await, [7]);
    assert!(page(3).await.is_empty());
    let too_many = format!("/marketplace/application/{APP}/salons?page=1&count=1001");
    assert_eq!(stage.get(&too_many).await.status, 422);
}
