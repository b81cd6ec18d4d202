//! Messages in chats, tags, channels, sender names, and leaving: what rules do besides money and mail.

use bellhop::sandbox::{Change, Fault, FaultKind, Place, Status};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::stage::{APP, Stage, days};

const TOKEN: &str = "123456789:SecretSecretSecretSecretSecretSecre";

const CHATS: &str = r#"
[[rule]]
name = "hello"
on = "installation.activated"
[[rule.then]]
action = "send_telegram"
token = "123456789:SecretSecretSecretSecretSecretSecre"
chat = "-100200300"
text = "{{ location.title }} connected"

[[rule]]
name = "bye"
on = "installation.uninstalled"
[[rule.then]]
action = "send_slack"
url = "{sandbox}/slack/team-secret"
text = "{{ location.title }} left, {{ installation.status }}"
"#;

fn place(location_id: i64) -> Place {
    Place {
        application_id: APP,
        location_id,
    }
}

/// What was said in chats, as `service chat status text`.
async fn said(stage: &Stage) -> Vec<String> {
    let chats = stage.sandbox.chats().await;
    let line = |said: &bellhop::sandbox::Said| format!("{} {} {} {}", said.service, said.chat, said.status, said.text);
    chats.iter().map(line).collect()
}

async fn changed(stage: &Stage, resource: &str) {
    stage
        .sandbox
        .change(Change::new(1, resource, "create"))
        .await
        .expect("changed");
    stage.settled().await;
}

