//! The registration redirect: signature, shapes, replays (contract 7.1).

use super::super::Shape;
use super::moderation::activates;
use super::scene::{Scene, Unplayable};
use super::{Check, Finding, Played};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "signature",
        about: "user_data in the standard base64 alphabet, with + and / in it, is verified over the decoded bytes.",
        run: |scene| Box::pin(signed(scene, Shape::Single)),
    },
    Check {
        name: "signature-urlsafe",
        about: "user_data in the URL-safe alphabet (- and _) is verified too.",
        run: |scene| Box::pin(signed(scene, Shape::Urlsafe)),
    },
    Check {
        name: "signature-over-text",
        about: "A signature over the base64 text in place of the decoded bytes is wrong, and activates nothing.",
        run: |scene| Box::pin(refused(scene, Shape::SignedText)),
    },
    Check {
        name: "signature-tampered",
        about: "User data that was changed after it was signed activates nothing.",
        run: |scene| Box::pin(refused(scene, Shape::Tampered)),
    },
    Check {
        name: "user-id-key",
        about: "User data of the older edition, with user_id in place of id and fewer fields, is understood.",
        run: |scene| Box::pin(signed(scene, Shape::UserIdKey)),
    },
    Check {
        name: "shape-brackets",
        about: "salon_ids[]=1&salon_ids[]=2 activates both locations, with a call for each.",
        run: |scene| Box::pin(several(scene, Shape::Brackets)),
    },
    Check {
        name: "shape-indexed",
        about: "One location as salon_ids%5B0%5D=1, without salon_id, is activated.",
        run: |scene| Box::pin(activates(scene, Shape::Indexed, 1)),
    },
    Check {
        name: "shape-indexed-several",
        about: "salon_ids%5B0%5D=1&salon_ids%5B1%5D=2 activates both locations.",
        run: |scene| Box::pin(several(scene, Shape::Indexed)),
    },
    Check {
        name: "shape-csv",
        about: "salon_ids=1,2 activates both locations.",
        run: |scene| Box::pin(several(scene, Shape::Csv)),
    },
    Check {
        name: "replayed-redirect",
        about: "A signed redirect replayed with another salon_id is not believed: the status is read first.",
        run: |scene| Box::pin(replayed(scene)),
    },
    Check {
        name: "opened-twice",
        about: "The card opens the page at every visit: a connected location is not activated again.",
        run: |scene| Box::pin(opened_twice(scene)),
    },
    Check {
        name: "framed",
        about: "The page may be shown inside the marketplace's card: no X-Frame-Options.",
        run: |scene| Box::pin(framed(scene)),
    },
    Check {
        name: "probe-callback",
        about: "GET of the callback URL answers 200: the cabinet tries it before it saves the address.",
        run: |scene| Box::pin(probe(scene, scene.trial.callback_url.clone())),
    },
    Check {
        name: "probe-webhook",
        about: "GET of a webhook address answers 200, too.",
        run: |scene| {
            Box::pin(async move {
                let location = scene.working().await?;
                let url = scene.hook(location).await?;
                probe(scene, url).await
            })
        },
    },
];

fn with_user_data(scene: &Scene) -> anyhow::Result<()> {
    if scene.trial.user_data {
        Ok(())
    } else {
        Err(Unplayable("the redirect carries no user data (--no-user-data)".to_owned()).into())
    }
}

async fn signed(scene: &Scene, shape: Shape) -> Played {
    with_user_data(scene)?;
    activates(scene, shape, 1).await
}

async fn several(scene: &Scene, shape: Shape) -> Played {
    if !scene.trial.several {
        return Finding::not_seen("the application takes one location at a time (--one-location)");
    }
    activates(scene, shape, 2).await
}

async fn refused(scene: &Scene, shape: Shape) -> Played {
    with_user_data(scene)?;
    let location = scene.location();
    let page = scene.connect(shape, &[location]).await?;
    scene.quiet().await;
    let asked = scene.activations(location).await;
    if asked > 0 || scene.is_active(location).await {
        return Finding::fail("it was activated: whoever wrote this redirect does not know your partner token");
    }
    if page.status >= 500 {
        return Finding::fail(format!("the page answered {}", page.status));
    }
    Finding::pass(format!("the page answered {}; nothing was activated", page.status))
}

async fn replayed(scene: &Scene) -> Played {
    with_user_data(scene)?;
    let location = scene.location();
    let page = scene.open(Shape::Single, &[location]).await?;
    scene.quiet().await;
    if page.status >= 500 {
        return Finding::fail(format!("the page answered {}", page.status));
    }
    let asked = scene.activations(location).await;
    let looked = !scene.calls(location, &["status"]).await.is_empty();
    match (asked, looked) {
        (0, true) => Finding::pass("the status was read, and nothing was activated"),
        (0, false) => Finding::pass("nothing was asked of the marketplace"),
        _ => Finding::warn(
            "it tried to activate a location that no owner had connected; the location is outside the signature, so \
             read the status before you believe it",
        ),
    }
}

async fn opened_twice(scene: &Scene) -> Played {
    let location = scene.fresh().await?;
    scene.quiet().await;
    let before = scene.activations(location).await;
    for _ in 0..3 {
        let page = scene.open(Shape::Single, &[location]).await?;
        if page.status >= 400 {
            return Finding::fail(format!("the page of a connected location answered {}", page.status));
        }
    }
    scene.quiet().await;
    match scene.activations(location).await - before {
        0 => Finding::pass("opened three more times; no further activation"),
        more => Finding::fail(format!("opened three more times, and activated {more} more times")),
    }
}

async fn framed(scene: &Scene) -> Played {
    let location = scene.working().await?;
    let page = scene.open(Shape::Single, &[location]).await?;
    match page.unframeable {
        None => Finding::pass("it may be framed, as far as X-Frame-Options goes"),
        Some(header) => Finding::warn(format!(
            "X-Frame-Options: {header}; the card shows an empty frame. Use Content-Security-Policy: frame-ancestors"
        )),
    }
}

async fn probe(scene: &Scene, url: String) -> Played {
    match scene.get(&url).await?.status {
        200 => Finding::pass("answered 200"),
        status => Finding::fail(format!(
            "answered {status}; the cabinet refuses to save such an address"
        )),
    }
}
