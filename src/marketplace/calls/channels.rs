use serde_json::json;

use super::LimitError;
pub use crate::domain::messaging::Channel;
use crate::{
    domain::{
        ids::Place,
        messaging::{MOST_SENDER_NAMES, objection_to_sender_name},
    },
    marketplace::call::{Base, Call, CallName, nothing},
};

/// M5: whether a channel can be used at a location. For chat bots and SMS aggregators only.
pub fn update_channel(place: Place, channel: Channel, available: bool) -> Call<()> {
    let path = "application/update_channel".to_owned();
    Call::post(CallName::UpdateChannel, Base::Billing, path, nothing).body(json!({
        "salon_id": place.location_id,
        "application_id": place.application_id,
        "channel_slug": channel.as_str(),
        "is_available": available,
    }))
}

/// M12: the names that text messages come from.
pub fn short_names(place: Place, names: &[String]) -> Result<Call<()>, LimitError> {
    if names.is_empty() || names.len() > MOST_SENDER_NAMES {
        return Err(LimitError::NameCount(names.len()));
    }
    for name in names {
        if let Some(reason) = objection_to_sender_name(name) {
            return Err(LimitError::Name {
                name: name.clone(),
                reason,
            });
        }
    }
    let path = "partner/short_names".to_owned();
    Ok(
        Call::post(CallName::ShortNames, Base::Partner, path, nothing).body(json!({
            "salon_id": place.location_id,
            "application_id": place.application_id,
            "short_names": names,
        })),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ApplicationId, LocationId};

    #[test]
    fn sender_names_follow_the_vendors_rule() {
        let place = Place {
            application_id: ApplicationId(1),
            location_id: LocationId(2),
        };
        let judge = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            short_names(place, &names).map(|_| ())
        };
        assert_eq!(judge(&["Example", "AGENCY"]), Ok(()));
        for wrong in ["Altegio", "my-ALTEGIO", "ag", "AG", "Салон", ""] {
            assert!(judge(&["fine", wrong]).is_err(), "{wrong}");
        }
        assert_eq!(judge(&[]), Err(LimitError::NameCount(0)));
        assert_eq!(judge(&["a"; 21]), Err(LimitError::NameCount(21)));
    }
}
