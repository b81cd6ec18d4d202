//! Pages while things go on: whoever turns them sees everything that was there when they began, and nothing twice.

use std::collections::BTreeSet;

use bellhop::sandbox::Change;
use serde_json::Value;
use sqlx::PgPool;

use super::stage::{APP, Stage};

const RULES: &str = r#"
[[rule]]
name = "capped"
on = "installation.activated"
cap_per_day = 2
[[rule.then]]
action = "set_discount"
percent = 20

[[rule]]
name = "watched"
on = "installation.activated"
mode = "shadow"
[[rule.then]]
action = "set_discount"
percent = 10

[[rule]]
name = "later"
on = "installation.activated"
[[rule.then]]
action = "set_discount"
percent = 5
after = "2h"
"#;

const LOCATIONS: [i64; 6] = [101, 102, 103, 104, 105, 106];

/// Turns the pages of a list, and lets something happen before each but the first. The values of a field.
async fn turned(stage: &Stage, path: &str, field: &str, happens: impl AsyncFn(usize)) -> Vec<i64> {
    let mut seen = Vec::new();
    let mut cursor = String::new();
    for number in 1.. {
        let page = stage.api(&format!("{path}limit=2{cursor}")).await;
        let items = page["items"].as_array().expect("a list");
        assert!(items.len() <= 2);
        seen.extend(items.iter().map(|item| item[field].as_i64().expect("a number")));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return seen,
        }
        happens(number).await;
    }
    unreachable!("a list has an end")
}

async fn all(stage: &Stage, path: &str, field: &str) -> BTreeSet<i64> {
    let page = stage.api(&format!("{path}limit=500")).await;
    assert!(page["next_cursor"].is_null());
    let items = page["items"].as_array().expect("a list");
    items
        .iter()
        .map(|item| item[field].as_i64().expect("a number"))
        .collect()
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_comes_while_pages_are_turned_shifts_nothing(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    stage.connected(&LOCATIONS).await;
    for (path, field) in [
        ("events?", "id"),
        ("firings?", "id"),
        ("jobs?", "id"),
        ("locations?", "location_id"),
    ] {
        let before = all(&stage, path, field).await;
        assert!(before.len() >= LOCATIONS.len(), "{path}: {before:?}");
        // Somebody connects, and other events come: each brings events, jobs, firings.
        let seen = turned(&stage, path, field, async |number| {
            if number <= 2 {
                let other = 500 + i64::try_from(all(&stage, "locations?", "location_id").await.len()).expect("few");
                stage.connected(&[other]).await;
                let change = Change::new(LOCATIONS[number], "client", "update");
                stage.sandbox.change(change).await.expect("changed");
                stage.settled().await;
            }
        })
        .await;
        let once: BTreeSet<i64> = seen.iter().copied().collect();
        assert_eq!(once.len(), seen.len(), "{path}: something is there twice: {seen:?}");
        let after = all(&stage, path, field).await;
        assert!(after.len() > before.len(), "{path}: nothing came");
        match field {
            // Newest first: what came is on no later page.
            "id" => assert_eq!(once, before, "{path}"),
            // By number: what came stands behind.
            _ => assert!(once.is_superset(&before) && seen.is_sorted(), "{path}: {seen:?}"),
        }
    }
    stage.end().await;
}

/// A job that is done leaves the queue for another table.
#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn jobs_that_end_or_come_back_while_pages_are_turned_stay_where_they_are(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    stage.connected(&LOCATIONS).await;
    let path = "jobs?rule=later&";
    let waiting = all(&stage, &format!("{path}state=available&"), "id").await;
    assert_eq!(waiting.len(), LOCATIONS.len());
    let ids: Vec<i64> = waiting.iter().copied().collect();
    // The oldest and the newest are given up, then one of them comes back.
    let seen = turned(&stage, path, "id", async |number| {
        let (status, said) = match number {
            1 => stage.order(&format!("jobs/{}/cancel", ids[0])).await,
            _ => stage.order(&format!("jobs/{}/retry", ids[0])).await,
        };
        assert_eq!(status, 202, "{said}");
        if number == 1 {
            assert_eq!(stage.order(&format!("jobs/{}/cancel", ids[5])).await.0, 202);
        }
    })
    .await;
    let newest_first: Vec<i64> = ids.iter().rev().copied().collect();
    assert_eq!(seen, newest_first);
    assert_eq!(
        all(&stage, &format!("{path}state=cancelled&"), "id").await,
        BTreeSet::from([ids[5]])
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn firings_tell_what_became_of_them(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    stage.connected(&LOCATIONS).await;
    let firings = async |filter: &str| -> Vec<String> {
        let page = stage.api(&format!("firings?{filter}&limit=500")).await;
        let line = |item: &Value| format!("{} {}", item["rule"], item["result"]).replace('"', "");
        let mut lines: Vec<String> = page["items"].as_array().expect("a list").iter().map(line).collect();
        lines.sort();
        lines
    };
    assert_eq!(firings("rule=watched").await, ["watched shadow"; 6]);
    assert_eq!(firings("result=held").await, ["capped held"; 4]);
    assert_eq!(firings("rule=capped&result=fired").await, ["capped fired"; 2]);
    let one = format!("application={APP}&location=101");
    assert_eq!(firings(&one).await.len(), 3);
    assert_eq!(firings("application=18290").await.len(), 0);
    assert_eq!(firings("until=2020-01-01T00:00:00Z").await.len(), 0);
    assert_eq!(firings("since=2020-01-01T00:00:00Z").await.len(), 18);

    // What waits is paged, too; the oldest is done, the others are given up.
    let held = all(&stage, "holds?", "firing_id").await;
    let turned_holds = turned(&stage, "holds?", "firing_id", async |_| {}).await;
    assert_eq!(turned_holds, held.iter().copied().collect::<Vec<_>>());
    let rule = format!("rules/{APP}/capped");
    assert_eq!(stage.order(&format!("{rule}/release?limit=1")).await.1["released"], 1);
    assert_eq!(stage.order(&format!("{rule}/drop")).await.1["dropped"], 3);
    assert_eq!(firings("rule=capped&result=fired").await.len(), 3);
    let page = stage.api("firings?result=dropped").await;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(3));
    assert_eq!(page["items"][0]["reason"], "given up by a person");

    // From a firing to its jobs.
    let page = stage.api("firings?rule=later&limit=1").await;
    let jobs = stage.api(&format!("jobs?firing={}", page["items"][0]["id"])).await;
    assert_eq!(jobs["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(jobs["items"][0]["rule"], "later");
    let rules = stage.api("rules").await;
    let counts = ["firings", "shadow_firings", "held"].map(|key| rules["items"][0][key].as_i64());
    assert_eq!(counts, [Some(6), Some(0), Some(0)]);
    stage.end().await;
}
