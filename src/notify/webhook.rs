use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretSlice};
use url::Url;

use super::{
    error::Error,
    http::{Answer, Http, retry_after},
};
use crate::domain::signature::hmac_sha256;

/// Lengths of a key that the specification allows.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A signing key of the Standard Webhooks specification.
#[derive(Clone)]
pub struct Secret(SecretSlice<u8>);

impl Secret {
    /// Reads `whsec_<base64>` with a key of 24 to 64 bytes. The error does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let encoded = text
            .trim()
            .strip_prefix("whsec_")
            .ok_or("a webhook secret begins with whsec_")?;
        let key = STANDARD
            .decode(encoded)
            .map_err(|_| "a webhook secret is base64 after whsec_".to_owned())?;
        if !KEY_BYTES.contains(&key.len()) {
            return Err(format!("a webhook secret holds 24 to 64 bytes, not {}", key.len()));
        }
        Ok(Self(key.into()))
    }

    fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let text = format!("{id}.{timestamp}.{body}");
        format!(
            "v1,{}",
            STANDARD.encode(hmac_sha256(self.0.expose_secret(), text.as_bytes()))
        )
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([hidden])")
    }
}

/// One webhook to send.
#[derive(Debug, Clone, Copy)]
pub struct SignedRequest<'a> {
    /// Where to.
    pub url: &'a str,
    /// Stable name of the message, the same for every attempt, so that the receiver can tell a
    /// repetition.
    pub id: &'a str,
    /// When this attempt is made; receivers refuse old ones.
    pub timestamp: DateTime<Utc>,
    /// JSON.
    pub body: &'a str,
    /// Keys to sign with: one, or old and new while the receiver changes over.
    pub secrets: &'a [Secret],
}

/// Sends webhooks. Cheap to clone.
#[derive(Clone)]
pub struct WebhookSender(Http);

impl WebhookSender {
    /// A sender over these clients.
    pub fn new(http: Http) -> Self {
        Self(http)
    }

    /// Sends once. Redirects are not followed: the signature is for this receiver only.
    pub async fn send(&self, request: &SignedRequest<'_>) -> Result<Answer, Error> {
        let url = target(request.url)?;
        let headers = headers(request)?;
        let said = self.0.post(url, headers, request.body.to_owned()).await?;
        judge(said.answer, &said.headers, Utc::now())
    }
}

fn target(url: &str) -> Result<Url, Error> {
    match Url::parse(url.trim()) {
        Ok(url) if matches!(url.scheme(), "https" | "http") => Ok(url),
        Ok(_) => Err(Error::permanent("a webhook goes to an http or https address")),
        Err(error) => Err(Error::permanent(format!(
            "not an address to send a webhook to: {error}"
        ))),
    }
}

fn headers(request: &SignedRequest<'_>) -> Result<HeaderMap, Error> {
    if request.secrets.is_empty() {
        return Err(Error::permanent(
            "a webhook is never sent without a signature, and there is no secret",
        ));
    }
    let timestamp = request.timestamp.timestamp();
    let signatures: Vec<_> = request
        .secrets
        .iter()
        .map(|secret| secret.sign(request.id, timestamp, request.body))
        .collect();
    let value = |text: String| {
        HeaderValue::try_from(text).map_err(|_| Error::permanent("the webhook's id cannot stand in a header"))
    };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("webhook-id", value(request.id.to_owned())?);
    headers.insert("webhook-timestamp", HeaderValue::from(timestamp));
    headers.insert("webhook-signature", value(signatures.join(" "))?);
    Ok(headers)
}

