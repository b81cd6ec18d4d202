use chrono::Utc;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::Url;

use super::{
    error::Error,
    http::{Answer, Http, retry_after},
};

/// Characters of a message; Slack cuts off what is behind them.
const LONGEST: usize = 40_000;

/// Sends messages through incoming webhooks. Cheap to clone.
#[derive(Clone)]
pub struct Slack(Http);

impl Slack {
    /// Messages leave through these clients.
    pub fn new(http: Http) -> Self {
        Self(http)
    }

    /// Sends one message through the webhook of a channel, whose address is a secret. A repetition is a second message:
    /// Slack cannot tell.
    pub async fn send(&self, address: &SecretString, text: &str) -> Result<(), Error> {
        let length = text.chars().count();
        if text.trim().is_empty() {
            return Err(Error::permanent("the text is empty, and Slack takes no such message"));
        }
        if length > LONGEST {
            return Err(Error::permanent(format!(
                "the text has {length} characters, and Slack takes {LONGEST}"
            )));
        }
        let url = Url::parse(address.expose_secret())
            .map_err(|_| Error::permanent("the address of the incoming webhook cannot be read"))?;
        let path = url.path().to_owned();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let said = self.0.post(url, headers, json!({"text": text}).to_string()).await?;
        judge(said.answer, &said.headers, &path)
    }
}

/// What an answer means. Slack says in a word what is wrong with the channel, the webhook or the text; none of it is
/// mended by waiting. `path` is the secret part of the address, which is not repeated.
fn judge(answer: Answer, headers: &HeaderMap, path: &str) -> Result<(), Error> {
    let text = match path.len() {
        0 | 1 => answer.answer.clone(),
        _ => answer.answer.replace(path, "[address]"),
    };
    let status = answer.status;
    let word: String = text.chars().take(100).collect();
    let reason = format!("Slack answered {status}: {word}");
    let answer = Some(Answer { answer: text, ..answer });
    match status {
        200..=299 => Ok(()),
        408 | 425 | 429 | 500.. => {
            let wait = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            Err(Error::Transient {
                reason,
                retry_after: wait.and_then(|wait| retry_after(wait, Utc::now())),
                answer,
            })
        }
        _ => Err(Error::Permanent { reason, answer }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn answers_are_done_for_later_or_for_never_and_hold_no_address() {
        let path = "/services/T0/B0/secret";
        let judged = |status: u16, text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static("30"));
            let answer = Answer {
                status,
                answer: text.to_owned(),
                duration_seconds: 0.1,
            };
            judge(answer, &headers, path)
        };
        assert_eq!(judged(200, "ok"), Ok(()));
        let Err(Error::Transient { retry_after, .. }) = judged(429, "rate_limited") else {
            panic!("it is for later")
        };
        assert_eq!(retry_after, Some(Duration::from_secs(30)));
        for status in [302, 400, 403, 404, 410] {
            let error = judged(status, &format!("no_service at {path}")).expect_err("refused");
            assert!(matches!(error, Error::Permanent { .. }), "{status}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
        assert!(matches!(judged(500, "rollup_error"), Err(Error::Transient { .. })));
    }
}
