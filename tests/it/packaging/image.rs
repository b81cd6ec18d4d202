//! `Dockerfile` and `.dockerignore`.

use std::fs;
use std::path::{Path, PathBuf};

use bellhop::config::{Operator, Server};

use super::{is_here, root, takes, text, variables_exist};

/// Instructions, each as one line.
fn instructions() -> Vec<String> {
    let file = text("Dockerfile").replace("\\\n", " ");
    let lines = file.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// What stands behind a word, each time.
fn of(instruction: &str) -> Vec<String> {
    let all = instructions();
    let found = all
        .iter()
        .filter_map(|line| line.strip_prefix(&format!("{instruction} ")));
    found.map(|rest| rest.trim().to_owned()).collect()
}

/// The uid in which the program runs.
pub(super) fn user() -> i64 {
    let users = of("USER");
    let (user, group) = users.last().expect("a user").split_once(':').expect("a group");
    assert_eq!(user, group);
    user.parse().expect("a number")
}

/// The value of a variable of the image.
pub(super) fn variable(name: &str) -> String {
    let set = of("ENV");
    let value = set.iter().find_map(|line| line.strip_prefix(&format!("{name}=")));
    value.unwrap_or_else(|| panic!("{name} is not set")).to_owned()
}

/// The words of an instruction in the form of a list.
fn words(instruction: &str) -> Vec<String> {
    let all = of(instruction);
    let [line] = all.as_slice() else {
        panic!("{instruction}: {all:?}")
    };
    let (_, list) = line.split_once('[').expect("a list");
    serde_json::from_str(&format!("[{list}")).expect("words")
}

/// What `.dockerignore` lets into the build.
fn admitted() -> Vec<String> {
    let file = text(".dockerignore");
    let lines: Vec<&str> = file.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines[0], "*", "nothing by itself");
    lines[1..]
        .iter()
        .map(|line| line.strip_prefix('!').expect("let in").to_owned())
        .collect()
}

#[test]
fn what_the_build_takes_is_there_and_let_in() {
    let admitted = admitted();
    for name in &admitted {
        is_here(name);
    }
    for line in of("COPY").iter().filter(|line| !line.starts_with("--from=")) {
        let mut sources: Vec<&str> = line.split_whitespace().collect();
        sources.pop();
        for source in sources.iter().filter(|source| **source != ".") {
            assert!(
                admitted.contains(&(*source).to_owned()),
                "{source} is kept out of the build"
            );
        }
    }
    for needed in [
        "Cargo.toml",
        "Cargo.lock",
        "build.rs",
        ".cargo",
        ".sqlx",
        "migrations",
        "src",
    ] {
        assert!(
            admitted.contains(&needed.to_owned()),
            "{needed} is kept out of the build"
        );
    }
}

#[test]
fn nothing_that_is_compiled_in_lies_outside() {
    let admitted: Vec<PathBuf> = admitted().iter().map(|name| root().join(name)).collect();
    let mut included = 0;
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") && !is_test(&path) {
                for name in compiled_in(&path) {
                    included += 1;
                    let inside = admitted.iter().any(|folder| name.starts_with(folder));
                    assert!(
                        inside,
                        "{}: {} is kept out of the build",
                        path.display(),
                        name.display()
                    );
                }
            }
        }
    }
    assert!(included > 1, "they are found");
}

fn is_test(path: &Path) -> bool {
    path.iter().any(|part| part == "tests" || part == "tests.rs")
}

/// The files that a source file takes in.
fn compiled_in(path: &Path) -> Vec<PathBuf> {
    let source = fs::read_to_string(path).unwrap();
    let calls = source
        .split("include_str!(\"")
        .skip(1)
        .chain(source.split("include_bytes!(\"").skip(1));
    let names = calls.map(|rest| rest.split('"').next().expect("a name").to_owned());
    names
        .map(|name| {
            path.parent()
                .expect("a folder")
                .join(name)
                .canonicalize()
                .expect("it is there")
        })
        .collect()
}

#[test]
fn the_image_says_of_the_program_what_is_true() {
    variables_exist("Dockerfile");
    let ports = [Server::default().listen.port(), Operator::default().listen.port()];
    assert_eq!(of("EXPOSE"), [format!("{} {}", ports[0], ports[1])]);
    let (check, start) = (words("HEALTHCHECK"), words("ENTRYPOINT"));
    assert_eq!(check[0], start[0], "one program");
    let arguments: Vec<&str> = check[1..].iter().map(String::as_str).collect();
    takes(&arguments);
    let command = words("CMD");
    takes(&command.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(start[0].starts_with('/') && text("Dockerfile").contains(&format!("/image{}", parent(&start[0]))));
    // Numbers and no name, so that a cluster can tell that it is not root.
    assert!(user() > 0);
    // The folder that belongs to it holds the spool.
    let copies = of("COPY");
    let own = copies
        .iter()
        .find_map(|line| line.strip_prefix(&format!("--from=build --chown={0}:{0} /state ", user())));
    let own = own.expect("a folder of its own");
    assert!(variable("BELLHOP_SPOOL__DIR").starts_with(&format!("{own}/")));
    assert_eq!(of("FROM").last().map(String::as_str), Some("scratch"), "no shell");
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').expect("a path").0
}
