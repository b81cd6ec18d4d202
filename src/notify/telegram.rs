use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::{
    error::Error,
    http::{Answer, Http},
};

/// Characters of a message, as Telegram counts them.
const LONGEST: usize = 4096;

/// Sends messages of bots. Cheap to clone.
#[derive(Clone)]
pub struct Telegram {
    http: Http,
    base: String,
}

/// What the Bot API answers.
#[derive(Deserialize)]
struct Reply {
    ok: bool,
    description: Option<String>,
    result: Option<Sent>,
    parameters: Option<Parameters>,
}

#[derive(Deserialize)]
struct Sent {
    message_id: i64,
}

#[derive(Deserialize)]
struct Parameters {
    retry_after: Option<u64>,
}

impl Telegram {
    /// Messages leave through these clients to the Bot API at `base`.
    pub fn new(http: Http, base: &str) -> Self {
        Self {
            http,
            base: base.to_owned(),
        }
    }

    /// Sends one message; its number in the chat. A repetition is a second message: Telegram cannot tell.
    pub async fn send(&self, token: &SecretString, chat: &str, text: &str) -> Result<i64, Error> {
        let length = text.encode_utf16().count();
        if text.trim().is_empty() {
            return Err(Error::permanent(
                "the text is empty, and Telegram takes no such message",
            ));
        }
        if length > LONGEST {
            return Err(Error::permanent(format!(
                "the text has {length} characters, and Telegram takes {LONGEST}"
            )));
        }
        let token = token.expose_secret();
        // The address holds the token: nothing is said of it.
        let url = Url::parse(&format!("{}/bot{token}/sendMessage", self.base))
            .map_err(|_| Error::permanent("the address of the Bot API cannot be written: look at telegram.base"))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = json!({"chat_id": chat, "text": text}).to_string();
        let said = self.http.post(url, headers, body).await?;
        judge(said.answer, &said.body, token)
    }
}

/// What an answer means. A wrong token is mended by people, and then everything goes on; what Telegram holds against
/// the chat or the text stays so.
fn judge(answer: Answer, body: &str, token: &str) -> Result<i64, Error> {
    let reply: Option<Reply> = serde_json::from_str(body).ok();
    // Who stands in between may repeat the address.
    let answer = Answer {
        answer: answer.answer.replace(token, "[token]"),
        ..answer
    };
    let status = answer.status;
    let said = reply
        .as_ref()
        .and_then(|reply| reply.description.as_deref())
        .map(|said| format!(": {}", said.replace(token, "[token]")))
        .unwrap_or_default();
    let wait = reply.as_ref().and_then(|reply| reply.parameters.as_ref()?.retry_after);
    let reason = format!("Telegram answered {status}{said}");
    match (status, &reply) {
        (200..=299, Some(Reply { ok: true, result, .. })) => Ok(result.as_ref().map_or(0, |result| result.message_id)),
        // The message is there, and the rest of what was said about it is lost.
        (200..=299, None) if body.starts_with("{\"ok\":true") => Ok(0),
        (400 | 403, Some(_)) => Err(Error::Permanent {
            reason,
            answer: Some(answer),
        }),
        _ => Err(Error::Transient {
            reason,
            retry_after: wait.map(Duration::from_secs),
            answer: Some(answer),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "123456789:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn judged(status: u16, text: &str) -> Result<i64, Error> {
        let answer = Answer {
            status,
            answer: text.to_owned(),
            duration_seconds: 0.1,
        };
        judge(answer, text, TOKEN)
    }

    #[test]
    fn answers_are_done_for_later_or_for_never_and_hold_no_token() {
        assert_eq!(judged(200, r#"{"ok":true,"result":{"message_id":7}}"#), Ok(7));
        assert_eq!(judged(200, r#"{"ok":true,"resu"#), Ok(0), "it broke off");
        assert!(
            matches!(judged(200, "<html>"), Err(Error::Transient { .. })),
            "somebody in between"
        );
        let busy = r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 5","parameters":{"retry_after":5}}"#;
        let Err(Error::Transient { retry_after, .. }) = judged(429, busy) else {
            panic!("it is for later")
        };
        assert_eq!(retry_after, Some(Duration::from_secs(5)));
        for status in [400, 403] {
            let refused = judged(status, r#"{"ok":false,"description":"Bad Request: chat not found"}"#);
            let Err(Error::Permanent { reason, .. }) = refused else {
                panic!("it is for never")
            };
            assert!(reason.ends_with("Bad Request: chat not found"), "{reason}");
            // A proxy's page says nothing about the message.
            assert!(matches!(judged(status, "<html>"), Err(Error::Transient { .. })));
        }
        for status in [301, 401, 404, 500, 502] {
            let error = judged(
                status,
                &format!(r#"{{"ok":false,"description":"/bot{TOKEN}/ is gone"}}"#),
            );
            let error = error.expect_err("no success");
            assert!(matches!(error, Error::Transient { .. }), "{status}");
            assert!(!format!("{error:?}").contains("AAAA"), "{error:?}");
        }
    }
}
