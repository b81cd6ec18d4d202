//! Messages to people and to other systems.

use secrecy::ExposeSecret;
use serde_json::json;

use super::{
    outcome,
    rule_step::{Scene, gone},
};
use crate::{
    domain::ids::FiringId,
    notify::{
        email::Mail,
        error::Error,
        webhook::{Secret, SignedRequest},
    },
    rules,
    store::jobs::Outcome,
};

/// The name of a message is the same for every attempt, so that the receiver can tell a repetition.
fn message_id(firing: Option<FiringId>, step: i16) -> String {
    format!("bellhop-{}-{step}", firing.map_or(0, |firing| firing.0))
}

fn failed(scene: &Scene<'_>, error: &Error) -> Outcome {
    outcome::of_message(&scene.app.config.jobs, scene.job, error)
}

/// A rule that was taken out is given up with its secret, visibly.
pub(super) fn without_secret(scene: &Scene<'_>) -> Outcome {
    Outcome::Discard(gone(&scene.rule, "secret"))
}

/// What signs webhooks of the step: the present secret, and the one before while it is configured.
pub(super) fn signing(scene: &Scene<'_>) -> Option<Vec<Secret>> {
    let secrets = scene.secrets.iter().map(|secret| Secret::parse(secret.expose_secret()));
    let secrets: Result<Vec<Secret>, String> = secrets.collect();
    secrets.ok().filter(|secrets| !secrets.is_empty())
}

pub(super) async fn webhook(scene: &Scene<'_>, url: &str, body: Option<&str>) -> Outcome {
    let Some(secrets) = signing(scene) else {
        return without_secret(scene);
    };
    let rendered = scene.render(url).and_then(|url| {
        let body = match body {
            Some(template) => scene.render(template)?,
            None => rules::default_webhook_body(&scene.facts(), &scene.results).to_string(),
        };
        Ok((url, body))
    });
    let (url, body) = match rendered {
        Ok(rendered) => rendered,
        Err(error) => return Outcome::Discard(error.to_string()),
    };
    let id = message_id(scene.job.firing_id, scene.job.step);
    let request = SignedRequest {
        url: &url,
        id: &id,
        timestamp: scene.now,
        body: &body,
        secrets: &secrets,
    };
    match scene.app.webhooks.send(&request).await {
        Ok(answer) => Outcome::Done(json!({"status": answer.status, "id": id})),
        Err(error) => failed(scene, &error),
    }
}

pub(super) async fn email(scene: &Scene<'_>, templates: [&String; 3]) -> Outcome {
    let Some(mailer) = &scene.app.mailer else {
        return Outcome::Discard("no mail server is configured: [smtp] is missing".to_owned());
    };
    let [to, subject, text] = templates.map(|template| scene.render(template));
    let (to, subject, text) = match (to, subject, text) {
        (Ok(to), Ok(subject), Ok(text)) => (to, subject, text),
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => return Outcome::Discard(error.to_string()),
    };
    let id = message_id(scene.job.firing_id, scene.job.step);
    let mail = Mail {
        to,
        subject,
        text,
        id: id.clone(),
    };
    match mailer.send(&mail).await {
        Ok(()) => Outcome::Done(json!({"id": id})),
        Err(error) => failed(scene, &error),
    }
}

pub(super) async fn telegram(scene: &Scene<'_>, chat: &str, text: &str) -> Outcome {
    let Some(token) = scene.secrets.first() else {
        return without_secret(scene);
    };
    let text = match scene.render(text) {
        Ok(text) => text,
        Err(error) => return Outcome::Discard(error.to_string()),
    };
    match scene.app.telegram.send(token, chat, &text).await {
        Ok(message_id) => Outcome::Done(json!({"message_id": message_id})),
        Err(error) => failed(scene, &error),
    }
}

pub(super) async fn slack(scene: &Scene<'_>, text: &str) -> Outcome {
    let Some(address) = scene.secrets.first() else {
        return without_secret(scene);
    };
    let text = match scene.render(text) {
        Ok(text) => text,
        Err(error) => return Outcome::Discard(error.to_string()),
    };
    match scene.app.slack.send(address, &text).await {
        Ok(()) => Outcome::Done(json!({})),
        Err(error) => failed(scene, &error),
    }
}
