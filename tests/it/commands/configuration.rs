//! Mistakes in the configuration and in the rules.

use std::path::Path;

use bellhop::config::Config;

use super::desk::{Desk, HOOK_SECRET, OPERATOR_TOKEN, PARTNER_TOKEN, RULE};

/// Every command that reads the configuration refuses a bad one in the same words.
const READERS: [&[&str]; 5] = [&["serve"], &["check"], &["migrate"], &["urls"], &["locations", "list"]];

#[tokio::test]
async fn a_configuration_that_cannot_be_read_is_named_with_the_way_to_another() {
    let desk = Desk::new();
    std::fs::remove_file(desk.path("bellhop.toml")).expect("removed");
    for args in READERS {
        assert_eq!(
            desk.refused(args).await,
            "bellhop.toml: cannot be read: No such file or directory (os error 2). Remedy: name another file with \
             --config or BELLHOP_CONFIG; bellhop.example.toml is a start\n"
        );
    }
    std::fs::write(desk.path("latin1.toml"), b"[log]\n# caf\xe9\n").expect("written");
    for (name, why) in [
        (".", "Is a directory (os error 21)"),
        ("latin1.toml", "stream did not contain valid UTF-8"),
    ] {
        let said = desk.refused(&["check", "--config", name]).await;
        assert!(
            said.starts_with(&format!("{name}: cannot be read: {why}. Remedy: ")),
            "{said}"
        );
        let ran = desk.run_with(&["check"], &[("BELLHOP_CONFIG", name)]).await;
        assert_eq!(ran.err, said, "the variable names it too");
    }
}

#[tokio::test]
async fn what_does_not_parse_is_told_with_file_line_and_column() {
    let desk = Desk::new();
    for (from, to, said) in [
        (
            "[security]\n",
            "[security]\nhook_secrets = 5\n",
            "bellhop.toml:13:1: unknown field `hook_secrets`, expected one of `hook_secret`, `hook_secret_file`, \
             `hook_secret_previous`, `hook_secret_previous_file`\n",
        ),
        (
            "id = 18289",
            "id = \"18289\"",
            "bellhop.toml:20:6: invalid type: string \"18289\", expected a whole number that is not negative\n",
        ),
        (
            "\"127.0.0.1:0\"\npublic_url",
            "8080\npublic_url",
            "bellhop.toml:2:10: invalid type: integer `8080`, expected a string\n",
        ),
        (
            "[security]\n",
            "[jobs]\nlease = \"half an hour\"\n[security]\n",
            "bellhop.toml:13:9: `half an hour` is no duration: write a number and a unit: \"90s\", \"15m\", \"12h\", \
             \"3d\" or \"2w\"\n",
        ),
        (
            "[database]",
            "[database",
            "bellhop.toml:9:10: unclosed table, expected `]`\n",
        ),
    ] {
        let desk = Desk::new();
        desk.change(from, to);
        assert_eq!(desk.refused(&["check"]).await, said);
    }
    let ran = desk.run_with(&["check"], &[("BELLHOP_SERVER__THREADS", "many")]).await;
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (
            2,
            "environment: BELLHOP_SERVER__THREADS: invalid type: string \"many\", expected a whole number that is \
             not negative\n"
        )
    );
}

const CONTRADICTIONS: &str = r#"[server]
public_url = "http://hooks.example.com/"
ack_deadline = "10s"
[operator]
listen = "0.0.0.0:9090"
[database]
url = "mysql://root:hidden-password@db/bellhop"
connections = 2
[security]
hook_secret = "hidden"
[jobs]
lease = "1s"
[activation]
safe = "13h"
[smtp]
host = "mail.example.com"
from = "hello@example.com"
user = "bellhop"
[log]
filter = "info,bellhop=loud"
[[account]]
name = "main"
partner_token_file = "partner"
[[account]]
name = "main"
partner_token = "hidden"
signature_key = "hidden"
signature_key_previous = "hidde"
requests_per_minute = 0
[[application]]
id = 18289
account = "mian"
name = "Example"
continue_url = "app.example.com"
"#;

