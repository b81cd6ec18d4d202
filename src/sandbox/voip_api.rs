//! V1 and V2: telephony (contract 6.3).

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};

use super::ask::{Ask, Check};
use super::envelope::{Answer, Message};
use super::links::Status;
use super::state::State;

/// A call of the history.
#[derive(Debug, Clone)]
pub(super) struct PhoneCall {
    id: i64,
    phone: String,
    link: String,
    duration: f64,
    status: String,
    kind: String,
    pub(super) call_date: DateTime<Utc>,
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
            check.text("diversion");
            check.done(state.brand)?;
            // After `disable`, calls are accepted and forgotten.
            let enabled = state.phone_lines.get(&line).copied().unwrap_or(false);
            if command == "history" && enabled {
                let call = history(state, ask, phone, kind);
                state.phone_calls.push(call);
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

fn history(state: &State, ask: &Ask, phone: String, kind: String) -> PhoneCall {
    let text = |name: &str| ask.field(name).and_then(Value::as_str).unwrap_or("").to_owned();
    let date = DateTime::parse_from_rfc3339(&text("date"));
    PhoneCall {
        id: 8_900_001 + i64::try_from(state.phone_calls.len()).unwrap_or(0),
        phone,
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
    let found: Vec<Value> = state
        .phone_calls
        .iter()
        .filter(|call| (from..=to).contains(&call.call_date.with_timezone(&zone).date_naive()))
        .filter(|call| types.is_empty() || types.contains(&call.kind))
        .filter(|call| statuses.is_empty() || statuses.contains(&call.status))
        .filter(|call| phone.as_ref().is_none_or(|phone| *phone == call.phone))
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
