//! Weeks of marketplace life through the real doors.

use std::time::Duration;

use anyhow::{Context, Result};

use super::world::{APPLICATION, World};
use crate::sandbox::{Change, Connect, Location, Pay, Place, Shape};

/// One location alone.
pub(super) const ANNA: i64 = 100_001;
/// Two of a chain, connected together.
pub(super) const MITTE: i64 = 100_002;
pub(super) const NORD: i64 = 100_003;
/// Presses Connect and closes the tab.
pub(super) const NAILS: i64 = 100_004;
/// Leaves and comes back.
pub(super) const SPA: i64 = 100_005;
/// Its owner's data is not passed on, so nothing is signed.
pub(super) const LOFT: i64 = 100_006;

/// A location of the story.
struct Salon {
    id: i64,
    title: &'static str,
    zone: &'static str,
    country_id: i64,
    country: &'static str,
    currency: &'static str,
}

const SALONS: [Salon; 6] = [
    Salon {
        id: ANNA,
        title: "Studio Anna",
        zone: "America/New_York",
        country_id: 7,
        country: "United States",
        currency: "USD",
    },
    Salon {
        id: MITTE,
        title: "Barber Bros Mitte",
        zone: "Europe/Berlin",
        country_id: 49,
        country: "Germany",
        currency: "EUR",
    },
    Salon {
        id: NORD,
        title: "Barber Bros Nord",
        zone: "Europe/Berlin",
        country_id: 49,
        country: "Germany",
        currency: "EUR",
    },
    Salon {
        id: NAILS,
        title: "Nail Corner",
        zone: "Europe/Madrid",
        country_id: 34,
        country: "Spain",
        currency: "EUR",
    },
    Salon {
        id: SPA,
        title: "Spa Lagoon",
        zone: "Asia/Dubai",
        country_id: 971,
        country: "Emirates",
        currency: "AED",
    },
    Salon {
        id: LOFT,
        title: "Hair Loft",
        zone: "America/Sao_Paulo",
        country_id: 55,
        country: "Brazil",
        currency: "BRL",
    },
];

pub(super) async fn tell(world: &World) -> Result<()> {
    first_day(world).await?;
    daily_life(world).await?;
    trials_end_soon(world).await?;
    leaves_and_returns(world).await?;
    trials_are_over(world).await?;
    comes_back_by_paying(world).await
}

fn say(day: u32, text: &str) {
    println!("\nDay {day:>2}  {text}");
}

fn and(text: &str) {
    println!("        {text}");
}

fn days(count: u64) -> Duration {
    Duration::from_secs(count * 24 * 60 * 60)
}

fn name(location: i64) -> &'static str {
    SALONS
        .iter()
        .find(|salon| salon.id == location)
        .map_or("somebody", |salon| salon.title)
}

async fn connect(world: &World, locations: &[i64], shape: Shape, follow: bool) -> Result<()> {
    let connect = Connect {
        application_id: APPLICATION,
        location_ids: locations.to_vec(),
        shape: Some(shape),
        follow,
        ..Connect::default()
    };
    world.sandbox.connect(connect).await.map(drop)
}

async fn first_day(world: &World) -> Result<()> {
    for Salon {
        id,
        title,
        zone,
        country_id,
        country,
        currency,
    } in SALONS
    {
        let location = Location {
            title: title.to_owned(),
            email: format!("owner-{id}@salon.example"),
            timezone_name: zone.to_owned(),
            country_id,
            country: country.to_owned(),
            currency: currency.to_owned(),
            ..Location::new(id)
        };
        world.sandbox.put_location(location).await?;
    }
    say(
        0,
        "Owners press Connect; their browsers arrive at the registration address.",
    );
    connect(world, &[ANNA], Shape::Single, true).await?;
    and("Studio Anna connects one location.");
    connect(world, &[MITTE, NORD], Shape::Brackets, true).await?;
    and("The owner of Barber Bros connects two locations with one redirect.");
    connect(world, &[SPA], Shape::Indexed, true).await?;
    connect(world, &[LOFT], Shape::Unsigned, true).await?;
    and("Spa Lagoon connects; so does Hair Loft, without signed user data: the status call decides.");
    connect(world, &[NAILS], Shape::Single, false).await?;
    and("Nail Corner consents and closes the tab: Bellhop cannot know, and the marketplace forgets it after 12 hours.");
    connect(world, &[ANNA], Shape::Tampered, true).await?;
    and("Somebody changes a signed redirect: refused, and nothing happens.");
    world.settled().await?;
    for location in [ANNA, MITTE, NORD, SPA, LOFT] {
        let link = world.sandbox.link(APPLICATION, location).await.context("a link")?;
        let percent = link.link.discount.unwrap_or(0.0);
        and(&format!(
            "{} is {}; its welcome discount is {percent} %.",
            name(location),
            link.link.status.as_str()
        ));
    }
    Ok(())
}

