//! `bellhop rules test` and `bellhop rules backtest`: rules are tried, and nothing happens.

use bellhop::{
    sandbox::{Change, Pay, Place},
    store::past,
};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::net::TcpListener;

use super::{
    database::url,
    desk::{Desk, RULE},
};
use crate::service::stage::{APP, Stage};

const RULES: &str = r#"
[[rule]]
name = "welcome"
on = "installation.activated"
once_per = "location"
[[rule.then]]
action = "set_discount"
percent = 20

[[rule]]
name = "thanks"
on = "payment.received"
when = 'event.payment.amount > 0.0 && installation.status == "frozen"'
[[rule.then]]
id = "link"
action = "create_payment_link"
[[rule.then]]
action = "send_email"
to = "{{ location.email }}"
subject = "{{ event.payment.amount }}"
text = "{{ link.url }}"

[[rule]]
name = "appointments"
on = "record.*"
when = 'event.data.attendance == 1'
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/appointments?id={{ event.resource_id }}"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

[[rule]]
name = "gone"
on = "installation.uninstalled"
when = 'installation.generation == 1'
[[rule.then]]
action = "send_email"
to = "team@example.com"
subject = "{{ location.title }} left"
text = "{{ installation.status }}"

[[rule]]
name = "contract"
on = "installation.frozen"
[[rule.then]]
action = "report_payment"
amount = 29.90
currency = "EUR"
months = 1
"#;

fn place(location_id: i64) -> Place {
    Place {
        application_id: APP,
        location_id,
    }
}

/// Some life of four locations.
async fn lived(stage: &Stage) {
    stage.connected(&[1, 2, 3, 4]).await;
    for (location, attendance) in [(1, 1), (1, 0), (2, 1)] {
        let change = Change {
            resource_id: Some(location * 1000 + attendance),
            data: Some(json!({"attendance": attendance})),
            ..Change::new(location, "record", "update")
        };
        stage.sandbox.change(change).await.expect("changed");
    }
    stage.settled().await;
    stage.sandbox.freeze(place(1)).await.expect("frozen");
    stage.settled().await;
    let pay = Pay {
        application_id: APP,
        location_id: 2,
        ..Pay::default()
    };
    stage.sandbox.pay(pay).await.expect("paid");
    stage.settled().await;
    stage.sandbox.disconnect(place(3)).await.expect("gone");
    stage.settled().await;
    stage.connected(&[3]).await;
    stage.sandbox.disconnect(place(3)).await.expect("gone");
    stage.settled().await;
}

/// The numbers of rows of every table, and the ends of every sequence.
async fn everything(pool: &PgPool) -> Vec<(String, i64)> {
    let tables: Vec<String> =
        sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'public' order by tablename")
            .fetch_all(pool)
            .await
            .expect("tables");
    let mut found = Vec::new();
    for table in tables {
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {table}")))
            .fetch_one(pool)
            .await
            .expect("a count");
        found.push((table, count));
    }
    let sequences =
        "select sequencename::text, coalesce(last_value, 0) from pg_sequences where schemaname = 'public' order by 1";
    found.extend(sqlx::query_as(sequences).fetch_all(pool).await.expect("sequences"));
    found
}

