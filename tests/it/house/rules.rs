//! The rules themselves. The tables are the part to edit when the house grows.

use super::Breach;
use super::lexer::{Token, tokens};
use super::paths::{Path, paths};

/// From the top floor down. A room imports rooms of lower floors only; so no two rooms import each other.
const FLOORS: [&[&str]; 7] = [
    &["main", "cli"],
    &["web", "workers", "sandbox", "bench"],
    &["app"],
    &["intake"],
    &["store", "marketplace", "notify", "embedded", "rules"],
    &["config", "metrics", "telemetry"],
    &["domain"],
];
/// The one step sideways: main is nothing but the call of cli.
const SIDEWAYS: [(&str, &str); 1] = [("main", "cli")];
/// A second marketplace must not share mistakes with our client of it.
const STANDS_ALONE: &str = "sandbox";

/// Outside crates and the rooms that may name them.
const OWNERS: [(&str, &[&str]); 11] = [
    // The bench's reference is a whole small receiver of its own, so that it shares nothing that makes Bellhop fast.
    ("sqlx", &["store", "bench"]),
    ("reqwest", &["marketplace", "notify", "sandbox"]),
    ("lettre", &["notify"]),
    ("actix_web", &["web", "sandbox", "bench"]),
    ("actix_http", &["web", "sandbox"]),
    ("clap", &["main", "cli"]),
    ("clap_complete", &["cli"]),
    ("mailin", &["sandbox"]),
    ("cel", &["rules"]),
    ("croner", &["domain"]),
    ("minijinja", &["rules", "web"]),
];
/// In attributes only: derives on newtypes cost a room nothing but the name.
const DERIVES: [(&str, &str); 1] = [("domain", "sqlx")];

const ENVIRONMENT_READS: [&str; 6] = ["var", "var_os", "vars", "vars_os", "set_var", "remove_var"];
const ENVIRONMENT_OWNER: &str = "config";

const JUNK_DRAWERS: [&str; 7] = ["util", "utils", "common", "helper", "helpers", "misc", "shared"];
const LINES_LIMIT: usize = 400;

/// Everything that is wrong with one file; `file` is its path from the project's root, with slashes.
pub(crate) fn breaches(file: &str, source: &str) -> Vec<Breach> {
    let mut found = Vec::new();
    let mut report = |line: usize, what: String| {
        found.push(Breach {
            file: file.to_owned(),
            line,
            what,
        })
    };
    check_size(source, &mut report);
    check_names(file, source, &mut report);
    check_test_marks(source, &mut report);
    let room = room_of(file);
    if room == "lib" {
        return found;
    }
    if floor(room).is_none() {
        report(
            1,
            format!("{room} is on no floor: give it one in ARCHITECTURE.md and in FLOORS of tests/it/house/rules.rs"),
        );
        return found;
    }
    for path in paths(source) {
        if let Some(what) = import(room, file, &path).or_else(|| outside(room, &path)) {
            report(path.line, what);
        }
    }
    found
}

fn room_of(file: &str) -> &str {
    let inside = file.strip_prefix("src/").unwrap_or(file);
    let room = inside.split('/').next().unwrap_or(inside);
    room.strip_suffix(".rs").unwrap_or(room)
}

/// 0 is the ground floor.
fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().rev().position(|rooms| rooms.contains(&room))
}

fn import(room: &str, file: &str, path: &Path) -> Option<String> {
    let target = target_room(file, path)?;
    if target == room {
        return None;
    }
    let (Some(here), Some(there)) = (floor(room), floor(target)) else {
        return Some(format!(
            "crate::{target} is no room: lib.rs is a table of contents; put the item into a room"
        ));
    };
    if room == STANDS_ALONE {
        return Some(format!(
            "{room} imports {target}, but shares no code with Bellhop: write what it needs in {room}"
        ));
    }
    if here > there || SIDEWAYS.contains(&(room, target)) {
        return None;
    }
    let direction = if here == there { "sideways" } else { "up" };
    Some(format!(
        "{room} (floor {here}) imports {direction} from {target} (floor {there}): \
         take the value as an argument, or move what both need to a lower floor"
    ))
}

/// The first word after the crate's root, where the path leads there.
fn target_room<'a>(file: &str, path: &'a Path) -> Option<&'a str> {
    let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["crate" | "bellhop", target, ..] => Some(target),
        ["super" | "self", ..] => {
            let ups = segments
                .iter()
                .take_while(|segment| matches!(**segment, "super" | "self"));
            let ups = ups.filter(|segment| **segment == "super").count();
            let target = segments.iter().find(|segment| !matches!(**segment, "super" | "self"))?;
            (ups >= module_depth(file) + path.depth).then_some(target)
        }
        _ => None,
    }
}

/// How many `super` lead from a file's module to the root: 1 for `src/a.rs` and `src/a/mod.rs`, 2 for `src/a/b.rs`.
fn module_depth(file: &str) -> usize {
    let parts = file.split('/').count() - 1;
    if file.ends_with("/mod.rs") { parts - 1 } else { parts }
}

