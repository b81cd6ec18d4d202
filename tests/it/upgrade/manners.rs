//! What a migration may not do, because tables are large, or because the version before still runs. What can be seen
//! in the text is seen here; ARCHITECTURE.md tells the rules.

use std::{fs, path::Path};

/// Tables without bound: making an index on one takes minutes, in which nobody may write.
const LARGE: [&str; 8] = [
    "events",
    "outcomes",
    "decisions",
    "finished_jobs",
    "attempts",
    "delivery_keys",
    "firings",
    "installation_history",
];

/// The statements of a migration, in lower case, with single spaces and without comments.
fn statements(text: &str) -> Vec<String> {
    let plain: Vec<&str> = text
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .collect();
    let words = |statement: &str| {
        statement
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .to_lowercase()
    };
    let statements = plain.join("\n");
    statements
        .split(';')
        .map(words)
        .filter(|words| !words.is_empty())
        .collect()
}

/// What is wrong with a migration that comes after the first release.
fn breaches(text: &str) -> Vec<String> {
    let apart = text.starts_with("-- no-transaction");
    let statements = statements(text);
    let made: Vec<&str> = statements
        .iter()
        .filter_map(|statement| statement.strip_prefix("create table "))
        .filter_map(|rest| rest.trim_start_matches("if not exists ").split([' ', '(']).next())
        .collect();
    let mut found = Vec::new();
    for statement in &statements {
        let words: Vec<&str> = statement.split([' ', '(', ',']).collect();
        let names = |tables: &[&str]| tables.iter().any(|table| words.contains(table));
        let mut wrong = |what: &str| found.push(format!("{what}: {statement}"));
        let concurrently = words.contains(&"concurrently");
        if concurrently && (!apart || statements.len() > 1) {
            wrong("`concurrently` needs a migration of its own that begins with `-- no-transaction`");
        }
        if names(&made) {
            continue;
        }
        // On the table by day itself, which has no rows of its own.
        let for_new_days = statement.contains(" on only ");
        let makes_index = words.contains(&"index") && words.first() == Some(&"create");
        if makes_index && !concurrently && !for_new_days && names(&LARGE) {
            wrong("nobody can write to a large table while its index is made");
        }
        let alters = words.first() == Some(&"alter");
        if alters && statement.contains("add column") {
            if statement.contains("not null") && !statement.contains("default") {
                wrong("the version before cannot fill a new column");
            }
            for volatile in ["nextval(", "random", "clock_timestamp(", "uuid", " stored"] {
                if statement.contains(volatile) {
                    wrong("every row is written anew while nobody can read");
                }
            }
        }
        if alters && statement.contains("add constraint") && !statement.contains("not valid") {
            wrong("every row is checked while nobody can write; `not valid`, and `validate` a version later");
        }
        for verb in [" rename ", " drop column ", " set not null", " type ", " drop default"] {
            if alters && statement.contains(verb) {
                wrong("the version before still uses it as it is, or every row is looked at");
            }
        }
        for verb in ["drop table ", "truncate ", "lock ", "cluster ", "vacuum ", "reindex "] {
            if statement.starts_with(verb) {
                wrong("the service runs meanwhile");
            }
        }
        if ["update", "delete"].contains(&words[0]) && names(&LARGE) {
            wrong("a worker does that in batches");
        }
    }
    found
}

#[test]
fn migrations_can_be_applied_while_the_version_before_works() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 1, "there is more than the first release");
    let mut found = Vec::new();
    for file in &files[1..] {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        found.extend(
            breaches(&fs::read_to_string(file).unwrap())
                .into_iter()
                .map(|what| format!("{name}: {what}")),
        );
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn what_would_stop_the_service_is_seen() {
    for wrong in [
        "create index a on events (kind);",
        "CREATE UNIQUE INDEX a\n  ON delivery_keys(seen_at);",
        "create index concurrently a on firings (kind); select 1;",
        "alter table jobs add column color text not null;",
        "alter table events add column n bigint default nextval('event_ids');",
        "alter table jobs add constraint small check (attempts < 100);",
        "alter table jobs rename column rule to rule_name;",
        "alter table jobs alter column step type int;",
        "drop table timers;",
        "update events set kind = 'x';",
    ] {
        assert_eq!(breaches(wrong).len(), 1, "{wrong}: {:?}", breaches(wrong));
    }
    for fine in [
        "create table a (n int not null); create index b on a (n); -- drop table timers",
        "-- no-transaction\ncreate index concurrently a on firings (kind);",
        "alter table jobs add column color text not null default 'red';",
        "create index a on lanes (name);",
        "create index a on only events (id) where source = 'connect';",
        "alter table delivery_keys set (fillfactor = 80);",
        "alter table jobs add constraint small check (attempts < 100) not valid;",
    ] {
        assert_eq!(breaches(fine), Vec::<String>::new(), "{fine}");
    }
}
