//! What the documents say about files, commands, configuration, metrics and rules is held against the real ones.

pub(crate) mod claims;
mod markdown;
mod operations;
mod reference;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use self::markdown::{Block, Document};

/// Every document for users and developers.
fn documents() -> Vec<Document> {
    let root = root();
    let mut files: Vec<PathBuf> = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "grafana/README.md",
    ]
    .map(|name| root.join(name))
    .into();
    for folder in ["docs", "docs/reference"] {
        let listed = fs::read_dir(root.join(folder)).unwrap();
        files.extend(listed.map(|entry| entry.unwrap().path()));
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    assert!(files.len() > 4, "the documents are where they are looked for");
    files.iter().map(|file| Document::read(file)).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether what is made from the code is to be written anew: `make reference`.
fn refreshing() -> bool {
    std::env::var_os("REFERENCE").is_some_and(|what| what == "write")
}

fn nothing_wrong(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for document in documents() {
        for link in document.links() {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let file = match path {
                "" => document.file.clone(),
                path => document.file.parent().unwrap().join(path),
            };
            let found =
                file.exists() && (anchor.is_empty() || Document::read(&file).anchors().contains(&anchor.into()));
            if !found {
                wrong.push(format!("{}: ({link}) leads nowhere", document.name()));
            }
        }
    }
    nothing_wrong(wrong);
}

#[test]
fn every_command_is_one_that_the_program_takes() {
    let mut wrong = Vec::new();
    let mut tried = 0;
    for document in documents() {
        for line in document.commands() {
            tried += 1;
            if let Err(why) = takes(&line) {
                wrong.push(format!("{}: `{line}`: {why}", document.name()));
            }
        }
    }
    assert!(tried > 10, "commands are found in the documents");
    nothing_wrong(wrong);
}

/// Whether `bellhop words… --help` works and knows every `--option` of the line.
fn takes(line: &str) -> Result<(), String> {
    // What has a dot or a star is an argument, such as a file.
    let is_word = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase()) && !word.contains(['.', '*', '/']);
    let words: Vec<&str> = line.split_whitespace().skip(1).take_while(is_word).collect();
    let output = Command::new(env!("CARGO_BIN_EXE_bellhop"))
        .args(&words)
        .arg("--help")
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let help = String::from_utf8(output.stdout).unwrap();
    let asked = help
        .lines()
        .find(|line| line.starts_with("Usage: "))
        .unwrap_or_default();
    // A word may also be one of the values of an argument.
    let values = help
        .split("[possible values: ")
        .skip(1)
        .filter_map(|rest| rest.split(']').next());
    let values: Vec<&str> = values.flat_map(|values| values.split(", ")).collect();
    if !words.iter().all(|word| asked.contains(word) || values.contains(word)) {
        return Err(format!("the help is that of another command: {asked}"));
    }
    let known: Vec<&str> = help.split(|c: char| c.is_whitespace() || c == ',').collect();
    let options = line.split_whitespace().filter(|word| word.starts_with("--"));
    let unknown: Vec<&str> = options.filter(|option| !known.contains(option)).collect();
    if unknown.is_empty() {
        Ok(())
    } else {
        Err(format!("no option is called {}", unknown.join(", ")))
    }
}

#[test]
fn the_architecture_is_short_and_names_every_room() {
    let document = Document::read(&root().join("ARCHITECTURE.md"));
    let lines = document.text.lines().count();
    assert!(lines <= 200, "ARCHITECTURE.md has {lines} lines, 200 are the limit");
    let map = document.blocks().into_iter().find(|block| block.language.is_empty());
    let map = map.expect("a map").text;
    let mut missing = Vec::new();
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let folder = entry.file_type().unwrap().is_dir();
        let written = if folder {
            format!(" {name}/ ")
        } else {
            format!(" {name} ")
        };
        let room = name.trim_end_matches(".rs");
        if !map.contains(&written) {
            missing.push(format!("the map does not show {name}"));
        }
        if room != "lib" && !document.text.contains(&format!("`{room}`")) {
            missing.push(format!("no floor has the room {room}"));
        }
    }
    nothing_wrong(missing);
}

#[test]
fn every_file_the_architecture_names_is_there() {
    let document = Document::read(&root().join("ARCHITECTURE.md"));
    let mut wrong = Vec::new();
    for name in document.codes() {
        let looks_like_a_file = name.contains('/') && !name.contains(['<', '{', '…', ' ', '(']);
        let folders = ["", "src", "src/web", "src/workers"].map(|folder| root().join(folder).join(&name));
        if looks_like_a_file && !folders.iter().any(|file| file.exists()) {
            wrong.push(format!("there is no {name}"));
        }
    }
    nothing_wrong(wrong);
}

#[test]
fn every_metric_and_every_configuration_key_exists() {
    let mut wrong = Vec::new();
    for document in documents() {
        let said = claims::wrong_names(&document.text, &document.codes());
        wrong.extend(said.into_iter().map(|what| format!("{}: {what}", document.name())));
    }
    nothing_wrong(wrong);
}

#[test]
fn every_configuration_and_every_rule_shown_is_accepted() {
    let mut wrong = Vec::new();
    let mut shown = 0;
    for document in documents() {
        for Block { language, text, line } in document.blocks() {
            if language != "toml" {
                continue;
            }
            shown += 1;
            if let Err(why) = claims::accepted(&text) {
                wrong.push(format!("{}:{line}: {why}", document.name()));
            }
        }
    }
    assert!(shown > 5, "examples are found in the documents");
    nothing_wrong(wrong);
}

#[test]
fn the_operations_of_the_api_are_those_of_the_code() {
    let told = operations::told(&root().join("docs/api.md"), refreshing());
    nothing_wrong(told.err().into_iter().collect());
}

#[test]
fn the_reference_of_rules_names_only_what_rules_know() {
    let document = Document::read(&root().join("docs/rules.md"));
    nothing_wrong(claims::wrong_in_reference(&document));
}
