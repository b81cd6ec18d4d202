//! Jobs in the console: one by one, in bulk, and by keyboard.

use bellhop::sandbox::{Fault, FaultKind};
use serde_json::Value;
use sqlx::PgPool;
use thirtyfour::Key;

use super::{
    browsing::{focus, press, sees},
    desk::{Desk, has_orders, words},
    *,
};
use crate::browser::Browser;

const WELCOME: &str = r#"
[[rule]]
name = "welcome"
on = "installation.activated"
[[rule.then]]
action = "set_discount"
percent = 20
[[rule.then]]
action = "set_tag"
tag = "welcomed"
"#;

/// The discount of each location was refused.
async fn refused(pool: PgPool, locations: &[i64]) -> Stage {
    let stage = Stage::set_edited(pool, WELCOME, |_| {}, &[WITH_READ_TOKEN]).await;
    let times = u32::try_from(locations.len()).expect("a few");
    let fault = Fault::new("add_discount", FaultKind::Status).status(403).times(times);
    stage.sandbox.fail(fault).await.expect("a fault");
    stage.connected(locations).await;
    stage
}

/// The numbers of the jobs of an action, oldest first.
async fn numbers(stage: &Stage, filter: &str) -> Vec<i64> {
    let page = stage.api(&format!("jobs?limit=500&{filter}")).await;
    let items = page["items"].as_array().expect("a list").iter();
    let mut numbers: Vec<i64> = items.map(|job| job["id"].as_i64().expect("a number")).collect();
    numbers.reverse();
    numbers
}

