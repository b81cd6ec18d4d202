//! Stand-ins for two chat services: the Bot API of Telegram under `/telegram`, incoming webhooks of Slack under
//! `/slack/{name}`. Both keep every message and show it to nobody.

use actix_web::HttpResponse;
use actix_web::web::{Bytes, Data, Path};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::Sandbox;
use super::envelope::Answer;

/// The longest message of Telegram, in UTF-16 units.
const TELEGRAM_LIMIT: usize = 4096;

/// A message that came.
#[derive(Debug, Clone, Serialize)]
pub struct Said {
    /// When, on the real clock.
    pub at: DateTime<Utc>,
    /// `telegram` or `slack`.
    pub service: &'static str,
    /// The bot's token, or the name of the webhook.
    pub by: String,
    /// The chat; empty for a webhook, which has its own.
    pub chat: String,
    /// What was said.
    pub text: String,
    /// What was answered.
    pub status: u16,
}

/// A method of the Bot API; only `sendMessage` does something.
pub(super) async fn telegram(sandbox: Data<Sandbox>, path: Path<(String, String)>, body: Bytes) -> HttpResponse {
    let (token, method) = path.into_inner();
    let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    let chat = match &sent["chat_id"] {
        Value::String(chat) => chat.clone(),
        other => other.to_string(),
    };
    let text = sent["text"].as_str().unwrap_or_default().to_owned();
    let mut state = sandbox.lock();
    let fault = state.faults.take_for("telegram", &chat, None);
    let wait = fault.as_ref().and_then(|fault| fault.retry_after);
    let known = token
        .split_once(':')
        .is_some_and(|(bot, key)| bot.parse::<u64>().is_ok() && key.len() > 10);
    let (status, description) = match fault.map(|fault| fault.status.unwrap_or(500)) {
        Some(429) => (429, "Too Many Requests: retry later"),
        Some(403) => (403, "Forbidden: bot was blocked by the user"),
        Some(400) => (400, "Bad Request: chat not found"),
        Some(status) => (status, "Internal Server Error"),
        None if !known => (401, "Unauthorized"),
        None if method != "sendMessage" => (404, "Not Found"),
        None if text.is_empty() => (400, "Bad Request: message text is empty"),
        None if text.encode_utf16().count() > TELEGRAM_LIMIT => (400, "Bad Request: message is too long"),
        None => (200, ""),
    };
    let said = Said {
        at: Utc::now(),
        service: "telegram",
        by: token,
        chat,
        text,
        status,
    };
    state.chats.push(said.clone());
    let number = state.chats.to_vec().len();
    let answer = if status == 200 {
        json!({"ok": true, "result": {"message_id": number, "text": said.text}})
    } else {
        let mut refused = json!({"ok": false, "error_code": status, "description": description});
        if let Some(seconds) = wait {
            refused["parameters"] = json!({"retry_after": seconds});
        }
        refused
    };
    Answer::json(status, answer).into_response()
}

/// An incoming webhook of Slack.
pub(super) async fn slack(sandbox: Data<Sandbox>, name: Path<String>, body: Bytes) -> HttpResponse {
    let name = name.into_inner();
    let sent: Option<Value> = serde_json::from_slice(&body).ok();
    let text = sent.as_ref().and_then(|sent| sent["text"].as_str()).unwrap_or_default();
    let mut state = sandbox.lock();
    let fault = state.faults.take_for("slack", &name, None);
    let wait = fault.as_ref().and_then(|fault| fault.retry_after);
    let (status, word) = match fault.map(|fault| fault.status.unwrap_or(500)) {
        Some(429) => (429, "rate_limited"),
        Some(404) => (404, "no_service"),
        Some(410) => (410, "channel_is_archived"),
        Some(status) => (status, "rollup_error"),
        None if sent.is_none() => (400, "invalid_payload"),
        None if text.is_empty() => (400, "no_text"),
        None => (200, "ok"),
    };
    state.chats.push(Said {
        at: Utc::now(),
        service: "slack",
        by: name,
        chat: String::new(),
        text: text.to_owned(),
        status,
    });
    let answer = Answer::html(status, word);
    match wait {
        Some(seconds) => answer.header("Retry-After", seconds.to_string()),
        None => answer,
    }
    .into_response()
}
