//! What the moderators try by hand (contract 8). Payments and refunds are judged in `manners`, at the end.

use super::super::Shape;
use super::super::sender::Class;
use super::scene::Scene;
use super::{Check, Finding, Played};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "connect",
        about: "An owner presses Connect: the page opens and the location is activated.",
        run: |scene| Box::pin(connect(scene)),
    },
    Check {
        name: "connect-known-user",
        about: "An owner who already has an account with you connects another location.",
        run: |scene| Box::pin(connect(scene)),
    },
    Check {
        name: "webhook-urls",
        about: "The activation registers webhook addresses: an array of HTTPS (or local) URLs.",
        run: |scene| Box::pin(webhook_urls(scene)),
    },
    Check {
        name: "reconnect",
        about: "After a disconnection that you were told of, Connect activates again, webhook addresses and all.",
        run: |scene| Box::pin(reconnect(scene, true)),
    },
    Check {
        name: "reconnect-untold",
        about: "The same when the uninstall callback was lost: nobody repeats it.",
        run: |scene| Box::pin(reconnect(scene, false)),
    },
];

async fn connect(scene: &Scene) -> Played {
    activates(scene, Shape::Single, 1).await
}

/// Connects so many locations at once with a redirect of this shape.
pub(super) async fn activates(scene: &Scene, shape: Shape, count: i64) -> Played {
    let locations = scene.locations(count);
    let page = scene.connect(shape, &locations).await?;
    if page.status >= 400 {
        return Finding::fail(format!("the page answered {}", page.status));
    }
    let mut late = Vec::new();
    for location in &locations {
        if !scene.until_active(*location).await {
            late.push(location.to_string());
        }
    }
    if late.is_empty() {
        return Finding::pass(format!("the page answered {}; activated", page.status));
    }
    Finding::fail(format!(
        "the page answered {}, but within {} s nothing activated {}; if a person must go on at {}, do it while \
         --patience lasts",
        page.status,
        scene.trial.patience.as_secs(),
        late.join(" and "),
        page.url
    ))
}

async fn webhook_urls(scene: &Scene) -> Played {
    let location = scene.working().await?;
    let asked = scene.calls(location, &["activate", "activate_redirect"]).await;
    let Some(urls) = asked.iter().find_map(|call| call.body.get("webhook_urls")) else {
        return Finding::not_seen("the activation names no webhook_urls: you will get no entity events");
    };
    let stored = scene.link(location).await.map(|link| link.webhook_urls);
    match (urls.as_array(), stored) {
        (Some(urls), Some(stored)) if !urls.is_empty() && urls.len() == stored.len() => {
            Finding::pass(format!("{} registered", stored.len()))
        }
        (Some(urls), _) if urls.is_empty() => Finding::warn("webhook_urls is an empty array"),
        _ => Finding::fail(format!("webhook_urls must be an array of HTTPS URLs, not {urls}")),
    }
}

async fn reconnect(scene: &Scene, told: bool) -> Played {
    let location = scene.fresh().await?;
    let hooks = scene.link(location).await.map_or(0, |link| link.webhook_urls.len());
    scene.disconnect(location, told).await?;
    if told {
        let sent = scene.last(Class::Callback, location).await?;
        let answer = sent.attempts.last().and_then(|attempt| attempt.status);
        if !answer.is_some_and(|status| (200..300).contains(&status)) {
            return Finding::fail(format!(
                "the uninstall callback was answered {}",
                answer.map_or("not at all".to_owned(), |status| status.to_string())
            ));
        }
        scene.quiet().await;
    }
    let page = scene.connect(Shape::Single, &[location]).await?;
    if !scene.until_active(location).await {
        return Finding::fail(format!(
            "the page answered {}, but the new connection was not activated within {} s",
            page.status,
            scene.trial.patience.as_secs()
        ));
    }
    let again = scene.link(location).await.map_or(0, |link| link.webhook_urls.len());
    if again < hooks {
        return Finding::fail("activated again, but without the webhook addresses: the disconnection deleted them");
    }
    Finding::pass("activated again")
}
