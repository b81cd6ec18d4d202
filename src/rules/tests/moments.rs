//! What is said about the triggers that come by themselves.

use super::*;

/// The one mistake of a rule with this head.
fn wrong(head: &str) -> String {
    let text = format!("[[rule]]\nname = \"r\"\n{head}\n[[rule.then]]\naction = \"set_discount\"\npercent = 5\n");
    let mistakes = load(&text).expect_err(head);
    let [mistake] = &mistakes[..] else {
        panic!("{}", show(&mistakes))
    };
    mistake.to_string()
}

#[test]
fn what_a_moment_needs_is_asked_for() {
    assert_eq!(
        wrong("on = \"schedule\""),
        "rules/a.toml:3:6: `schedule` needs to know when; add `cron = \"0 9 * * MON\"`: minute, hour, day of the month, \
         month, day of the week"
    );
    assert_eq!(
        wrong("on = \"silence\""),
        "rules/a.toml:3:6: `silence` needs to know how long; add `for = \"7d\"`"
    );
    assert_eq!(
        wrong("on = \"period.ending\""),
        "rules/a.toml:3:6: `period.ending` needs to know how long before; add `before = \"3d\"`; for the end itself there is \
         `period.ended`"
    );
    assert_eq!(
        wrong("on = \"silence\"\nfor = \"10m\""),
        "rules/a.toml:3:6: `for` is \"10m\"; an hour is the least: `for = \"1h\"`"
    );
    assert_eq!(
        wrong("on = \"silence\"\nfor = \"a week\""),
        "rules/a.toml:4:7: `for` is \"a week\"; write a number and a unit: \"90s\", \"15m\", \"12h\", \"3d\" or \"2w\""
    );
    assert_eq!(
        wrong("on = \"schedule\"\ncron = \"0 9 * * MON\"\nfor = \"7d\""),
        "rules/a.toml:5:1: `for` means nothing with `schedule`; remove it; it belongs to `silence`"
    );
    assert_eq!(
        wrong("on = \"shedule\""),
        "rules/a.toml:3:6: unknown trigger `shedule`; did you mean `schedule`?"
    );
    assert_eq!(
        wrong("on = \"activation.expires\""),
        "rules/a.toml:3:6: unknown trigger `activation.expires`; did you mean `activation.expired`?"
    );
}

#[test]
fn a_cron_expression_is_refused_by_the_field_that_is_wrong() {
    let cron = |text: &str| wrong(&format!("on = \"schedule\"\ncron = \"{text}\""));
    assert_eq!(
        cron("0 0 9 * * MON"),
        "rules/a.toml:4:8: `cron` is \"0 0 9 * * MON\": this has 6 fields, and more often than once a minute is not possible; \
         write five: minute, hour, day of the month, month, day of the week; `0 9 * * MON` is Mondays at nine"
    );
    assert_eq!(
        cron("0 9 * * MONDAYS"),
        "rules/a.toml:4:8: `cron` is \"0 9 * * MONDAYS\": `MONDAYS` is no day of the week; possible are 0 to 7 or SUN to SAT; \
         0 and 7 are both Sunday, and `*`, `1,2`, `1-5`, `*/2`"
    );
    assert_eq!(
        cron("0 9 31 6 *"),
        "rules/a.toml:4:8: `cron` is \"0 9 31 6 *\": `0 9 31 6 *` never comes; no month has such a day; choose another"
    );
}

#[test]
fn what_a_moment_says_can_be_referred_to() {
    let facts = |on: &str| {
        let explained = explain(on).expect(on);
        let own = explained
            .facts
            .into_iter()
            .filter(|fact| fact.path.starts_with("event."));
        let own = own.filter(|fact| fact.always).map(|fact| fact.path);
        let known = ["event.id", "event.kind", "event.source", "event.at"];
        own.filter(|path| !known.contains(&&path[..])).collect::<Vec<String>>()
    };
    assert_eq!(facts("schedule"), ["event.due_at"]);
    assert_eq!(facts("silence"), ["event.due_at", "event.silent_since"]);
    assert_eq!(facts("period.ended"), ["event.due_at"]);
    assert_eq!(facts("activation.expired"), ["event.pending_since"]);
    let paid_until = explain("period.ending").expect("a trigger").facts;
    assert!(
        paid_until
            .iter()
            .any(|fact| fact.path == "installation.paid_until" && fact.always)
    );
    for on in [
        "schedule",
        "silence",
        "period.ending",
        "period.ended",
        "activation.expired",
    ] {
        let example = explain(on).expect(on).example;
        load(&example).unwrap_or_else(|mistakes| panic!("{example}\n{}", show(&mistakes)));
    }
}

#[test]
fn the_examples_that_wait_for_moments_load() {
    let examples = [
        include_str!("../../../examples/rules/renewal-reminder.toml"),
        include_str!("../../../examples/rules/weekly-report.toml"),
        include_str!("../../../examples/rules/silent-location.toml"),
        include_str!("../../../examples/rules/activation-expired.toml"),
    ];
    let set = load(&examples.concat()).unwrap_or_else(|all| panic!("{}", show(&all)));
    let days = |count: u64| Duration::from_secs(count * 86_400);
    let cron = "0 9 * * MON".to_owned();
    assert_eq!(
        set.moments(),
        [
            Moment::PeriodEnding { before: days(5) },
            Moment::Schedule { cron },
            Moment::Silence { lasting: days(7) },
        ]
    );
    assert_eq!(set.max_late(), days(2));
}
