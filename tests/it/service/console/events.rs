//! Events in the console.

use bellhop::sandbox::Change;
use serde_json::json;
use sqlx::PgPool;

use super::{
    desk::{Desk, has_orders, words},
    *,
};

const RECORDS: &str = r#"
[[rule]]
name = "record"
on = "record.created"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/record"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ event.resource_id }}"
[[rule]]
name = "seventh"
on = "record.created"
when = 'event.resource_id == 7'
[[rule.then]]
action = "set_tag"
tag = "seven"
"#;

async fn set(pool: PgPool) -> Stage {
    let stage = Stage::set_edited(pool, RECORDS, |_| {}, &[WITH_READ_TOKEN]).await;
    stage.connected(&[1]).await;
    let change = Change {
        resource_id: Some(5),
        data: Some(json!({"comment": "<script>alert(1)</script> \u{202e}gnp.exe"})),
        ..Change::new(1, "record", "create")
    };
    stage.sandbox.change(change).await.expect("changed");
    stage.settled().await;
    stage
}

async fn newest(stage: &Stage, filter: &str) -> i64 {
    let page = stage.api(&format!("events?limit=1&{filter}")).await;
    page["items"][0]["id"].as_i64().expect("an event")
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn an_event_tells_what_came_what_was_decided_and_what_came_of_it(pool: PgPool) {
    let stage = set(pool).await;
    let desk = Desk::operator(&stage).await;
    let id = newest(&stage, "kind=record.created").await;
    let page = desk.page(&format!("/events/{id}")).await;
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;&#x2f;script&gt; \\u{202e}gnp.exe"),
        "{page}"
    );
    assert!(!page.contains("<script") && !page.contains('\u{202e}'), "{page}");
    assert!(
        page.contains("&quot;resource&quot;: &quot;record&quot;,\n"),
        "JSON has lines: {page}"
    );
    let said = words(&page);
    assert!(said.contains("seventh skipped condition is false"), "{said}");
    let job = stage.last_job(1).await;
    let (job, firing) = (job["id"].clone(), job["firing_id"].clone());
    for link in [
        format!("/jobs/{job}"),
        format!("/firings/{firing}"),
        format!("/rules/{APP}/record"),
        place(1),
        format!("/events/{id}/replay"),
    ] {
        assert!(page.contains(&format!("href=\"{link}\"")), "{link}: {page}");
    }
    let page = desk.page(&format!("/firings/{firing}")).await;
    for link in [format!("/jobs/{job}"), format!("/events/{id}"), place(1)] {
        assert!(page.contains(&format!("href=\"{link}\"")), "{link}: {page}");
    }
    // What Bellhop found out itself has no body.
    let id = newest(&stage, "kind=installation.activated").await;
    let said = words(&desk.page(&format!("/events/{id}")).await);
    assert!(said.contains("Bellhop found this out itself"), "{said}");
    assert!(said.contains("No rule waits for such an event."), "{said}");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn bytes_that_are_no_text_and_bodies_without_end_can_be_looked_at(pool: PgPool) {
    let stage = set(pool).await;
    let desk = Desk::operator(&stage).await;
    stage
        .post(&stage.hook(1), b"\xff\x00\x1b[31m<b>no json</b>".to_vec())
        .await;
    let long = format!(
        r#"{{"company_id": 1, "resource": "record", "resource_id": 6, "status": "create", "data": {{"comment": "{}"}}}}"#,
        "x".repeat(100_000)
    );
    stage.post(&stage.hook(1), long).await;
    stage.settled().await;
    let id = newest(&stage, "state=quarantined").await;
    let page = desk.page(&format!("/events/{id}")).await;
    assert!(
        page.contains("\u{fffd}\\u{0}\\u{1b}[31m&lt;b&gt;no json&lt;&#x2f;b&gt;"),
        "{page}"
    );
    let said = words(&page);
    assert!(
        said.contains("Rules do not see an event that is quarantined."),
        "{said}"
    );
    let id = newest(&stage, "kind=record.created").await;
    let page = desk.page(&format!("/events/{id}")).await;
    assert!(page.len() < 80_000, "{}", page.len());
    assert!(words(&page).contains("Only the beginning is shown"), "{page}");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn events_are_found_by_what_they_are(pool: PgPool) {
    let stage = set(pool).await;
    let desk = Desk::operator(&stage).await;
    let id = newest(&stage, "kind=record.created").await;
    let link = format!("href=\"/events/{id}\"");
    for (filter, is_there) in [
        ("", true),
        ("kind=record.created&location=1", true),
        ("source=webhook&state=processed", true),
        ("source=callback", false),
        ("since=2020-01-01T00%3A00", true),
        ("until=2020-01-01T00%3A00", false),
        ("location=2", false),
        ("application=&location=&kind=&state=&source=&since=&until=", true),
    ] {
        let page = desk.page(&format!("/events?{filter}")).await;
        assert_eq!(page.contains(&link), is_there, "{filter}: {page}");
    }
    for wrong in [
        "state=x",
        "source=x",
        "location=x",
        "since=yesterday",
        "cursor=x",
        "kind=%00",
    ] {
        let (status, page) = desk.open(&format!("/events?{wrong}")).await;
        assert_eq!(status, 400, "{wrong}: {page}");
    }
    assert_eq!(desk.open("/events/999999").await.0, 404);
    assert_eq!(desk.open("/events/x").await.0, 404);
    let page = desk.page("/events?kind=%3Cscript%3E").await;
    assert!(
        page.contains("value=\"&lt;script&gt;\"") && !page.contains("<script"),
        "{page}"
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_replay_is_foreseen_on_the_terms_on_which_it_is_then_done(pool: PgPool) {
    let stage = set(pool).await;
    let (desk, reader) = (Desk::operator(&stage).await, Desk::reader(&stage).await);
    let id = newest(&stage, "kind=record.created").await;
    let (event, replay) = (format!("/events/{id}"), format!("/events/{id}/replay"));
    desk.refuses_others(&reader, &[&replay]).await;
    assert_eq!(reader.open(&replay).await.0, 403);
    let page = reader.page(&event).await;
    assert!(!page.contains(&replay) && !has_orders(&page), "{page}");

    let said = words(&desk.page(&replay).await);
    assert!(said.contains("No rule would fire."), "{said}");
    assert!(
        said.contains("record skipped it has fired for this event before"),
        "{said}"
    );
    let page = desk.page(&format!("{replay}?rule=record&force=yes")).await;
    let said = words(&page);
    assert!(
        said.contains("One rule would fire.") && said.contains("record would fire"),
        "{said}"
    );
    assert!(
        page.contains("name=\"force\" value=\"yes\"") && page.contains("name=\"rule\" value=\"record\""),
        "{page}"
    );
    assert_eq!(stage.inbox("record").await.len(), 1, "nothing was done");

    // Pressed twice, and once more from the page that went back to, it is done once.
    let (_, key) = page.split_once("name=\"key\" value=\"").expect("a key");
    let key = key.split('"').next().expect("a value");
    let fields = [("rule", "record"), ("force", "yes"), ("key", key)];
    let (first, second) = tokio::join!(desk.send(&replay, &fields), desk.send(&replay, &fields));
    let (done, refused) = if first.status == 303 {
        (first, second)
    } else {
        (second, first)
    };
    let said = words(&desk.page(done.header("location")).await);
    assert!(said.contains("It is being judged once more."), "{said}");
    stage.settled().await;
    for refused in [refused, desk.send(&replay, &fields).await] {
        assert_eq!(refused.status, 409, "{}", refused.body);
        assert!(
            words(&refused.body).contains("asked for with this key before"),
            "{}",
            refused.body
        );
    }
    assert_eq!(stage.inbox("record").await.len(), 2);
    let said = words(&desk.page(&event).await);
    assert!(
        said.contains("only by record , also where it had fired before"),
        "{said}"
    );
    assert_eq!(desk.open(&format!("{replay}?rule=nobody")).await.0, 404);
    // What cannot be judged again says why, and offers no button.
    let id = newest(&stage, "kind=installation.activated").await;
    let page = desk.page(&format!("/events/{id}/replay")).await;
    assert!(
        words(&page).contains("Nothing: no rule waits for such an event"),
        "{page}"
    );
    assert!(!has_orders(&page), "{page}");
    assert_eq!(desk.send(&format!("/events/{id}/replay"), &[]).await.status, 409);
    stage.end().await;
}
