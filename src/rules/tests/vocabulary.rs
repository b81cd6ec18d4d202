//! The reader and the schema for editors take the same rule files.

use std::fmt::Write as _;

use serde_json::json;

use super::*;
use crate::rules::vocabulary::{ACTIONS, Key, Need, RULE, STEP, Verb};

/// Whether the schema takes a text.
fn fits(text: &str) -> bool {
    let table: toml::Table = text.parse().expect("TOML");
    let validator = jsonschema::validator_for(&schema()).expect("a schema");
    validator.is_valid(&json!(table))
}

/// Whether the reader takes it.
fn reads(text: &str) -> bool {
    load(text).is_ok()
}

fn lines<'k>(keys: impl Iterator<Item = &'k Key>) -> String {
    keys.fold(String::new(), |mut text, key| {
        let _ = writeln!(text, "{} = {}", key.name, key.example);
        text
    })
}

/// A rule on a moment of money, so that every key means something. These keys of its head and of its step.
fn rule(head: &str, verb: &Verb, step: &str) -> String {
    format!("[[rule]]\n{head}[[rule.then]]\naction = \"{}\"\n{step}", verb.name)
}

const HEAD: &str = "name = \"r\"\non = \"payment.received\"\n";

fn is_needed(key: &&Key) -> bool {
    key.need == Need::Yes
}

/// The keys of an action with none, or with one, of those that exclude each other.
fn choices(verb: &Verb) -> Vec<Vec<&Key>> {
    let (alternatives, others): (Vec<&Key>, Vec<&Key>) = verb.keys.iter().partition(|key| key.need == Need::OneOf);
    match &alternatives[..] {
        [] => vec![others],
        some => some
            .iter()
            .map(|one| others.iter().copied().chain([*one]).collect())
            .collect(),
    }
}

#[test]
fn a_step_with_all_its_keys_fits_and_without_a_needed_one_neither_takes_it() {
    for verb in ACTIONS {
        // A rule about payments must not report one.
        let head = HEAD.replace("payment.received", "payment.refunded");
        for keys in choices(verb) {
            let whole = rule(&head, verb, &lines(keys.iter().copied()));
            assert_eq!((reads(&whole), fits(&whole)), (true, true), "{whole}");
            for left_out in keys.iter().filter(|key| key.need != Need::No) {
                let rest = keys.iter().copied().filter(|key| key.name != left_out.name);
                let text = rule(&head, verb, &lines(rest));
                assert_eq!((reads(&text), fits(&text)), (false, false), "{text}");
            }
        }
        let all = rule(&head, verb, &lines(verb.keys.iter()));
        let exclude = choices(verb).len() > 1;
        assert_eq!((reads(&all), fits(&all)), (!exclude, !exclude), "{all}");
    }
}

#[test]
fn a_key_of_another_sort_and_an_unknown_one_neither_takes() {
    for verb in ACTIONS {
        let head = HEAD.replace("payment.received", "payment.refunded");
        for keys in choices(verb) {
            for wrong in &keys {
                for value in ["[]", "{}", "1979-05-27"] {
                    let others = keys.iter().copied().filter(|key| key.name != wrong.name);
                    let text = format!("{}{} = {value}\n", rule(&head, verb, &lines(others)), wrong.name);
                    // A date is a text in JSON.
                    let dated = value.starts_with('1');
                    assert!(!reads(&text), "{text}");
                    assert!(dated || !fits(&text), "{text}");
                }
            }
            let unknown = format!("{}zzz = 1\n", rule(&head, verb, &lines(keys.iter().copied())));
            assert_eq!((reads(&unknown), fits(&unknown)), (false, false), "{unknown}");
        }
    }
}

#[test]
fn the_keys_of_a_rule_are_the_same_for_both() {
    let step = "[[rule.then]]\naction = \"set_discount\"\npercent = 5\n";
    let needed = lines(RULE.iter().filter(is_needed));
    let whole = format!("[[rule]]\n{needed}{step}");
    assert_eq!((reads(&whole), fits(&whole)), (true, true));
    let bare = format!("[[rule]]\n{needed}");
    assert_eq!((reads(&bare), fits(&bare)), (false, false), "without steps");
    for key in RULE.iter().filter(|key| key.need == Need::No) {
        let (name, example) = (key.name, key.example);
        let on = [
            ("installation.activated", "", ""),
            ("trial.ending", "before", "3d"),
            ("trial.ended", "", ""),
            ("period.ending", "before", "3d"),
            ("schedule", "cron", "0 9 * * MON"),
            ("silence", "for", "7d"),
        ];
        let heads = on.map(|(on, key, value)| {
            let detail = match key {
                "" => String::new(),
                key if key == name => String::new(),
                key => format!("{key} = \"{value}\"\n"),
            };
            format!("[[rule]]\nname = \"r\"\non = \"{on}\"\n{detail}")
        });
        let fine = |text: &String| reads(text) && fits(text);
        let texts = heads.clone().map(|head| format!("{head}{name} = {example}\n{step}"));
        assert!(texts.iter().any(fine), "{name} = {example}");
        for head in &heads {
            let text = format!("{head}{name} = []\n{step}");
            assert_eq!((reads(&text), fits(&text)), (false, false), "{text}");
        }
    }
    for key in RULE.iter().filter(is_needed) {
        let rest = lines(RULE.iter().filter(is_needed).filter(|other| other.name != key.name));
        let text = format!("[[rule]]\n{rest}{step}");
        assert_eq!((reads(&text), fits(&text)), (false, false), "{text}");
    }
    for key in STEP.iter().filter(|key| key.name != "action") {
        let text = format!("[[rule]]\n{needed}{step}{} = {}\n", key.name, key.example);
        assert_eq!((reads(&text), fits(&text)), (true, true), "{text}");
    }
}

#[test]
fn every_trigger_fits_and_others_do_not() {
    let mut triggers = Trigger::names();
    triggers.extend(["record.*", "*.created", "*.*", "schedule.deleted"]);
    for name in triggers {
        let example = explain(name).expect(name).example;
        assert!(fits(&example), "{example}");
        let wrong = example.replace(&format!("on = \"{name}\""), &format!("on = \"{name}x\""));
        assert_eq!((reads(&wrong), fits(&wrong)), (false, false), "{wrong}");
    }
}

#[test]
fn the_examples_to_copy_fit() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/rules");
    let files: Vec<_> = std::fs::read_dir(folder).expect("a folder").collect();
    assert!(files.len() > 5);
    for file in files {
        let path = file.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("a text");
        assert!(fits(&text), "{}", path.display());
    }
}

#[test]
fn plain_mistakes_do_not_fit() {
    let good = "[[rule]]\nname = \"r\"\non = \"trial.ending\"\nbefore = \"3d\"\n\
                [[rule.then]]\naction = \"set_discount\"\npercent = 5\n";
    assert!(fits(good));
    for (from, to) in [
        ("[[rule]]", "[[rules]]"),
        ("\"r\"", "\"R and more\""),
        ("trial.ending", "trial.ended "),
        ("\"3d\"", "\"3 days\""),
        ("\"3d\"", "3"),
        ("before", "befor"),
        ("set_discount", "set_dicount"),
        ("= 5", "= 101"),
        ("= 5", "= \"5\""),
        ("percent", "discount"),
        ("before = \"3d\"", "once_per = \"ever\""),
    ] {
        let wrong = good.replace(from, to);
        assert_ne!(wrong, good);
        assert!(!fits(&wrong), "{wrong}");
    }
}
