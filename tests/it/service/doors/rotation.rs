//! Secrets change while the marketplace still uses the ones before.

use base64::{Engine, engine::general_purpose::STANDARD};
use bellhop::domain::signature::hmac_sha256;
use serde_json::{Value, json};
use sqlx::PgPool;
use url::form_urlencoded;

use super::{Stage, callback};
use crate::service::stage::{APP, TOKEN};

const FORMER: &str = "the-partner-token-before";
const STRANGER: &str = "the-token-of-somebody-else";

fn with(token: &str, mut body: Value) -> String {
    body["partner_token"] = json!(token);
    body.to_string()
}

/// A payment of 100 at a location, as who has this key signs it.
fn payment(location: i64, key: &str) -> Value {
    let mut body = callback(location, "payment");
    let signed = format!("salon_id={location}&amount=100");
    let more = json!({"payment_id": 13, "amount": 100, "discount": null, "currency_iso": "EUR",
        "sign": hex::encode(hmac_sha256(key.as_bytes(), signed.as_bytes()))});
    body.as_object_mut()
        .expect("an object")
        .extend(more.as_object().expect("an object").clone());
    body
}

impl Stage {
    /// An owner's browser comes with data that who has this key signed.
    async fn opened(&self, location: i64, key: &str) {
        let data = r#"{"id":1,"is_approved":true}"#;
        let sign = hex::encode(hmac_sha256(key.as_bytes(), data.as_bytes()));
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("salon_id", &location.to_string())
            .append_pair("user_data", &STANDARD.encode(data))
            .append_pair("user_data_sign", &sign)
            .finish();
        let url = self.url(&format!("apps/{APP}/connect?{query}"));
        self.http.get(url).send().await.expect("an answer");
    }

    /// What became of the redirect, the callbacks and the payment that who has this token sent about a location.
    async fn taken(&self, location: i64, token: &str) -> Vec<String> {
        self.opened(location, token).await;
        let url = self.callback_url();
        self.give(&url, with(token, callback(location, "freeze"))).await;
        self.give(&url, with(token, payment(location, token))).await;
        self.settled().await;
        let told = |line: &String| line.contains(" connect ") || line.contains(" callback ");
        let mut events = self.events(location).await;
        events.retain(told);
        events
    }
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn while_the_partner_token_changes_over_both_are_genuine_and_then_the_former_no_more(pool: PgPool) {
    let now = format!("partner_token = \"{TOKEN}\"");
    let both = format!("{now}\npartner_token_previous = \"{FORMER}\"");
    let stage = Stage::set_edited(pool, "", |_| {}, &[(&now, &both)]).await;
    for (location, token) in [(1, TOKEN), (2, FORMER)] {
        let genuine = [
            "connect.opened connect processed the status call decides what an opened page means",
            "installation.frozen callback processed",
            "payment.received callback processed a reported payment waits for the status to confirm it",
        ];
        assert_eq!(stage.taken(location, token).await, genuine, "{token}");
    }
    let refused = [
        "connect.opened connect rejected user_data_sign does not match",
        "installation.frozen callback rejected partner_token is wrong",
        "payment.received callback rejected partner_token is wrong",
    ];
    assert_eq!(stage.taken(3, STRANGER).await, refused);
    let stage = stage.reconfigured(&[(&both, &now)]).await;
    assert_eq!(stage.taken(4, FORMER).await, refused);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_signature_key_of_its_own_changes_over_too_and_the_token_signs_nothing(pool: PgPool) {
    let now = format!("partner_token = \"{TOKEN}\"");
    let keys = format!("{now}\nsignature_key = \"the-key-now\"\nsignature_key_previous = \"key-before\"");
    let stage = Stage::set_edited(pool, "", |_| {}, &[(&now, &keys)]).await;
    for (location, key) in [(1, "the-key-now"), (2, "key-before"), (3, TOKEN)] {
        stage.opened(location, key).await;
        stage
            .give(&stage.callback_url(), with(TOKEN, payment(location, key)))
            .await;
    }
    stage.settled().await;
    for (location, fate) in [(1, "processed"), (2, "processed"), (3, "rejected")] {
        let events = stage.events(location).await;
        let told: Vec<&String> = events.iter().filter(|line| line.contains(fate)).collect();
        assert!(told.len() >= 2, "{location}: {events:?}");
    }
    stage.end().await;
}
