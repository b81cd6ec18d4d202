//! What the pages say.

use std::collections::BTreeSet;

use bellhop::sandbox::{Connect, Location};
use chrono::Utc;
use sqlx::PgPool;

use super::{
    desk::{Desk, words},
    *,
};

/// The cookie of somebody who is logged in.
fn inside() -> String {
    signed(OPERATOR_TOKEN, "operator", Utc::now().timestamp() + 600)
}

async fn page(stage: &Stage, path: &str) -> String {
    let answer = open(stage, path, &[("cookie", &inside())]).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

/// What stands behind each of these words, up to the end of its number.
fn numbers(page: &str, word: &str) -> Vec<i64> {
    let after = page.split(word).skip(1);
    let digits = after.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    digits.filter_map(|digits| digits.parse().ok()).collect()
}

/// The address of the next page of a list.
fn next(page: &str) -> Option<String> {
    let (before, _) = page.split_once("\" rel=\"next\"")?;
    let (_, address) = before.rsplit_once("href=\"")?;
    Some(address.replace("&#x2f;", "/").replace("&amp;", "&"))
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_others_wrote_is_text_on_every_page(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    let hostile = "<script>alert('&')</script>\" onmouseover=\"x";
    let location = Location {
        title: hostile.to_owned(),
        ..Location::new(1)
    };
    stage.sandbox.put_location(location).await.expect("a location");
    let connect = Connect {
        follow: true,
        ..Connect::new(APP, 1)
    };
    stage.sandbox.connect(connect).await.expect("connected");
    stage.settled().await;
    stage
        .until("its name is known", async || {
            stage.location(1).await["title"].as_str() == Some(hostile)
        })
        .await;
    // Words of the sender are in kinds, reasons and results too.
    let body = r#"{"company_id": 1, "resource": "<b>x</b>", "resource_id": 1, "status": "<img src=x>", "data": {}}"#;
    stage.post(&stage.hook(1), body).await;
    stage.settled().await;
    sqlx::query("update finished_jobs set state = 'discarded', last_error = $1 where action = 'set_discount'")
        .bind("<script>alert(2)</script>")
        .execute(&stage.pool)
        .await
        .expect("an error");
    sqlx::query("update attempts set error = '<script>alert(3)</script>', exchanges = jsonb_build_array(
                     jsonb_build_object('method', '<script>', 'path', '<script>', 'status', 500, 'duration_seconds', 1.5))")
        .execute(&stage.pool)
        .await
        .expect("attempts");
    let escaped = "&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;&#x2f;script&gt;&quot; onmouseover=&quot;x";
    for path in [
        "/locations",
        &place(1),
        &format!("{}/uninstall", place(1)),
        "/locations?q=%3Cscript%3Ealert%28%27%26%27%29%3C%2Fscript%3E%22+onmouseover%3D%22x",
    ] {
        let page = page(&stage, path).await;
        assert!(page.contains(escaped), "{path}: {page}");
        for never in ["<script", "<img src=x", "<b>", "\" onmouseover"] {
            assert!(!page.contains(never), "{path}: {never}: {page}");
        }
    }
    let story = page(&stage, &place(1)).await;
    assert!(
        story.contains("&lt;script&gt;alert(2)") && story.contains("&lt;script&gt;alert(3)"),
        "{story}"
    );
    let way = open(&stage, "/login?to=%2F%22%3E%3Cscript%3E", &[]).await;
    assert!(!way.body.contains("<script"), "{}", way.body);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_location_tells_its_whole_story_and_pages_lose_and_repeat_nothing(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    stage.connected(&[1]).await;
    for number in 0..60 {
        let status = if number % 2 == 0 { "update" } else { "delete" };
        let body = format!(
            r#"{{"company_id": 1, "resource": "record", "resource_id": {number}, "status": "{status}", "data": {{"id": {number}}}}}"#
        );
        assert_eq!(stage.post(&stage.hook(1), body).await.0, 200);
    }
    stage.settled().await;
    let (mut events, mut jobs, mut pages) = (Vec::new(), Vec::new(), 0);
    let mut path = place(1);
    let mut told = String::new();
    loop {
        let page = page(&stage, &path).await;
        let (_, story) = page.split_once("<ol class=\"story\">").expect("a story");
        events.extend(numbers(story, "<p class=\"soft\">event "));
        jobs.extend(numbers(story, "<p class=\"soft\">job "));
        told.push_str(story);
        pages += 1;
        // What happens meanwhile moves nothing.
        let body = format!(
            r#"{{"company_id": 1, "resource": "client", "resource_id": {pages}, "status": "update", "data": {{}}}}"#
        );
        stage.post(&stage.hook(1), body).await;
        stage.settled().await;
        match next(&page) {
            Some(next) => path = next,
            None => break,
        }
    }
    assert!(pages > 1, "{pages}");
    assert!(events.is_sorted_by(|newer, older| newer > older), "{events:?}");
    let stored = sqlx::query_scalar("select id from events where location_id = 1 and kind not like 'client%'")
        .fetch_all(&stage.pool)
        .await
        .expect("events");
    assert_eq!(
        events.iter().copied().collect::<BTreeSet<i64>>(),
        stored.into_iter().collect()
    );
    assert_eq!(jobs.len(), stage.jobs(1).await.len());
    for words in [
        "<span class=\"badge wait\">pending</span> → <span class=\"badge good\">active</span>",
        "<span class=\"badge good\">fired</span> welcome",
        "<span class=\"badge quiet\">skipped</span> cancelled: condition is false: event.change",
        "set_discount <span class=\"badge good\">completed</span>",
        "step 1 of rule cancelled",
        "POST partner&#x2f;callback",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let moves = page(&stage, &format!("{}?only=moves", place(1))).await;
    assert!(
        moves.contains("</span> → <span") && !moves.contains("<p class=\"soft\">event "),
        "{moves}"
    );
    let money = page(&stage, &format!("{}?only=money", place(1))).await;
    assert!(money.contains("Nothing of this sort is kept"), "{money}");
    for wrong in ["only=everything", "cursor=1.2", "cursor=x", "queued=x"] {
        let answer = open(&stage, &format!("{}?{wrong}", place(1)), &[("cookie", &inside())]).await;
        assert_eq!(answer.status, 400, "{wrong}");
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_clocks_are_those_of_the_place_and_utc(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    stage.connected(&[1]).await;
    sqlx::query("update installations set trial_ends_at = '2031-07-01T20:30:00Z'")
        .execute(&stage.pool)
        .await
        .expect("a date");
    sqlx::query("update locations set data = jsonb_set(data, '{timezone_name}', '\"Asia/Tokyo\"')")
        .execute(&stage.pool)
        .await
        .expect("a zone");
    sqlx::query("update activations set state = 'activating', pending_since = now() - interval '50 minutes'")
        .execute(&stage.pool)
        .await
        .expect("a connection");
    let page = page(&stage, &place(1)).await;
    for words in [
        "Wed 2 Jul 2031 05:30:00 JST",
        "2031-07-01 20:30:00 UTC",
        "<strong>in 9 min</strong>",
        "Activation: last moment",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(
        page.contains("<dt>Trial ends</dt>") && !page.contains("Paid until"),
        "{page}"
    );
    let start = self::page(&stage, "/").await;
    assert!(
        start.contains("Act now.") && start.contains("BellhopActivationDeadline"),
        "{start}"
    );
    assert!(
        start.contains("href=\"&#x2f;locations?application=18289&amp;status=pending\""),
        "{start}"
    );
    sqlx::query(
        "update installations set trial_ends_at = now() - interval '4 days', paid_until = now() - interval '1 day'",
    )
    .execute(&stage.pool)
    .await
    .expect("the past");
    let later = self::page(&stage, &place(1)).await;
    for over in ["Trial ended", "Was paid until"] {
        assert!(later.contains(&format!("<div><dt>{over}</dt>")), "{over}: {later}");
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_a_button_asks_for_is_done_and_shown(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    stage.connected(&[1]).await;
    let cookie = inside();
    let mine = [("cookie", cookie.as_str())];
    let key = open(&stage, "/", &mine).await.form_key();
    for (order, action) in [
        ("compare", "read_status"),
        ("activate", "activate"),
        ("repair-hooks", "repair_hooks"),
    ] {
        let answer = send(&stage, &format!("{}/{order}", place(1)), &[("form_key", &key)], &mine).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        let story = page(&stage, answer.header("location")).await;
        let job = numbers(answer.header("location"), "queued=")[0];
        assert!(story.contains(&format!("Job {job} is queued")), "{story}");
        assert!(story.contains(&format!("<p class=\"soft\">job {job}")), "{story}");
        assert!(story.contains(&format!("<h3>{action} ")), "{story}");
        stage.settled().await;
    }
    let offers = async || page(&stage, &place(1)).await.contains(">Activate</button>");
    assert!(!offers().await, "it works already");
    for (waits, works) in [
        (
            "update activations set state = 'external'",
            "update activations set state = 'active'",
        ),
        (
            "update installations set status = 'pending'",
            "update installations set status = 'active'",
        ),
    ] {
        sqlx::query(waits).execute(&stage.pool).await.expect("a wait");
        assert!(offers().await, "{waits}");
        sqlx::query(works).execute(&stage.pool).await.expect("an end");
    }
    let question = page(&stage, &format!("{}/uninstall", place(1))).await;
    assert!(question.contains("Only the owner can connect it again."), "{question}");
    stage.settled().await;
    assert_eq!(stage.status(1).await, "active", "a question changes nothing");
    let answer = send(&stage, &format!("{}/uninstall", place(1)), &[("form_key", &key)], &mine).await;
    assert_eq!(answer.status, 303);
    stage
        .until("it is gone", async || stage.status(1).await == "uninstalled")
        .await;
    let refused = send(&stage, "/locations/999/1/activate", &[("form_key", &key)], &mine).await;
    assert_eq!(refused.status, 404);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn locations_are_found_by_name_number_and_state_and_none_is_lost_between_pages(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let empty = page(&stage, "/locations").await;
    assert!(empty.contains("No location has been connected yet."), "{empty}");
    sqlx::query(
        "insert into installations (application_id, location_id, status, generation, status_since)
         select $1, n, case when n % 10 = 0 then 'frozen' else 'active' end, 1, now() from generate_series(1, 120) n",
    )
    .bind(APP)
    .execute(&stage.pool)
    .await
    .expect("locations");
    sqlx::query("insert into locations (application_id, location_id, title, data) select $1, 77, 'Studio Anna', '{}'")
        .bind(APP)
        .execute(&stage.pool)
        .await
        .expect("a name");
    let (mut found, mut path) = (Vec::new(), "/locations".to_owned());
    loop {
        let page = page(&stage, &path).await;
        found.extend(numbers(&page, "href=\"/locations/18289/"));
        match next(&page) {
            Some(next) => path = next,
            None => break,
        }
    }
    assert_eq!(found, (1..=120).collect::<Vec<i64>>());
    for (query, said) in [
        (
            "status=nonsense",
            "status=nonsense: write one of pending, active, frozen, uninstalled",
        ),
        (
            "hooks=nonsense",
            "hooks=nonsense: write one of registered, former, missing, refused",
        ),
        (
            "cursor=7",
            "This way to the next page is not whole. Go back to the first.",
        ),
    ] {
        let answer = open(&stage, &format!("/locations?{query}"), &[("cookie", &inside())]).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.body.contains(said), "{query}: {}", answer.body);
    }
    for (query, wanted) in [
        ("q=anna", vec![77]),
        ("q=42", vec![42]),
        ("status=frozen&q=&application=18289", (1..=12).map(|n| n * 10).collect()),
        ("application=7", Vec::new()),
    ] {
        let page = page(&stage, &format!("/locations?{query}")).await;
        assert_eq!(numbers(&page, "href=\"/locations/18289/"), wanted, "{query}");
        assert_eq!(
            page.contains("Clear the filter to see all."),
            wanted.is_empty(),
            "{query}"
        );
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_start_page_says_that_all_is_well_or_what_is_not(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    stage.connected(&[1, 2]).await;
    let well = page(&stage, "/").await;
    assert!(
        well.contains("All is well.") && !well.contains("What needs you"),
        "{well}"
    );
    assert!(well.contains("2 connected") && well.contains("0 uninstalled"), "{well}");
    sqlx::query(
        "insert into ledger (job_id, application_id, location_id, kind, state) values (1, $1, 1, 'payment', 'unknown')",
    )
    .bind(APP)
    .execute(&stage.pool)
    .await
    .expect("money");
    sqlx::query("update finished_jobs set state = 'discarded' where action = 'set_discount'")
        .execute(&stage.pool)
        .await
        .expect("jobs");
    stage.write_rules("[[rule]]\nname = 1");
    stage.order("rules/reload").await;
    let page = page(&stage, "/").await;
    for words in ["Act now.", "Money is in doubt", "set_discount 2", "Rules were refused"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let (urgent, rest) = (page.find("Money is in doubt"), page.find("Jobs were given up"));
    assert!(urgent < rest, "the urgent stands first");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn figures_that_take_too_long_are_not_told_as_well_nor_as_a_database_that_is_away(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let desk = Desk::operator(&stage).await;
    let mut tx = stage.pool.begin().await.expect("begun");
    sqlx::query("lock table looks in access exclusive mode")
        .execute(&mut *tx)
        .await
        .expect("locked");
    let said = words(&desk.page("/").await);
    assert!(
        said.contains("Not known.") && said.contains("The figures took too long") && !said.contains("All is well"),
        "{said}"
    );
    assert!(!said.contains("does not answer"), "{said}");
    tx.rollback().await.expect("free again");
    stage.end().await;
}
