//! What stands around the marketplace: webhook settings, telephony, dictionaries, channels,
//! the mailbox and the inbox.

use bellhop::sandbox::{Fault, FaultKind, Location};
use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use serde_json::{Value, json};

use super::{APP, SALON, Stage, TOKEN, read};

#[tokio::test]
async fn a_careless_replacement_of_webhooks_loses_the_addresses_of_others() {
    let stage = Stage::set().await;
    let path = format!("/api/v1/hooks_settings/{SALON}");
    assert_eq!(stage.get(&path).await.status, 403, "only where it is active");
    let other = "https://other.example.com/hook";
    let location = Location {
        other_webhook_urls: vec![other.to_owned()],
        ..Location::new(SALON)
    };
    stage.sandbox.put_location(location).await.expect("a location");
    stage.install().await;
    let own = stage.receiver.url("hooks");
    let settings = stage.get(&path).await.body["data"].clone();
    assert_eq!(settings["urls"], json!([other, own]));
    assert_eq!(settings["url_settings"][1]["record"], 1);
    assert_eq!(settings["url_settings"][1]["loyalty_card"], 0);

    let careless = json!({"urls": [own], "active": 1, "record": 1});
    let stored = stage.post(&path, careless).await;
    assert_eq!(stored.status, 201);
    assert_eq!(
        (&stored.body["data"]["record"], &stored.body["data"]["client"]),
        (&json!(1), &json!(0))
    );
    let truth = stage.sandbox.truth().await;
    assert_eq!(truth.locations[0].lost_hooks[0].url, other);
    assert_eq!(stage.post(&path, json!({"urls": [], "active": 1})).await.status, 422);
    let url = format!("{}{path}", stage.sandbox.url());
    let without_user = stage.http.get(url).header("Accept", "application/vnd.api.v2+json");
    let without_user = without_user.header("Authorization", format!("Bearer {TOKEN}"));
    assert_eq!(read(without_user).await.status, 401);
}

#[tokio::test]
async fn channels_and_sender_names_are_kept_and_checked() {
    let stage = Stage::set().await;
    stage.install().await;
    let channel =
        |slug: &str| json!({"salon_id": SALON, "application_id": APP, "channel_slug": slug, "is_available": true});
    let path = "/marketplace/application/update_channel";
    assert_eq!(stage.post(path, channel("sms")).await.status, 200);
    let refused = stage.post(path, channel("pigeon")).await;
    assert_eq!(refused.status, 422);
    let errors = json!({"channel_slug": ["The value is not allowed."]});
    assert_eq!(refused.body["meta"]["errors"], errors);
    let names = |names: Value| json!({"salon_id": SALON, "application_id": APP, "short_names": names});
    let path = "/marketplace/partner/short_names";
    let stored = stage.post(path, names(json!(["SALON", "S1"]))).await;
    assert_eq!((stored.status, stored.text.as_str()), (201, ""));
    assert_eq!(stage.post(path, names(json!(["AG"]))).await.status, 422);
    assert_eq!(stage.post(path, names(json!(["Салон"]))).await.status, 422);
    let link = stage.sandbox.link(APP, SALON).await.expect("a link").link;
    assert_eq!(link.short_names, ["SALON", "S1"]);
    assert_eq!(link.channels.get("sms"), Some(&true));
}

#[tokio::test]
async fn pages_marks_and_messages_of_the_cabinet_are_checked() {
    let stage = Stage::set().await;
    let with = |fields: Value| {
        let mut body = json!({"salon_id": SALON, "application_id": APP});
        body.as_object_mut()
            .expect("an object")
            .extend(fields.as_object().expect("an object").clone());
        body
    };
    let frame = "/marketplace/application/install_frame";
    let chat = with(json!({"type": "chat", "url": "https://app.example.com/chat"}));
    assert_eq!(stage.post(frame, chat.clone()).await.status, 403, "only where it works");
    stage.install().await;
    assert_eq!(stage.post(frame, chat).await.status, 200);
    assert_eq!(stage.post(frame, with(json!({"type": "till"}))).await.status, 422);
    assert_eq!(
        stage
            .post(frame, with(json!({"type": "chat", "url": "http://app.example.com/"})))
            .await
            .status,
        422
    );
    let mark = "/api/v1/marketplace/application/toggle_highlight";
    let marked = with(json!({"type": "waiting_list", "user_id": null, "is_enabled": true}));
    assert_eq!(stage.post(mark, marked).await.status, 200);
    assert_eq!(stage.post(mark, with(json!({"type": "chat"}))).await.status, 422);
    let settings = stage
        .sandbox
        .link(APP, SALON)
        .await
        .expect("a link")
        .link
        .special_settings;
    assert_eq!(
        Value::Object(settings),
        json!({"chat_frame": "https://app.example.com/chat", "waiting_list_highlight": true})
    );
    assert_eq!(
        stage
            .post(frame, with(json!({"type": "chat", "url": null})))
            .await
            .status,
        200
    );
    let message = "/marketplace/application/new_message";
    let said = |phone: &str| with(json!({"phone_from": phone, "message": "Hello", "name": "Anna"}));
    assert_eq!(stage.post(message, said("10000000001")).await.status, 200);
    assert_eq!(stage.post(message, said("+10000000001")).await.status, 422);
}

