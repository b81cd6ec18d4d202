//! M1–M5, M12 and three calls of M13: locations, tariffs, discounts, links, channels,
//! sender names (contract 6.1).

use serde_json::{Value, json};

use super::ask::{Ask, Check};
use super::callbacks::sign;
use super::envelope::{Answer, Message};
use super::install_api::{acceptable, connected};
use super::links::{PaymentLink, Status};
use super::state::{Key, State};

const NOT_FOUND: (u16, Message) = (404, Message::ApplicationNotFound);

/// M1: connected locations. Pages are counted from 1; page 0 is the first one too.
pub(super) fn salons(state: &mut State, ask: &Ask) -> Result<Answer, Answer> {
    let application = ask.application.unwrap_or(0);
    state.own(application, (403, Message::AccessDenied))?;
    let mut check = Check::new(ask);
    let page = check.integer_parameter("page", 0..=i64::from(u32::MAX));
    let count = check.integer_parameter("count", 1..=1000);
    check.done(state.brand)?;
    let skip = usize::try_from((page - 1).max(0) * count).unwrap_or(usize::MAX);
    let listed: Vec<Value> = state
        .links
        .iter()
        .filter(|(key, link)| key.0 == application && state.terms.listed.contains(&link.status))
        .filter_map(|(key, _)| state.locations.get(&key.1))
        .skip(skip)
        .take(usize::try_from(count).unwrap_or(0))
        .map(|location| location.listed(ask.now))
        .collect();
    Ok(Answer::ok(Value::Array(listed)))
}

/// M2: what the platform sells for the application.
pub(super) fn tariffs(state: &mut State, ask: &Ask) -> Result<Answer, Answer> {
    let application = ask.application.unwrap_or(0);
    state.own(application, NOT_FOUND)?;
    let tariffs = state.applications.get(&application).map(|app| json!(app.tariffs));
    Ok(Answer::ok(tariffs.unwrap_or_else(|| json!([]))))
}

/// M3: sets the stored discount, for all the locations or for none.
pub(super) fn add_discount(state: &mut State, ask: &Ask) -> Result<Answer, Answer> {
    let mut check = Check::new(ask);
    let application = check.integer("application_id");
    let salons: Vec<i64> = match ask.field("salon_ids").and_then(Value::as_array) {
        Some(ids) => ids.iter().filter_map(Value::as_i64).collect(),
        None => Vec::new(),
    };
    if salons.is_empty() || salons.len() > 1000 {
        check.wrong("salon_ids", "A list of 1 to 1000 integers is required.");
    }
    let percent = ask.field("discount").and_then(Value::as_f64);
    let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
    if percent.is_none() {
        check.wrong("discount", "A percentage from 0 to 100 is required.");
    }
    check.done(state.brand)?;
    state.own(application, NOT_FOUND)?;
    let keys: Vec<Key> = salons.into_iter().map(|salon| (application, salon)).collect();
    for key in &keys {
        linked(state, *key)?;
    }
    for key in keys {
        let link = state.link(key, ask.now);
        link.discount = percent;
        link.discount_sets += 1;
    }
    Ok(Answer::ok(json!({})))
}

/// Refuses a location that is not connected at all.
fn linked(state: &State, key: Key) -> Result<(), Answer> {
    match state.links.get(&key).map(|link| link.status) {
        Some(Status::Pending | Status::Active | Status::Freezed | Status::Disabled) => Ok(()),
        Some(Status::Uninstalled) | None => Err(state.failed(404, Message::ApplicationNotFound)),
    }
}

/// M4: a link to the payment page.
pub(super) fn payment_link(state: &mut State, ask: &Ask) -> Result<Answer, Answer> {
    let mut check = Check::new(ask);
    let salon = check.integer_parameter("salon_id", 1..=i64::MAX);
    let application = check.integer_parameter("application_id", 1..=i64::MAX);
    let discount = ask.parameter("discount").map(|text| {
        let percent = text.parse().ok();
        percent
            .filter(|percent| (0.0..=100.0).contains(percent))
            .unwrap_or_else(|| {
                check.wrong("discount", "A percentage from 0 to 100 is required.");
                0.0
            })
    });
    let option = ask.parameter("tariff_option_id").map(|text| {
        text.parse::<i64>().unwrap_or_else(|_| {
            check.wrong("tariff_option_id", "An integer is required.");
            0
        })
    });
    check.done(state.brand)?;
    state.own(application, NOT_FOUND)?;
    let key = (application, salon);
    linked(state, key)?;
    let known = state.applications.get(&application).is_some_and(|app| {
        let mut options = app.tariffs.iter().flat_map(|tariff| &tariff.options);
        options.any(|offered| option.is_none_or(|wanted| wanted == offered.id))
    });
    if !known {
        return Err(state.failed(404, Message::Error));
    }
    let url = link_url(state, key, discount, option);
    let made = PaymentLink {
        url: url.clone(),
        discount,
        tariff_option_id: option,
        made_at: ask.now,
    };
    state.link(key, ask.now).payment_links.push(made);
    Ok(Answer::ok(json!({"url": url})))
}

