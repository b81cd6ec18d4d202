//! The story of a location whose times do not rise with its numbers.

use sqlx::PgPool;

use super::{
    desk::{Desk, words},
    *,
};

const TAGS: &str = r#"
[[rule]]
name = "cancelled"
on = "record.deleted"
[[rule.then]]
action = "set_tag"
tag = "cancels"
"#;

/// The address of the next page of a list.
fn next(page: &str) -> Option<String> {
    let (before, _) = page.split_once("\" rel=\"next\"")?;
    let (_, address) = before.rsplit_once("href=\"")?;
    Some(address.replace("&#x2f;", "/").replace("&amp;", "&"))
}

/// The numbers that stand behind this, in the order of the story.
fn numbers(story: &str, words: &str) -> Vec<i64> {
    let after = story.split(words).skip(1);
    let digits = after.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    digits.filter_map(|digits| digits.parse().ok()).collect()
}

/// All pages of the story together, and how many there are.
async fn story(desk: &Desk<'_>) -> (String, usize) {
    let (mut told, mut pages, mut path) = (String::new(), 0, Some(place(1)));
    while let Some(here) = path {
        let page = desk.page(&here).await;
        let (_, story) = page.split_once("<ol class=\"story\">").expect("a story");
        told.push_str(story);
        pages += 1;
        path = next(&page);
    }
    (told, pages)
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_job_that_was_tried_again_and_a_change_that_was_told_late_hide_nothing(pool: PgPool) {
    let stage = Stage::set(pool, TAGS).await;
    stage.connected(&[1]).await;
    for number in 0..80 {
        let status = if number < 30 { "delete" } else { "update" };
        let body = format!(
            r#"{{"company_id": 1, "resource": "record", "resource_id": {number}, "status": "{status}", "data": {{"id": {number}}}}}"#
        );
        assert_eq!(stage.post(&stage.hook(1), body).await.0, 200);
    }
    stage.settled().await;
    let mut all: Vec<i64> = sqlx::query_scalar("select id from finished_jobs where location_id = 1 order by id desc")
        .fetch_all(&stage.pool)
        .await
        .expect("jobs");
    let fifth: i64 =
        sqlx::query_scalar("select id from finished_jobs where rule = 'cancelled' order by id offset 4 limit 1")
            .fetch_one(&stage.pool)
            .await
            .expect("a job");
    sqlx::query("update finished_jobs set state = 'discarded' where id = $1")
        .bind(fifth)
        .execute(&stage.pool)
        .await
        .expect("given up");
    assert_eq!(stage.order(&format!("jobs/{fifth}/retry")).await.0, 202);
    stage.settled().await;
    // Learnt one after the other, but they happened the other way round.
    for days in [0, 2, 1] {
        sqlx::query(
            "insert into installation_history (application_id, location_id, generation, from_status, to_status, source,
                event_id, occurred_at)
             select $1, 1, 1, 'active', 'frozen', 'reconciliation', 1, now() - make_interval(days => $2)",
        )
        .bind(APP)
        .bind(days)
        .execute(&stage.pool)
        .await
        .expect("a change");
    }
    let moves: i64 = sqlx::query_scalar("select count(*) from installation_history where location_id = 1")
        .fetch_one(&stage.pool)
        .await
        .expect("a count");

    let desk = Desk::operator(&stage).await;
    let (told, pages) = story(&desk).await;
    assert!(pages > 2, "{pages}");
    let jobs = numbers(&told, "<p class=\"soft\">job ");
    assert_eq!(jobs, all, "each once, and in its order");
    let events = numbers(&told, "<p class=\"soft\">event ");
    assert!(events.is_sorted_by(|newer, older| newer > older), "{events:?}");
    let stored: i64 = sqlx::query_scalar("select count(*) from events where location_id = 1")
        .fetch_one(&stage.pool)
        .await
        .expect("a count");
    assert_eq!(events.len(), usize::try_from(stored).expect("a count"));
    let told_moves = told.matches("<li class=\"move ").count();
    assert_eq!(told_moves, usize::try_from(moves).expect("a count"));
    let again = words(&told);
    assert_eq!(again.matches(", queued again").count(), 1, "{again}");
    assert!(
        again.contains(&format!("job {fifth}, step 1 of rule cancelled, queued again")),
        "{again}"
    );
    // One sort alone does not lose any either.
    let only = desk.page(&format!("{}?only=jobs", place(1))).await;
    all.truncate(50);
    assert_eq!(numbers(&only, "<p class=\"soft\">job "), all);
    stage.end().await;
}
