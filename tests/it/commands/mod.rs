//! The program itself: what it prints, how it ends, and what it says to people who made a mistake.

mod backtest;
mod bench;
mod configuration;
mod database;
mod desk;
mod erase;
mod example;
mod health;
mod long_running;
mod marketplace;
mod moments;
mod orders;
mod reading;
mod reconcile;
mod rules;
mod terminal;

use desk::{Desk, ran};

/// What each command says it does.
const COMMANDS: &[(&str, &str)] = &[
    ("serve", "Run the service"),
    (
        "health",
        "Ask the process that runs with this configuration whether it is well: for checks of containers and clusters",
    ),
    (
        "check",
        "Check the configuration and the rules, and show what is in effect",
    ),
    ("migrate", "Apply the migrations that are missing"),
    ("urls", "Show the addresses to enter in the developer cabinet"),
    (
        "sandbox",
        "Run the sandbox marketplace alone, to try any back end against it",
    ),
    (
        "conformance",
        "Play the marketplace against any back end, and tell what it gets right: to be used before moderation",
    ),
    ("locations", "Look at installations"),
    ("locations list", "Installations, by application and location"),
    (
        "locations show",
        "One installation: status, history, payments, ledger, firings, jobs, events",
    ),
    ("events list", "Events, newest first"),
    (
        "events show",
        "One event: what came, and what was decided about it, with reasons",
    ),
    (
        "events replay",
        "Have the rules judge events once more, as everything is now",
    ),
    ("firings", "Look at what rules did, would have done, or want to do"),
    (
        "firings list",
        "Firings, newest first; also of rules that are only watched, and such that wait for a person",
    ),
    ("jobs list", "Jobs, newest first"),
    (
        "jobs retry",
        "Try jobs again that were given up or cancelled, with the steps that were cancelled because of them",
    ),
    ("jobs cancel", "Give jobs up that wait, and the steps after them"),
    ("plan", "Show what a bulk action would do, and keep that as a plan"),
    ("plan show", "One plan: what it does, where, and what became of it"),
    ("plans", "Look at plans of bulk actions, and how far they are"),
    ("apply", "Do what a plan says"),
    ("jobs show", "One job: every attempt with requests and answers"),
    ("erase", "Take the personal data of one location away"),
    ("rules check", "Read rule files and tell every mistake"),
    (
        "schema",
        "Print the JSON Schema of rule files or of the configuration, for editors",
    ),
    (
        "rules explain",
        "Show what the rules of a trigger can refer to, and a rule to begin with",
    ),
    (
        "reconcile",
        "Compare with the marketplace now: find what no callback told",
    ),
    ("rules test", "Try rules on an event: would they fire, and if not, why?"),
    (
        "rules backtest",
        "Try rules on the events that are stored: where would they have fired, and at which cost? Changes nothing",
    ),
    (
        "marketplace",
        "Call the marketplace by hand, within the request budget that the service uses too",
    ),
    (
        "marketplace locations",
        "The locations where an application is connected, as the marketplace lists them",
    ),
    (
        "marketplace status",
        "Where an installation stands for the marketplace: status, payments, log",
    ),
    (
        "marketplace hooks repair",
        "Put our address back where it is missing, and take nothing from others",
    ),
    (
        "marketplace grant",
        "Consent in the name of the owner, as pressing Connect does",
    ),
    ("marketplace calls", "Telephone calls that the marketplace knows of"),
    (
        "marketplace voip enable",
        "Turn the line on: what is told of calls counts from now on",
    ),
    (
        "marketplace message",
        "Show a client's message in the chat of the cabinet",
    ),
    (
        "marketplace frame",
        "Put a page of the application into the cabinet, or take it out",
    ),
    ("marketplace cities", "Cities with their numbers"),
    ("rules list", "Show the rules as they are understood"),
    (
        "bench",
        "Measure how fast it is on this machine, as ratios to references of the same run",
    ),
    (
        "demo",
        "See it work: a private database, a sandbox marketplace, and weeks of its life in a minute",
    ),
];

#[tokio::test]
async fn every_command_explains_itself_and_each_of_its_options() {
    for (command, about) in COMMANDS {
        let mut args: Vec<&str> = command.split(' ').collect();
        args.push("--help");
        let help = ran(&args).await;
        assert_eq!(help.code, 0, "{command}");
        assert_eq!(help.out.lines().next(), Some(*about), "{command}");
        let options: Vec<&str> = help
            .out
            .lines()
            .filter(|line| line.trim_start().starts_with("--"))
            .collect();
        for option in options {
            let words = option.trim().split_once("  ").map_or("", |(_, words)| words.trim());
            assert!(words.len() > 5, "{command}: {option} is not explained");
        }
    }
    let help = ran(&["--help"]).await;
    for command in [
        "serve",
        "check",
        "migrate",
        "urls",
        "locations",
        "events",
        "jobs",
        "rules",
    ] {
        assert!(help.out.contains(&format!("\n  {command} ")), "{}", help.out);
    }
}

#[tokio::test]
async fn wrong_usage_ends_with_two_and_says_what_is_possible() {
    for (args, said) in [
        (&[][..], "Usage: bellhop <COMMAND>"),
        (&["serv"][..], "a similar subcommand exists: 'serve'"),
        (
            &["locations", "list", "--status", "frozn"][..],
            "[possible values: pending, active, frozen, uninstalled]",
        ),
        (
            &["jobs", "list", "--state", "done"][..],
            "[possible values: available, running, completed, discarded, cancelled]",
        ),
        (&["events", "list", "--limit", "0"][..], "0 is not in 1..=10000"),
        (&["events", "list", "--since", "yesterday"][..], "--since <TIME>"),
        (&["jobs", "show", "first"][..], "invalid digit found in string"),
    ] {
        let ended = ran(args).await;
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{args:?}");
        assert!(ended.err.contains(said), "{args:?}: {}", ended.err);
    }
}

#[tokio::test]
async fn urls_are_ready_to_be_copied_into_the_cabinet() {
    let desk = Desk::new();
    let shown = desk.run(&["urls"]).await;
    assert_eq!((shown.code, shown.err.as_str()), (0, ""));
    // The key is documented as stable for ever: HMAC-SHA256 over the application with the hook secret.
    assert_eq!(
        shown.out,
        "Example app (18289)
  Registration redirect URL   https://hooks.example.com/apps/18289/connect
      the owner's browser comes here after Connect
  Callback URL                https://hooks.example.com/apps/18289/callback
      uninstall, freeze and payment are told here
  Notification address        https://hooks.example.com/apps/18289/hooks/KEY
      for a non-public application only: its entity events. Keep it secret.
      Of public applications Bellhop registers an address for each location itself.
"
        .replace(
            "KEY",
            &bellhop::domain::signature::application_hook_key(
                desk::HOOK_SECRET,
                bellhop::domain::ids::ApplicationId(18289)
            )
        )
    );
}

#[tokio::test]
async fn a_reader_who_has_seen_enough_is_no_reason_to_complain() {
    let desk = Desk::new();
    desk.write("rules/a.toml", desk::RULE);
    for args in [
        &["urls"][..],
        &["check"][..],
        &["rules", "list"][..],
        &["rules", "list", "--json"][..],
        &["--help"][..],
        &["completion", "bash"][..],
        &["schema", "config"][..],
        &["conformance", "--list"][..],
        &["check", "--json"][..],
    ] {
        let (code, err) = desk.with_closed_pipe(args).await;
        assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
    }
}
