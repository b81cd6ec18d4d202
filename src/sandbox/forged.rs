//! Lifecycle callbacks that the marketplace would not send, and odd ones that it might:
//! wrong tokens, foreign applications, ids as texts (contract 10, point 4).

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value, json};

use super::Sandbox;
use super::callbacks::{lifecycle, payment_sign};
use super::sender::Outgoing;

/// A callback made to order. It changes nothing in the sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forged {
    /// The application whose callback URL is called.
    pub application_id: i64,
    /// Location.
    pub location_id: i64,
    /// `uninstall`, `freeze`, `payment`, or any other word.
    pub event: String,
    /// The partner token in the body.
    #[serde(default)]
    pub token: ForgedToken,
    /// The `application_id` in the body, when it is another.
    #[serde(default)]
    pub claimed_application_id: Option<i64>,
    /// Prints the ids as texts.
    #[serde(default)]
    pub string_ids: bool,
    /// Calls the key of the event `event_type`.
    #[serde(default)]
    pub event_type_key: bool,
    /// Further fields, or others in place of those above. A `payment` with an `amount` is
    /// signed unless a `sign` is among them.
    #[serde(default)]
    pub fields: Map<String, Value>,
    /// Sent literally in place of everything above.
    #[serde(default)]
    pub raw_body: Option<String>,
    /// Sent there in place of the callback URL.
    #[serde(default)]
    pub url: Option<String>,
}

/// Which token a forged callback carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForgedToken {
    /// The real one.
    #[default]
    Right,
    /// Another one.
    Wrong,
    /// null.
    Null,
    /// The key is absent.
    Missing,
}

impl Forged {
    /// A callback with nothing wrong.
    pub fn new(application_id: i64, location_id: i64, event: impl Into<String>) -> Self {
        Self {
            application_id,
            location_id,
            event: event.into(),
            token: ForgedToken::Right,
            claimed_application_id: None,
            string_ids: false,
            event_type_key: false,
            fields: Map::new(),
            raw_body: None,
            url: None,
        }
    }

    fn body(&self, token: &str) -> String {
        if let Some(raw) = &self.raw_body {
            return raw.clone();
        }
        let claimed = self.claimed_application_id.unwrap_or(self.application_id);
        let mut body = lifecycle((claimed, self.location_id), &self.event, token);
        match self.token {
            ForgedToken::Right => {}
            ForgedToken::Wrong => {
                body.insert("partner_token".to_owned(), json!("not-the-token"));
            }
            ForgedToken::Null => {
                body.insert("partner_token".to_owned(), Value::Null);
            }
            ForgedToken::Missing => {
                body.remove("partner_token");
            }
        }
        if let Some(Value::Number(amount)) = self.fields.get("amount") {
            let discount = self.fields.get("discount").and_then(Value::as_number);
            let sign: String = payment_sign(token, self.location_id, amount, discount);
            body.insert("sign".to_owned(), json!(sign));
        }
        body.extend(self.fields.clone());
        if self.string_ids {
            for name in ["salon_id", "application_id"] {
                let text = body.get(name).and_then(Value::as_number).map(Number::to_string);
                if let Some(text) = text {
                    body.insert(name.to_owned(), json!(text));
                }
            }
        }
        if self.event_type_key
            && let Some(event) = body.remove("event")
        {
            body.insert("event_type".to_owned(), event);
        }
        Value::Object(body).to_string()
    }
}

impl Sandbox {
    /// Sends a callback made to order.
    pub async fn callback(&self, forged: Forged) -> Result<()> {
        self.act(|state, _| {
            let application = state.applications.get(&forged.application_id);
            let configured = application.map(|application| application.callback_url.clone());
            let url = forged.url.clone().or(configured).context("unknown application")?;
            let body = forged.body(&state.partner_token);
            let key = (forged.application_id, forged.location_id);
            state.callbacks.push(Outgoing::callback(key, &forged.event, url, body));
            Ok(())
        })
        .await
    }
}