/// Every text of every row that could hold what a rule was told.
async fn everything_stored(pool: &PgPool) -> String {
    let mut all = String::new();
    for table in [
        "jobs",
        "finished_jobs",
        "attempts",
        "firings",
        "events",
        "decisions",
        "outcomes",
    ] {
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select t::text from {table} t")))
            .fetch_all(pool)
            .await
            .expect("rows");
        all.push_str(&rows.concat());
    }
    all
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn chats_hear_of_owners_that_come_and_go_and_their_secrets_are_stored_nowhere(pool: PgPool) {
    let stage = Stage::set(pool, CHATS).await;
    let busy = Fault::new("telegram", FaultKind::Status).status(429).retry_after(1);
    stage.sandbox.fail(busy).await.expect("a fault");
    let busy = Fault::new("slack.team-secret", FaultKind::Status)
        .status(429)
        .retry_after(1);
    stage.sandbox.fail(busy).await.expect("a fault");
    stage.connect(&[1]).await;
    stage
        .until("Telegram took it", async || said(&stage).await.len() == 2)
        .await;
    let chats = stage.sandbox.chats().await;
    let waited = chats[1].at - chats[0].at;
    // The limit of this test's configuration is shorter than what Telegram asked for.
    assert!(waited.num_milliseconds() >= 390, "{waited}");
    assert_eq!(chats[1].by, TOKEN);
    stage.settled().await;
    stage.sandbox.disconnect(place(1)).await.expect("gone");
    stage
        .until("Slack took it", async || said(&stage).await.len() == 4)
        .await;
    assert_eq!(
        said(&stage).await,
        [
            "telegram -100200300 429 Salon 1 connected",
            "telegram -100200300 200 Salon 1 connected",
            "slack  429 Salon 1 left, uninstalled",
            "slack  200 Salon 1 left, uninstalled",
        ]
    );
    stage.settled().await;
    let stored = everything_stored(&stage.pool).await;
    assert!(stored.contains("-100200300") && stored.contains("connected"));
    assert!(
        !stored.contains("SecretSecret") && !stored.contains("team-secret"),
        "{stored}"
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_chat_that_refuses_is_given_up_with_its_words_and_no_secret(pool: PgPool) {
    let stage = Stage::set(pool, &CHATS.replace("installation.uninstalled", "record.created")).await;
    for (call, status) in [("telegram.-100200300", 403), ("slack", 404)] {
        let refused = Fault::new(call, FaultKind::Status).status(status);
        stage.sandbox.fail(refused).await.expect("a fault");
    }
    stage.connected(&[1]).await;
    assert_eq!(
        stage.last_job(1).await["last_error"],
        "Telegram answered 403: Forbidden: bot was blocked by the user"
    );
    changed(&stage, "record").await;
    assert_eq!(stage.last_job(1).await["last_error"], "Slack answered 404: no_service");
    let states: Vec<String> = stage.jobs(1).await;
    assert_eq!(
        states,
        [
            "- activate completed 1",
            "hello send_telegram discarded 1",
            "bye send_slack discarded 1"
        ]
    );
    let stored = everything_stored(&stage.pool).await;
    assert!(!stored.contains("SecretSecret") && !stored.contains("team-secret"));
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_tag_of_one_rule_is_a_condition_of_another_and_outlives_the_connection(pool: PgPool) {
    let rules = r#"
[[rule]]
name = "mark"
on = "client.created"
[[rule.then]]
action = "set_tag"
tag = "vip"

[[rule]]
name = "unmark"
on = "client.deleted"
[[rule.then]]
action = "set_tag"
tag = "vip"
present = false

[[rule]]
name = "for-vips"
on = "record.created"
when = '"vip" in installation.tags'
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/vips"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ installation.tags | join(',') }}"
"#;
    let stage = Stage::set(pool, rules).await;
    stage.connected(&[1, 2]).await;
    changed(&stage, "record").await;
    assert_eq!(stage.inbox("vips").await.len(), 0);
    changed(&stage, "client").await;
    changed(&stage, "client").await;
    let seen = stage.location(1).await;
    assert_eq!(seen["tags"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&seen["tags"][0]["tag"], &seen["tags"][0]["rule"]),
        (&json!("vip"), &json!("mark"))
    );
    assert_eq!(stage.location(2).await["tags"], json!([]));
    changed(&stage, "record").await;
    stage
        .sandbox
        .change(Change::new(2, "record", "create"))
        .await
        .expect("changed");
    stage.settled().await;
    let told: Vec<String> = stage.inbox("vips").await.into_iter().map(|one| one.body).collect();
    assert_eq!(told, ["vip"], "the other location has no mark");

    stage.sandbox.disconnect(place(1)).await.expect("gone");
    stage.pass(days(3)).await;
    stage.connected(&[1]).await;
    assert_eq!(stage.location(1).await["generation"], 2);
    changed(&stage, "record").await;
    assert_eq!(stage.inbox("vips").await.len(), 2, "it stays through a reinstall");

    let gone = Change::new(1, "client", "delete");
    stage.sandbox.change(gone).await.expect("changed");
    stage.settled().await;
    assert_eq!(stage.location(1).await["tags"], json!([]));
    changed(&stage, "record").await;
    assert_eq!(stage.inbox("vips").await.len(), 2);
    let last = stage.decisions(1).await.pop();
    assert_eq!(
        last.as_deref(),
        Some(r#"for-vips skipped condition is false: "vip" in installation.tags"#)
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_rule_that_uninstalls_moves_the_installation_by_an_event_and_leaves_the_next_connection_alone(pool: PgPool) {
    let rules = r#"
[[rule]]
name = "leave"
on = "record.created"
[[rule.then]]
action = "uninstall"

[[rule]]
name = "bye"
on = "installation.uninstalled"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/bye"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"#;
    let stage = Stage::set(pool, rules).await;
    stage.connected(&[1]).await;
    // The callback of the marketplace is lost: the look at the status tells.
    let lost = Fault::new("callback.uninstall", FaultKind::Lost);
    stage.sandbox.fail(lost).await.expect("a fault");
    let down = Fault::new("uninstall", FaultKind::Status).status(502);
    stage.sandbox.fail(down).await.expect("a fault");
    changed(&stage, "record").await;
    stage
        .until("it is uninstalled", async || stage.status(1).await == "uninstalled")
        .await;
    stage.settled().await;
    let link = stage.sandbox.link(APP, 1).await.expect("a link");
    assert_eq!(link.link.status, Status::Uninstalled);
    let events = stage.events(1).await;
    assert_eq!(
        events.last().map(String::as_str),
        Some("installation.uninstalled status processed")
    );
    assert_eq!(stage.inbox("bye").await.len(), 1);
    assert_eq!(stage.called("uninstall").await, 2, "the first was answered 502");

    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_connection_that_was_made_meanwhile_is_not_cut(pool: PgPool) {
    let rules = "[[rule]]\nname = \"leave\"\non = \"record.created\"\nkeep_after_uninstall = true\n\
                 [[rule.then]]\naction = \"uninstall\"\n";
    let edits = [
        ("backoff = \"50ms\"", "backoff = \"60s\""),
        ("backoff_limit = \"400ms\"", "backoff_limit = \"60s\""),
    ];
    let stage = Stage::set_edited(pool, rules, |_| {}, &edits).await;
    stage.connected(&[1]).await;
    let down = Fault::new("uninstall", FaultKind::Status).status(502);
    stage.sandbox.fail(down).await.expect("a fault");
    changed(&stage, "record").await;
    stage.sandbox.disconnect(place(1)).await.expect("gone");
    stage.settled().await;
    stage.connected(&[1]).await;
    stage.pass(std::time::Duration::from_secs(90)).await;
    let leave = stage.api("jobs?rule=leave").await;
    assert_eq!(
        leave["items"][0]["last_error"],
        "the connection it was meant for is over"
    );
    assert_eq!(stage.status(1).await, "active");
    assert_eq!(stage.called("uninstall").await, 1);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn an_operator_uninstalls_through_the_queue_and_what_is_not_installed_counts_as_done(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    stage.connected(&[1]).await;
    let (status, said) = stage.order(&format!("locations/{APP}/1/uninstall")).await;
    assert_eq!(status, 202);
    assert!(said["job_id"].is_i64(), "{said}");
    stage
        .until("it is uninstalled", async || stage.status(1).await == "uninstalled")
        .await;
    stage.settled().await;
    let (status, said) = stage.order(&format!("locations/{APP}/7/uninstall")).await;
    assert_eq!(status, 202);
    stage.settled().await;
    let job = stage.api(&format!("jobs/{}", said["job_id"])).await;
    assert_eq!(
        (&job["state"], &job["result"]),
        (&json!("completed"), &json!({"was_installed": false}))
    );
    let known: i64 = sqlx::query_scalar("select count(*) from installations where location_id = 7")
        .fetch_one(&stage.pool)
        .await
        .expect("a count");
    assert_eq!(known, 0, "nobody has heard of it");
    let (status, _) = stage.order("locations/4711/1/uninstall").await;
    assert_eq!(status, 404);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn channels_and_sender_names_are_set_and_a_refusal_gives_the_rest_up(pool: PgPool) {
    let rules = r#"
[[rule]]
name = "sms"
on = "installation.activated"
[[rule.then]]
action = "set_sender_names"
names = ["Example", "Salon"]
[[rule.then]]
action = "set_channel"
channel = "sms"
available = true
"#;
    let stage = Stage::set(pool, rules).await;
    stage.connected(&[1]).await;
    let link = stage.sandbox.link(APP, 1).await.expect("a link").link;
    assert_eq!(link.short_names, ["Example", "Salon"]);
    assert_eq!(link.channels.get("sms"), Some(&true));
    let refused = Fault::new("short_names", FaultKind::Status).status(422);
    stage.sandbox.fail(refused).await.expect("a fault");
    stage.connected(&[2]).await;
    assert_eq!(
        stage.jobs(2).await,
        [
            "- activate completed 1",
            "sms set_sender_names discarded 1",
            "sms set_channel cancelled 0",
        ]
    );
    let down = Fault::new("update_channel", FaultKind::Status).status(503);
    stage.sandbox.fail(down).await.expect("a fault");
    stage.connected(&[3]).await;
    stage
        .until("it is set at last", async || {
            let link = stage.sandbox.link(APP, 3).await.expect("a link").link;
            link.channels.get("sms") == Some(&true)
        })
        .await;
    let page: Value = stage.api("jobs?location=3&limit=1").await;
    assert_eq!(page["items"][0]["action"], "set_channel");
    stage.end().await;
}