#[tokio::test]
async fn everything_that_contradicts_itself_is_told_at_once_with_its_place() {
    let desk = Desk::new();
    desk.write("bellhop.toml", CONTRADICTIONS);
    let ran = desk.run_with(&["serve"], &[("BELLHOP_ACTIVATION__LIMIT", "12h")]).await;
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    let lines: Vec<&str> = ran
        .err
        .lines()
        .map(|line| line.split(". Remedy").next().unwrap_or(""))
        .collect();
    assert_eq!(
        lines,
        [
            "bellhop.toml:23:1: partner_token_file: ./partner cannot be read: No such file or directory (os error 2)",
            "bellhop.toml:5:1: operator.listen = \"0.0.0.0:9090\" is reachable from elsewhere, and operator.token is not set",
            "bellhop.toml:2:1: server.public_url = \"http://hooks.example.com/\" is not https, and the marketplace delivers to https only",
            "bellhop.toml:2:1: server.public_url ends with a slash",
            "bellhop.toml:7:1: database.url begins with `mysql://`, and Bellhop needs PostgreSQL",
            "bellhop.toml:10:1: security.hook_secret is shorter than 16 characters",
            "bellhop.toml:8:1: database.connections must be at least 4: intake, workers and reading need one each",
            "bellhop.toml:3:1: server.ack_deadline must lie between 1ms and 10s: the marketplace gives up after 10 seconds",
            "bellhop.toml:12:1: jobs.lease must be at least 3s: it is renewed three times in its length",
            "bellhop.toml:14:1: activation.safe is later than activation.limit",
            "bellhop.toml:18:1: smtp.user is set and smtp.password is not",
            "bellhop.toml:20:1: log.filter = \"info,bellhop=loud\" is no filter: error parsing level filter: expected one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a number 0-5",
            "bellhop.toml:21:1: account `main`: request_timeout is not shorter than jobs.lease, so a request could be under way when another worker begins the same job",
            "bellhop.toml:25:1: account `main`: there is another account of this name",
            "bellhop.toml:26:1: account `main`: partner_token is shorter than 8 characters: it cannot be real",
            "bellhop.toml:27:1: account `main`: signature_key is shorter than 8 characters: it cannot be real",
            "bellhop.toml:28:1: account `main`: signature_key_previous is shorter than 8 characters: it cannot be real",
            "bellhop.toml:29:1: account `main`: requests_per_minute must be at least 1",
            "bellhop.toml:24:1: account `main`: request_timeout is not shorter than jobs.lease, so a request could be under way when another worker begins the same job",
            "bellhop.toml:32:1: application 18289: there is no account `mian`",
            "bellhop.toml:34:1: application 18289: continue_url = \"app.example.com\" is no web address",
        ]
    );
    assert!(!ran.err.contains("hidden"), "a secret was shown: {}", ran.err);
}

#[tokio::test]
async fn what_is_missing_is_told_with_where_to_get_it() {
    let desk = Desk::new();
    desk.write("bellhop.toml", "[[account]]\nname = \"main\"\n");
    let ran = desk
        .run_with(&["check"], &[("BELLHOP_SERVER__PUBLIC_URL", "http://10.0.0.5")])
        .await;
    assert_eq!(
        ran.err,
        "environment: BELLHOP_SERVER__PUBLIC_URL: server.public_url = \"http://10.0.0.5\" is not https, and the marketplace delivers to https only. Remedy: the https address
bellhop.toml: security.hook_secret is not set. Remedy: security.hook_secret_file with a random text, for instance from `openssl rand -hex 32`; keep it: the webhook addresses are made from it
bellhop.toml:1:1: account `main`: partner_token is not set. Remedy: partner_token_file
bellhop.toml: there is no [[application]]. Remedy: one with its number from the developer cabinet
"
    );
}

