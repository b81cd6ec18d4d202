//! `bellhop rules …` for whoever writes rules.

use serde_json::Value;

use super::desk::{Desk, RULE, ran};

#[tokio::test]
async fn rule_files_are_checked_without_a_configuration_and_without_their_secrets() {
    let desk = Desk::new();
    std::fs::remove_file(desk.path("bellhop.toml")).expect("removed");
    desk.write("a.toml", RULE);
    desk.write(
        "b.toml",
        "[[rule]]\nname = \"tell\"\non = \"record.created\"\n[[rule.then]]\naction = \"send_webhook\"\n\
         url = \"https://example.com/hook\"\nsecret_file = \"/nowhere/secret\"\n",
    );
    let checked = desk.run(&["rules", "check", "a.toml", "b.toml"]).await;
    assert_eq!(
        (checked.code, checked.out.as_str(), checked.err.as_str()),
        (0, "2 rules in 2 files: no mistakes\n", "")
    );
}

#[tokio::test]
async fn all_mistakes_of_all_files_are_told_at_once_with_their_places() {
    let desk = Desk::new();
    desk.write("syntax.toml", "[[rule]\nname = \n[[rule]]\nname = 'a\n");
    desk.write(
        "words.toml",
        &RULE
            .replace("installation.activated", "instalation.activated")
            .replace("once_per = \"location\"", "once_per = \"locaton\"\nwen = 'true'")
            .replace("percent", "procent"),
    );
    let told = desk
        .refused(&["rules", "check", "missing.toml", "syntax.toml", "words.toml"])
        .await;
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines[0],
        "missing.toml: cannot be read: No such file or directory (os error 2); correct the path"
    );
    let syntax = lines.iter().filter(|line| line.starts_with("syntax.toml:"));
    assert!(syntax.clone().count() >= 2, "{told}");
    assert!(syntax.clone().any(|line| line.starts_with("syntax.toml:1:")), "{told}");
    assert!(syntax.clone().any(|line| line.starts_with("syntax.toml:4:")), "{told}");
    let words: Vec<&&str> = lines.iter().filter(|line| line.starts_with("words.toml:")).collect();
    for (place, meant) in [
        ("words.toml:3:6", "did you mean `installation.activated`?"),
        ("words.toml:4:12", "did you mean `location`?"),
        ("words.toml:5:1", "did you mean `when`?"),
        ("words.toml:8:1", "did you mean `percent`?"),
    ] {
        let said = words.iter().any(|line| line.starts_with(place) && line.contains(meant));
        assert!(said, "{place} {meant}: {told}");
    }
}

#[tokio::test]
async fn a_trigger_is_explained_without_a_configuration_by_an_example_that_can_be_used() {
    let shown = ran(&["rules", "explain", "payment.received"]).await;
    assert_eq!((shown.code, shown.err.as_str()), (0, ""));
    let lines: Vec<String> = shown
        .out
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<&str>>().join(" "))
        .collect();
    for line in [
        "event.payment.amount amount always 990.90",
        "event.payment.currency text maybe EUR",
        "on = \"payment.received\"",
    ] {
        assert!(lines.iter().any(|one| one == line), "{line}: {}", shown.out);
    }
    let shown = ran(&["rules", "explain", "trial.ending", "--json"]).await;
    let shown: Value = serde_json::from_str(&shown.out).expect("JSON");
    assert_eq!(shown["facts"][0]["fact"], "event.id");
    let desk = Desk::new();
    desk.write("rule.toml", shown["example"].as_str().expect("a rule"));
    let checked = desk.run(&["rules", "check", "rule.toml"]).await;
    assert_eq!((checked.code, checked.err.as_str()), (0, ""));

    let names = ran(&["rules", "explain"]).await;
    assert!(names.out.starts_with("installation.pending\n"), "{}", names.out);
    let wrong = ran(&["rules", "explain", "trial.endet"]).await;
    assert_eq!(
        (wrong.code, wrong.err.as_str()),
        (2, "unknown trigger `trial.endet`; did you mean `trial.ended`?\n")
    );
}

#[tokio::test]
async fn a_rule_of_the_configuration_is_explained_by_its_name() {
    let desk = Desk::new();
    desk.change(
        "name = \"Example app\"\n",
        "name = \"Example app\"\nrules = [\"rules/*.toml\"]\n",
    );
    desk.write("rules/a.toml", RULE);
    let shown = desk.run(&["rules", "explain", "welcome"]).await;
    assert_eq!((shown.code, shown.err.as_str()), (0, ""));
    assert!(
        shown
            .out
            .starts_with("Rule welcome\n  where           rules/a.toml:1\n  on              installation.activated\n"),
        "{}",
        shown.out
    );
    assert_eq!(
        desk.refused(&["rules", "explain", "welcom"]).await,
        "no rule is called `welcom`; did you mean `welcome`?\n"
    );
}

#[tokio::test]
async fn a_rule_that_forwards_for_longer_than_events_are_kept_is_refused_where_that_is_known() {
    let desk = Desk::new();
    desk.write(
        "rules/relay.toml",
        "[[rule]]\nname = \"relay\"\non = \"*\"\n[[rule.then]]\naction = \"forward_event\"\n\
         url = \"https://example.com/events\"\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\nretry_for = \"4d\"\n",
    );
    desk.change("[[application]]", "[[application]]\nrules = [\"rules/relay.toml\"]");
    let checked = desk.run(&["rules", "check"]).await;
    assert_eq!(
        (checked.code, checked.out.as_str()),
        (0, "1 rule of 1 application: no mistakes\n")
    );
    desk.change("[[account]]", "[retention]\nevents = \"3d\"\n[[account]]");
    let told = desk.refused(&["rules", "check"]).await;
    let wanted = "relay.toml:1: the steps of `relay` are tried for 4d, and events are kept for 3d; \
                  shorten `retry_for`, or raise retention.events";
    assert!(told.contains(wanted), "{told}");
}
