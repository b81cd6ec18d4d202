use serde_json::json;

use super::{LimitError, MAX_MESSAGE, MAX_NAME, address};
use crate::{
    domain::ids::Place,
    marketplace::call::{Base, Call, CallName, nothing},
};

/// A message of a client, as the chat of the cabinet shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatMessage {
    /// The client's phone, digits alone.
    pub phone: String,
    /// The client's name, at most 255 characters.
    pub name: String,
    /// What the client wrote, at most 4000 characters.
    pub text: String,
}

/// Where in the cabinet a page of the application stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// The chat.
    Chat,
    /// The waiting list.
    WaitingList,
    /// The list of tasks.
    TaskTracker,
}

impl Frame {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::WaitingList => "waiting_list",
            Self::TaskTracker => "task_tracker",
        }
    }
}

/// M13: a message of a client for the chat of the cabinet. **Not** harmless to repeat: it would stand
/// there twice.
///
/// # Errors
/// When a text is outside the limits of contract M13.
pub fn new_message(place: Place, message: &ChatMessage) -> Result<Call<()>, LimitError> {
    if message.phone.is_empty() || !message.phone.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(LimitError::Phone(message.phone.clone()));
    }
    bounded("a message", &message.text, MAX_MESSAGE)?;
    bounded("a name", &message.name, MAX_NAME)?;
    let path = "application/new_message".to_owned();
    Ok(
        Call::post(CallName::NewMessage, Base::Partner, path, nothing).body(json!({
            "salon_id": place.location_id,
            "application_id": place.application_id,
            "phone_from": message.phone,
            "message": message.text,
            "name": message.name,
        })),
    )
}

fn bounded(what: &'static str, text: &str, limit: usize) -> Result<(), LimitError> {
    let length = text.chars().count();
    if (1..=limit).contains(&length) {
        Ok(())
    } else {
        Err(LimitError::Text { what, limit, length })
    }
}

/// M13: puts a page of the application into the cabinet, or takes it out.
///
/// # Errors
/// When the address is not HTTPS.
pub fn install_frame(place: Place, frame: Frame, url: Option<&str>) -> Result<Call<()>, LimitError> {
    url.map_or(Ok(()), address)?;
    let path = "application/install_frame".to_owned();
    Ok(
        Call::post(CallName::InstallFrame, Base::Partner, path, nothing).body(json!({
            "salon_id": place.location_id,
            "application_id": place.application_id,
            "type": frame.as_str(),
            "url": url,
        })),
    )
}

/// M13: draws attention to a page of the application, for one user of the cabinet or for all.
pub fn toggle_highlight(place: Place, frame: Frame, user_id: Option<i64>, on: bool) -> Call<()> {
    let path = "application/toggle_highlight".to_owned();
    Call::post(CallName::ToggleHighlight, Base::Partner, path, nothing).body(json!({
        "salon_id": place.location_id,
        "application_id": place.application_id,
        "type": frame.as_str(),
        "user_id": user_id,
        "is_enabled": on,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ApplicationId, LocationId};

    const PLACE: Place = Place {
        application_id: ApplicationId(1),
        location_id: LocationId(2),
    };

    #[test]
    fn a_message_stays_within_its_limits() {
        let judge = |phone: &str, name: &str, text: &str| {
            let message = ChatMessage {
                phone: phone.to_owned(),
                name: name.to_owned(),
                text: text.to_owned(),
            };
            new_message(PLACE, &message).is_ok()
        };
        assert!(judge("10000000001", "Anna", "Hello"));
        assert!(judge("1", &"ж".repeat(MAX_NAME), &"ж".repeat(MAX_MESSAGE)));
        assert!(!judge("+10000000001", "Anna", "Hello"));
        assert!(!judge("", "Anna", "Hello"));
        assert!(!judge("1", "", "Hello"));
        assert!(!judge("1", "Anna", &"a".repeat(MAX_MESSAGE + 1)));
        assert!(!judge("1", &"a".repeat(MAX_NAME + 1), "Hello"));
    }

    #[test]
    fn a_frame_has_a_usable_address_or_none() {
        for (url, fine) in [
            (None, true),
            (Some("https://app.example.com/chat"), true),
            (Some("http://app.example.com/chat"), false),
        ] {
            assert_eq!(install_frame(PLACE, Frame::Chat, url).is_ok(), fine, "{url:?}");
        }
    }
}