#[tokio::test]
async fn secrets_come_from_files_and_a_file_that_does_not_serve_is_told() {
    let desk = Desk::new();
    desk.change(
        &format!("hook_secret = \"{HOOK_SECRET}\""),
        "hook_secret_file = \"secrets/hook\"",
    );
    desk.write("secrets/hook", &format!("{HOOK_SECRET}\r\n"));
    let shown = desk.run(&["urls"]).await;
    assert_eq!(
        shown.out,
        Desk::new().run(&["urls"]).await.out,
        "the same key as from the value itself"
    );

    for (text, said) in [
        (
            None,
            "bellhop.toml:13:1: hook_secret_file: ./secrets/hook cannot be read: Is a directory (os error 21)",
        ),
        (Some("\n"), "bellhop.toml:13:1: hook_secret_file: secrets/hook is empty"),
        (
            Some("short"),
            "bellhop.toml:12:2: security.hook_secret is shorter than 16 characters",
        ),
    ] {
        std::fs::remove_file(desk.path("secrets/hook")).expect("there");
        match text {
            Some(text) => desk.write("secrets/hook", text),
            None => std::fs::create_dir(desk.path("secrets/hook")).expect("a folder"),
        }
        let told = desk.refused(&["check"]).await;
        assert_eq!((told.lines().count(), told.split(". Remedy").next()), (1, Some(said)));
        if text.is_none() {
            std::fs::remove_dir(desk.path("secrets/hook")).expect("removed");
            desk.write("secrets/hook", "");
        }
    }
    desk.change(
        "[security]\n",
        &format!("[security]\nhook_secret = \"{HOOK_SECRET}\"\n"),
    );
    assert_eq!(
        desk.refused(&["check"]).await,
        "bellhop.toml:14:1: hook_secret and hook_secret_file are both set. Remedy: keep one\n"
    );
}

#[tokio::test]
async fn mistakes_in_rules_are_told_all_at_once_and_nothing_starts() {
    let desk = Desk::new();
    desk.change(
        "name = \"Example app\"\n",
        "name = \"Example app\"\nrules = [\"rules/*.toml\", \"more.toml\"]\n",
    );
    desk.write(
        "rules/a.toml",
        &RULE.replace("installation.activated", "installation.activatd"),
    );
    desk.write("rules/b.toml", &RULE.replace("welcome", "other").replace("20", "120"));
    let missing = "bellhop.toml:23:1: rules: `more.toml` names no file (looked for ./more.toml). \
                   Remedy: correct the path or take it out\n";
    let mistakes = "rules/a.toml:3:6: unknown trigger `installation.activatd`; did you mean `installation.activated`?\n\
                    rules/b.toml:7:1: `percent` is 120; it must be between 0 and 100\n";
    for args in [&["rules", "check"][..], &["rules", "list"], &["check"], &["serve"]] {
        assert_eq!(desk.refused(args).await, missing, "{args:?}");
    }
    desk.write("more.toml", "");
    for args in [&["rules", "check"][..], &["rules", "list"], &["check"], &["serve"]] {
        assert_eq!(desk.refused(args).await, mistakes, "{args:?}");
    }
    desk.write("rules/a.toml", RULE);
    desk.write("rules/b.toml", "");
    let checked = desk.run(&["rules", "check"]).await;
    assert_eq!(
        (checked.code, checked.out.as_str()),
        (0, "1 rule of 1 application: no mistakes\n")
    );
    let listed = desk.run(&["rules", "list"]).await;
    assert_eq!(
        listed.out,
        "APPLICATION  RULE     ON                      ONCE PER  MODE  ACTIONS       WHERE\n\
         18289        welcome  installation.activated  location  live  set_discount  rules/a.toml:1\n"
    );
    let listed = desk.run(&["rules", "list", "--json"]).await;
    let listed: serde_json::Value = serde_json::from_str(&listed.out).expect("JSON");
    assert_eq!(
        listed,
        serde_json::json!({"next_cursor": null, "items": [{
            "application_id": 18289, "rule": "welcome", "on": "installation.activated", "once_per": "location",
            "mode": "live", "cap_per_day": null, "actions": ["set_discount"], "when": null, "file": "rules/a.toml", "line": 1,
        }]})
    );
}

