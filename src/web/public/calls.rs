//! The door of telephony systems: `POST /apps/{application_id}/calls/{key}`. docs/telephony.md is its contract. As at
//! the other doors a 2xx means durable, and what is not understood is kept and not refused.

use std::borrow::Cow;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json, value::RawValue};

use super::doors;
use crate::{
    app::{App, served::Served},
    config::{Telephony, value::Secret},
    domain::{
        event::{Kind, Source, State},
        ids::{ApplicationId, LocationId},
        phone_call::PhoneCall,
        signature::{calls_key, same_secret, sha256},
    },
    intake::redact::redacted,
    store::events::Delivery,
};

/// Elements of one body that are kept although nobody knows what they are.
const MOST_UNKNOWN: usize = 100;

/// What the address of a delivery says.
struct Door<'a> {
    application_id: ApplicationId,
    /// The telephony system that the key was made for, or why there is none.
    system: Result<(&'a str, LocationId), &'static str>,
    /// None of these is kept, wherever it stands.
    secrets: Vec<&'a str>,
    headers: Value,
}

/// `POST /apps/{application_id}/calls/{key}`
pub(super) async fn take(
    app: web::Data<App>,
    path: web::Path<(i64, String)>,
    request: HttpRequest,
    body: web::Payload,
) -> HttpResponse {
    let (application, key) = path.into_inner();
    let application_id = ApplicationId(application);
    let system = match app.served(application_id) {
        None => Err("no application of this number is configured here"),
        Some(served) => system_of(&app, served, &key)
            .map(|system| (system.name.as_str(), system.location))
            .ok_or("the key of the address is wrong"),
    };
    let body = match doors::read(&app, application_id, &request, body, system.is_ok()).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let mut headers = doors::kept_headers(&request);
    if let Ok((name, _)) = system {
        headers["telephony"] = name.into();
    }
    let door = Door {
        application_id,
        system,
        secrets: app.all_served().flat_map(secrets).collect(),
        headers,
    };
    let deliveries = recognise(&door, &body.bytes);
    // Whoever has the key is told what is wrong with what was sent.
    let wrong = deliveries.iter().find_map(|delivery| delivery.reason.clone());
    let wrong = wrong.filter(|_| system.is_ok());
    match app.intake.accept(deliveries).await {
        Ok(_) => HttpResponse::Ok().json(match wrong {
            Some(why) => json!({"success": true, "not_understood": why}),
            None => json!({"success": true}),
        }),
        Err(_) => doors::not_stored(),
    }
}

/// The telephony system whose address has this key.
fn system_of<'a>(app: &App, served: &'a Served, key: &str) -> Option<&'a Telephony> {
    let made_for = |system: &&Telephony| {
        app.hook_secrets()
            .any(|secret| same_secret(key, &calls_key(secret, served.id, &system.name)))
    };
    served.config.telephony.iter().find(made_for)
}

fn secrets(served: &Served) -> impl Iterator<Item = &str> {
    let systems = served.config.telephony.iter();
    let tokens = systems.filter_map(|system| system.crm_token.as_ref().map(Secret::expose));
    tokens.chain(served.partner_tokens())
}

/// Reads a body: one call, or a list of them, each for itself.
fn recognise(door: &Door<'_>, body: &[u8]) -> Vec<Delivery> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Vec::new();
    }
    if !text.starts_with('[') {
        return vec![delivery(door, text.as_bytes())];
    }
    let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(text) else {
        return vec![delivery(door, text.as_bytes())];
    };
    let mut unknown = 0;
    let elements = elements.into_iter().filter_map(|element| {
        let delivery = delivery(door, element.get().as_bytes());
        unknown += usize::from(delivery.verdict != State::Received);
        (delivery.verdict == State::Received || unknown <= MOST_UNKNOWN).then_some(delivery)
    });
    elements.collect()
}

fn delivery(door: &Door<'_>, element: &[u8]) -> Delivery {
    let read = PhoneCall::from_bytes(element);
    let (location_id, call, reason) = match (door.system, read) {
        (Err(why), _) => (None, None, Some(why)),
        (Ok((_, location)), Err(why)) => (Some(location), None, Some(why)),
        (Ok((_, location)), Ok(call)) => (Some(location), Some(call), None),
    };
    let application = door.application_id.0.to_be_bytes();
    let kind = call.as_ref().map_or(Kind::Unknown, PhoneCall::kind);
    // A call is the same while its name is, however its system tells of it the second time.
    let digest = match (&call, door.system) {
        (Some(call), Ok((name, _))) => sha256(&[
            b"call",
            &application,
            name.as_bytes(),
            kind.to_string().as_bytes(),
            call.call_id.as_bytes(),
        ]),
        _ => sha256(&[&application, element, reason.unwrap_or_default().as_bytes()]),
    };
    Delivery {
        key: Some(digest),
        application_id: door.application_id,
        location_id,
        kind,
        source: Source::Telephony,
        verdict: if reason.is_none() {
            State::Received
        } else {
            State::Quarantined
        },
        reason: reason.map(Cow::Borrowed),
        resource_id: None,
        digest,
        fact: None,
        headers: door.headers.clone(),
        body: redacted(element, &door.secrets).into_owned(),
        arrived_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RINGING: &str = r#"{"call_id":"c-1","state":"ringing","direction":"incoming","from":"+1","to":"100"}"#;

    fn read(system: Result<(&'static str, LocationId), &'static str>, body: &str) -> Vec<Delivery> {
        let door = Door {
            application_id: ApplicationId(7),
            system,
            secrets: vec!["a-token-of-ours"],
            headers: json!({}),
        };
        recognise(&door, body.as_bytes())
    }

    #[test]
    fn a_list_is_read_element_by_element_and_a_bad_one_loses_no_good_one() {
        let reception = Ok(("reception", LocationId(5)));
        let list = format!("[{RINGING}, 17, {}]", RINGING.replace("c-1", "a-token-of-ours"));
        let read_list = read(reception, &list);
        let told: Vec<(String, Option<&str>)> = read_list
            .iter()
            .map(|one| (one.kind.to_string(), one.reason.as_deref()))
            .collect();
        let ringing = || ("call.ringing".to_owned(), None);
        assert_eq!(
            told,
            [ringing(), ("unknown".to_owned(), Some("it is no object")), ringing()]
        );
        assert!(!String::from_utf8_lossy(&read_list[2].body).contains("a-token-of-ours"));
        assert_eq!(
            read(reception, &format!("[{}]", ["0"; 500].join(","))).len(),
            MOST_UNKNOWN
        );
        assert_eq!(read(reception, "[{").len(), 1);
        assert!(read(reception, " ").is_empty());
    }

    #[test]
    fn a_call_is_the_same_while_its_name_state_and_system_are() {
        let key = |name, body: &str| read(Ok((name, LocationId(5))), body)[0].key;
        let first = key("reception", RINGING);
        assert_eq!(first, key("reception", &RINGING.replace("100", "101")));
        assert_ne!(first, key("reception", &RINGING.replace("c-1", "c-2")));
        assert_ne!(first, key("office", RINGING));
        let wrong = read(Err("the key of the address is wrong"), RINGING);
        assert_eq!((wrong[0].verdict, wrong[0].location_id), (State::Quarantined, None));
        assert_ne!(first, wrong[0].key);
    }
}
