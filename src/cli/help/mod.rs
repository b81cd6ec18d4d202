//! What `--help` says below the options: how a command is used, and how it ends. All of it stands in one table, so that
//! a test can hold it against the commands.

mod examples;

use clap::Command;

use self::examples::EXAMPLES;
use super::terminal::Surface;

/// How commands end that mean more by 1 than that they failed.
const ENDS: [(&str, &str); 7] = [
    ("check", "with --online, something does not answer"),
    ("conformance", "a check failed"),
    ("demo", "with --exit, the two views differ"),
    ("reconcile", "something could not be compared"),
    ("jobs retry", "some of the jobs were not in the state for it"),
    ("jobs cancel", "some of the jobs were not in the state for it"),
    ("serve", "it failed, or could not end what was begun in time"),
];

/// The command with what its help and the help of all its subcommands say at the end.
pub(super) fn dressed(command: Command) -> Command {
    // Without a terminal nothing is wrapped.
    let width = Surface::of_output().width.unwrap_or(0);
    dressed_at(command, "").term_width(width)
}

fn dressed_at(command: Command, path: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let command = names.iter().fold(command, |command, name| {
        let below = format!("{path} {name}");
        command.mut_subcommand(name, |sub| dressed_at(sub, below.trim_start()))
    });
    let asks = command.get_arguments().any(|argument| argument.get_id() == "yes");
    command.after_help(after(path, asks))
}

fn after(path: &str, asks_for_yes: bool) -> String {
    let mut text = String::new();
    let shown = EXAMPLES.iter().filter(|(of, _)| *of == path);
    for (_, lines) in shown {
        text.push_str("Examples:\n");
        for line in *lines {
            text.push_str(&format!("  {line}\n"));
        }
        text.push('\n');
    }
    let failed = ENDS.iter().find(|(of, _)| *of == path);
    let failed = failed.map_or("it failed", |(_, what)| what);
    let unsaid = if asks_for_yes { ", or --yes is missing" } else { "" };
    text.push_str(&format!(
        "Exit codes: 0 done; 1 {failed}; 2 wrong usage or configuration{unsaid}."
    ));
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;

    /// Every command but hidden ones, by its words.
    fn paths(command: &Command, path: &str, found: &mut BTreeSet<String>) {
        found.insert(path.to_owned());
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            paths(sub, format!("{path} {}", sub.get_name()).trim_start(), found);
        }
    }

    #[test]
    fn every_command_has_examples_and_none_is_of_another() {
        let mut commands = BTreeSet::new();
        paths(&crate::cli::Bellhop::command(), "", &mut commands);
        let shown: BTreeSet<String> = EXAMPLES.iter().map(|(path, _)| (*path).to_owned()).collect();
        let missing: Vec<&String> = commands.difference(&shown).collect();
        assert_eq!(missing, [""; 0], "write an example into cli/help/examples.rs");
        let invented: Vec<&String> = shown.difference(&commands).collect();
        assert_eq!(invented, [""; 0]);
        assert_eq!(EXAMPLES.len(), shown.len(), "one entry for each");
        let ends: Vec<&str> = ENDS
            .iter()
            .map(|(path, _)| *path)
            .filter(|path| !commands.contains(*path))
            .collect();
        assert_eq!(ends, [""; 0]);
    }

    /// What a shell makes of a line without its redirections and pipes.
    fn words(line: &str) -> Vec<String> {
        let line = line.split([';', '|', '>', '#']).next().unwrap_or("").trim();
        let mut words = vec![String::new()];
        let mut quoted = false;
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                c => words.last_mut().expect("one").push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn every_example_is_taken_by_its_command() {
        for (path, lines) in EXAMPLES {
            assert!(!lines.is_empty(), "{path}");
            for line in *lines {
                let words = words(line);
                let begins: Vec<&str> = std::iter::once("bellhop").chain(path.split_whitespace()).collect();
                let at = words.iter().position(|word| word == "bellhop").unwrap_or(words.len());
                let words = &words[at..];
                assert!(
                    words
                        .iter()
                        .zip(&begins)
                        .filter(|(word, wanted)| word == wanted)
                        .count()
                        == begins.len(),
                    "{line}"
                );
                let parsed = crate::cli::Bellhop::command().try_get_matches_from(words);
                assert!(parsed.is_ok(), "{line}: {}", parsed.expect_err("it is not taken"));
                assert!(line.chars().count() <= 100, "{line}");
            }
        }
    }
}