fn outside(room: &str, path: &Path) -> Option<String> {
    let first = path.segments.first()?.as_str();
    if let Some((_, owners)) = OWNERS.iter().find(|(name, _)| *name == first) {
        let derive = path.in_attribute && DERIVES.contains(&(room, first));
        if !owners.contains(&room) && !derive {
            let owners = owners.join(", ");
            return Some(format!(
                "{room} names {first}, which belongs to {owners}: put the code that needs it there"
            ));
        }
    }
    let mut pairs = path.segments.windows(2);
    let reads = pairs.any(|pair| pair[0] == "env" && (ENVIRONMENT_READS.contains(&pair[1].as_str()) || pair[1] == "*"));
    (reads && room != ENVIRONMENT_OWNER).then(|| {
        format!("{room} touches the environment, which only {ENVIRONMENT_OWNER} reads: take the value as an argument")
    })
}

fn check_size(source: &str, report: &mut impl FnMut(usize, String)) {
    let lines = source.lines().count();
    if lines > LINES_LIMIT {
        report(
            lines,
            format!("{lines} lines, {LINES_LIMIT} are the limit: split the file by subject"),
        );
    }
}

fn check_names(file: &str, source: &str, report: &mut impl FnMut(usize, String)) {
    let mut complain = |line: usize, name: &str| {
        if JUNK_DRAWERS.contains(&name) {
            report(
                line,
                format!("{name} says nothing about its content: name the module after its one subject"),
            );
        }
    };
    for part in file.split('/') {
        complain(1, part.strip_suffix(".rs").unwrap_or(part));
    }
    for pair in tokens(source).windows(3) {
        if pair[0].text == "mod" && pair[2].text == "{" {
            complain(pair[1].line, pair[1].text);
        }
    }
}

/// `cfg(test)` marks a module of tests at the end of a file and nothing else, so that what runs is what was tested.
fn check_test_marks(source: &str, report: &mut impl FnMut(usize, String)) {
    let tokens = tokens(source);
    let texts: Vec<&str> = tokens.iter().map(|token| token.text).collect();
    for (at, token) in tokens.iter().enumerate() {
        if !matches!(token.text, "cfg" | "cfg_attr") || !names_test(&texts[at + 1..]) {
            continue;
        }
        let mark = at >= 2 && texts[at - 2..].starts_with(&["#", "[", "cfg", "(", "test", ")", "]", "mod", "tests"]);
        if !mark || !closes_file(&tokens, at + 7) {
            let remedy = "give the code under test what it needs as an argument, and keep tests in a last `mod tests`";
            report(token.line, format!("a test-only branch in production code: {remedy}"));
        }
    }
}

/// Whether `test` stands in the parentheses that follow, with or without the `!` of a macro.
fn names_test(after: &[&str]) -> bool {
    let after = after.strip_prefix(&["!"]).unwrap_or(after);
    let mut open = 0_usize;
    for (at, text) in after.iter().enumerate() {
        match *text {
            "(" => open += 1,
            ")" => open = open.saturating_sub(1),
            "test" if open > 0 && after.get(at + 1) != Some(&"=") => return true,
            _ => {}
        }
        if open == 0 {
            return false;
        }
    }
    false
}