fn link_url(state: &State, key: Key, discount: Option<f64>, option: Option<i64>) -> String {
    let mut query = format!("salon_id={}&application_id={}", key.1, key.0);
    if let Some(option) = option {
        query.push_str(&format!("&tariff_option_id={option}"));
    }
    if let Some(discount) = discount {
        query.push_str(&format!("&discount={discount}"));
    }
    query.push_str("&source=api");
    let sign = sign(&state.partner_token, query.as_bytes());
    format!("{}/appstore/payment/?{query}&sign={sign}", state.brand.site())
}

/// M5: availability of a channel.
pub(super) fn update_channel(state: &mut State, ask: &Ask) -> Result<Answer, Answer> {
    let mut check = Check::new(ask);
    let key = state.pair(&mut check);
    let channel = check.text("channel_slug").to_owned();
    if !channel.is_empty() && channel != "sms" && channel != "whatsapp" {
        check.wrong("channel_slug", "The value is not allowed.");
    }
    let available = ask.field("is_available").and_then(Value::as_bool);
    if available.is_none() {
        check.wrong("is_available", "A boolean is required.");
    }
    check.done_as_object(state.brand)?;
    state.own(key.0, (403, Message::AccessDenied))?;
    connected(state, key)?;
    let link = state.link(key, ask.now);
    link.channels.insert(channel, available.unwrap_or(false));
    Ok(Answer::ok(json!({})))
}

/// M12: SMS sender names.
pub(super) fn short_names(state: &mut State, ask: &Ask) -> Result<Answer, Answer> {
    let mut check = Check::new(ask);
    let key = state.pair(&mut check);
    let names = check.texts("short_names");
    if names.is_empty() || names.len() > 20 {
        check.wrong("short_names", "A list of 1 to 20 names is required.");
    }
    for name in &names {
        let lower = name.to_lowercase();
        let cyrillic = name.chars().any(|c| ('\u{400}'..='\u{4ff}').contains(&c));
        if cyrillic || lower.contains("altegio") || lower == "ag" || lower.is_empty() {
            check.wrong("short_names", "The value is not allowed.");
        }
    }
    check.done(state.brand)?;
    state.own(key.0, (403, Message::AccessDenied))?;
    connected(state, key)?;
    state.link(key, ask.now).short_names = names;
    Ok(Answer::bare(201))
}

/// M13: a chat message of a client. Only checked; the call log keeps it.
pub(super) fn new_message(state: &mut State, ask: &Ask) -> Result<Answer, Answer> {
    let mut check = Check::new(ask);
    let key = state.pair(&mut check);
    let phone = check.text("phone_from");
    if !phone.chars().all(|c| c.is_ascii_digit()) {
        check.wrong("phone_from", "Digits are required.");
    }
    if check.text("message").chars().count() > 4000 {
        check.wrong("message", "At most 4000 characters.");
    }
    if check.text("name").chars().count() > 255 {
        check.wrong("name", "At most 255 characters.");
    }
    check.done(state.brand)?;
    state.own(key.0, (403, Message::AccessDenied))?;
    connected(state, key)?;
    Ok(Answer::ok(json!({})))
}

/// M13: a page of the application inside the cabinet; without an address it is taken out.
pub(super) fn install_frame(state: &mut State, ask: &Ask) -> Result<Answer, Answer> {
    let mut check = Check::new(ask);
    let key = state.pair(&mut check);
    let kind = page(&mut check);
    let url = ask.field("url").cloned();
    if url.as_ref().is_some_and(|url| !url.as_str().is_some_and(acceptable)) {
        check.wrong("url", "An HTTPS URL is required.");
    }
    check.done(state.brand)?;
    state.own(key.0, (403, Message::AccessDenied))?;
    connected(state, key)?;
    let settings = &mut state.link(key, ask.now).special_settings;
    match url {
        Some(url) => settings.insert(format!("{kind}_frame"), url),
        None => settings.remove(&format!("{kind}_frame")),
    };
    Ok(Answer::ok(json!({})))
}

/// M13: a mark at a page of the application, for one user or for all.
pub(super) fn toggle_highlight(state: &mut State, ask: &Ask) -> Result<Answer, Answer> {
    let mut check = Check::new(ask);
    let key = state.pair(&mut check);
    let kind = page(&mut check);
    let on = ask.field("is_enabled").and_then(Value::as_bool);
    if on.is_none() {
        check.wrong("is_enabled", "true or false is required.");
    }
    if ask.field("user_id").is_some_and(|user| user.as_i64().is_none()) {
        check.wrong("user_id", "An integer or null is required.");
    }
    check.done(state.brand)?;
    state.own(key.0, (403, Message::AccessDenied))?;
    connected(state, key)?;
    let settings = &mut state.link(key, ask.now).special_settings;
    settings.insert(format!("{kind}_highlight"), json!(on.unwrap_or(false)));
    Ok(Answer::ok(json!({})))
}

/// The kind of page that a call is about.
fn page(check: &mut Check<'_>) -> String {
    let kind = check.text("type").to_owned();
    if !matches!(kind.as_str(), "chat" | "waiting_list" | "task_tracker") {
        check.wrong("type", "The value is not allowed.");
    }
    kind
}