async fn states(stage: &Stage, filter: &str) -> Vec<String> {
    let page = stage.api(&format!("jobs?limit=500&{filter}")).await;
    let state = |job: &Value| job["state"].as_str().expect("a state").to_owned();
    page["items"].as_array().expect("a list").iter().map(state).collect()
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_job_shows_every_attempt_and_is_tried_again(pool: PgPool) {
    let stage = refused(pool, &[1]).await;
    let (desk, reader) = (Desk::operator(&stage).await, Desk::reader(&stage).await);
    let id = numbers(&stage, "action=set_discount").await[0];
    let after = numbers(&stage, "action=set_tag").await[0];
    let job = format!("/jobs/{id}");
    desk.refuses_others(&reader, &[&format!("{job}/retry"), &format!("{job}/cancel")])
        .await;
    let page = reader.page(&job).await;
    assert!(!has_orders(&page), "{page}");
    let page = desk.page(&job).await.replace("&#x2f;", "/");
    let said = words(&page);
    assert!(said.contains("Attempt 1 discard"), "{said}");
    assert!(said.contains("→ 403"), "the answer: {said}");
    assert!(
        page.contains(&format!("href=\"/jobs/{after}\"")),
        "the step after it: {page}"
    );
    assert!(page.contains(&format!("action=\"{job}/retry\"")), "{page}");
    assert!(
        !page.contains(&format!("action=\"{job}/cancel\"")),
        "it is over: {page}"
    );

    let refused = desk.send(&format!("/jobs/{after}/retry"), &[]).await;
    assert_eq!(refused.status, 409);
    assert!(words(&refused.body).contains("retry that one"), "{}", refused.body);
    assert_eq!(desk.send(&format!("{job}/explode"), &[]).await.status, 404);
    assert_eq!(desk.send("/jobs/999999/retry", &[]).await.status, 404);

    let said = words(&desk.follow(&format!("{job}/retry"), &[]).await);
    assert!(said.contains("It is in the queue again"), "{said}");
    stage.settled().await;
    assert_eq!(states(&stage, "rule=welcome").await, ["completed", "completed"]);
    let said = words(&desk.page(&job).await);
    assert!(
        said.contains("Attempt 1 discard") && said.contains("Attempt 2 done"),
        "{said}"
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_job_that_waits_is_cancelled_with_the_steps_after_it(pool: PgPool) {
    let patient = WELCOME.replace("percent = 20", "percent = 20\nafter = \"1h\"");
    let stage = Stage::set(pool, &patient).await;
    stage.connected(&[1]).await;
    let desk = Desk::operator(&stage).await;
    let id = numbers(&stage, "action=set_discount").await[0];
    let said = words(&desk.follow(&format!("/jobs/{id}/cancel"), &[]).await);
    assert!(
        said.contains("It was cancelled, with the steps that waited for it."),
        "{said}"
    );
    assert_eq!(states(&stage, "rule=welcome").await, ["cancelled", "cancelled"]);
    // What belongs to the connection has no buttons.
    let activation = numbers(&stage, "action=activate").await[0];
    let page = desk.page(&format!("/jobs/{activation}")).await;
    assert!(
        !has_orders(&page) && words(&page).contains("It belongs to the connection"),
        "{page}"
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn many_are_tried_again_when_the_exact_number_is_written(pool: PgPool) {
    let stage = refused(pool, &[1, 2, 3]).await;
    let (desk, reader) = (Desk::operator(&stage).await, Desk::reader(&stage).await);
    desk.refuses_others(&reader, &["/jobs/all/retry", "/jobs/all/cancel"])
        .await;
    assert_eq!(reader.open("/jobs/all/retry").await.0, 403);
    let list = reader.page("/jobs?state=discarded").await;
    assert!(!list.contains("/jobs/all"), "{list}");
    let list = desk.page("/jobs?state=discarded&rule=welcome").await;
    assert!(
        list.contains("Try all discarded ones again") && !list.contains("Cancel all"),
        "{list}"
    );

    // The steps after them were cancelled because of them, and come along by themselves only.
    let page = desk.page("/jobs/all/retry?rule=welcome&state=cancelled").await;
    let said = words(&page);
    assert!(
        said.contains("Left out are steps behind one that was given up"),
        "{said}"
    );
    assert!(said.contains("There is nothing to do"), "{said}");

    let page = desk.page("/jobs/all/retry?rule=welcome").await;
    let said = words(&page);
    assert!(
        said.contains("would be tried again 3 later steps that go with them 3"),
        "{said}"
    );
    let ids = numbers(&stage, "action=set_discount").await;
    let links: Vec<usize> = ids
        .iter()
        .map(|id| page.find(&format!("href=\"/jobs/{id}\"")).expect("it is named"))
        .collect();
    assert!(links.is_sorted(), "the oldest first");
    let mark = page.split_once("name=\"mark\" value=\"").expect("a mark").1;
    let mark = &mark[..mark.find('"').expect("its end")];
    let form = |number: &'static str| [("rule", "welcome"), ("mark", mark), ("number", number)];
    for wrong in ["", "2", "4", "three"] {
        let answer = desk.send("/jobs/all/retry", &form(wrong)).await;
        assert!(
            words(&answer.body).contains("Nothing was done: to go on, write the exact number, 3."),
            "{wrong}"
        );
    }
    // One of them has gone on meanwhile.
    desk.follow(&format!("/jobs/{}/retry", ids[0]), &[]).await;
    stage.settled().await;
    for number in ["3", "2"] {
        let answer = desk.send("/jobs/all/retry", &form(number)).await;
        let said = words(&answer.body);
        assert!(
            said.contains("Meanwhile other jobs are meant than those that were shown."),
            "{said}"
        );
    }
    assert_eq!(states(&stage, "action=set_discount&state=discarded").await.len(), 2);

    let page = desk.page("/jobs/all/retry?rule=welcome").await;
    let mark = page.split_once("name=\"mark\" value=\"").expect("a mark").1;
    let mark = &mark[..mark.find('"').expect("its end")];
    let answer = desk
        .send(
            "/jobs/all/retry",
            &[("rule", "welcome"), ("mark", mark), ("number", " 2 ")],
        )
        .await;
    let said = words(&answer.body);
    assert!(
        said.contains("2 jobs are in the queue again, with 2 later steps."),
        "{said}"
    );
    stage.settled().await;
    assert_eq!(states(&stage, "rule=welcome").await, ["completed"; 6]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_keyboard_is_enough_from_the_start_page_to_a_job_that_is_tried_again(pool: PgPool) {
    let stage = refused(pool, &[1]).await;
    let browser = Browser::open(1280, 900).await;
    browser.page.goto(address(&stage, "/")).await.expect("a page");
    press(&browser, format!("{OPERATOR_TOKEN}{}", char::from(Key::Enter))).await;
    let here = async || browser.page.current_url().await.expect("an address").to_string();
    stage
        .until("somebody is logged in", async || !here().await.contains("/login"))
        .await;
    for (wanted, path) in [
        ("Jobs", "/jobs"),
        ("set_discount", "/jobs/"),
        ("Try it again", "?done=retried"),
    ] {
        let mut way = Vec::new();
        while way.last().is_none_or(|last| last != wanted) {
            assert!(way.len() < 60, "{wanted} is not on the way: {way:?}");
            press(&browser, String::from(char::from(Key::Tab))).await;
            way.push(focus(&browser).await);
        }
        press(&browser, String::from(char::from(Key::Enter))).await;
        stage.until(path, async || here().await.contains(path)).await;
    }
    sees(&stage, &browser, "It is in the queue again").await;
    stage.settled().await;
    assert_eq!(states(&stage, "rule=welcome").await, ["completed", "completed"]);
    assert_eq!(browser.complaints().await, [""; 0]);
    browser.close().await;
    stage.end().await;
}
