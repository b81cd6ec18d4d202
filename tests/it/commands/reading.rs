//! `locations`, `events` and `jobs` on a database in which something has happened.

use serde_json::Value;
use sqlx::PgPool;

use super::{
    database::url,
    desk::{Desk, RULE},
};
use crate::service::stage::Stage;

/// Times differ from run to run.
fn timeless(text: &str) -> String {
    let is_time = |word: &str| word.len() == 20 && word.as_bytes()[10] == b'T' && word.ends_with('Z');
    let lines = text.lines().map(|line| {
        let words = line.split(' ').map(|word| if is_time(word) { "TIME" } else { word });
        words.collect::<Vec<&str>>().join(" ")
    });
    lines.collect::<Vec<String>>().join("\n")
}

/// Columns without their widths.
fn rows(text: &str) -> Vec<String> {
    let line = |line: &str| line.split_whitespace().collect::<Vec<&str>>().join(" ");
    timeless(text).lines().map(line).collect()
}

fn section(sheet: &str, name: &str) -> Vec<String> {
    let lines = rows(sheet);
    let from = lines.iter().position(|line| line == name).expect(name) + 1;
    lines[from..]
        .iter()
        .take_while(|line| !line.is_empty())
        .cloned()
        .collect()
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn lists_and_details_tell_a_connection_from_the_terminal(pool: PgPool) {
    let desk = Desk::with_database(&url(&pool));
    let stage = Stage::set(pool, RULE).await;
    stage.connected(&[100_001]).await;
    stage.connected(&[100_002]).await;
    let shown = async |args: &[&str]| {
        let ran = desk.run(args).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
        ran.out
    };

    let list = rows(&shown(&["locations", "list", "--q", "100002"]).await);
    assert_eq!(
        list,
        [
            "APPLICATION LOCATION TITLE STATUS GENERATION TRIAL ENDS PAID UNTIL CONNECTION",
            "18289 100002 Salon 100002 active 1 TIME - active",
        ]
    );
    let json: Value = serde_json::from_str(&shown(&["locations", "list", "--json"]).await).expect("JSON");
    assert_eq!(json, stage.api("locations").await, "the same as the API");

    let sheet = shown(&["locations", "show", "18289", "100001"]).await;
    assert!(
        timeless(&sheet).starts_with("Application 18289 at location 100001 \"Salon 100001\"\n  status          active since TIME\n  generation      1\n"),
        "{sheet}"
    );
    assert_eq!(
        section(&sheet, "History"),
        [
            "AT FROM TO GENERATION LEARNT FROM EVENT",
            "TIME uninstalled pending 1 activation 2",
            "TIME pending active 1 activation 3",
        ]
    );
    assert_eq!(section(&sheet, "Payments"), ["none"]);
    assert_eq!(
        section(&sheet, "Jobs, newest first"),
        [
            "ID CREATED RULE ACTION STATE ATTEMPTS ERROR",
            "2 TIME welcome set_discount completed 1/12",
            "1 TIME - activate completed 1/500",
        ]
    );

    let narrow =
        "events list --location 100001 --state processed --kind installation.activated --since 2020-01-01T00:00:00Z";
    assert_eq!(
        rows(&shown(&narrow.split(' ').collect::<Vec<&str>>()).await),
        [
            "ID RECEIVED APPLICATION LOCATION KIND SOURCE STATE REASON",
            "3 TIME 18289 100001 installation.activated activation processed",
        ]
    );
    let sheet = shown(&["events", "show", "3"]).await;
    assert!(
        sheet.starts_with("Event 3: installation.activated\n  application     18289\n"),
        "{sheet}"
    );
    assert_eq!(
        section(&sheet, "Decisions"),
        ["RULE RESULT FIRING REASON", "welcome fired 1"]
    );
    assert!(
        !shown(&["locations", "show", "18289", "100001"])
            .await
            .contains("  tags ")
    );
    sqlx::query(
        "insert into tags (application_id, location_id, tag) values (18289, 100001, 'vip'), (18289, 100001, 'first')",
    )
    .execute(&stage.pool)
    .await
    .expect("marked");
    let sheet = shown(&["locations", "show", "18289", "100001"]).await;
    assert!(sheet.contains("\n  tags            first, vip\n"), "{sheet}");

    let sheet = shown(&["jobs", "show", "2"]).await;
    assert!(sheet.starts_with("Job 2: set_discount\n"), "{sheet}");
    assert!(sheet.contains("\n  rule            welcome, step 1\n"), "{sheet}");
    let attempts = section(&sheet, "Attempts");
    assert!(attempts[0].starts_with("1. TIME done after "), "{attempts:?}");
    assert!(attempts[1].starts_with("POST "), "{attempts:?}");
    assert!(attempts[1].contains(" 200 in "), "{attempts:?}");

    let ran = desk.run(&["events", "list", "--limit", "2"]).await;
    assert_eq!(ran.err, "There are more than these 2; see --limit.\n");
    for (args, said) in [
        (&["events", "show", "999"][..], "there is no event 999\n"),
        (&["jobs", "show", "999"], "there is no job 999\n"),
        (
            &["locations", "show", "18289", "7"],
            "there is no application 18289 at location 7\n",
        ),
    ] {
        assert_eq!(desk.refused(args).await, said);
    }
    for args in [
        &["locations", "list"][..],
        &["events", "list", "--json"],
        &["jobs", "show", "1"],
    ] {
        assert_eq!(desk.with_closed_pipe(args).await, (0, String::new()), "{args:?}");
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn foreign_texts_do_not_reach_the_terminal_as_commands(pool: PgPool) {
    let desk = Desk::with_database(&url(&pool));
    let stage = Stage::set(pool, "").await;
    stage.connected(&[100_001]).await;
    let body = "{\"resource\": \"record\", \"resource_id\": 5, \"status\": \"create\", \"company_id\": 100001, \
                \"data\": {\"comment\": \"\\u001b[2Jwiped\\u202e\"}}";
    assert_eq!(stage.post(&stage.hook(100_001), body).await.0, 200);
    assert_eq!(
        stage.post(&stage.hook(100_001), "no JSON \u{1b}[2J at all").await.0,
        200
    );
    stage.settled().await;
    let mut sheets = String::new();
    for id in ["4", "5"] {
        let ran = desk.run(&["events", "show", id]).await;
        assert_eq!(ran.code, 0, "{}", ran.err);
        sheets.push_str(&ran.out);
    }
    assert!(
        sheets.contains("record.created") && sheets.contains("no JSON"),
        "{sheets}"
    );
    assert!(!sheets.contains(['\u{1b}', '\u{202e}']), "{sheets:?}");
    stage.end().await;
}
