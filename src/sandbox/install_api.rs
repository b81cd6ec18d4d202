//! M6–M11: installation status, activation, uninstall, payments (contract 6.1).

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::ask::{Ask, Check};
use super::dates;
use super::envelope::{Answer, Message};
use super::hooks::MOST_URLS;
use super::lifecycle::{Activation, NewPayment, Refusal};
use super::links::{Link, Origin, Source, Status};
use super::state::{Key, State};

const NOT_FOUND: (u16, Message) = (404, Message::ApplicationNotFound);

/// The application and location of the path.
fn path_key(state: &State, ask: &Ask) -> Result<Key, Answer> {
    let key = (ask.application.unwrap_or(0), ask.location.unwrap_or(0));
    if state.foreign.contains(&key.0) {
        return Err(state.failed(403, Message::NoAccessToApplication));
    }
    if !state.applications.contains_key(&key.0) {
        return Err(Answer::not_installed());
    }
    Ok(key)
}

/// M6: the installation status.
pub(super) fn status(state: &mut State, ask: &Ask) -> Result<Answer, Answer> {
    let key = path_key(state, ask)?;
    let shown =
        |link: &&Link| link.status != Status::Uninstalled || (!state.terms.uninstalled_is_404 && !link.logs.is_empty());
    let link = state.links.get(&key).filter(shown);
    let link = link.ok_or_else(Answer::not_installed)?;
    let zone = state.locations.get(&key.1).map_or(chrono_tz::UTC, |place| place.zone());
    let date = |at: DateTime<Utc>| dates::print(at, zone, state.terms.payment_dates);
    let logs: Vec<Value> = link
        .logs
        .iter()
        .map(|line| {
            json!({
                "changed_at": date(line.changed_at),
                "status_from": line.status_from,
                "status_to": line.status_to,
                "source": line.source,
            })
        })
        .collect();
    let payments: Vec<Value> = link
        .payments
        .iter()
        .map(|paid| {
            json!({
                "id": paid.id,
                "payment_sum": paid.payment_sum,
                "payment_date": date(paid.payment_date),
                "is_refunded": paid.is_refunded,
                "period_from": date(paid.period_from),
                "period_to": date(paid.period_to),
            })
        })
        .collect();
    let mut data = json!({
        "logs": logs,
        "payments": payments,
        "connection_status": {"status": link.status, "created_at": date(link.created_at)},
    });
    if !link.special_settings.is_empty() {
        data["special_settings"] = Value::Object(link.special_settings.clone());
    }
    Ok(Answer::ok(data))
}

/// M7: uninstall by the application. Idempotent for a location that was connected once.
pub(super) fn uninstall(state: &mut State, ask: &Ask) -> Result<Answer, Answer> {
    let key = path_key(state, ask)?;
    if !state.links.contains_key(&key) {
        return Err(Answer::not_installed());
    }
    state.uninstall(key, Source::PartnerApi, ask.now);
    Ok(Answer::with(200, true, Value::Null, json!({})))
}

/// M13: the owner consents by a call: a pending link, of a non-public application an active one.
pub(super) fn grant_access(state: &mut State, ask: &Ask) -> Result<Answer, Answer> {
    let application = ask.application.unwrap_or(0);
    let location = ask.location.unwrap_or(0);
    match ask.owner_of {
        None => return Err(state.failed(401, Message::NoUser)),
        Some(own) if own != location => return Err(state.failed(403, Message::NoRights)),
        Some(_) => {}
    }
    state.own(application, NOT_FOUND)?;
    let status = state.consent((application, location), ask.now);
    Ok(Answer::ok(json!({"status": status})))
}

/// M8: activation of a pending link.
pub(super) fn activate(state: &mut State, ask: &Ask) -> Result<Answer, Answer> {
    let key = try_activation(state, ask)?;
    Ok(Answer::created(json!({"user_id": 9_000_000 + key.0})))
}

/// M9: the same for a browser, answered with a redirect to the application's card.
pub(super) fn activate_redirect(state: &mut State, ask: &Ask) -> Result<Answer, Answer> {
    let key = try_activation(state, ask)?;
    let card = state.brand.card(key.1, key.0);
    Ok(Answer::html(301, "").header("Location", card))
}

fn try_activation(state: &mut State, ask: &Ask) -> Result<Key, Answer> {
    let mut check = Check::new(ask);
    let key = state.pair(&mut check);
    let activation = Activation {
        webhook_urls: webhook_urls(&mut check, "webhook_urls"),
        channels: channels(&mut check),
        special_settings: special_settings(&mut check, ask),
    };
    let mut taken: Vec<&str> = activation.webhook_urls.iter().map(String::as_str).collect();
    if let Some(hooks) = state.hooks.get(&key.1) {
        taken.extend(hooks.iter().map(|hook| hook.url.as_str()));
    }
    if taken.len() > MOST_URLS {
        check.wrong("webhook_urls", "The location would have more than 10 addresses.");
    }
    check.done(state.brand)?;
    state.own(key.0, (404, Message::AggregatorNotFound))?;
    state.activate(key, activation, ask.now).map_err(|refusal| {
        let message = match refusal {
            Refusal::AlreadyActive => Message::AlreadyInstalled,
            Refusal::NotPending => Message::NotPending,
            Refusal::TooLate => Message::TooLate,
        };
        state.failed(403, message)
    })?;
    Ok(key)
}

