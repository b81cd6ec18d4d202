use super::{super::vocabulary::actions, *};

/// Every mistake of the file of a bulk action, as it is told.
fn told(text: &str) -> String {
    let mistakes = read_bulk(&file(text));
    mistakes.map_or_else(|mistakes| show(&mistakes), |_| "no mistake".to_owned())
}

fn fits(text: &str) -> bool {
    let read: Result<Value, _> = toml::from_str(text);
    let schema = bulk_schema();
    read.is_ok_and(|value| jsonschema::is_valid(&schema, &value))
}

const GOOD: &str = "[bulk]\nname = \"spring\"\nwhen = '!installation.has_paid'\n[[bulk.then]]\naction = \"set_discount\"\npercent = 10\n";

#[test]
fn a_bulk_action_is_a_rule_that_no_event_fires_and_that_fires_once_per_location() {
    let rule = read_bulk(&file(GOOD)).expect("no mistake");
    assert_eq!((rule.name.as_str(), rule.once_per), ("bulk.spring", OncePer::Location));
    assert!(rule.trigger.matches(&Kind::BulkRequested, None));
    assert!(!rule.trigger.matches(&Kind::InstallationActivated, None));
    let refused = load(
        "[[rule]]\nname = \"r\"\non = \"bulk.requested\"\n[[rule.then]]\naction = \"set_discount\"\npercent = 1\n",
    );
    assert!(refused.is_err(), "a rule cannot wait for it");
}

#[test]
fn its_mistakes_are_told_like_those_of_rules() {
    let text = r#"
[bulk]
name = "Spring Offer"
on = "installation.activated"
when = 'installation.statu == "active"'
[[bulk.then]]
action = "set_discount"
percent = 110
[[bulk.then]]
action = "send_webhook"
url = "https://example.com"
secret_file = "/run/secrets/hook"
[[bulk.then]]
action = "sned_email"
"#;
    let told_of = told(text);
    // Which actions there are changes.
    let lines: Vec<&str> = told_of
        .lines()
        .map(|line| line.split("; possible are `set").next().unwrap_or(line))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    rules/a.toml:4:1: unknown key `on`; possible are `name`, `when`, `then`
    rules/a.toml:3:8: `Spring Offer` cannot be the name of a rule; use small letters, digits and `-`, at most 80
    rules/a.toml:5:9: `installation` has no `statu`; did you mean `status`?
    rules/a.toml:10:1: `send_webhook` needs a secret, and a bulk action has no place for one
    rules/a.toml:8:1: `percent` is 110; it must be between 0 and 100
    rules/a.toml:14:10: unknown action `sned_email`; did you mean `send_email`?
    ");
    for (text, mistakes) in [
        (
            "[[rule]]\nname = \"r\"\n",
            "unknown key `rule`; did you mean `bulk`?|this is not the file of a bulk action; begin it with `[bulk]` and `name = \"…\"`",
        ),
        (
            "[bulk]\nname = \"empty\"\n",
            "the bulk action does nothing; add a `[[bulk.then]]` with an `action`",
        ),
        ("[[bulk]]\nname = \"two\"\n", "`bulk` is a list; it must be a table"),
    ] {
        let told = told(text);
        let told: Vec<&str> = told
            .lines()
            .filter_map(|line| line.splitn(4, ':').nth(3))
            .map(str::trim)
            .collect();
        assert_eq!(told.join("|"), mistakes);
    }
}

#[test]
fn the_schema_takes_what_the_reader_takes() {
    assert_eq!((told(GOOD).as_str(), fits(GOOD)), ("no mistake", true));
    for (from, to) in [
        ("[bulk]", "[bulks]"),
        ("\"spring\"", "\"Spring\""),
        ("= 10", "= 101"),
        ("when", "whne"),
        ("set_discount", "send_webhook"),
    ] {
        let wrong = GOOD.replace(from, to);
        assert!(told(&wrong) != "no mistake" && !fits(&wrong), "{wrong}");
    }
    let example = include_str!("../../../examples/bulk/spring-offer.toml");
    assert_eq!((told(example).as_str(), fits(example)), ("no mistake", true));
}

#[test]
fn actions_with_secrets_are_known_by_their_keys() {
    let with_secret: Vec<&str> = actions()
        .into_iter()
        .filter(|action| super::super::vocabulary::has_secret(action))
        .collect();
    assert!(with_secret.contains(&"send_webhook") && !with_secret.contains(&"set_discount"));
}
