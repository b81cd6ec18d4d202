//! W1 and W2: webhook settings of a location (contract 6.2).

use serde_json::{Value, json};

use super::ask::{Ask, Check};
use super::envelope::{Answer, Message};
use super::hooks::{FLAGS, Hook};
use super::install_api::webhook_urls;
use super::links::Status;
use super::state::State;

/// The location, if the caller's system user may manage it: only where its application is active.
fn managed(state: &State, ask: &Ask) -> Result<(i64, i64), Answer> {
    let location = ask.location.unwrap_or(0);
    if !state.locations.contains_key(&location) {
        return Err(state.failed(404, Message::Error));
    }
    let application = ask.user_of.unwrap_or(0);
    let link = state.links.get(&(application, location));
    if link.is_some_and(|link| link.status == Status::Active) {
        Ok((application, location))
    } else {
        Err(state.failed(403, Message::NoRights))
    }
}

/// W1: the settings. The flags on top are those of the first address.
pub(super) fn read(state: &mut State, ask: &Ask) -> Result<Answer, Answer> {
    let (_, location) = managed(state, ask)?;
    let none = Vec::new();
    let hooks = state.hooks.get(&location).unwrap_or(&none);
    let off = Hook {
        active: false,
        self_sending: false,
        flags: FLAGS.into_iter().map(|flag| (flag, false)).collect(),
        ..Hook::subscribed(String::new(), None)
    };
    let mut data = hooks.first().unwrap_or(&off).settings();
    let urls: Vec<&str> = match hooks.as_slice() {
        [] => vec![""],
        some => some.iter().map(|hook| hook.url.as_str()).collect(),
    };
    data.insert("urls".to_owned(), json!(urls));
    data.insert("company_id".to_owned(), json!(location));
    let each: Vec<Value> = hooks
        .iter()
        .map(|hook| {
            let mut settings = hook.settings();
            settings.insert("url".to_owned(), json!(hook.url));
            Value::Object(settings)
        })
        .collect();
    data.insert("url_settings".to_owned(), Value::Array(each));
    if !state.terms.hooks_told_apart {
        for newer in ["good", "schedule", "self_sending", "url_settings"] {
            data.remove(newer);
        }
    }
    Ok(Answer::ok(Value::Object(data)))
}

/// W2: replaces the settings of the whole location, of all applications.
pub(super) fn write(state: &mut State, ask: &Ask) -> Result<Answer, Answer> {
    let (application, location) = managed(state, ask)?;
    let mut check = Check::new(ask);
    let urls = webhook_urls(&mut check, "urls");
    if urls.is_empty() {
        check.wrong("urls", "At least one address is required.");
    }
    let active = flag(ask, "active");
    if active.is_none() {
        check.wrong("active", "1 or 0 is required.");
    }
    check.done(state.brand)?;
    let before = state.hooks.remove(&location).unwrap_or_default();
    let owner_of = |url: &str| {
        let known = before.iter().find(|hook| hook.url == url);
        known.map_or(Some(application), |hook| hook.application_id)
    };
    let after: Vec<Hook> = urls
        .into_iter()
        .map(|url| Hook {
            application_id: owner_of(&url),
            url,
            active: active.unwrap_or(false),
            self_sending: flag(ask, "self_sending").unwrap_or(false),
            flags: FLAGS
                .into_iter()
                .map(|name| (name, flag(ask, name).unwrap_or(false)))
                .collect(),
        })
        .collect();
    let lost = before
        .into_iter()
        .filter(|hook| hook.application_id != Some(application) && !after.iter().any(|kept| kept.url == hook.url));
    state.lost_hooks.entry(location).or_default().extend(lost);
    let mut data = after.first().map(Hook::settings).unwrap_or_default();
    let urls: Vec<&str> = after.iter().map(|hook| hook.url.as_str()).collect();
    data.insert("urls".to_owned(), json!(urls));
    state.hooks.insert(location, after);
    Ok(Answer::created(Value::Object(data)))
}

/// A flag of the body: 1 or 0, true or false.
fn flag(ask: &Ask, name: &str) -> Option<bool> {
    match ask.field(name)? {
        Value::Bool(on) => Some(*on),
        Value::Number(number) => match number.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        _ => None,
    }
}