async fn daily_life(world: &World) -> Result<()> {
    world.pass(days(2)).await?;
    say(
        2,
        "Daily life: appointments, clients and sales change, and the marketplace tells of it.",
    );
    let changes = [
        Change {
            copies: Some(2),
            ..Change::new(ANNA, "record", "create")
        },
        Change {
            burst: Some(20),
            shuffle: true,
            ..Change::new(MITTE, "record", "update")
        },
        Change {
            array: Some(true),
            burst: Some(5),
            ..Change::new(NORD, "client", "update")
        },
        Change::new(SPA, "goods_operations_sale", "create"),
        Change::new(SPA, "finances_operation", "create"),
        Change::new(LOFT, "schedule", "update"),
        Change::new(LOFT, "record", "delete"),
    ];
    for change in changes {
        world.sandbox.change(change).await?;
    }
    world.settled().await?;
    let sent = world.sandbox.deliveries().await.len();
    and(&format!(
        "{sent} requests have come to Bellhop so far, in single objects, arrays and bursts; all are stored."
    ));
    let told = world.sandbox.inbox().await.len();
    and(&format!(
        "Hair Loft's cancelled appointment was told to the partner's own system: {told} signed webhook."
    ));
    Ok(())
}

async fn trials_end_soon(world: &World) -> Result<()> {
    world.pass(days(9)).await?;
    say(
        11,
        "Three days before their trials end, owners who have not paid get a link with 15 % off.",
    );
    for mail in world.sandbox.mails().await {
        and(&format!("mail to {}: {}", mail.to.join(", "), mail.subject));
    }
    world.pass(days(1)).await?;
    let link = world.sandbox.link(APPLICATION, ANNA).await.context("a link")?;
    let link = link.link.payment_links.last().context("a payment link")?.url.clone();
    let pay = Pay {
        application_id: APPLICATION,
        location_id: ANNA,
        link: Some(link),
        ..Pay::default()
    };
    let paid = world.sandbox.pay(pay).await?;
    say(
        12,
        &format!(
            "Studio Anna pays {} by its link. The callback is confirmed by the status before it counts.",
            paid.amount
        ),
    );
    world.settled().await
}

async fn leaves_and_returns(world: &World) -> Result<()> {
    let place = Place {
        application_id: APPLICATION,
        location_id: SPA,
    };
    world.sandbox.disconnect(place).await?;
    world.settled().await?;
    say(12, "Spa Lagoon disconnects; the callback tells it.");
    world.pass(days(1)).await?;
    connect(world, &[SPA], Shape::Single, true).await?;
    world.settled().await?;
    let sets = world
        .sandbox
        .link(APPLICATION, SPA)
        .await
        .context("a link")?
        .link
        .discount_sets;
    say(
        13,
        "Spa Lagoon connects again: active in its second generation, and no second welcome discount.",
    );
    and(&format!("The marketplace has counted {sets} discount for it."));
    Ok(())
}

async fn trials_are_over(world: &World) -> Result<()> {
    world.pass(days(2)).await?;
    say(
        15,
        "The trials of those who did not pay are over: the marketplace freezes them and says so.",
    );
    for location in [MITTE, NORD, LOFT] {
        let status = world
            .sandbox
            .link(APPLICATION, location)
            .await
            .context("a link")?
            .link
            .status;
        and(&format!(
            "{} is {}; its owner has a mail with a link.",
            name(location),
            status.as_str()
        ));
    }
    Ok(())
}

async fn comes_back_by_paying(world: &World) -> Result<()> {
    world.pass(days(3)).await?;
    let pay = Pay {
        application_id: APPLICATION,
        location_id: MITTE,
        ..Pay::default()
    };
    let paid = world.sandbox.pay(pay).await?;
    world.settled().await?;
    let status = world
        .sandbox
        .link(APPLICATION, MITTE)
        .await
        .context("a link")?
        .link
        .status;
    say(
        18,
        &format!(
            "Barber Bros Mitte pays {} and is {} again; no callback says so, the status does.",
            paid.amount,
            status.as_str()
        ),
    );
    Ok(())
}
