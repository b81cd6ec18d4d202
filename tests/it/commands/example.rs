//! The example of a configuration tells the truth: it can be copied, names every key, and shows the defaults.

use std::{collections::BTreeSet, path::Path};

use bellhop::config::Config;
use serde_json::json;
use toml::{Table, Value};

const EXAMPLE: &str = include_str!("../../../bellhop.example.toml");

/// A commented-out key or section; prose is no such thing.
fn switched_off(line: &str) -> Option<&str> {
    let rest = line.strip_prefix('#')?;
    let key = rest.split(" = ").next()?;
    let is_key = rest.contains(" = ") && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    (is_key || rest.starts_with('[')).then_some(rest)
}

/// With everything that is commented out: secrets in the file itself, because they can only be in one place.
fn everything() -> String {
    let lines = EXAMPLE.lines().map(|line| switched_off(line).unwrap_or(line));
    let lines = lines.filter(|line| !line.split(" = ").next().unwrap_or("").ends_with("_file"));
    lines.collect::<Vec<&str>>().join("\n")
}

/// As it is, but with files of secrets that exist.
fn as_it_is(folder: &Path) -> Config {
    let mut text = EXAMPLE.to_owned();
    for name in ["hook", "partner"] {
        std::fs::write(folder.join(name), "a long random text").expect("written");
        text = text.replace(&format!("/run/secrets/{name}\""), &format!("{name}\""));
    }
    Config::from_text(&text, folder).expect("it can be copied")
}

/// `section.key value` of everything in effect.
fn effective(config: &Config) -> BTreeSet<String> {
    fn enter(at: &str, value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Table(table) => table
                .iter()
                .for_each(|(key, value)| enter(&format!("{at}.{key}"), value, found)),
            Value::Array(items) if items.iter().any(Value::is_table) => {
                items.iter().for_each(|item| enter(at, item, found));
            }
            other => drop(found.insert(format!("{} {other}", at.trim_start_matches('.')))),
        }
    }
    let table: Table = toml::to_string(config)
        .expect("it can be written")
        .parse()
        .expect("TOML");
    let mut found = BTreeSet::new();
    enter("", &Value::Table(table), &mut found);
    found
}

#[test]
fn it_can_be_copied_and_shows_the_defaults() {
    let folder = tempfile::tempdir().expect("a folder");
    let copied = as_it_is(folder.path());
    let complete = Config::from_text(&everything(), folder.path()).expect("everything switched on is valid too");
    let (copied, complete) = (effective(&copied), effective(&complete));
    let more: Vec<&str> = complete
        .difference(&copied)
        .map(|line| line.split(' ').next().unwrap_or(""))
        .collect();
    // Nothing but these has no default.
    assert_eq!(
        more,
        [
            "account.accept",
            "account.api_base",
            "account.billing_base",
            "account.partner_base",
            "account.partner_token_previous",
            "account.signature_key",
            "account.signature_key_previous",
            "application.continue_url",
            "application.page.accent",
            "application.page.logo",
            "application.page.name",
            "application.page.support",
            "application.rules",
            "application.telephony.crm_token",
            "application.telephony.location",
            "application.telephony.name",
            "application.user_token",
            "database.bin_dir",
            "database.url",
            "operator.read_token",
            "operator.token",
            "operator.token_previous",
            "security.hook_secret_previous",
            "smtp.from",
            "smtp.host",
            "smtp.password",
            "smtp.port",
            "smtp.tls",
            "smtp.user",
        ]
    );
    // What is not in the complete one is kept in files in the copied one.
    let less: Vec<&String> = copied.difference(&complete).collect();
    assert_eq!(
        less,
        [
            "account.partner_token_file \"partner\"",
            "application.rules []",
            "application.telephony []",
            "security.hook_secret_file \"hook\"",
        ]
    );
}

#[test]
fn it_shows_the_defaults_of_the_brand_and_of_mail() {
    let complete = Config::from_text(&everything(), Path::new(".")).expect("valid");
    let (account, brand) = (&complete.accounts[0], complete.accounts[0].brand);
    assert_eq!(account.partner_base.as_deref(), Some(brand.partner_base()));
    assert_eq!(account.billing_base, account.partner_base);
    assert_eq!(account.api_base.as_deref(), Some(brand.api_base()));
    assert_eq!(account.accept.as_deref(), Some(brand.accept()));
    let text = everything()
        .replace("port = 587\n", "")
        .replace("tls = \"starttls\"\n", "");
    let without = Config::from_text(&text, Path::new(".")).expect("valid");
    assert_eq!(effective(&without), effective(&complete));
}

