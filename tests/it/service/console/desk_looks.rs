//! The pages of events, jobs, rules and money in a real browser: on a phone and a desk, in light and dark.

use bellhop::sandbox::{Change, Fault, FaultKind, Location};
use serde_json::json;
use sqlx::PgPool;
use thirtyfour::{Key, prelude::*};

use super::{
    browsing::{FAULTS, ask, look},
    *,
};
use crate::browser::Browser;

const MANY: &str = r#"
[[rule]]
name = "welcome-discount"
on = "installation.activated"
cap_per_day = 3
[[rule.then]]
action = "set_discount"
percent = 20
[[rule.then]]
action = "set_tag"
tag = "welcomed"
[[rule]]
name = "yearly-contract"
on = "installation.activated"
when = 'location.id == 100002 || location.id == 100003'
[[rule.then]]
action = "report_payment"
amount = 299.00
currency = "EUR"
months = 12
[[rule]]
name = "tell-the-crm"
on = "record.created"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/crm"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ event.resource_id }}"
[[rule]]
name = "large-bookings"
on = "record.created"
mode = "shadow"
when = 'event.resource_id > 4000'
[[rule.then]]
action = "set_tag"
tag = "busy"
"#;

async fn set(pool: PgPool) -> Stage {
    let edits = [("enabled = false", "interval = \"1h\"")];
    let stage = Stage::set_edited(pool, MANY, |_| {}, &edits).await;
    let fault = Fault::new("add_discount", FaultKind::Status).status(403).times(2);
    stage.sandbox.fail(fault).await.expect("a fault");
    for (location, title) in [
        (100_001, "Barbershop North"),
        (100_002, "Studio Anna"),
        (100_003, "Nails & Co"),
        (100_004, "Massage Berlin Mitte"),
        (100_005, "Donaudampfschifffahrtsgesellschaftskapitänsmützenschneiderei"),
    ] {
        stage.connected(&[location]).await;
        let named = Location {
            title: title.to_owned(),
            ..Location::new(location)
        };
        stage.sandbox.put_location(named).await.expect("a name");
    }
    for id in [3_998, 4_712] {
        let change = Change {
            resource_id: Some(id),
            data: Some(
                json!({"id": id, "client": {"name": "Maria"}, "services": [{"title": "Cut"}], "comment": "x".repeat(120)}),
            ),
            ..Change::new(100_002, "record", "create")
        };
        stage.sandbox.change(change).await.expect("changed");
    }
    stage.settled().await;
    for sql in [
        "update ledger set state = 'unknown', note = 'the answer was lost, and the status shows no payment yet' where location_id = 100003",
        "update finished_jobs set last_error = repeat('x', 300) where id = (select max(id) from finished_jobs where state = 'discarded')",
    ] {
        sqlx::query(sql).execute(&stage.pool).await.expect("changed");
    }
    stage
}

/// The first of a list of the API.
async fn first(stage: &Stage, list: &str) -> String {
    stage.api(list).await["items"][0]["id"].to_string()
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn pages_of_work_can_be_read_on_a_phone_and_in_the_dark(pool: PgPool) {
    let stage = set(pool).await;
    let event = first(&stage, "events?kind=record.created").await;
    let job = first(&stage, "jobs?state=discarded&action=set_discount").await;
    let firing = first(&stage, "firings?result=fired").await;
    let watched = first(&stage, "firings?result=shadow").await;
    let pages = [
        "/events".to_owned(),
        "/events?location=99".to_owned(),
        format!("/events/{event}"),
        format!("/events/{event}/replay?force=yes"),
        "/jobs".to_owned(),
        format!("/jobs/{job}"),
        "/jobs/all/retry?rule=welcome-discount".to_owned(),
        "/rules".to_owned(),
        format!("/rules/{APP}/welcome-discount"),
        "/firings".to_owned(),
        format!("/firings/{firing}"),
        format!("/firings/{watched}"),
        "/reconciliation".to_owned(),
        "/ledger".to_owned(),
    ];
    let browser = Browser::open(1280, 900).await;
    browser.page.goto(address(&stage, "/login")).await.expect("a page");
    let token = browser.page.find(By::Id("token")).await.expect("a field");
    token.send_keys(OPERATOR_TOKEN + Key::Enter).await.expect("logged in");
    for path in &pages {
        for (screen, theme) in [((390, 844), "light"), ((1280, 900), "dark")] {
            look(&browser, screen, theme).await;
            browser.page.goto(address(&stage, path)).await.expect("a page");
            assert_eq!(ask(&browser, FAULTS).await, json!([]), "{path} {screen:?} {theme}");
        }
    }
    assert_eq!(browser.complaints().await, [""; 0]);
    browser.close().await;
    stage.end().await;
}