/// Whether the `{ … }` or `;` that begins at `at` is the last thing in the file.
fn closes_file(tokens: &[Token<'_>], at: usize) -> bool {
    let mut open = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match token.text {
            "{" => open += 1,
            "}" => open = open.saturating_sub(1),
            _ => {}
        }
        if open == 0 {
            return index + 1 == tokens.len();
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, source: &str) -> Vec<String> {
        breaches(file, source)
            .into_iter()
            .map(|breach| format!("{}: {}", breach.line, breach.what))
            .collect()
    }

    fn one(file: &str, source: &str) -> String {
        let found = found(file, source);
        assert_eq!(found.len(), 1, "{found:#?}");
        found.concat()
    }

    #[test]
    fn down_is_allowed_up_and_sideways_are_not() {
        assert_eq!(
            found("src/web/hooks.rs", "use crate::{app::App, intake, store::events};"),
            [""; 0]
        );
        let up = one("src/store/events.rs", "\nuse crate::domain::Id;\nuse crate::web::Door;");
        assert!(
            up.starts_with("3: store (floor 2) imports up from web (floor 5): "),
            "{up}"
        );
        let sideways = one("src/notify/email.rs", "fn f() { crate::rules::g() }");
        assert!(sideways.contains("imports sideways from rules (floor 2)"), "{sideways}");
        assert_eq!(found("src/main.rs", "fn main() { bellhop::cli::run() }"), [""; 0]);
        assert_eq!(found("src/cli/serve.rs", "use crate::main::x;").len(), 1);
    }

    #[test]
    fn every_word_of_a_list_is_judged_and_comments_and_strings_are_not() {
        let source = "use crate::{domain, web::{self, x}};\n// crate::cli\nconst A: &str = \"crate::cli\";";
        assert_eq!(found("src/store/mod.rs", source).len(), 2);
    }

    #[test]
    fn super_may_lead_out_of_the_room() {
        assert_eq!(
            found(
                "src/store/jobs.rs",
                "use super::events; mod tests { use super::super::events; }"
            ),
            [""; 0]
        );
        assert!(one("src/store/jobs.rs", "use super::super::web;").contains("web"));
        assert!(one("src/store/mod.rs", "use super::web;").contains("web"));
        assert!(one("src/store.rs", "use super::web;").contains("web"));
        assert!(one("src/store/jobs.rs", "mod tests { use super::super::super::web; }").contains("web"));
    }

    #[test]
    fn the_sandbox_stands_alone() {
        assert!(one("src/sandbox/mod.rs", "use crate::domain::Id;").contains("shares no code"));
        assert_eq!(
            found(
                "src/sandbox/control.rs",
                "use crate::sandbox::state; use reqwest::Client;"
            ),
            [""; 0]
        );
    }

    #[test]
    fn a_room_and_an_item_that_nobody_knows_are_named() {
        assert!(one("src/attic/mod.rs", "").contains("attic is on no floor"));
        assert!(one("src/web/mod.rs", "use crate::VERSION;").contains("crate::VERSION is no room"));
    }

    #[test]
    fn outside_crates_have_owners() {
        assert_eq!(found("src/store/jobs.rs", "use sqlx::PgPool;"), [""; 0]);
        assert!(one("src/workers/mod.rs", "use sqlx as db;").contains("belongs to store"));
        assert!(one("src/app.rs", "fn f(p: &sqlx::PgPool) {}").contains("belongs to store"));
        assert_eq!(
            found(
                "src/domain/ids.rs",
                "#[derive(Clone, sqlx::Type)]\n#[sqlx(transparent)]\nstruct A(i64);"
            ),
            [""; 0]
        );
        assert!(one("src/domain/ids.rs", "use sqlx::PgPool;").contains("belongs to store"));
        assert!(one("src/config/mod.rs", "use clap::Parser;").contains("belongs to main, cli"));
        assert_eq!(
            found("src/web/page.rs", "fn f(clap: u8, cel: u8) { clap + cel; x.sqlx() }"),
            [""; 0]
        );
    }

    #[test]
    fn the_environment_has_an_owner() {
        for source in [
            "std::env::var(\"A\")",
            "use std::env::{self, vars};",
            "fn f() { env::var_os(a) }",
            "use std::env::*;",
        ] {
            assert!(one("src/app.rs", source).contains("only config reads"), "{source}");
            assert_eq!(found("src/config/file.rs", source), [""; 0]);
        }
        assert_eq!(
            found("src/cli/mod.rs", "std::env::temp_dir(); env!(\"CARGO_PKG_VERSION\")"),
            [""; 0]
        );
    }

    #[test]
    fn long_files_and_junk_drawers_are_refused() {
        assert!(one("src/web/a.rs", &"\n".repeat(401)).starts_with("401: 401 lines"));
        assert_eq!(found("src/web/a.rs", &"\n".repeat(400)), [""; 0]);
        assert!(one("src/web/helpers.rs", "").contains("helpers says nothing"));
        assert!(one("src/web/utils/a.rs", "").contains("utils says nothing"));
        assert!(one("src/web/a.rs", "\nmod common { }").starts_with("2: common says nothing"));
    }

    #[test]
    fn tests_stand_at_the_end_and_nothing_else_is_for_tests_only() {
        let tests = "#[cfg(test)]\nmod tests { fn a() { if b {} } }";
        assert_eq!(
            found("src/web/a.rs", &format!("fn c() {{}}\n{tests}\n// the end")),
            [""; 0]
        );
        assert_eq!(found("src/web/a.rs", "#[cfg(test)]\nmod tests;"), [""; 0]);
        assert!(one("src/web/a.rs", &format!("{tests}\nfn c() {{}}")).starts_with("1: a test-only branch"));
        for source in [
            "#[cfg(test)]\nfn a() {}",
            "#[cfg(not(test))]\nfn a() {}",
            "#[cfg(all(test, unix))]\nmod tests {}",
            "fn a() { if cfg!(test) {} }",
            "#[cfg_attr(test, derive(Debug))]\nstruct A;",
            "#[cfg(test)]\nmod fixtures {}",
        ] {
            assert!(one("src/web/a.rs", source).contains("a test-only branch"), "{source}");
        }
        assert_eq!(
            found(
                "src/web/a.rs",
                "#[cfg(target_os = \"linux\")]\nfn a() {}\n#[test]\nfn b() {}"
            ),
            [""; 0]
        );
    }
}
