//! Lifecycle callbacks, genuine and not (contract 7.2).

use serde_json::{Map, Value, json};

use super::super::sender::{Class, Sent};
use super::super::{Change, Forged, ForgedToken, Pay, Shape};
use super::scene::Scene;
use super::{Check, Finding, Played, sibling};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "uninstall-wrong-token",
        about: "An uninstall with a wrong partner_token changes nothing.",
        run: |scene| Box::pin(unmoved(scene, |forged| with_token(forged, ForgedToken::Wrong))),
    },
    Check {
        name: "uninstall-without-token",
        about: "An uninstall without a partner_token changes nothing.",
        run: |scene| Box::pin(unmoved(scene, |forged| with_token(forged, ForgedToken::Missing))),
    },
    Check {
        name: "uninstall-null-token",
        about: "An uninstall whose partner_token is null changes nothing.",
        run: |scene| Box::pin(unmoved(scene, |forged| with_token(forged, ForgedToken::Null))),
    },
    Check {
        name: "uninstall-of-sibling",
        about: "An uninstall of another application of the same developer account changes nothing.",
        run: |scene| {
            let other = sibling(&scene.trial);
            Box::pin(unmoved(scene, move |forged| Forged {
                claimed_application_id: Some(other),
                ..forged
            }))
        },
    },
    Check {
        name: "string-ids",
        about: "A genuine uninstall whose ids are texts is understood.",
        run: |scene| Box::pin(string_ids(scene)),
    },
    Check {
        name: "freeze-and-payment",
        about: "Genuine freeze and payment callbacks are taken, and the location goes on.",
        run: |scene| Box::pin(freeze_and_payment(scene)),
    },
    Check {
        name: "payment-wrong-sign",
        about: "A payment whose sign does not match is answered without a fault, and not believed.",
        run: |scene| Box::pin(wrong_sign(scene)),
    },
    Check {
        name: "callback-junk",
        about: "Callbacks that are no JSON, no object, or odd in other ways cause no 5xx.",
        run: |scene| Box::pin(junk(scene)),
    },
];

fn with_token(forged: Forged, token: ForgedToken) -> Forged {
    Forged { token, ..forged }
}

/// The answer to the last attempt, or what went wrong.
pub(super) fn answer(sent: &Sent) -> Result<u16, String> {
    let last = sent.attempts.last();
    match last.and_then(|attempt| attempt.status) {
        Some(status) => Ok(status),
        None => Err("nothing was answered within 10 s".to_owned()),
    }
}

pub(super) fn is_fine(sent: &Sent) -> bool {
    answer(sent).is_ok_and(|status| (200..300).contains(&status))
}

/// Sends an uninstall that is not genuine, and looks for signs that it was believed.
async fn unmoved(scene: &Scene, change: impl Fn(Forged) -> Forged) -> Played {
    let location = scene.fresh().await?;
    scene.quiet().await;
    let forged = change(Forged::new(scene.trial.application_id, location, "uninstall"));
    let sent = scene.callback(forged).await?;
    let status = match answer(&sent) {
        Ok(status) if status < 500 => status,
        Ok(status) => return Finding::fail(format!("answered {status}")),
        Err(why) => return Finding::fail(why),
    };
    scene.quiet().await;
    let before = scene.activations(location).await;
    scene.open(Shape::Single, &[location]).await?;
    scene.quiet().await;
    if scene.activations(location).await > before {
        return Finding::fail(format!(
            "answered {status}, and believed: when the owner opened the page, the location was activated anew"
        ));
    }
    if scene.hook(location).await.is_ok() {
        let events = scene.change(Change::new(location, "record", "update")).await?;
        if let Some(refused) = events.iter().find(|sent| !is_fine(sent)) {
            let status = answer(refused).map_or_else(|why| why, |status| status.to_string());
            return Finding::fail(format!("believed: events of the location are now answered {status}"));
        }
    }
    Finding::pass(format!("answered {status}; nothing that shows outside has changed"))
}

