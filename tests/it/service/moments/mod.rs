//! What comes by itself: ends of paid periods, schedules, silences, and connections nobody finished.

mod expiries;
mod periods;
mod schedules;
mod silences;

use bellhop::{
    domain::ids::ApplicationId,
    sandbox::{Location, Paid, Pay, Place},
    store::reconciliations,
};

use super::stage::{APP, Stage, days};

/// A rule with this head that does nothing but set a discount.
fn rule(name: &str, on: &str, more: &str) -> String {
    format!(
        "[[rule]]\nname = \"{name}\"\non = \"{on}\"\n{more}\n[[rule.then]]\naction = \"set_discount\"\npercent = 5\n\n"
    )
}

fn there(location_id: i64) -> Place {
    Place {
        application_id: APP,
        location_id,
    }
}

async fn pay(stage: &Stage, location_id: i64) -> Paid {
    let pay = Pay {
        application_id: APP,
        location_id,
        ..Pay::default()
    };
    let paid = stage.sandbox.pay(pay).await.expect("paid");
    stage.settled().await;
    paid
}

async fn put(stage: &Stage, location: i64, zone: &str) {
    let location = Location {
        timezone_name: zone.to_owned(),
        ..Location::new(location)
    };
    stage.sandbox.put_location(location).await.expect("a location");
}

/// How often a rule fired for a location.
async fn fired(stage: &Stage, location: i64, rule: &str) -> i64 {
    sqlx::query_scalar("select count(*) from firings where location_id = $1 and rule = $2")
        .bind(location)
        .bind(rule)
        .fetch_one(&stage.pool)
        .await
        .expect("a count")
}

/// The ends of the firing keys of a location, in their order.
async fn keys(stage: &Stage, location: i64, kind: &str) -> Vec<String> {
    let keys: Vec<String> =
        sqlx::query_scalar("select key from firings where location_id = $1 and kind = $2 order by id")
            .bind(location)
            .bind(kind)
            .fetch_all(&stage.pool)
            .await
            .expect("keys");
    let end = |key: &String| key.rsplit('|').next().unwrap_or_default().to_owned();
    keys.iter().map(end).collect()
}

/// A round from its beginning to its end, and what follows from it.
async fn compare(stage: &Stage) {
    stage.settled().await;
    reconciliations::ask(&stage.pool, ApplicationId(APP))
        .await
        .expect("asked");
    let over = "select coalesce(finished_at >= begun_at, false) from reconciliations where application_id = $1";
    stage
        .until("the round is over", async || {
            let asked = sqlx::query_scalar(over).bind(APP).fetch_one(&stage.pool).await;
            asked.expect("a round")
        })
        .await;
    stage.settled().await;
}