/// The firings of all reports, as `rule location event`, and the requests by action.
fn added_up(items: &[Value]) -> (Vec<String>, Vec<(String, i64)>) {
    let mut would = Vec::new();
    let mut requests = Vec::new();
    for item in items {
        assert_eq!(item["fired"], item["really_fired"], "{item}");
        assert_eq!(item["seen_as_now"], json!([]), "{item}");
        for firing in item["firings"].as_array().expect("a list") {
            would.push(format!(
                "{} {} {}",
                item["rule"].as_str().expect("a name"),
                firing["location_id"],
                firing["event_id"]
            ));
        }
        for (action, number) in item["requests"].as_object().expect("numbers") {
            if number.as_i64() != Some(0) {
                requests.push((action.clone(), number.as_i64().expect("a number")));
            }
        }
    }
    would.sort_by_key(|line| {
        let mut words = line.split(' ').map(str::to_owned);
        (words.next(), words.nth(1).and_then(|event| event.parse::<i64>().ok()))
    });
    requests.sort();
    (would, requests)
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_backtest_finds_what_really_happened_and_calls_nobody_and_changes_nothing(pool: PgPool) {
    let stage = Stage::set(pool.clone(), RULES).await;
    lived(&stage).await;
    let really: Vec<(String, i64, i64)> =
        sqlx::query_as("select rule, location_id, event_id from firings order by rule, event_id")
            .fetch_all(&pool)
            .await
            .expect("firings");
    let really: Vec<String> = really
        .into_iter()
        .map(|(rule, location, event)| format!("{rule} {location} {event}"))
        .collect();
    let asked: Vec<(String, i64)> = sqlx::query_as(
        "select action, sum(jsonb_array_length(exchanges))::bigint from attempts join finished_jobs j on j.id = job_id
         where rule is not null group by action having sum(jsonb_array_length(exchanges)) > 0 order by action",
    )
    .fetch_all(&pool)
    .await
    .expect("requests");
    stage.end().await;

    // Whoever is called from now on is this, and it does not answer.
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", nobody.local_addr().expect("an address"));
    let desk = Desk::with_database(&url(&pool));
    desk.change(
        "[[account]]\n",
        &format!("[[account]]\npartner_base = \"{address}\"\napi_base = \"{address}\"\n"),
    );
    desk.write("rules.toml", &RULES.replace("{sandbox}", &address));
    let before = everything(&pool).await;
    let ran = desk.run(&["rules", "backtest", "rules.toml", "--json"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(everything(&pool).await, before);
    let called = tokio::time::timeout(std::time::Duration::from_millis(50), nobody.accept()).await;
    assert!(called.is_err(), "nobody was called");

    let told: Value = serde_json::from_str(&ran.out).expect("JSON");
    let items = told["items"].as_array().expect("a list");
    let (would, requests) = added_up(items);
    assert_eq!(would, really);
    assert_eq!(requests, asked, "at the cost it really had");
    let contract = items.iter().find(|item| item["rule"] == "contract").expect("a report");
    assert_eq!(contract["payments"], json!({"EUR": "29.90"}));
    let gone = items.iter().find(|item| item["rule"] == "gone").expect("a report");
    assert_eq!(
        gone["firings"][0]["steps"],
        json!([{"action": "send_email", "parameters":
                {"to": "team@example.com", "subject": "Salon 3 left", "text": "uninstalled"}}]),
        "with the generation and the status of that time"
    );
    assert_eq!(
        gone["skipped"],
        json!({"condition is false: installation.generation == 1": 1})
    );
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_new_rule_is_tried_for_a_time_and_told_in_words(pool: PgPool) {
    let stage = Stage::set(pool.clone(), "").await;
    stage.connected(&[1]).await;
    stage.connected(&[2]).await;
    stage.end().await;
    let desk = Desk::with_database(&url(&pool));
    desk.write(
        "new.toml",
        &RULE.replace("once_per", "mode = \"off\"\nwhen = 'location.id == 2'\nonce_per"),
    );
    let ran = desk.run(&["rules", "backtest", "new.toml"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for line in [
        "Rule welcome of application 18289",
        "  asked about     2 events",
        "  would fire      1 times",
        "  really fired    0 times",
        "  requests        1",
        "                  1 for set_discount",
        "      percent  20",
    ] {
        assert!(ran.out.lines().any(|one| one == line), "{line}: {}", ran.out);
    }
    assert!(ran.out.contains("condition is false: location.id == 2"), "{}", ran.out);
    // Nothing happened before anything had happened.
    let ran = desk
        .run(&[
            "rules",
            "backtest",
            "new.toml",
            "--until",
            "2020-01-01T00:00:00Z",
            "--json",
        ])
        .await;
    let told: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(told["items"][0]["considered"], 0);
    assert_eq!(
        desk.refused(&["rules", "backtest", "--rule", "nothing"]).await,
        "there is no such rule; see `bellhop rules list`\n"
    );
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_database_itself_refuses_changes_of_a_backtest(pool: PgPool) {
    let mut tx = past::read_only(&pool).await.expect("begun");
    let written = sqlx::query("insert into upkeep (name) values ('backtest')")
        .execute(&mut *tx)
        .await;
    let refused = written.expect_err("refused").to_string();
    assert!(refused.contains("read-only transaction"), "{refused}");
}

#[tokio::test]
async fn a_rule_is_tried_on_an_event_that_somebody_wrote_down() {
    let desk = Desk::new();
    std::fs::remove_file(desk.path("bellhop.toml")).expect("removed");
    desk.write("rules.toml", &RULES.replace("{sandbox}", "https://example.com"));
    desk.write(
        "paid.json",
        r#"{"kind": "payment.received", "payment": {"amount": 29.9, "currency": "EUR"}}"#,
    );
    desk.write(
        "record.json",
        r#"{"kind": "record.updated", "resource_id": 7, "data": {"attendance": 1}}"#,
    );
    desk.write("empty.json", r#"{"kind": "record.updated", "data": {}}"#);
    let trial = async |args: &[&str]| {
        let ran = desk
            .run(&[&["rules", "test", "rules.toml", "--json", "--rule"], args].concat())
            .await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
        let told: Value = serde_json::from_str(&ran.out).expect("JSON");
        told["items"][0].clone()
    };
    let paid = trial(&[
        "thanks",
        "--event",
        "paid.json",
        "--status",
        "frozen",
        "--email",
        "a@example.com",
    ])
    .await;
    assert_eq!(
        paid["steps"],
        json!([
            {"action": "create_payment_link", "parameters": {}},
            {"action": "send_email", "parameters": {"to": "a@example.com", "subject": "29.9", "text": "<link.url>"}},
        ])
    );
    let active = trial(&["thanks", "--event", "paid.json"]).await;
    assert_eq!(
        active["reason"],
        "condition is false: event.payment.amount > 0.0 && installation.status == \"frozen\""
    );
    let nowhere = trial(&["thanks", "--event", "paid.json", "--status", "frozen", "--email", ""]).await;
    let problem = nowhere["steps"][1]["problem"].as_str().expect("a problem");
    assert!(problem.starts_with("the text cannot be written"), "{problem}");

    let record = trial(&["appointments", "--event", "record.json"]).await;
    assert_eq!(
        record["steps"][0]["parameters"]["url"],
        "https://example.com/inbox/appointments?id=7"
    );
    assert_eq!(
        record["steps"][0]["parameters"]["body"]["data"]["event"]["data"]["attendance"],
        1
    );
    let empty = trial(&["appointments", "--event", "empty.json"]).await;
    assert_eq!(empty["reason"], "condition failed: no such key: attendance");
    let other = trial(&["welcome", "--event", "record.json"]).await;
    assert_eq!(
        other["reason"],
        "it waits for installation.activated, and this is record.updated"
    );
    // Without an event: an example of what it waits for.
    assert_eq!(trial(&["welcome"]).await["fires"], true);
    let gone = trial(&["gone"]).await;
    assert_eq!(
        (&gone["fires"], &gone["kind"]),
        (&json!(true), &json!("installation.uninstalled"))
    );
}

#[tokio::test]
async fn a_trial_is_told_to_people_too_and_a_file_that_is_no_event_is_refused() {
    let desk = Desk::new();
    std::fs::remove_file(desk.path("bellhop.toml")).expect("removed");
    desk.write("rules.toml", &RULES.replace("{sandbox}", "https://example.com"));
    let told = desk.run(&["rules", "test", "rules.toml", "--rule", "welcome"]).await;
    assert!(
        told.out
            .starts_with("Rule welcome\n  event           installation.activated\n  would           fire\n")
    );
    desk.write("wrong.json", "{\"kind\": 5}");
    let refused = desk
        .refused(&["rules", "test", "rules.toml", "--event", "wrong.json"])
        .await;
    assert!(refused.starts_with("wrong.json: this is no event: "), "{refused}");
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_the_terminal_shows_of_a_stored_event_can_be_tried(pool: PgPool) {
    let stage = Stage::set(pool.clone(), "").await;
    lived(&stage).await;
    stage.end().await;
    let desk = Desk::with_database(&url(&pool));
    desk.write("rules.toml", &RULES.replace("{sandbox}", "https://example.com"));
    for (kind, rule, fires) in [
        ("record.updated", "appointments", true),
        ("payment.received", "thanks", false),
        ("installation.activated", "welcome", true),
    ] {
        let id: i64 = sqlx::query_scalar("select id from events where kind = $1 order by id limit 1")
            .bind(kind)
            .fetch_one(&pool)
            .await
            .expect("an event");
        let shown = desk.run(&["events", "show", &id.to_string(), "--json"]).await;
        desk.write("event.json", &shown.out);
        let ran = desk
            .run(&[
                "rules",
                "test",
                "rules.toml",
                "--rule",
                rule,
                "--event",
                "event.json",
                "--json",
            ])
            .await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{kind}");
        let told: Value = serde_json::from_str(&ran.out).expect("JSON");
        assert_eq!(told["items"][0]["fires"], fires, "{kind}: {told}");
    }
}
