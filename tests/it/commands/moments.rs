//! Rules on moments at the desk: tried, asked about the past, and held against the configuration.

use serde_json::Value;
use sqlx::PgPool;

use super::{database::url, desk::Desk};
use crate::service::stage::Stage;

fn rule(name: &str, head: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\n{head}\n[[rule.then]]\naction = \"set_discount\"\npercent = 5\n\n")
}

fn rules() -> String {
    [
        rule("monday", "on = \"schedule\"\ncron = \"0 9 * * MON\""),
        rule("hourly", "on = \"schedule\"\ncron = \"0 * * * *\"\nmax_late = \"1d\""),
        rule("quiet", "on = \"silence\"\nfor = \"7d\""),
        rule("renew", "on = \"period.ending\"\nbefore = \"3d\""),
        rule("late", "on = \"activation.expired\""),
    ]
    .concat()
}

#[tokio::test]
async fn rules_on_moments_are_tried_on_an_event_that_names_only_its_kind() {
    let desk = Desk::new();
    desk.write("rules.toml", &rules());
    for (name, kind, others) in [
        ("monday", "schedule", "silence"),
        ("quiet", "silence", "period.ending"),
        ("renew", "period.ending", "trial.ending"),
        ("late", "activation.expired", "installation.pending"),
    ] {
        let tried = async |kind: &str| {
            desk.write("event.json", &format!("{{\"kind\": \"{kind}\"}}"));
            let args = [
                "rules",
                "test",
                "rules.toml",
                "--json",
                "--rule",
                name,
                "--event",
                "event.json",
            ];
            let told: Value = serde_json::from_str(&desk.run(&args).await.out).expect("JSON");
            told["items"][0].clone()
        };
        assert_eq!(tried(kind).await["fires"], true, "{name}");
        let refused = tried(others).await;
        let reason = refused["reason"].as_str().expect("a reason");
        assert!(reason.starts_with(&format!("it waits for {kind}")), "{reason}");
    }
    // As it is stored: another calendar of the same kind is another moment.
    desk.write(
        "event.json",
        r#"{"kind": "schedule", "fact": {"fact": "schedule_came", "generation": 1, "cron": "0 * * * *",
            "local_at": "2026-03-09T09:00:00"}}"#,
    );
    let args = ["rules", "test", "rules.toml", "--json", "--event", "event.json"];
    let told: Value = serde_json::from_str(&desk.run(&args).await.out).expect("JSON");
    let fires = |number: usize| told["items"][number]["fires"].clone();
    assert_eq!((fires(0), fires(1)), (Value::Bool(false), Value::Bool(true)), "{told}");
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_backtest_asks_calendars_and_says_plainly_that_it_cannot_tell_silence(pool: PgPool) {
    let stage = Stage::set(pool.clone(), "").await;
    stage.connected(&[1]).await;
    stage.end().await;
    let desk = Desk::with_database(&url(&pool));
    desk.write("new.toml", &rules());
    let back = (chrono::Utc::now() - chrono::TimeDelta::hours(1)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    // The location is there since now, so that nothing can have come before.
    let ran = desk
        .run(&["rules", "backtest", "new.toml", "--json", "--since", &back])
        .await;
    let told: Value = serde_json::from_str(&ran.out).expect("JSON");
    let of = |name: &str| {
        let mut items = told["items"].as_array().expect("a list").iter();
        items.find(|item| item["rule"] == name).expect(name).clone()
    };
    assert_eq!(of("monday")["considered"], 0);
    assert!(
        of("quiet")["cannot"]
            .as_str()
            .expect("a reason")
            .contains("Bellhop itself was away")
    );
    assert!(of("monday").get("cannot").is_none());
    let ran = desk.run(&["rules", "backtest", "new.toml", "--rule", "quiet"]).await;
    assert!(
        ran.out
            .contains("cannot be told: it is not known when Bellhop itself was away"),
        "{}",
        ran.out
    );
}

#[tokio::test]
async fn a_silence_longer_than_events_are_kept_is_refused() {
    let desk = Desk::new();
    desk.write("rules.toml", &rules());
    desk.change(
        "name = \"Example app\"",
        "name = \"Example app\"\nrules = [\"rules.toml\"]",
    );
    assert_eq!(desk.run(&["rules", "check"]).await.code, 0);
    desk.change("[security]", "[retention]\nevents = \"5d\"\n\n[security]");
    let refused = desk.refused(&["rules", "check"]).await;
    assert!(
        refused.contains(
            "rules.toml:18: `quiet` waits for a silence of 7d, and events are kept for 5d; wait for less, or raise \
             retention.events"
        ),
        "{refused}"
    );
}
