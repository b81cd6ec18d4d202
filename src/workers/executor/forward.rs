//! Relaying events. Time ends it, and not the number of tries: an event is tried for as long as its rule says, with
//! those of its location behind it, so that they arrive in their order.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    messages::{signing, without_secret},
    outcome::{backoff, jittered},
    rule_step::Scene,
};
use crate::{
    app::circuit::Leave,
    domain::{action::Action, signature::sha256, span},
    notify::{error::Error, webhook::SignedRequest},
    rules,
    store::jobs::Outcome,
};

/// The longest wait between two tries, so that a receiver that is back hears of everything soon.
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);

/// Past its time by so much an event is not tried again: whoever tried it has died of it, or nobody was there.
const TOO_LATE: Duration = Duration::from_secs(3600);

/// Forwards the event of a firing.
pub(super) async fn run(scene: &Scene<'_>) -> Outcome {
    let Action::ForwardEvent { url, retry_for_seconds } = &scene.action else {
        return Outcome::Discard("its rule does not forward events any more".to_owned());
    };
    let Some(secrets) = signing(scene) else {
        return without_secret(scene);
    };
    let retry_for = Duration::from_secs(*retry_for_seconds);
    let age = scene.job.age;
    if scene.job.attempt > 1 && age > retry_for + TOO_LATE {
        return Outcome::Discard(format!("given up: it was not taken within {}", span::show(retry_for)));
    }
    let circuit = scene.app.endpoints.of(url);
    if let Leave::Refused(wait) = circuit.ask(Instant::now()) {
        let reason = "the receiver does not answer, so it is left alone for a while";
        return match retry_for.checked_sub(age) {
            None => given_up(retry_for, reason),
            Some(_) => Outcome::Snooze {
                after: jittered(wait),
                reason: reason.to_owned(),
            },
        };
    }
    let id = message_id(scene, url);
    let body = rules::forwarded_body(&scene.facts(), scene.sent.as_deref());
    let request = SignedRequest {
        url,
        id: &id,
        timestamp: scene.now,
        body: &body,
        secrets: &secrets,
    };
    let sent = scene.app.webhooks.send(&request).await;
    circuit.heard(Instant::now(), answered(&sent));
    match sent {
        Ok(answer) => Outcome::Done(json!({"status": answer.status, "id": id})),
        Err(error) => failed(scene, (retry_for, circuit.shut_for(Instant::now())), &error),
    }
}

/// The same for every attempt and for a repetition of the event, so that the receiver can tell.
fn message_id(scene: &Scene<'_>, url: &str) -> String {
    let place = scene.job.place.to_string();
    let event = format!("{}|{}", scene.event.id, scene.received_at.timestamp_micros());
    let digest = sha256(&[place.as_bytes(), b"|", event.as_bytes(), b"|", url.as_bytes()]);
    format!("evt_{}", hex::encode(&digest[..16]))
}

fn status(error: &Error) -> Option<u16> {
    match error {
        Error::Permanent { answer, .. } | Error::Transient { answer, .. } => {
            answer.as_ref().map(|answer| answer.status)
        }
    }
}

/// Whether the receiver did what it is there for: take it, or say that it wants no more.
fn answered<T>(sent: &Result<T, Error>) -> bool {
    sent.as_ref().err().is_none_or(|error| status(error) == Some(410))
}

/// Any answer but "gone" may pass: a wrong deploy answers 404 for an hour, and nothing may be lost by that. Without an
/// answer, what is refused for good was refused by us. While the receiver is left alone, it is the receiver's fault and
/// not the event's: then it is tried again as soon as anything is.
fn failed(scene: &Scene<'_>, (retry_for, shut): (Duration, Option<Duration>), error: &Error) -> Outcome {
    let asked = match error {
        Error::Permanent { reason, answer: None } => return Outcome::Discard(reason.clone()),
        Error::Permanent { reason, .. } if status(error) == Some(410) => return Outcome::Discard(reason.clone()),
        Error::Permanent { .. } => None,
        Error::Transient { retry_after, .. } => *retry_after,
    };
    let left = match retry_for.checked_sub(scene.job.age) {
        None | Some(Duration::ZERO) => return given_up(retry_for, &error.to_string()),
        Some(left) => left,
    };
    let settings = &scene.app.config.jobs;
    let wait = asked
        .or(shut)
        .unwrap_or_else(|| backoff(settings, scene.job.attempt).min(LONGEST_WAIT))
        .min(settings.backoff_limit);
    Outcome::Retry {
        // The last try is when the time is over.
        after: jittered(wait).min(left),
        error: error.to_string(),
    }
}

fn given_up(retry_for: Duration, why: &str) -> Outcome {
    Outcome::Discard(format!("given up after {}: {why}", span::show(retry_for)))
}
