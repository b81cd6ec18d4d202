//! What is told about a trigger is what the check accepts.

use super::*;

/// Every trigger by name, and entity events.
fn triggers() -> Vec<&'static str> {
    let mut names = Trigger::names();
    names.extend(["record.*", "*.created", "schedule.deleted"]);
    names
}

#[test]
fn the_example_of_every_trigger_is_a_rule_without_mistakes() {
    for name in triggers() {
        let explained = explain(name).expect(name);
        assert_eq!(explained.trigger, name);
        let set = load(&explained.example).unwrap_or_else(|mistakes| panic!("{name}: {}", show(&mistakes)));
        assert_eq!(set.rules()[0].name, "example");
    }
}

#[test]
fn every_fact_that_is_told_can_be_asked_for_and_written() {
    for name in triggers() {
        let explained = explain(name).expect(name);
        let head: String = explained
            .example
            .lines()
            .skip(2)
            .take_while(|line| !line.starts_with("when"))
            .map(|line| format!("{line}\n"))
            .collect();
        for KnownFact { path, always, .. } in &explained.facts {
            // `has` asks for a field of something.
            let asked = match path.contains('.') {
                true => format!("when = 'has({path})'\n"),
                false => String::new(),
            };
            let text = format!(
                "[[rule]]\nname = \"r\"\n{head}{asked}[[rule.then]]\naction = \"send_email\"\nto = \"a@example.com\"\n\
                 subject = \"s\"\ntext = \"{{{{ {path} }}}}\"\n"
            );
            load(&text).unwrap_or_else(|mistakes| panic!("{name} {path} {always}: {}", show(&mistakes)));
        }
    }
}

#[test]
fn what_may_be_missing_is_told() {
    let always = |trigger: &str, path: &str| {
        let explained = explain(trigger).expect(trigger);
        let fact = explained.facts.into_iter().find(|fact| fact.path == path);
        fact.map(|fact| fact.always)
    };
    assert_eq!(always("trial.ending", "installation.trial_ends_at"), Some(true));
    assert_eq!(always("record.updated", "installation.trial_ends_at"), Some(false));
    assert_eq!(always("record.updated", "location.id"), Some(true));
    assert_eq!(always("payment.received", "event.payment.amount"), Some(true));
    assert_eq!(always("payment.received", "event.payment.currency"), Some(false));
    assert_eq!(always("trial.ending", "event.payment.amount"), None);
}

#[test]
fn a_rule_is_explained_with_the_results_of_its_steps() {
    let set = load(
        "[[rule]]\nname = \"r\"\non = \"trial.ending\"\nbefore = \"12h\"\n[[rule.then]]\nid = \"link\"\n\
         action = \"create_payment_link\"\n[[rule.then]]\naction = \"set_discount\"\npercent = 5\n",
    )
    .unwrap_or_else(|mistakes| panic!("{}", show(&mistakes)));
    let explained = explain_rule(&set.rules()[0]);
    assert_eq!(explained.trigger, "trial.ending 12h before");
    assert_eq!(explained.results, ["link.url", "link.discount"]);
}

#[test]
fn a_trigger_that_is_none_is_told_with_the_nearest() {
    assert_eq!(
        explain("trial.endng").map(|explained| explained.trigger),
        Err("unknown trigger `trial.endng`; did you mean `trial.ending`?".to_owned())
    );
}