#[tokio::test]
async fn check_shows_what_is_in_effect_and_no_secret() {
    let desk = Desk::new();
    desk.change(
        "[database]\nurl = \"postgres://bellhop@127.0.0.1:1/none\"",
        "[database]\nurl = \"postgres://bellhop:secret-database@127.0.0.1:1/none\"\n\
         [smtp]\nhost = \"mail.example.com\"\nfrom = \"a@example.com\"\nuser = \"u\"\npassword = \"secret-mail\"",
    );
    desk.change(
        "partner_token = ",
        "signature_key_file = \"key\"\nrequest_timeout = \"90s\"\npartner_token = ",
    );
    desk.change(
        "name = \"Example app\"\n",
        "name = \"Example app\"\nuser_token = \"secret-user\"\n",
    );
    desk.write("key", "secret-signature-key\n");
    let environment = [
        ("BELLHOP_SECURITY__HOOK_SECRET_PREVIOUS", "secret-of-the-hooks-0000"),
        ("BELLHOP_JOBS__BACKOFF_LIMIT", "30m"),
        ("BELLHOP_JOBS__LEASE", "2m"),
    ];
    let shown = desk.run_with(&["check"], &environment).await;
    assert_eq!((shown.code, shown.err.as_str()), (0, ""));
    for secret in ["secret-", HOOK_SECRET, PARTNER_TOKEN, OPERATOR_TOKEN] {
        assert!(!shown.out.contains(secret), "{secret} is shown:\n{}", shown.out);
    }
    let masked = shown.out.lines().filter(|line| line.ends_with(" = \"***\"")).count();
    assert_eq!(masked, 8, "{}", shown.out);
    let effective: toml::Table = shown.out.parse().expect("it is TOML itself");
    assert_eq!(effective["jobs"]["backoff_limit"].as_str(), Some("30m"));
    assert_eq!(effective["jobs"]["max_attempts"].as_integer(), Some(12));
    assert_eq!(effective["account"][0]["request_timeout"].as_str(), Some("90s"));
    assert!(
        shown
            .out
            .ends_with("\n# application 18289 (Example app): 0 rules\n# The configuration has no mistakes.\n"),
        "{}",
        shown.out
    );
}

#[test]
fn tokens_that_protect_nothing_are_told() {
    let base = "server.public_url = \"https://hooks.example.com\"\nsecurity.hook_secret = \"a long random text\"\n\
                account = [{name = \"main\", partner_token = \"a-partner-token\"}]\n\
                application = [{id = 1, account = \"main\", name = \"Example\"}]\n";
    let told = |operator: &str| {
        let text = format!("operator = {{{operator}}}\n{base}");
        let told = match Config::from_text(&text, Path::new(".")) {
            Ok(_) => String::new(),
            Err(problems) => problems.to_string(),
        };
        assert!(!told.contains("hidden"), "{told}");
        told
    };
    let (one, other) = ("hidden-text-number-1", "hidden-text-number-2");
    assert_eq!(told(&format!("token = \"{one}\", token_previous = \"{other}\"")), "");
    assert_eq!(told(&format!("token = \"{one}\", read_token = \"{other}\"")), "");
    for (operator, what) in [
        (
            "token = \"hidden\"".to_owned(),
            "operator.token is shorter than 16 characters",
        ),
        (
            format!("token = \"{one}\", read_token = \"hidden\""),
            "operator.read_token is shorter",
        ),
        (
            format!("read_token = \"{one}\""),
            "operator.read_token is set and operator.token is not",
        ),
        (
            format!("token_previous = \"{one}\""),
            "operator.token_previous is set and operator.token is not",
        ),
        (
            format!("token = \"{one}\", read_token = \"{one}\""),
            "operator.read_token is the same as another token",
        ),
        (
            format!("token = \"{one}\", token_previous = \"{other}\", read_token = \"{other}\""),
            "operator.read_token is the same as another token",
        ),
    ] {
        let told = told(&operator);
        assert!(told.contains(what) && told.contains("Remedy: "), "{operator}: {told}");
    }
}
