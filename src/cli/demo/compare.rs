//! The marketplace's view beside Bellhop's. They have to agree.

use anyhow::Result;
use serde_json::Value;

use super::{
    story::{ANNA, LOFT, MITTE, NAILS, NORD, SPA},
    world::{APPLICATION, World},
};
use crate::{
    cli::table::Table,
    sandbox::{LinkTruth, Origin, Status},
    store::reading::{jobs::Job, locations},
};

/// What is compared, on either side.
#[derive(PartialEq)]
struct View {
    status: String,
    discount: String,
    links: String,
    paid_until: String,
}

/// Prints both views; whether they agree.
pub(super) async fn both_views(world: &World) -> Result<bool> {
    println!("\nWhat the marketplace says, and what Bellhop says:\n");
    let mut table = Table::new(&[
        "location",
        "who",
        "status",
        "discount",
        "payment links",
        "paid until",
        "",
    ]);
    let mut agree = true;
    for id in [ANNA, MITTE, NORD, NAILS, SPA, LOFT] {
        let theirs = world.sandbox.link(APPLICATION, id).await.map(theirs);
        let detail = locations::show(&world.service.app.pool, APPLICATION, id).await?;
        let title = detail.as_ref().and_then(|detail| detail.installation.title.clone());
        let ours = detail.map(ours);
        let (theirs, ours) = (theirs.unwrap_or_else(View::nothing), ours.unwrap_or_else(View::nothing));
        let same = theirs == ours;
        agree &= same;
        let verdict = if same { "agree" } else { "DIFFER" };
        table.row(theirs.row([id.to_string(), "marketplace".to_owned()], title.unwrap_or_default()));
        table.row(ours.row([String::new(), "Bellhop".to_owned()], verdict.to_owned()));
    }
    table.print()?;
    println!("\n{}", if agree { "They agree." } else { "They differ." });
    Ok(agree)
}

impl View {
    /// Nobody has heard of it, or it is gone again without having been anything.
    fn nothing() -> Self {
        let none = || "-".to_owned();
        Self {
            status: "uninstalled".to_owned(),
            discount: none(),
            links: none(),
            paid_until: none(),
        }
    }

    fn row(self, [location, who]: [String; 2], last: String) -> [String; 7] {
        [
            location,
            who,
            self.status,
            self.discount,
            self.links,
            self.paid_until,
            last,
        ]
    }
}

fn or_none(count: usize, text: String) -> String {
    if count == 0 { "-".to_owned() } else { text }
}

fn theirs(truth: LinkTruth) -> View {
    let link = truth.link;
    let status = match link.status {
        Status::Pending => "pending",
        Status::Active => "active",
        Status::Freezed | Status::Disabled => "frozen",
        Status::Uninstalled => "uninstalled",
    };
    // Its own "paid until" counts the trial, which is a payment of nothing.
    let paid = link
        .payments
        .iter()
        .filter(|payment| payment.origin != Origin::Trial && !payment.is_refunded);
    let paid_until = paid.map(|payment| payment.period_to).max();
    let (sets, links) = (link.discount_sets as usize, link.payment_links.len());
    View {
        status: status.to_owned(),
        discount: or_none(sets, format!("{} %, set {sets} time(s)", link.discount.unwrap_or(0.0))),
        links: or_none(links, links.to_string()),
        paid_until: paid_until.map_or_else(|| "-".to_owned(), |at| at.format("%Y-%m-%d").to_string()),
    }
}

fn ours(detail: locations::Detail) -> View {
    let done = |action: &str| -> Vec<&Job> {
        detail
            .jobs
            .iter()
            .filter(|job| job.action == action && job.state == "completed")
            .collect()
    };
    let (discounts, links) = (done("set_discount"), done("create_payment_link"));
    let last = discounts.first().and_then(|job| job.result.as_ref());
    let percent = last
        .and_then(|result| result.get("percent"))
        .and_then(Value::as_str)
        .unwrap_or("0");
    let installation = &detail.installation;
    View {
        status: installation.status.clone().unwrap_or_else(|| "uninstalled".to_owned()),
        discount: or_none(discounts.len(), format!("{percent} %, set {} time(s)", discounts.len())),
        links: or_none(links.len(), links.len().to_string()),
        paid_until: installation
            .paid_until
            .map_or_else(|| "-".to_owned(), |at| at.format("%Y-%m-%d").to_string()),
    }
}
