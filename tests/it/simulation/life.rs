//! What owners do.

use std::collections::BTreeMap;

use bellhop::sandbox::{Connect, Location, Origin, Pay, Place, Status};
use fastrand::Rng;

use crate::service::stage::{APP, Stage};

/// With daylight saving of both halves of the earth, without, by half an hour, and far from UTC.
const ZONES: [&str; 8] = [
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",
    "Asia/Almaty",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
    "Europe/Moscow",
];

pub(super) async fn open_shop(stage: &Stage, location: i64) {
    let zone = ZONES[usize::try_from(location).expect("small") % ZONES.len()];
    let shop = Location {
        timezone_name: zone.to_owned(),
        ..Location::new(location)
    };
    stage.sandbox.put_location(shop).await.expect("a location");
}

pub(super) async fn statuses(stage: &Stage) -> BTreeMap<i64, Status> {
    let truth = stage.sandbox.truth().await;
    truth
        .links
        .iter()
        .map(|link| (link.location_id, link.link.status))
        .collect()
}

/// Something happens at a location, or nothing.
pub(super) async fn perhaps(stage: &Stage, location: i64, status: Option<Status>, random: &mut Rng) {
    let chance = random.u32(0..100);
    match (status, chance) {
        (None | Some(Status::Uninstalled), 0..25) => connect(stage, location, random).await,
        (Some(Status::Active), 0..3) => disconnect(stage, location).await,
        (Some(Status::Active), 3..5) => {
            disconnect(stage, location).await;
            // Within the same instant the callback may overtake the look, and then nobody sees that it was pending.
            stage.settled().await;
            connect(stage, location, random).await;
        }
        (Some(Status::Active), 5..15) | (Some(Status::Freezed | Status::Disabled), 0..40) => pay(stage, location).await,
        (Some(Status::Active), 15..19) => refund(stage, location).await,
        (Some(Status::Freezed | Status::Disabled), 40..50) => disconnect(stage, location).await,
        _ => {}
    }
}

/// A third of the owners closes the page before it is there.
async fn connect(stage: &Stage, location: i64, random: &mut Rng) {
    let connect = Connect {
        follow: random.u32(0..3) > 0,
        ..Connect::new(APP, location)
    };
    stage.sandbox.connect(connect).await.expect("connected");
}

async fn disconnect(stage: &Stage, location: i64) {
    let there = Place {
        application_id: APP,
        location_id: location,
    };
    stage.sandbox.disconnect(there).await.expect("disconnected");
}

async fn pay(stage: &Stage, location: i64) {
    let pay = Pay {
        application_id: APP,
        location_id: location,
        ..Pay::default()
    };
    stage.sandbox.pay(pay).await.expect("paid");
}

/// The last payment of the platform that was not given back.
async fn refund(stage: &Stage, location: i64) {
    let link = stage.sandbox.link(APP, location).await.expect("a link").link;
    let kept = |paid: &&bellhop::sandbox::Payment| paid.origin == Origin::Platform && !paid.is_refunded;
    if let Some(paid) = link.payments.iter().rfind(kept) {
        stage.sandbox.refund(paid.id).await.expect("refunded");
    }
}
