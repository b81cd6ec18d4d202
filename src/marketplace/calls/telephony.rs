use chrono::{DateTime, FixedOffset, NaiveDate};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::{
    domain::{ids::LocationId, phone_call::Direction},
    marketplace::{
        call::{Base, Call, CallName, Lane, nothing},
        lenient::{Fields, WireMoment},
    },
};

/// The two ends of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parties {
    /// The caller's number.
    pub phone: String,
    /// The number that was called.
    pub diversion: String,
    /// Who is meant at the location (a SIP id); counts more than `diversion`.
    pub user: Option<String>,
}

/// A call that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedCall {
    /// Its name in the telephony system.
    pub call_id: Option<String>,
    /// Who called whom.
    pub direction: Direction,
    /// The two ends.
    pub parties: Parties,
    /// When it began.
    pub started_at: DateTime<FixedOffset>,
    /// How long they spoke, in seconds.
    pub duration_seconds: u32,
    /// Whether they spoke at all.
    pub answered: bool,
    /// Address of a recording.
    pub recording: Option<String>,
}

/// V1 `setup`: turns the line that `crm_token` names on or off. What is told of a line that is off, the
/// marketplace accepts and forgets.
pub fn setup(crm_token: &SecretString, enabled: bool) -> Call<()> {
    command(
        crm_token,
        json!({
            "command": "setup",
            "type": if enabled { "enable" } else { "disable" },
        }),
    )
}

/// V1 `event`: the phone rings. The marketplace shows only incoming calls, and takes all.
pub fn ringing(crm_token: &SecretString, direction: Direction, parties: &Parties) -> Call<()> {
    let mut body = json!({ "command": "event", "type": direction.as_str() });
    add_parties(&mut body, parties);
    command(crm_token, body)
}

/// V1 `history`: a call is over. Whether the marketplace knows a `call_id` again, the contract does not
/// say: a repetition may stand there twice.
pub fn ended(crm_token: &SecretString, call: &EndedCall) -> Call<()> {
    let mut body = json!({
        "command": "history",
        "type": call.direction.as_str(),
        "duration": call.duration_seconds,
        "status": if call.answered { "success" } else { "missed" },
        "date": call.started_at.to_rfc3339(),
    });
    add_parties(&mut body, &call.parties);
    for (key, value) in [("call_id", &call.call_id), ("link", &call.recording)] {
        if let Some(value) = value {
            body[key] = json!(value);
        }
    }
    command(crm_token, body)
}

fn add_parties(body: &mut Value, parties: &Parties) {
    body["phone"] = json!(parties.phone);
    body["diversion"] = json!(parties.diversion);
    if let Some(user) = &parties.user {
        body["user"] = json!(user);
    }
}

fn command(crm_token: &SecretString, mut body: Value) -> Call<()> {
    body["crm_token"] = json!(crm_token.expose_secret());
    let path = "voip/integration".to_owned();
    Call::post(CallName::Telephony, Base::Api, path, nothing).body(body)
}

/// Which calls to list. Empty lists choose nothing away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Where.
    pub location_id: LocationId,
    /// First day.
    pub from: NaiveDate,
    /// Last day.
    pub to: NaiveDate,
    /// Of this number.
    pub phone: Option<String>,
    /// Of these directions.
    pub directions: Vec<Direction>,
    /// With these ends, in the marketplace's words: `success`, `missed`, `cancel`, `busy`, …
    pub statuses: Vec<String>,
    /// Which page, and how many in one.
    pub page: Option<(u32, u32)>,
}

/// A call as the marketplace lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct PhoneCall {
    /// Number.
    pub id: Option<i64>,
    /// The client, when the marketplace knows the number.
    pub client_id: Option<i64>,
    /// The caller's number.
    pub phone: Option<String>,
    /// Address of a recording.
    pub recording: Option<String>,
    /// How long they spoke, in seconds.
    pub duration_seconds: Option<i64>,
    /// How it ended, in the marketplace's words.
    pub status: Option<String>,
    /// Who called whom, in the marketplace's words.
    pub direction: Option<String>,
    /// When it began.
    pub started_at: Option<WireMoment>,
}

/// V2: the calls of a location. Needs the token of the application's system user. The documents show the
/// filter as the body of a GET, which many a proxy drops; with `in_body` it is sent that way too.
pub fn calls(filter: &Filter, in_body: bool) -> Call<Vec<PhoneCall>> {
    let path = "voip/integration/calls".to_owned();
    let mut call = Call {
        lane: Lane::PartnerAndUser,
        ..Call::get(CallName::PhoneCalls, Base::Api, path, decode)
    };
    let directions: Vec<&str> = filter.directions.iter().map(|one| one.as_str()).collect();
    call = call
        .query("salon_id", filter.location_id)
        .query("date_from", filter.from)
        .query("date_to", filter.to);
    if let Some(phone) = &filter.phone {
        call = call.query("phone", phone);
    }
    for direction in &directions {
        call = call.query("types[]", direction);
    }
    for status in &filter.statuses {
        call = call.query("statuses[]", status);
    }
    if let Some((page, limit)) = filter.page {
        call = call.query("page", page).query("limit", limit);
    }
    if in_body {
        let mut body = json!({
            "salon_id": filter.location_id,
            "date_from": filter.from,
            "date_to": filter.to,
            "types": directions,
            "statuses": filter.statuses,
        });
        if let Some(phone) = &filter.phone {
            body["phone"] = json!(phone);
        }
        if let Some((page, limit)) = filter.page {
            body["page"] = json!(page);
            body["limit"] = json!(limit);
        }
        call = call.body(body);
    }
    call
}

fn decode(data: Option<Value>) -> Result<Vec<PhoneCall>, String> {
    let Some(Value::Array(list)) = data else {
        return Err("data is not a list of calls".to_owned());
    };
    let one = |value: &Value| {
        let fields = Fields::of(value);
        PhoneCall {
            id: fields.integer("id"),
            // 0 stands for nobody (contract V2).
            client_id: fields.integer("client_id").filter(|id| *id != 0),
            phone: fields.text("caller_phone"),
            recording: fields.text("record_link"),
            duration_seconds: fields.integer("duration"),
            status: fields.text("status"),
            direction: fields.text("type"),
            started_at: fields.moment("call_date"),
        }
    };
    Ok(list.iter().map(one).collect())
}
