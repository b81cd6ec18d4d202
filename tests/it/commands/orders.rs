//! What a person has done from the terminal: events judged once more, jobs tried again, bulk actions.

use bellhop::sandbox::{Fault, FaultKind};
use serde_json::Value;
use sqlx::PgPool;

use super::{
    database::url,
    desk::{Desk, RULE, Ran},
};
use crate::service::stage::{APP, Stage};

const LATER: &str = r#"
[[rule]]
name = "later"
on = "installation.activated"
[[rule.then]]
action = "create_payment_link"
"#;

const OFFER: &str = r#"
[bulk]
name = "spring-offer"
when = 'location.id != 3'
[[bulk.then]]
action = "set_discount"
percent = 10
"#;

/// A desk whose configuration has the same application and rules as the stage.
fn desk(pool: &PgPool, rules: &str) -> Desk {
    let desk = Desk::with_database(&url(pool));
    desk.change(
        "name = \"Example app\"\n",
        "name = \"Example app\"\nrules = [\"rules.toml\"]\n",
    );
    desk.write("rules.toml", rules);
    desk
}

fn rows(text: &str) -> Vec<String> {
    let line = |line: &str| line.split_whitespace().collect::<Vec<&str>>().join(" ");
    text.lines().map(line).collect()
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {} {}", ran.out, ran.err))
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_replay_is_shown_first_and_done_when_it_is_meant(pool: PgPool) {
    let stage = Stage::set(pool.clone(), RULE).await;
    stage.connected(&[1, 2]).await;
    let both = format!("{RULE}{LATER}");
    let desk = desk(&pool, &both);
    stage.write_rules(&both);
    assert_eq!(stage.order("rules/reload").await.0, 200);

    let shown = desk
        .run(&["events", "replay", "--kind", "installation.activated", "--dry-run"])
        .await;
    assert_eq!((shown.code, shown.err.as_str()), (0, ""));
    let lines = rows(&shown.out);
    assert_eq!(lines[0], "EVENT LOCATION KIND RESULT RULE WHY");
    assert!(
        lines[1].ends_with("skipped welcome it has fired for this event before"),
        "{lines:?}"
    );
    assert!(lines[2].ends_with("would_fire later"), "{lines:?}");
    assert_eq!(
        lines.last().expect("a line"),
        "2 events would be judged again; 2 would fire."
    );

    // Without a word of consent nothing is done for events that are not named.
    let careful = desk.run(&["events", "replay", "--since", "2020-01-01T00:00:00Z"]).await;
    assert_eq!(careful.code, 2);
    assert!(
        careful
            .err
            .starts_with("nothing was done. --yes has 2 events judged again"),
        "{}",
        careful.err
    );
    let forced = desk.run(&["events", "replay", "3", "--force"]).await;
    assert_eq!(forced.code, 2);
    assert!(
        forced.err.contains("also where rules have fired before"),
        "{}",
        forced.err
    );
    for (args, said) in [
        (&["events", "replay"][..], "name events by their numbers"),
        (
            &["events", "replay", "3", "--rule", "latr"][..],
            "there is no rule `latr`; did you mean `later`?",
        ),
        (
            &["events", "replay", "3", "--since", "2020-01-01T00:00:00Z"][..],
            "cannot be used with",
        ),
    ] {
        let refused = desk.run(args).await;
        assert!(
            refused.code == 2 && refused.err.contains(said),
            "{args:?}: {}",
            refused.err
        );
    }

    let args = [
        "events",
        "replay",
        "--kind",
        "installation.activated",
        "--rule",
        "later",
        "--yes",
        "--json",
    ];
    let done = desk.run(&args).await;
    assert_eq!(
        (done.code, json(&done)["events"].as_i64()),
        (0, Some(2)),
        "{}",
        done.err
    );
    stage.settled().await;
    assert_eq!(stage.called("payment_link").await, 2);
    let activated = stage.api("events?kind=installation.activated").await["items"][0]["id"].to_string();
    let sheet = rows(&desk.run(&["events", "show", &activated]).await.out);
    assert!(
        sheet.iter().any(|line| line.starts_with("later fired in replay 1")),
        "{sheet:?}"
    );
    assert!(
        sheet.iter().any(|line| line == "REPLAY ASKED JUDGED BECAME NOTE"),
        "{sheet:?}"
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn jobs_are_tried_again_and_given_up_by_number_or_by_filter(pool: PgPool) {
    let stage = Stage::set(pool.clone(), RULE).await;
    let desk = desk(&pool, RULE);
    let refused = Fault::new("add_discount", FaultKind::Status).status(403).times(2);
    stage.sandbox.fail(refused).await.expect("a fault");
    stage.connected(&[1]).await;
    stage.connected(&[2]).await;
    let shown = desk.run(&["jobs", "retry", "--rule", "welcome"]).await;
    assert_eq!(
        (shown.code, shown.err.as_str()),
        (2, "nothing was changed; --yes does it\n")
    );
    assert_eq!(rows(&shown.out)[0], "JOB WOULD BE WITH REASON");
    let done = desk.run(&["jobs", "retry", "--rule", "welcome", "--yes"]).await;
    assert_eq!(
        (done.code, rows(&done.out).last().map(String::as_str)),
        (0, Some("2 jobs of 2.")),
        "{}",
        done.err
    );
    stage.settled().await;
    assert_eq!(stage.jobs(2).await[1], "welcome set_discount completed 2");
    let refused = desk.run(&["jobs", "cancel", "2", "--json"]).await;
    assert_eq!(
        (refused.code, &json(&refused)["items"][0]["reason"]),
        (1, &Value::from("it is completed"))
    );
    let refused = desk.run(&["jobs", "cancel"]).await;
    assert!(
        refused.code == 2 && refused.err.starts_with("name jobs by their numbers"),
        "{}",
        refused.err
    );
    let dry = desk.run(&["jobs", "retry", "99", "--dry-run"]).await;
    assert_eq!(
        (dry.code, rows(&dry.out)[1].as_str()),
        (0, "99 refused there is no job 99")
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_plan_prints_the_command_that_applies_it(pool: PgPool) {
    let stage = Stage::set(pool.clone(), "").await;
    let desk = desk(&pool, "");
    stage.connected(&[1, 2, 3]).await;
    desk.write("offer.toml", OFFER);
    let shown = desk.run(&["plan", "offer.toml"]).await;
    assert_eq!((shown.code, shown.err.as_str()), (0, ""));
    let lines = rows(&shown.out);
    for line in [
        "Plan 1: spring-offer",
        "concerns 2 locations",
        "requests 2, at least 1 minute of the budget",
        "1 condition is false: location.id != 3",
        "percent 10",
        "bellhop apply 1 --confirm \"set_discount at 2 locations\"",
    ] {
        assert!(lines.iter().any(|one| one == line), "{line}: {}", shown.out);
    }
    let wrong = desk.run(&["apply", "1", "--confirm", "set_discount"]).await;
    assert_eq!(
        (wrong.code, wrong.err.as_str()),
        (
            2,
            "that is not what plan 1 does; `bellhop plan show 1` tells what to confirm\n"
        )
    );
    let applied = desk
        .run(&["apply", "1", "--confirm", "set_discount at 2 locations"])
        .await;
    assert_eq!((applied.code, applied.err.as_str()), (0, ""));
    assert_eq!(
        applied.out,
        "Plan 1 is applied at 2 locations. How far it is: bellhop plan show 1\n"
    );
    stage.settled().await;
    let list = rows(&desk.run(&["plans"]).await.out);
    assert_eq!(
        list[0],
        "ID MADE APPLICATION NAME APPLIED LOCATIONS DONE FAILED WAITING SKIPPED"
    );
    assert!(list[1].ends_with(" 2 2 0 0 0"), "{list:?}");
    let sheet = rows(&desk.run(&["plan", "show", "1"]).await.out);
    assert!(sheet.iter().any(|line| line.starts_with("2 done ")), "{sheet:?}");
    let told = desk.run(&["plan", "show", "1", "--json"]).await;
    assert_eq!(json(&told), stage.api("plans/1").await, "the same as the API");
    let again = desk
        .run(&["apply", "1", "--confirm", "set_discount at 2 locations"])
        .await;
    assert!(
        again.code == 2 && again.err.starts_with("plan 1 was applied before, at "),
        "{}",
        again.err
    );
    assert_eq!(stage.called("add_discount").await, 2);

    desk.write("offer.toml", &OFFER.replace("percent", "procent"));
    let wrong = desk
        .run(&["plan", "offer.toml", "--application", &APP.to_string()])
        .await;
    assert!(
        wrong.code == 2
            && wrong
                .err
                .contains("offer.toml:7:1: unknown key `procent`; did you mean `percent`?"),
        "{}",
        wrong.err
    );
    for (args, said) in [
        (
            &["plan", "offer.toml", "--application", "1"][..],
            "no application 1 is configured",
        ),
        (&["plan", "nothing.toml"][..], "nothing.toml: cannot be read"),
        (&["plan", "show", "9"][..], "there is no plan 9"),
        (&["apply", "9", "--confirm", "x"][..], "there is no plan 9"),
    ] {
        let refused = desk.run(args).await;
        assert!(
            refused.code == 2 && refused.err.contains(said),
            "{args:?}: {}",
            refused.err
        );
    }
    stage.end().await;
}
