use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{call::Call, error::Error, lenient::Fields};

/// What came back for a request, before anybody judged it.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// HTTP status.
    pub status: u16,
    /// How long to wait, when the answer said so.
    pub retry_after: Option<Duration>,
    /// Where a redirect points.
    pub location: Option<&'a str>,
    /// The whole body.
    pub body: &'a [u8],
}

/// The envelope of contract 3, in all its states of completeness.
enum Envelope {
    /// No body.
    Empty,
    /// HTML, cut off, or otherwise not JSON.
    NotJson,
    /// JSON.
    Json {
        success: Option<bool>,
        data: Option<Value>,
        message: Option<String>,
        errors: String,
    },
}

impl Envelope {
    fn of(body: &[u8]) -> Self {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
        if body.is_empty() {
            return Self::Empty;
        }
        match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(mut map)) => {
                let whole = !["success", "data", "meta"].iter().any(|key| map.contains_key(*key));
                let success = map.get("success").and_then(super::lenient::flag);
                let meta = map.remove("meta").unwrap_or_default();
                let meta = Fields::of(&meta);
                let message = meta.text("message");
                let errors = meta.get("errors").map_or_else(String::new, listed);
                let data = if whole {
                    Some(Value::Object(map))
                } else {
                    map.remove("data")
                };
                Self::Json {
                    success,
                    data: data.filter(|data| !data.is_null()),
                    message,
                    errors,
                }
            }
            // A bare list or value is its own data.
            Ok(data) => Self::Json {
                success: None,
                data: Some(data).filter(|data| !data.is_null()),
                message: None,
                errors: String::new(),
            },
            Err(_) => Self::NotJson,
        }
    }
}

/// The list or object of errors as text.
fn listed(errors: &Value) -> String {
    let empty =
        errors.as_array().is_some_and(Vec::is_empty) || errors.as_object().is_some_and(serde_json::Map::is_empty);
    if empty { String::new() } else { errors.to_string() }
}

/// What an answer means for the call that it answers. Pure and total.
pub fn judge<T>(call: &Call<T>, answer: &Answer<'_>) -> Result<T, Error> {
    let status = answer.status;
    let envelope = Envelope::of(answer.body);
    match (status, envelope) {
        (200..=299, Envelope::Empty) => (call.decode)(None).map_err(|_| unclear(call, status, "an empty body")),
        (200..=299, Envelope::NotJson) => Err(unclear(call, status, "the body is not JSON")),
        (
            200..=299,
            Envelope::Json {
                success, data, message, ..
            },
        ) => {
            if success == Some(false) {
                let message = message.unwrap_or_else(|| "success is false, without a message".to_owned());
                return Err(Error::Rejected { status, message });
            }
            (call.decode)(data).map_err(|reason| unclear(call, status, &reason))
        }
        (_, envelope) => refusal(call, answer, envelope),
    }
}

/// No usable answer: open for calls that change something, harmless for the others.
pub(super) fn without_answer<T>(call: &Call<T>, status: Option<u16>, reason: String) -> Error {
    if call.name.changes_state() {
        Error::Unknown { status, reason }
    } else {
        Error::Fault { status, reason }
    }
}

fn unclear<T>(call: &Call<T>, status: u16, reason: &str) -> Error {
    without_answer(call, Some(status), format!("the answer was not understood: {reason}"))
}

fn refusal<T>(call: &Call<T>, answer: &Answer<'_>, envelope: Envelope) -> Result<T, Error> {
    let status = answer.status;
    let (said, errors, genuine) = match envelope {
        Envelope::Json { message, errors, .. } => (message, errors, true),
        Envelope::Empty | Envelope::NotJson => (None, String::new(), false),
    };
    if genuine && let Some(value) = (call.meaning)(status, said.as_deref().unwrap_or_default()) {
        return Ok(value);
    }
    let message = said.unwrap_or_else(|| if genuine { "no message" } else { "no answer in JSON" }.to_owned());
    Err(match status {
        401 => Error::Unauthorized { message },
        403 => Error::Forbidden { message },
        404 => Error::NotFound { message },
        422 => Error::Invalid { message, errors },
        429 => Error::Throttled {
            retry_after: answer.retry_after,
        },
        // A redirect is never followed. On a call that changes state it is no refusal either: the
        // redirect edition of the activation answers 301 on success (contract M9).
        300..=399 => {
            let target = answer.location.unwrap_or("nowhere");
            without_answer(
                call,
                Some(status),
                format!("a redirect to {target}, which is not followed"),
            )
        }
        408 | 500.. => without_answer(call, Some(status), message),
        _ => Error::Rejected { status, message },
    })
}

/// The value of `Retry-After`: seconds, or a date.
pub(super) fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(value).ok()?.to_utc();
    Some((date - now).to_std().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests;
