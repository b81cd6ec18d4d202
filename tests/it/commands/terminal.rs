//! What people see on a terminal and programs in a pipe: help, completion, widths, colours.

use std::process::Stdio;

use serde_json::Value;
use sqlx::PgPool;
use tokio::process::Command;

use super::{
    database::url,
    desk::{Desk, PROGRAM, RULE, ran},
};
use crate::service::stage::Stage;

/// Every command that the help of another lists, by its words.
async fn all_commands() -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = vec![Vec::new()];
    let mut next = 0;
    while next < found.len() {
        let words = found[next].clone();
        let args: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let help = ran(&args).await.out;
        let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        let listed = listed.take_while(|line| !line.is_empty());
        for name in listed
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| *name != "help")
        {
            found.push(words.iter().cloned().chain([name.to_owned()]).collect());
        }
        next += 1;
    }
    found
}

#[tokio::test]
async fn every_help_has_an_example_and_says_how_the_command_ends() {
    let commands = all_commands().await;
    assert!(commands.len() > 50, "{commands:?}");
    for words in commands {
        let args: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let help = ran(&args).await;
        assert_eq!((help.code, help.err.as_str()), (0, ""), "{words:?}");
        let (_, example) = help
            .out
            .split_once("Examples:\n  ")
            .unwrap_or_else(|| panic!("{words:?}: {}", help.out));
        assert!(example.starts_with("bellhop "), "{words:?}: {example}");
        assert!(example.contains("Exit codes: 0 done; 1 "), "{words:?}: {example}");
    }
}

/// What bash offers after these words, with our script loaded.
async fn completed(words: &[&str]) -> Vec<String> {
    let script = ran(&["completion", "bash"]).await;
    assert_eq!(script.code, 0);
    let line = words.join(" ");
    let tried = format!(
        "{}\nCOMP_WORDS=({})\nCOMP_CWORD={}\nCOMP_LINE='{line}'\nCOMP_POINT={}\n\
         _bellhop bellhop \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.out,
        words
            .iter()
            .map(|word| format!("'{word}'"))
            .collect::<Vec<String>>()
            .join(" "),
        words.len() - 1,
        line.len(),
    );
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("script");
    std::fs::write(&file, tried).expect("written");
    let mut bash = Command::new("bash");
    let output = bash.arg("--norc").arg(&file).output().await.expect("bash");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let offered = String::from_utf8(output.stdout).expect("text");
    offered.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn shells_complete_commands_options_and_values() {
    assert_eq!(completed(&["bellhop", "loc"]).await, ["locations"]);
    assert_eq!(completed(&["bellhop", "events", "re"]).await, ["replay"]);
    assert_eq!(completed(&["bellhop", "jobs", "list", "--st"]).await, ["--state"]);
    let states = completed(&["bellhop", "jobs", "list", "--state", ""]).await;
    assert!(states.contains(&"discarded".to_owned()), "{states:?}");
    for (shell, begins) in [("zsh", "#compdef bellhop"), ("fish", "# Print an optspec")] {
        let script = ran(&["completion", shell]).await;
        assert_eq!(script.code, 0);
        assert!(
            script.out.starts_with(begins),
            "{}",
            script.out.lines().next().unwrap_or("")
        );
    }
    assert_eq!(ran(&["completion", "cmd"]).await.code, 2);
}

/// What a command draws on a terminal of this width.
async fn drawn(desk: &Desk, width: u16, environment: &str, args: &str) -> String {
    let typed = format!("stty cols {width} rows 50; {environment} {PROGRAM} {args}");
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &typed, "/dev/null"]);
    script
        .current_dir(desk.folder.path())
        .stdin(Stdio::null())
        .env("TERM", "xterm");
    let output = script.output().await.expect("script, of util-linux");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text").replace('\r', "")
}

/// Without colours.
fn plain(text: &str) -> String {
    let mut pieces = text.split('\u{1b}');
    let first = pieces.next().unwrap_or("").to_owned();
    pieces.fold(first, |all, piece| {
        all + piece.split_once('m').map_or("", |(_, rest)| rest)
    })
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn tables_fit_a_terminal_and_are_whole_in_a_pipe(pool: PgPool) {
    let desk = Desk::with_database(&url(&pool));
    let stage = Stage::set(pool, RULE).await;
    stage.connected(&[100_001]).await;
    for list in ["jobs list", "events list", "locations list", "ledger list"] {
        let args: Vec<&str> = list.split(' ').collect();
        let piped = desk.run(&args).await;
        assert!(!piped.out.contains(['…', '\u{1b}']), "{list}: {}", piped.out);
        let wide = plain(&drawn(&desk, 200, "", list).await);
        assert!(wide.starts_with(&piped.out), "{list}: {wide}");
        let narrow = plain(&drawn(&desk, 80, "", list).await);
        for line in narrow.lines() {
            assert!(line.chars().count() <= 80, "{list}: {line}");
        }
    }
    let jobs = drawn(&desk, 80, "", "jobs list").await;
    assert!(jobs.contains("\u{1b}[32mcompleted\u{1b}[0m"), "{jobs}");
    for environment in ["NO_COLOR=1", "TERM=dumb"] {
        let jobs = drawn(&desk, 80, environment, "jobs list").await;
        assert!(
            jobs.contains("completed") && !jobs.contains('\u{1b}'),
            "{environment}: {jobs}"
        );
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_can_be_read_by_programs_is_json(pool: PgPool) {
    let desk = Desk::with_database(&url(&pool));
    desk.write("rules/a.toml", RULE);
    let stage = Stage::set(pool, RULE).await;
    stage.connected(&[100_001]).await;
    for args in [
        "check --json",
        "urls --json",
        "migrate --json",
        "rules check --json",
        "rules check rules/a.toml --json",
        "rules list --json",
        "rules explain --json",
        "rules held --json",
        "rules held drop welcome --json",
        "rules backtest rules/a.toml --json",
        "locations list --json",
        "events replay 1 --dry-run --json",
        "erase --application 18289 --location 100001 --connected --yes --json",
        "plans --json",
        "conformance --list --json",
        "schema config",
    ] {
        let words: Vec<&str> = args.split(' ').collect();
        let ended = desk.run(&words).await;
        assert_eq!(ended.code, 0, "{args}: {}", ended.err);
        let json: Value =
            serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{args}: {error}: {}", ended.out));
        assert!(json.is_object(), "{args}: {json}");
    }
    stage.end().await;
}

#[tokio::test]
async fn progress_is_silent_where_nobody_watches() {
    let desk = Desk::new();
    // The database is not there: whatever is said, it is no progress.
    let ended = desk
        .run(&["erase", "--application", "1", "--location", "1", "--yes"])
        .await;
    assert_ne!(ended.code, 0);
    assert!(!ended.err.contains(['\r', '\u{1b}', '…']), "{}", ended.err);
}
