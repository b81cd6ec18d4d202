//! V1 and V2: telephony (contract 6.3).

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::ask::{Ask, Check};
use super::envelope::{Answer, Message};
use super::links::Status;
use super::state::State;

/// A call of the history.
#[derive(Debug, Clone, Serialize)]
pub struct PhoneCall {
    /// Number.
    pub id: i64,
    /// The caller.
    pub phone: String,
    /// The number that was called.
    pub diversion: String,
    /// Who was meant, if anybody was named.
    pub user: Option<String>,
    /// Its name in the telephony system; empty when none was given.
    pub call_id: String,
    /// Address of a recording; may be empty.
    pub link: String,
    /// In seconds.
    pub duration: f64,
    /// How it ended.
    pub status: String,
    /// Who called whom.
    pub kind: String,
    /// When it began.
    pub call_date: DateTime<Utc>,
}

/// A phone that rang: what the cabinet shows to the administrator.
#[derive(Debug, Clone, Serialize)]
pub struct PhoneRing {
    /// The caller.
    pub phone: String,
    /// The number that was called.
    pub diversion: String,
    /// Who is meant, if anybody was named.
    pub user: Option<String>,
}

/// V1: four commands at one address, told apart by `command` and `type`.
pub(super) fn command(state: &mut State, ask: &Ask) -> Result<Answer, Answer> {
    let mut check = Check::new(ask);
    let line = check.text("crm_token").to_owned();
    let command = check.text("command").to_owned();
    let kind = check.text("type").to_owned();
    check.done(state.brand)?;
    match (command.as_str(), kind.as_str()) {
        ("setup", "enable") => {
            state.phone_lines.insert(line, true);
        }
        ("setup", "disable") => {
            state.phone_lines.insert(line, false);
        }
        ("event" | "history", _) => {
            let mut check = Check::new(ask);
            let phone = check.text("phone").to_owned();
            let diversion = check.text("diversion").to_owned();
            check.done(state.brand)?;
            let user = ask.field("user").and_then(Value::as_str).map(str::to_owned);
            let ring = PhoneRing { phone, diversion, user };
            // After `disable`, calls are accepted and forgotten.
            let enabled = state.phone_lines.get(&line).copied().unwrap_or(false);
            if command == "history" && enabled {
                let call = history(state, ask, ring, kind);
                state.phone_calls.push(call);
            } else if enabled && kind == "incoming" {
                // Of phones that ring only incoming calls are shown.
                state.phone_rings.push(ring);
            }
        }
        _ => {
            let mut check = Check::new(ask);
            check.wrong("command", "The value is not allowed.");
            check.done(state.brand)?;
        }
    }
    Ok(Answer::with(202, true, Value::Null, json!({"message": "Accepted"})))
}

fn history(state: &State, ask: &Ask, ring: PhoneRing, kind: String) -> PhoneCall {
    let text = |name: &str| ask.field(name).and_then(Value::as_str).unwrap_or("").to_owned();
    let date = DateTime::parse_from_rfc3339(&text("date"));
    PhoneCall {
        id: 8_900_001 + i64::try_from(state.phone_calls.len()).unwrap_or(0),
        phone: ring.phone,
        diversion: ring.diversion,
        user: ring.user,
        call_id: text("call_id"),
        link: text("link"),
        duration: ask.field("duration").and_then(Value::as_f64).unwrap_or(0.0),
        status: match text("status") {
            status if status.is_empty() => "success".to_owned(),
            status => status,
        },
        kind,
        call_date: date.map_or(ask.now, |date| date.with_timezone(&Utc)),
    }
}

/// V2: the history, by query or by the documented body of a GET.
pub(super) fn calls(state: &mut State, ask: &Ask) -> Result<Answer, Answer> {
    let text = |name: &str| {
        let field = ask
            .field(name)
            .map(|value| value.as_str().map_or(value.to_string(), str::to_owned));
        ask.parameter(name).map(str::to_owned).or(field)
    };
    let mut check = Check::new(ask);
    let salon = text("salon_id").and_then(|id| id.parse::<i64>().ok());
    if salon.is_none() {
        check.wrong("salon_id", "An integer is required.");
    }
    let mut day = |name: &str| {
        let day = text(name).and_then(|day| day.parse::<NaiveDate>().ok());
        if day.is_none() {
            check.wrong(name, "A date YYYY-MM-DD is required.");
        }
        day.unwrap_or_default()
    };
    let (from, to) = (day("date_from"), day("date_to"));
    check.done(state.brand)?;
    let salon = salon.unwrap_or(0);
    let link = ask
        .user_of
        .and_then(|application| state.links.get(&(application, salon)));
    if !link.is_some_and(|link| link.status == Status::Active) {
        return Err(state.failed(403, Message::NoRights));
    }
    let zone = state.locations.get(&salon).map_or(chrono_tz::UTC, |place| place.zone());
    let (types, statuses) = (wanted(ask, "types"), wanted(ask, "statuses"));
    let phone = text("phone");
    // The reference names neither the first page nor the default size: from 1, and all.
    let number = |name: &str| text(name).and_then(|number| number.parse::<usize>().ok());
    let limit = number("limit").unwrap_or(usize::MAX);
    let skip = number("page").unwrap_or(1).saturating_sub(1).saturating_mul(limit);
    let found: Vec<Value> = state
        .phone_calls
        .iter()
        .filter(|call| (from..=to).contains(&call.call_date.with_timezone(&zone).date_naive()))
        .filter(|call| types.is_empty() || types.contains(&call.kind))
        .filter(|call| statuses.is_empty() || statuses.contains(&call.status))
        .filter(|call| phone.as_ref().is_none_or(|phone| *phone == call.phone))
        .skip(skip)
        .take(limit)
        .map(|call| {
            json!({
                "id": call.id,
                "client_id": 0,
                "caller_phone": call.phone,
                "record_link": call.link,
                "duration": super::dates::number(call.duration),
                "status": call.status,
                "type": call.kind,
                "call_date": call.call_date.with_timezone(&zone).to_rfc3339(),
            })
        })
        .collect();
    Ok(Answer::ok(Value::Array(found)))
}

/// A list by repeated parameters `name[]`, or by the body.
fn wanted(ask: &Ask, name: &str) -> Vec<String> {
    let parameter = format!("{name}[]");
    let by_query = ask.query.iter().filter(|(key, _)| *key == parameter);
    let mut wanted: Vec<String> = by_query.map(|(_, value)| value.clone()).collect();
    if let Some(Value::Array(items)) = ask.field(name) {
        wanted.extend(items.iter().filter_map(Value::as_str).map(str::to_owned));
    }
    wanted
}