/// The keys a section may have, in the words of the message that refuses another one.
fn keys_of(section: &str) -> Vec<String> {
    let header = match section {
        "account" | "application" => format!("[[{section}]]\n"),
        "application.telephony" => format!("[[application]]\n[[{section}]]\n"),
        "application.page" => format!("[[application]]\n[{section}]\n"),
        "" => String::new(),
        section => format!("[{section}]\n"),
    };
    let problem = Config::from_text(&format!("{header}zzz = 1"), Path::new("."))
        .expect_err("no such key")
        .to_string();
    let (_, keys) = problem.split_once("expected ").expect("a list of keys");
    // Every second piece stands between two ticks.
    keys.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn it_names_every_key() {
    let mut section = String::new();
    let mut named = BTreeSet::new();
    for line in EXAMPLE.lines() {
        let line = switched_off(line).unwrap_or(line);
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_owned();
            named.insert(format!(".{section}"));
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            named.insert(format!("{section}.{key}"));
        }
    }
    let mut known = BTreeSet::new();
    let nested = ["application.page", "application.telephony"];
    for section in keys_of("").into_iter().chain(nested.map(str::to_owned)) {
        known.extend(keys_of(&section).into_iter().map(|key| format!("{section}.{key}")));
        known.insert(format!(".{section}"));
    }
    // Keys that are sections.
    for section in nested {
        known.remove(section);
    }
    assert!(known.len() > 60, "{known:?}");
    let forgotten: Vec<&String> = known.difference(&named).collect();
    assert_eq!(forgotten, [""; 0]);
    let invented: Vec<&String> = named.difference(&known).collect();
    assert_eq!(invented, [""; 0]);
}

/// Whether the schema for editors takes a text.
fn fits(text: &str) -> bool {
    let table: Table = text.parse().expect("TOML");
    let validator = jsonschema::validator_for(&Config::schema()).expect("a schema");
    validator.is_valid(&json!(table))
}

#[test]
fn it_fits_the_schema_for_editors() {
    assert!(fits(EXAMPLE));
    assert!(fits(&everything()));
    assert!(fits(""), "everything has a default or may come from the environment");
}

#[test]
fn the_schema_has_the_keys_that_the_reader_takes() {
    let schema = Config::schema();
    let at = |pointer: &str| schema.pointer(pointer).and_then(|value| value.as_object());
    let mut looked_at = 0;
    for section in keys_of("") {
        // What a section is stands elsewhere, and a `default` or a list around it.
        let property = &schema["properties"][&section];
        let text = property.to_string();
        let (_, rest) = text.split_once("\"#/definitions/").expect("a reference");
        let name = rest.split('"').next().expect("a name");
        let properties = at(&format!("/definitions/{name}/properties")).expect("a section");
        let shown: BTreeSet<&String> = properties.keys().collect();
        let taken = keys_of(&section);
        assert_eq!(shown, taken.iter().collect(), "{section}");
        for (key, value) in properties {
            looked_at += 1;
            assert!(value.get("description").is_some(), "{section}.{key} is not explained");
        }
    }
    assert!(looked_at > 60);
}

#[test]
fn what_the_reader_refuses_by_its_form_does_not_fit() {
    for (from, to) in [
        ("[server]", "[sever]"),
        ("listen = \"0.0.0.0:8080\"", "listen = \"localhost\""),
        ("ack_deadline = \"4s\"", "ack_deadline = \"4 seconds\""),
        ("ack_deadline = \"4s\"", "ack_deadline = 4"),
        ("queue = ", "queue = -"),
        ("brand = \"altegio\"", "brand = \"other\""),
        ("tls = \"starttls\"", "tls = \"ssl\""),
        ("activation = \"automatic\"", "activation = \"sometimes\""),
        ("\nrules = [", "\nrules = [1, "),
        ("\nrules = [", "\nrulez = ["),
        ("\nid = ", "\nid = \"x\" #"),
        ("limit = \"256MiB\"", "limit = \"much\""),
    ] {
        let text = everything();
        assert!(text.contains(from), "{from}");
        let wrong = text.replacen(from, to, 1);
        assert!(!fits(&wrong), "{to}");
        assert!(Config::from_text(&wrong, Path::new(".")).is_err(), "{to}");
    }
}
