//! A telephone call, as a telephony system tells of it at our door. docs/telephony.md describes the fields.

use chrono::{DateTime, FixedOffset};
use serde_json::Value;

use super::event::{CALL, Kind, words};

words! {
    /// Who called whom.
    Direction {
        /// A client called.
        Incoming = "incoming",
        /// A client was called.
        Outgoing = "outgoing",
        /// Colleagues spoke.
        Internal = "internal",
    }
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneCall {
    /// Its name in the telephony system.
    pub call_id: String,
    /// Who called whom.
    pub direction: Direction,
    /// The caller's number.
    pub from: String,
    /// The number that was called.
    pub to: String,
    /// Who is meant at the location, in the words of the marketplace's settings (a SIP id).
    pub user: Option<String>,
    /// How far it has come.
    pub stage: Stage,
}

/// How far a call has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// The phone rings.
    Ringing,
    /// It is over.
    Ended(Ended),
}

/// What is known of a call when it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// When it began.
    pub started_at: DateTime<FixedOffset>,
    /// How long they spoke, in seconds.
    pub duration_seconds: u32,
    /// Whether they spoke at all.
    pub answered: bool,
    /// Address of a recording, https.
    pub recording_url: Option<String>,
}

/// Characters of a call's name.
const LONGEST_ID: usize = 200;
/// Characters of a number or user.
const LONGEST_NUMBER: usize = 100;
/// Characters of a recording's address.
const LONGEST_URL: usize = 2048;
/// Nobody speaks longer.
const LONGEST_CALL: u64 = 7 * 24 * 60 * 60;

impl PhoneCall {
    /// Reads what a telephony system sent.
    ///
    /// # Errors
    /// With what is wrong first. The text holds nothing of what was sent: it may be shown and logged.
    pub fn read(value: &Value) -> Result<Self, &'static str> {
        if !value.is_object() {
            return Err("it is no object");
        }
        let text = |key: &str, longest| text(value.get(key), longest);
        let stage = match value.get("state").and_then(Value::as_str) {
            Some("ringing") => Stage::Ringing,
            Some("ended") => Stage::Ended(ended(value)?),
            Some(_) | None => return Err("`state` must be \"ringing\" or \"ended\""),
        };
        let direction = value
            .get("direction")
            .and_then(Value::as_str)
            .and_then(Direction::parse);
        Ok(Self {
            call_id: text("call_id", LONGEST_ID).ok_or("`call_id` must be a text of 1 to 200 characters")?,
            direction: direction.ok_or("`direction` must be \"incoming\", \"outgoing\" or \"internal\"")?,
            from: text("from", LONGEST_NUMBER).ok_or("`from` must be a number of 1 to 100 characters")?,
            to: text("to", LONGEST_NUMBER).ok_or("`to` must be a number of 1 to 100 characters")?,
            user: match absent(value.get("user")) {
                true => None,
                false => Some(text("user", LONGEST_NUMBER).ok_or("`user` must be a text of 1 to 100 characters")?),
            },
            stage,
        })
    }

    /// The same from bytes.
    ///
    /// # Errors
    /// As [`PhoneCall::read`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, &'static str> {
        let value: Value = serde_json::from_slice(bytes).map_err(|_| "not JSON")?;
        Self::read(&value)
    }

    /// The kind of event it is.
    pub fn kind(&self) -> Kind {
        let change = match self.stage {
            Stage::Ringing => "ringing",
            Stage::Ended(_) => "ended",
        };
        Kind::Entity {
            resource: CALL.to_owned(),
            change: change.to_owned(),
        }
    }
}

fn ended(value: &Value) -> Result<Ended, &'static str> {
    let started_at = value.get("started_at").and_then(Value::as_str);
    let started_at = started_at.and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    let duration = value.get("duration_seconds").and_then(Value::as_u64);
    let recording_url = match value.get("recording_url") {
        Some(Value::String(url)) if url.starts_with("https://") && url.chars().count() <= LONGEST_URL => {
            Some(url.clone())
        }
        recording if absent(recording) => None,
        _ => return Err("`recording_url` must be an https address of at most 2048 characters"),
    };
    Ok(Ended {
        started_at: started_at.ok_or("`started_at` must be a time of RFC 3339, such as 2026-06-01T09:05:00+03:00")?,
        duration_seconds: duration
            .filter(|seconds| *seconds <= LONGEST_CALL)
            .and_then(|seconds| u32::try_from(seconds).ok())
            .ok_or("`duration_seconds` must be a whole number of seconds, at most a week")?,
        answered: value
            .get("answered")
            .and_then(Value::as_bool)
            .ok_or("`answered` must be true or false")?,
        recording_url,
    })
}

fn absent(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    }
}

/// A text, or a whole number, which some systems write for extensions.
fn text(value: Option<&Value>, longest: usize) -> Option<String> {
    let text = match value? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) if number.is_u64() => number.to_string(),
        _ => return None,
    };
    (1..=longest).contains(&text.chars().count()).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn over(changes: Value) -> Result<PhoneCall, &'static str> {
        let mut call = json!({
            "call_id": "c-1", "state": "ended", "direction": "outgoing", "from": 101, "to": "+10000000001",
            "started_at": "2026-06-01T09:05:00+03:00", "duration_seconds": 12, "answered": true,
        });
        let fields = changes.as_object().cloned().unwrap_or_default();
        call.as_object_mut().expect("an object").extend(fields);
        PhoneCall::read(&call)
    }

    #[test]
    fn a_call_is_read_with_and_without_what_may_be_missing() {
        let call = over(json!({"user": null, "recording_url": ""})).expect("a call");
        assert_eq!((call.from.as_str(), &call.user), ("101", &None));
        assert_eq!(call.kind().to_string(), "call.ended");
        let call = over(json!({"state": "ringing", "started_at": null, "answered": null, "user": "sip-1"}));
        let call = call.expect("a call");
        assert_eq!((call.stage, call.user.as_deref()), (Stage::Ringing, Some("sip-1")));
    }

    #[test]
    fn what_is_wrong_is_named_without_what_was_sent() {
        for (changes, told) in [
            (json!({"state": "busy"}), "`state`"),
            (json!({"call_id": " "}), "`call_id`"),
            (json!({"call_id": "x".repeat(201)}), "`call_id`"),
            (json!({"direction": "in"}), "`direction`"),
            (json!({"from": -5}), "`from`"),
            (json!({"to": null}), "`to`"),
            (json!({"user": ["a"]}), "`user`"),
            (json!({"started_at": "2026-06-01 09:05"}), "`started_at`"),
            (json!({"duration_seconds": -1}), "`duration_seconds`"),
            (json!({"duration_seconds": 1_000_000}), "`duration_seconds`"),
            (json!({"answered": "yes"}), "`answered`"),
            (json!({"recording_url": "http://pbx.example.com/1"}), "`recording_url`"),
        ] {
            let error = over(changes.clone()).expect_err("wrong");
            assert!(error.starts_with(told), "{changes}: {error}");
        }
        assert_eq!(PhoneCall::from_bytes(b"[]"), Err("it is no object"));
        assert_eq!(PhoneCall::from_bytes(b"\xff"), Err("not JSON"));
    }
}