/// Addresses must be unique, at most ten, and HTTPS; plain HTTP is let through for loopback.
pub(super) fn webhook_urls(check: &mut Check<'_>, field: &str) -> Vec<String> {
    let urls = check.texts(field);
    let mut seen = std::collections::BTreeSet::new();
    for url in &urls {
        if !seen.insert(url) {
            check.wrong(field, "The addresses must be unique.");
        }
        if url.len() > 4096 || !acceptable(url) {
            check.wrong(field, "An address must be an HTTPS URL.");
        }
    }
    if urls.len() > MOST_URLS {
        check.wrong(field, "At most 10 addresses.");
    }
    urls
}

/// HTTPS, or on this machine.
pub(super) fn acceptable(text: &str) -> bool {
    let Ok(url) = url::Url::parse(text) else {
        return false;
    };
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}

fn channels(check: &mut Check<'_>) -> Vec<String> {
    let channels = check.texts("channels");
    if channels.iter().any(|channel| channel != "sms" && channel != "whatsapp") {
        check.wrong("channels", "Only sms and whatsapp.");
    }
    channels
}

fn special_settings(check: &mut Check<'_>, ask: &Ask) -> Map<String, Value> {
    let mut settings = Map::new();
    for name in ["chat_url", "tips_url"] {
        let Some(value) = ask.field(name) else {
            continue;
        };
        if !value.as_str().is_some_and(acceptable) {
            check.wrong(name, "An HTTPS URL is required.");
        }
        settings.insert(name.to_owned(), value.clone());
    }
    settings
}

/// M10: a payment made on the partner's side.
pub(super) fn report_payment(state: &mut State, ask: &Ask) -> Result<Answer, Answer> {
    let mut check = Check::new(ask);
    let key = state.pair(&mut check);
    let zone = state.locations.get(&key.1).map_or(chrono_tz::UTC, |place| place.zone());
    let zone_of_dates = state.terms.payment_dates;
    let date = |field: &str, check: &mut Check<'_>| {
        dates::read(check.text(field), zone, zone_of_dates).unwrap_or_else(|| {
            check.wrong(field, "A date YYYY-MM-DD HH:MM:SS is required.");
            ask.now
        })
    };
    let (paid_at, from, to) = (
        date("payment_date", &mut check),
        date("period_from", &mut check),
        date("period_to", &mut check),
    );
    if to <= from {
        check.wrong("period_to", "The period must end after it begins.");
    }
    let currency_iso = check.text("currency_iso").to_owned();
    let letters = currency_iso.len() == 3 && currency_iso.chars().all(|c| c.is_ascii_uppercase());
    if !letters {
        check.wrong("currency_iso", "Three capital letters are required.");
    }
    let sum = match ask.field("payment_sum") {
        Some(Value::Number(sum)) if sum.as_f64().is_some_and(|sum| sum >= 0.0) => sum.clone(),
        _ => {
            check.wrong("payment_sum", "A number, 0 or more, is required.");
            0.into()
        }
    };
    check.done(state.brand)?;
    state.own(key.0, NOT_FOUND)?;
    connected(state, key)?;
    let payment = NewPayment {
        sum,
        currency_iso,
        paid_at,
        from,
        to,
        origin: Origin::Reported,
    };
    let id = state.paid(key, payment, Source::PartnerApi, ask.now);
    Ok(Answer::ok(json!({"id": id})))
}

/// Refuses a location where the application is not, or not yet, working.
pub(super) fn connected(state: &State, key: Key) -> Result<(), Answer> {
    match state.links.get(&key).map(|link| link.status) {
        Some(Status::Active | Status::Freezed | Status::Disabled) => Ok(()),
        Some(Status::Pending | Status::Uninstalled) | None => Err(state.failed(403, Message::AccessDenied)),
    }
}

/// M11: gives a payment back.
pub(super) fn refund(state: &mut State, ask: &Ask) -> Result<Answer, Answer> {
    let payment = ask.payment.unwrap_or(0);
    match state.refund(payment, ask.now) {
        Some(_) => Ok(Answer::bare(200)),
        None => {
            let mut check = Check::new(ask);
            check.wrong("payment_id", "There is no such payment to give back.");
            check.done(state.brand)?;
            Ok(Answer::bare(200))
        }
    }
}
