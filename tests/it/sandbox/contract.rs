//! What holds for every call of the contract, whichever it is (contract 10, points 1 and 8).

use bellhop::sandbox::{Fault, FaultKind, Location};
use serde_json::{Value, json};

use super::{APP, SALON, Stage, TOKEN, USER, place, read};

/// Every call: whether it is a POST, its path, and what its body or query must hold.
fn calls(application: i64) -> Vec<(bool, String, Value)> {
    let pair = |more: Value| {
        let mut body = json!({"salon_id": SALON, "application_id": application});
        let more = more.as_object().cloned().unwrap_or_default();
        body.as_object_mut().expect("an object").extend(more);
        body
    };
    let period = json!({
        "payment_sum": 10, "currency_iso": "USD", "payment_date": "2026-01-01 00:00:00",
        "period_from": "2026-01-01 00:00:00", "period_to": "2026-02-01 00:00:00",
    });
    let marketplace = [
        (
            false,
            format!("application/{application}/salons?page=1&count=10"),
            Value::Null,
        ),
        (false, format!("application/{application}/tariffs"), Value::Null),
        (
            true,
            "application/add_discount".to_owned(),
            json!({"salon_ids": [SALON], "application_id": application, "discount": 5}),
        ),
        (
            false,
            format!("application/payment_link?salon_id={SALON}&application_id={application}"),
            Value::Null,
        ),
        (
            true,
            "application/update_channel".to_owned(),
            pair(json!({"channel_slug": "sms", "is_available": true})),
        ),
        (false, format!("salon/{SALON}/application/{application}"), Value::Null),
        (
            true,
            format!("salon/{SALON}/application/{application}/uninstall"),
            Value::Null,
        ),
        (true, "partner/callback".to_owned(), pair(json!({}))),
        (true, "partner/callback/redirect".to_owned(), pair(json!({}))),
        (true, "partner/payment".to_owned(), pair(period)),
        (
            true,
            "partner/short_names".to_owned(),
            pair(json!({"short_names": ["S"]})),
        ),
        (
            true,
            "application/new_message".to_owned(),
            pair(json!({"phone_from": "1", "message": "Hello", "name": "Anna"})),
        ),
        (
            true,
            "application/install_frame".to_owned(),
            pair(json!({"type": "chat", "url": null})),
        ),
        (
            true,
            "application/toggle_highlight".to_owned(),
            pair(json!({"type": "chat", "user_id": null, "is_enabled": true})),
        ),
    ];
    marketplace.into()
}

/// Calls that name no application.
fn calls_of_nobody() -> Vec<(bool, String, Value)> {
    let days = "date_from=2026-01-01&date_to=2026-01-02";
    vec![
        (true, "/marketplace/partner/payment/refund/1".to_owned(), Value::Null),
        (
            true,
            "/api/v1/marketplace/partner/payment/refund/1".to_owned(),
            Value::Null,
        ),
        (false, format!("/api/v1/hooks_settings/{SALON}"), Value::Null),
        (
            true,
            format!("/api/v1/hooks_settings/{SALON}"),
            json!({"active": 1, "urls": ["https://a.example.com/"]}),
        ),
        (
            true,
            "/api/v1/voip/integration".to_owned(),
            json!({"command": "setup", "type": "enable", "crm_token": "00000000-0000-4000-8000-000000000001"}),
        ),
        (
            false,
            format!("/api/v1/voip/integration/calls?salon_id={SALON}&{days}"),
            Value::Null,
        ),
        (false, "/api/v1/countries".to_owned(), Value::Null),
        (false, "/api/v1/cities".to_owned(), Value::Null),
        (
            false,
            "/api/v1/references/business_groups_with_types".to_owned(),
            Value::Null,
        ),
        (
            true,
            format!("/api/v1/company/{SALON}/marketplace/applications/{APP}/grant_access"),
            Value::Null,
        ),
    ]
}

async fn sent(stage: &Stage, (post, path, body): &(bool, String, Value), accept: &str, token: &str) -> (u16, Value) {
    let url = format!("{}{path}", stage.sandbox.url());
    let request = match (post, body) {
        (false, _) => stage.http.get(url),
        (true, Value::Null) => stage.http.post(url),
        (true, body) => stage
            .http
            .post(url)
            .header("Content-Type", "application/json")
            .body(body.to_string()),
    };
    let request = request
        .header("Accept", accept)
        .header("Authorization", format!("Bearer {token}, User {USER}"));
    let answered = read(request).await;
    (answered.status, answered.body)
}