async fn string_ids(scene: &Scene) -> Played {
    let location = scene.fresh().await?;
    scene.disconnect(location, false).await?;
    let forged = Forged {
        string_ids: true,
        ..Forged::new(scene.trial.application_id, location, "uninstall")
    };
    let sent = scene.callback(forged).await?;
    if !is_fine(&sent) {
        let status = answer(&sent).map_or_else(|why| why, |status| status.to_string());
        return Finding::fail(format!("answered {status}; the marketplace does not come again"));
    }
    scene.quiet().await;
    scene.connect(Shape::Single, &[location]).await?;
    if scene.until_active(location).await {
        Finding::pass("taken, and the next connection was activated")
    } else {
        Finding::fail("answered 2xx, but the next connection was not activated")
    }
}

async fn freeze_and_payment(scene: &Scene) -> Played {
    let location = scene.fresh().await?;
    scene.quiet().await;
    scene.sandbox.freeze(scene.place(location)).await?;
    let frozen = scene.last(Class::Callback, location).await?;
    let pay = Pay {
        application_id: scene.trial.application_id,
        location_id: location,
        ..Pay::default()
    };
    scene.sandbox.pay(pay).await?;
    let paid = scene.last(Class::Callback, location).await?;
    for sent in [&frozen, &paid] {
        if !is_fine(sent) {
            let status = answer(sent).map_or_else(|why| why, |status| status.to_string());
            return Finding::fail(format!("the {} callback was answered {status}", sent.detail));
        }
    }
    if scene.hook(location).await.is_ok() {
        let events = scene.change(Change::new(location, "record", "update")).await?;
        if !events.iter().all(is_fine) {
            return Finding::fail("after the payment, events of the location are refused");
        }
    }
    Finding::pass("both answered 2xx")
}

async fn wrong_sign(scene: &Scene) -> Played {
    let location = scene.working().await?;
    let fields = json!({
        "payment_id": 1, "amount": 100, "currency_iso": "USD", "discount": null, "tariff_option_id": null,
        "period_from": "2026-01-01 00:00:00", "period_to": "2036-01-01 00:00:00",
        "payment_date": "2026-01-01 00:00:00", "sign": "0".repeat(64),
    });
    let Value::Object(fields) = fields else {
        return Finding::not_seen("the sandbox made no payment");
    };
    let forged = Forged {
        fields,
        ..Forged::new(scene.trial.application_id, location, "payment")
    };
    match answer(&scene.callback(forged).await?) {
        Ok(status) if status < 500 => Finding::not_seen(format!(
            "answered {status}; whether it was believed cannot be seen from outside: look that no ten years were granted"
        )),
        Ok(status) => Finding::fail(format!("answered {status}")),
        Err(why) => Finding::fail(why),
    }
}

async fn junk(scene: &Scene) -> Played {
    let location = scene.working().await?;
    let odd_id = |salon: &str| format!(r#"{{"salon_id":{salon},"application_id":{salon},"event":"uninstall"}}"#);
    let bodies = [
        String::new(),
        "not json".to_owned(),
        "{".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "[[]]".to_owned(),
        "\"text\"".to_owned(),
        "17".to_owned(),
        r#"{"event":"uninstall"}"#.to_owned(),
        r#"{"event":{"a":[]},"salon_id":{},"application_id":[]}"#.to_owned(),
        r#"{"event":"\ud800","salon_id":"\udfff"}"#.to_owned(),
        odd_id("99999999999999999999999"),
        odd_id("-1"),
        odd_id("1.5"),
        "[".repeat(2000),
    ];
    let mut bad = Vec::new();
    for body in bodies {
        let shown: String = body.chars().take(40).collect();
        let forged = Forged {
            raw_body: Some(body),
            fields: Map::new(),
            ..Forged::new(scene.trial.application_id, location, "junk")
        };
        match answer(&scene.callback(forged).await?) {
            Ok(status) if status < 500 => {}
            Ok(status) => bad.push(format!("{status} for {shown:?}")),
            Err(why) => bad.push(format!("{why} for {shown:?}")),
        }
    }
    if bad.is_empty() {
        Finding::pass("none of 15 caused a fault")
    } else {
        Finding::fail(bad.join("; "))
    }
}