#[tokio::test]
async fn an_owner_may_consent_by_a_call_at_the_own_location() {
    let stage = Stage::set().await;
    let path = format!("/api/v1/company/{SALON}/marketplace/applications/{APP}/grant_access");
    let by = |user: &str| {
        stage
            .posting(&path, &json!({}))
            .header("Accept", "application/vnd.api.v2+json")
            .header("Authorization", format!("Bearer {TOKEN}, User {user}"))
    };
    assert_eq!(read(by("somebody")).await.status, 401);
    stage
        .sandbox
        .put_location(Location::new(SALON + 1))
        .await
        .expect("a location");
    assert_eq!(read(by(&format!("owner-of-{}", SALON + 1))).await.status, 403);
    assert_eq!(stage.truth().await, None);
    assert_eq!(read(by(&format!("owner-of-{SALON}"))).await.status, 200);
    assert_eq!(stage.truth().await, Some(bellhop::sandbox::Status::Pending));
}

#[tokio::test]
async fn telephony_keeps_the_history_of_enabled_lines() {
    let stage = Stage::set().await;
    stage.install().await;
    let path = "/api/v1/voip/integration";
    let call = |command: &str, kind: &str| {
        json!({
            "command": command, "type": kind, "crm_token": "00000000-0000-4000-8000-000000000001",
            "diversion": "100", "phone": "10000000015", "duration": 12, "status": "missed",
        })
    };
    let steps = [("history", "incoming"), ("setup", "enable"), ("history", "outgoing")];
    for (command, kind) in steps {
        let answered = stage.post(path, call(command, kind)).await;
        assert_eq!((answered.status, answered.message()), (202, "Accepted"));
    }
    let days = "date_from=2020-01-01&date_to=2999-01-01";
    let all = stage.get(&format!("{path}/calls?salon_id={SALON}&{days}")).await;
    assert_eq!(all.body["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(all.body["data"][0]["type"], "outgoing");
    assert_eq!(stage.post(path, call("event", "incoming")).await.status, 202);
    assert_eq!(stage.post(path, call("event", "outgoing")).await.status, 202);
    let truth = stage.sandbox.truth().await;
    assert_eq!(
        (truth.phone_calls.len(), truth.phone_rings.len()),
        (1, 1),
        "only incoming calls ring"
    );
    let page = format!("{path}/calls?salon_id={SALON}&{days}&limit=1&page=2");
    assert_eq!(stage.get(&page).await.body["data"], json!([]));
    assert_eq!(stage.post(path, call("setup", "disable")).await.status, 202);
    assert_eq!(stage.post(path, call("history", "incoming")).await.status, 202);
    assert_eq!(
        stage.sandbox.truth().await.phone_calls.len(),
        1,
        "accepted and forgotten"
    );
    let filter = format!("{path}/calls?salon_id={SALON}&{days}&types[]=incoming");
    assert_eq!(stage.get(&filter).await.body["data"], json!([]));
}

#[tokio::test]
async fn dictionaries_answer() {
    let stage = Stage::set().await;
    let countries = stage.get("/api/v1/countries").await.body;
    assert_eq!(countries["data"][1]["iso_code"], "US");
    let cities = format!("/api/v1/cities?country_id=31&company_id={SALON}");
    let cities = stage.get(&cities).await.body;
    assert_eq!(
        cities["data"].as_array().map(Vec::len),
        Some(2),
        "and the location's own"
    );
    let groups = stage.get("/api/v1/references/business_groups_with_types").await.body;
    assert_eq!(groups["meta"]["count"], 10);
}

#[tokio::test]
async fn the_mailbox_keeps_mails_and_decodes_them() {
    let stage = Stage::set_with(|options| {
        options.mailbox = Some(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    })
    .await;
    let address = stage.sandbox.smtp_addr().expect("a mailbox");
    let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1")
        .port(address.port())
        .build();
    let mailbox = |text: &str| text.parse::<Mailbox>().expect("an address");
    let mail = Message::builder()
        .from(mailbox("Example <hello@example.com>"))
        .to(mailbox("owner@example.com"))
        .subject("Пробный период заканчивается")
        .body("Оставайтесь с нами: https://example.com/?a=1&b=2\n.точка\n".to_owned())
        .expect("a mail");
    transport.send(mail).await.expect("it is taken");
    let mails = stage.sandbox.mails().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, ["owner@example.com"]);
    assert_eq!(mails[0].from, "hello@example.com");
    assert_eq!(mails[0].subject, "Пробный период заканчивается");
    let text = mails[0].text.trim_end();
    assert_eq!(text, "Оставайтесь с нами: https://example.com/?a=1&b=2\n.точка");
    let over_http = stage.get("/_sandbox/mails").await.body;
    assert_eq!(over_http[0]["subject"], "Пробный период заканчивается");
}

#[tokio::test]
async fn the_inbox_records_webhooks_and_can_refuse_them() {
    let stage = Stage::set().await;
    let gone = Fault::new("inbox.crm", FaultKind::Status).status(410);
    stage.sandbox.fail(gone).await.expect("a fault");
    let path = "/inbox/crm";
    assert_eq!(stage.post(path, json!({"n": 1})).await.status, 410);
    let request = stage.posting(path, &json!({"n": 2}));
    let answered = read(request.header("Webhook-Id", "msg_1")).await;
    assert_eq!(answered.status, 200);
    let received = stage.sandbox.inbox().await;
    let statuses: Vec<u16> = received.iter().map(|one| one.status).collect();
    assert_eq!(statuses, [410, 200]);
    assert_eq!(received[1].name, "crm");
    assert_eq!(received[1].body, r#"{"n":2}"#);
    assert_eq!(received[1].headers.get("webhook-id").map(String::as_str), Some("msg_1"));
}

#[tokio::test]
async fn a_stopped_sandbox_answers_nobody() {
    let stage = Stage::set().await;
    let url = stage.sandbox.url();
    stage.sandbox.clone().stop().await;
    let again = stage.http.get(format!("{url}/_sandbox")).send().await;
    assert!(again.is_err());
}