#[tokio::test]
async fn every_call_wants_the_media_type_and_the_token_on_both_layouts() {
    let stage = Stage::set().await;
    let media_type = "application/vnd.api.v2+json";
    let both = |(post, path, body): (bool, String, Value)| {
        ["/marketplace", "/api/v1/marketplace"].map(|base| (post, format!("{base}/{path}"), body.clone()))
    };
    let mut all: Vec<(bool, String, Value)> = calls(APP).into_iter().flat_map(both).collect();
    all.extend(calls_of_nobody());
    assert_eq!(all.len(), 14 * 2 + 10);
    for call in &all {
        let (status, body) = sent(&stage, call, "application/json", TOKEN).await;
        assert_eq!(status, 400, "{} without the media type", call.1);
        assert_eq!(body["success"], false, "{}", call.1);
        let (status, body) = sent(&stage, call, media_type, "another-token").await;
        assert_eq!(
            (status, &body["data"]),
            (401, &Value::Null),
            "{} with a wrong token",
            call.1
        );
    }
    // Nothing of this did anything; with both they are served.
    stage.install().await;
    for call in all
        .iter()
        .filter(|call| !call.1.contains("uninstall") && !call.1.contains("refund"))
    {
        let (status, body) = sent(&stage, call, media_type, TOKEN).await;
        assert_ne!(status, 400, "{}: {body}", call.1);
        assert!(
            status != 404 || call.1.contains("grant_access"),
            "{} is not served: {body}",
            call.1
        );
    }
}

#[tokio::test]
async fn every_call_about_an_application_of_somebody_else_is_refused() {
    let stage = Stage::set().await;
    for (post, path, body) in calls(666) {
        let call = (post, format!("/marketplace/{path}"), body);
        let (status, body) = sent(&stage, &call, "application/vnd.api.v2+json", TOKEN).await;
        assert_eq!(status, 403, "{}: {body}", call.1);
    }
}

#[tokio::test]
async fn an_unfreeze_puts_the_addresses_back_beside_those_of_others() {
    let stage = Stage::set().await;
    let other = "https://other.example.com/hook";
    let location = Location {
        other_webhook_urls: vec![other.to_owned()],
        ..Location::new(SALON)
    };
    stage.sandbox.put_location(location).await.expect("a location");
    stage.install().await;
    let urls = async || {
        let truth = stage.sandbox.truth().await;
        let hooks = truth.locations[0].hooks.iter();
        hooks.map(|hook| hook.url.clone()).collect::<Vec<String>>()
    };
    let both = vec![other.to_owned(), stage.receiver.url("hooks")];
    assert_eq!(urls().await, both);
    stage.sandbox.freeze(place()).await.expect("frozen");
    assert_eq!(urls().await, [other]);
    let period = json!({
        "salon_id": SALON, "application_id": APP, "payment_sum": 10, "currency_iso": "USD",
        "payment_date": "2026-01-01 00:00:00", "period_from": "2026-01-01 00:00:00",
        "period_to": "2999-01-01 00:00:00",
    });
    assert_eq!(stage.post("/marketplace/partner/payment", period).await.status, 200);
    assert_eq!(urls().await, both);
}

#[tokio::test]
async fn older_servers_do_not_tell_what_each_address_gets() {
    let stage = Stage::set_with(|options| options.terms.hooks_told_apart = false).await;
    stage.install().await;
    let settings = stage.get(&format!("/api/v1/hooks_settings/{SALON}")).await.body["data"].clone();
    assert_eq!(settings["record"], 1);
    for newer in ["good", "schedule", "self_sending", "url_settings"] {
        assert_eq!(settings[newer], Value::Null, "{newer}");
    }
}

#[tokio::test]
async fn a_limit_can_be_told_with_and_without_when_to_come_again() {
    let stage = Stage::set().await;
    for (fault, told) in [
        (Fault::new("countries", FaultKind::RateLimited), None),
        (
            Fault::new("countries", FaultKind::RateLimited).retry_after(7),
            Some("7"),
        ),
    ] {
        stage.sandbox.fail(fault).await.expect("a fault");
        let answered = stage.get("/api/v1/countries").await;
        assert_eq!((answered.status, answered.retry_after.as_deref()), (429, told));
    }
}
