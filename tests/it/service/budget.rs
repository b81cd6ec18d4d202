//! The marketplace counts requests per address; nobody may ever be told to slow down.

use bellhop::sandbox::{Change, Connect, Limits};
use sqlx::PgPool;

use super::stage::{APP, Stage};

const DISCOUNT: &str = r#"
[[rule]]
name = "discount"
on = "record.created"
[[rule.then]]
action = "set_discount"
percent = 5
"#;

/// As if so many requests had been sent some time ago.
async fn spend(stage: &Stage, requests: i32, seconds_ago: f64) {
    let done = sqlx::query(
        "update request_budget set granted = array(select now() - make_interval(secs => $2) from generate_series(1, $1))",
    )
    .bind(requests)
    .bind(seconds_ago)
    .execute(&stage.pool)
    .await
    .expect("spent");
    assert_eq!(done.rows_affected(), 1);
}

/// The owners of many places press Connect at the same time.
async fn connect_all(stage: &Stage, locations: impl Iterator<Item = i64>) {
    for location in locations {
        stage.connect(&[location]).await;
    }
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn two_services_stay_below_the_limits_of_their_address(pool: PgPool) {
    let edits = [
        ("requests_per_second = 1000", "requests_per_second = 20"),
        ("requests_per_minute = 60000", "requests_per_minute = 60"),
    ];
    let limits = Limits {
        per_second: 20,
        per_minute: 60,
        retry_after: false,
    };
    let stage = Stage::set_edited(pool, DISCOUNT, |options| options.limits = Some(limits), &edits).await;
    let other = stage.another().await;
    connect_all(&stage, 1..=8).await;
    stage.settled().await;
    let calls = stage.sandbox.calls().await;
    let refused = calls.items.iter().filter(|call| call.status == Some(429)).count();
    assert_eq!(refused, 0);
    assert_eq!(calls.count("activate"), 8);
    // 20 in a second: forty take longer.
    let (first, last) = (calls.items[0].at, calls.items[calls.items.len() - 1].at);
    assert!(calls.items.len() >= 40, "{}", calls.items.len());
    assert!((last - first).num_milliseconds() > 1_000, "{}", last - first);
    other.stop().await;
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn who_sleeps_over_his_turns_does_not_use_them_all_at_once(pool: PgPool) {
    let edits = [("requests_per_second = 1000", "requests_per_second = 4")];
    let stage = Stage::set_edited(pool, "", |_| {}, &edits).await;
    connect_all(&stage, 1..=5).await;
    stage
        .until(
            "the first have had their turn, the others wait for theirs",
            async || {
                let waiting: i64 = sqlx::query_scalar(
                    "select count(*) from request_budget, unnest(granted) as turn where turn > clock_timestamp()",
                )
                .fetch_one(&stage.pool)
                .await
                .expect("a count");
                waiting >= 5
            },
        )
        .await;
    // Everything of this test stands on one thread: so stops a process.
    std::thread::sleep(std::time::Duration::from_millis(2_600));
    stage
        .until("they had their turns", async || {
            stage.sandbox.calls().await.items.len() >= 9
        })
        .await;
    let calls = stage.sandbox.calls().await.items;
    let within_a_second = calls.iter().map(|call| {
        let before = |other: &&bellhop::sandbox::CallRecord| {
            other.at <= call.at && (call.at - other.at).num_milliseconds() < 1_000
        };
        calls.iter().filter(before).count()
    });
    assert_eq!(within_a_second.max(), Some(4));
    // The rest need not take long.
    spend(&stage, 0, 0.0).await;
    sqlx::query("create rule boundless as on update to request_budget do instead nothing")
        .execute(&stage.pool)
        .await
        .expect("a rule");
    stage.settled().await;
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn when_the_minute_is_nearly_used_up_connections_go_first(pool: PgPool) {
    let edits = [
        ("requests_per_minute = 60000", "requests_per_minute = 60"),
        ("poll = \"20ms\"", "poll = \"20ms\"\nconcurrency = 4"),
    ];
    let stage = Stage::set_edited(pool, DISCOUNT, |_| {}, &edits).await;
    connect_all(&stage, 1..=6).await;
    stage.settled().await;
    stage.sandbox.reset_calls().await;
    // The ninth tenth is spent: rules have to wait, and there are more of them than hands.
    spend(&stage, 54, 55.0).await;
    for location in 1..=6 {
        stage
            .sandbox
            .change(Change::new(location, "record", "create"))
            .await
            .expect("changed");
    }
    stage
        .until("rules wait", async || {
            let page = stage.api("jobs?action=set_discount").await;
            page["items"].as_array().expect("a list").len() == 6
        })
        .await;
    stage.connect(&[7]).await;
    stage
        .until("the connection works", async || {
            stage.jobs(7).await == ["- activate completed 1"]
        })
        .await;
    assert_eq!(stage.called("add_discount").await, 0, "rules left the last tenth alone");

    spend(&stage, 0, 0.0).await;
    stage
        .until("rules had their turn", async || stage.called("add_discount").await == 6)
        .await;
    stage.settled().await;

    // A place that nobody signed for comes last: it may take one half of the minute, not the other.
    spend(&stage, 40, 57.0).await;
    let (status, _, _) = stage.open(&stage.url(&format!("apps/{APP}/connect?salon_id=8"))).await;
    assert_eq!(status, 303);
    stage
        .until("it is looked at", async || !stage.jobs(8).await.is_empty())
        .await;
    let signed = Connect {
        follow: true,
        ..Connect::new(APP, 9)
    };
    stage.sandbox.connect(signed).await.expect("connected");
    stage
        .until("the signed one works", async || {
            stage.jobs(9).await == ["- activate completed 1"]
        })
        .await;
    let calls = stage.sandbox.calls().await;
    assert!(
        calls.items.iter().all(|call| !call.path.contains("salon/8/")),
        "somebody typed a number"
    );

    spend(&stage, 0, 0.0).await;
    stage.settled().await;
    stage.end().await;
}