/// What an answer means: 2xx is done; what may change by waiting is transient; the rest, 410 for
/// "do not send any more" included, is permanent.
fn judge(answer: Answer, headers: &HeaderMap, now: DateTime<Utc>) -> Result<Answer, Error> {
    let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let status = answer.status;
    match status {
        200..=299 => Ok(answer),
        408 | 425 | 429 | 500.. => Err(Error::Transient {
            reason: format!("the receiver answered {status}"),
            retry_after: header(RETRY_AFTER).and_then(|value| retry_after(value, now)),
            answer: Some(answer),
        }),
        300..=399 => Err(Error::Permanent {
            reason: format!(
                "the receiver answered {status} with a redirect to {}, which is not followed",
                header(LOCATION).unwrap_or("nowhere")
            ),
            answer: Some(answer),
        }),
        410 => Err(Error::Permanent {
            reason: "the receiver answered 410: it wants no more webhooks".to_owned(),
            answer: Some(answer),
        }),
        _ => Err(Error::Permanent {
            reason: format!("the receiver refused with {status}"),
            answer: Some(answer),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use proptest::prelude::*;

    fn secret(byte: u8) -> (String, Secret) {
        let text = format!("whsec_{}", STANDARD.encode([byte; 24]));
        let secret = Secret::parse(&text).expect("a secret");
        (text, secret)
    }

    fn request<'a>(id: &'a str, body: &'a str, secrets: &'a [Secret]) -> SignedRequest<'a> {
        SignedRequest {
            url: "https://example.com/",
            id,
            timestamp: Utc::now(),
            body,
            secrets,
        }
    }

    #[test]
    fn another_implementation_accepts_either_signature_while_secrets_rotate() {
        let ((old_text, old), (new_text, new)) = (secret(1), secret(2));
        let body = r#"{"type":"installation.activated","title":"Тест"}"#;
        let headers = headers(&request("job-17", body, &[old, new])).expect("headers");
        for text in [old_text, new_text] {
            let other = standardwebhooks::Webhook::new(&text).expect("a secret");
            other.verify(body.as_bytes(), &headers).expect("a good signature");
            other.verify(b"{}", &headers).expect_err("another body");
        }
        let other = standardwebhooks::Webhook::new(&secret(3).0).expect("a secret");
        other.verify(body.as_bytes(), &headers).expect_err("another secret");
    }

    #[test]
    fn secrets_are_checked_and_not_repeated() {
        for wrong in [
            "",
            "whsec_",
            "whsec_c2hvcnQ=",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_?",
        ] {
            let error = Secret::parse(wrong).expect_err(wrong);
            assert!(wrong.len() < 7 || !error.contains(wrong), "{error}");
        }
        assert!(Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_ok());
        assert_eq!(format!("{:?}", secret(1).1), "Secret([hidden])");
    }

    #[test]
    fn nothing_leaves_unsigned_or_for_nowhere() {
        assert!(headers(&request("job-17", "{}", &[])).is_err());
        assert!(headers(&request("job\r\nX-Other: 1", "{}", &[secret(1).1])).is_err());
        for wrong in ["", "/path", "file:///etc/passwd", "ftp://example.com"] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn answers_are_done_for_later_or_for_never() {
        let mut told = HeaderMap::new();
        told.insert(RETRY_AFTER, HeaderValue::from_static("30"));
        for status in 100..=599 {
            let answer = Answer {
                status,
                answer: String::new(),
                duration_seconds: 0.1,
            };
            let expected = match status {
                200..=299 => "done",
                408 | 425 | 429 | 500..=599 => "later",
                _ => "never",
            };
            let got = match judge(answer, &told, Utc::now()) {
                Ok(_) => "done",
                Err(Error::Transient { retry_after, .. }) => {
                    assert_eq!(retry_after, Some(Duration::from_secs(30)));
                    "later"
                }
                Err(Error::Permanent { .. }) => "never",
            };
            assert_eq!(got, expected, "{status}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_configured_or_answered_nothing_panics(text in "\\PC*", wait in "\\PC*") {
            let _ = Secret::parse(&text);
            let _ = Secret::parse(&format!("whsec_{text}"));
            let _ = target(&text);
            let _ = headers(&request(&text, &wait, &[secret(1).1]));
        }
    }
}
