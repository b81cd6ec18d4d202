//! Steps that go to people, to other systems, and back to rules.

use secrecy::ExposeSecret;
use serde_json::{json, value::RawValue};

use super::{mistakes::steps, *};

#[test]
fn messages_and_settings() {
    let long = format!(
        "action = \"send_telegram\"\ntoken_file = \"/run/secrets/bad\"\nchat = \"@team\"\ntext = \"{}\"",
        "a".repeat(4097)
    );
    insta::assert_snapshot!(steps(&[
        "action = \"send_telegram\"",
        "action = \"send_telegram\"\ntoken = \"hunter2\"\nchat = \"the team\"\ntext = \"{{ event.kin }}\"",
        &long,
        "action = \"send_slack\"\nurl = \"hooks\"\nurl_file = \"/run/secrets/good\"\ntext = \"x\"",
        "action = \"send_slack\"\nurl = \"hooks\"\ntext = \"x\"",
        "action = \"send_slack\"\ntext = 5",
        "action = \"set_tag\"",
        "action = \"set_tag\"\ntag = \"VIP!\"\npresent = \"no\"",
        "action = \"set_tag\"\ntag = \"VIP!\"",
        "action = \"set_channel\"\nchannel = \"whatsup\"\navailable = true",
        "action = \"set_channel\"\nchannel = \"sms\"\navailable = 1",
        "action = \"set_sender_names\"\nnames = []",
        "action = \"set_sender_names\"\nnames = [5]",
        "action = \"set_sender_names\"\nnames = [\"Fine\", \"Салон\", \"my Altegio\", \"AG\", \" \"]",
    ]), @r##"
    rules/a.toml:4:1: `chat` is missing; add `chat = "-1001234567890"`
    rules/a.toml:4:1: `text` is missing; add `text = "…"`
    rules/a.toml:4:1: `token_file` is missing; add `token_file = "/run/secrets/…"` with the token that BotFather told
    rules/a.toml:6:9: this is not the token of a Telegram bot; write it as BotFather tells it: a number, `:` and letters
    rules/a.toml:7:8: `the team` is no chat; write its number, such as `-1001234567890`, or the `@name` of a public one
    rules/a.toml:8:12: `event` has no `kin`; did you mean `kind`?
    rules/a.toml:6:14: this is not the token of a Telegram bot; write it as BotFather tells it: a number, `:` and letters
    rules/a.toml:8:8: the text is longer than 4096 characters; make it shorter: Telegram takes no more
    rules/a.toml:7:1: both `url` and `url_file` are given; keep one of them
    rules/a.toml:6:7: this is not the address of an incoming webhook; write it as Slack tells it: `https://hooks.slack.com/services/…`
    rules/a.toml:4:1: `url_file` is missing; add `url_file = "/run/secrets/…"` with the address of the incoming webhook
    rules/a.toml:6:8: `text` is a number; it must be a text in quotes
    rules/a.toml:4:1: `tag` is missing; add `tag = "vip"`
    rules/a.toml:7:11: `present` is a text; it must be true or false
    rules/a.toml:6:7: `VIP!` cannot be a tag; use small letters, digits, `-` and `_`, at most 40
    rules/a.toml:6:11: `channel` is "whatsup"; did you mean `whatsapp`?
    rules/a.toml:7:13: `available` is a number; it must be true or false
    rules/a.toml:6:1: `names` has 0 names; write 1 to 20: `names = ["Example"]`
    rules/a.toml:6:10: `names` is a list of texts, but this is a number; put it in quotes
    rules/a.toml:6:18: `Салон` cannot be a sender name: it has Cyrillic letters; the marketplace refuses it: choose another one
    rules/a.toml:6:27: `my Altegio` cannot be a sender name: it has the marketplace's name in it; the marketplace refuses it: choose another one
    rules/a.toml:6:41: `AG` cannot be a sender name: it is the marketplace's own; the marketplace refuses it: choose another one
    rules/a.toml:6:47: ` ` cannot be a sender name: it is empty; the marketplace refuses it: choose another one
    "##);
}

#[test]
fn forwarding() {
    let forward = "action = \"forward_event\"\nsecret_file = \"/run/secrets/good\"\nurl = ";
    let lines = [
        "\"https://example.com/{{ location.id }}\"",
        "\"example.com\"",
        "\"https://me:secret@example.com\"",
        "\"https://example.com\"\nretry_for = \"15d\"",
        "\"https://example.com\"\nretry_for = \"soon\"",
        "\"https://example.com\"\nsecret_previous = \"hunter2\"",
        "\"https://example.com\"\nafter = \"2h\"",
        "\"https://example.com\"\n[[rule.then]]\naction = \"set_discount\"\npercent = 5",
    ]
    .map(|url| format!("{forward}{url}"));
    insta::assert_snapshot!(steps(&lines.each_ref().map(String::as_str)), @r##"
    rules/a.toml:7:7: the address of `forward_event` is fixed; write it without `{{ … }}`; the event is in the body
    rules/a.toml:7:7: this is not an address to forward events to; write `https://host/path`
    rules/a.toml:7:7: the address has a name or password in it, which would be stored; take it out; the signature says who we are
    rules/a.toml:8:13: `retry_for` is "15d"; it must be between 1m and 14d
    rules/a.toml:8:13: `retry_for` is "soon"; write a number and a unit: "90s", "15m", "12h", "3d" or "2w"
    rules/a.toml:8:19: this is not a webhook secret; write `whsec_` and the base64 of 24 to 64 random bytes
    rules/a.toml:1:1: `forward_event` cannot wait: events of a location would overtake each other; take `after` out
    rules/a.toml:1:1: `forward_event` is not the only step: the others would wait for its receiver, for days; give it a rule of its own
    "##);
}

#[test]
fn what_would_never_end_is_refused() {
    let told = |on: &str, steps: &str| {
        let text = format!("[[rule]]\nname = \"r\"\non = \"{on}\"\n{steps}");
        load(&text).map_or_else(|mistakes| show(&mistakes), |_| "no mistake".to_owned())
    };
    let uninstall = "[[rule.then]]\naction = \"uninstall\"\n";
    let report = "[[rule.then]]\naction = \"report_payment\"\namount = 1\ncurrency = \"EUR\"\ndays = 1\n";
    let both = format!("{uninstall}{report}");
    let kept = format!("keep_after_uninstall = true\n{both}");
    let all = [
        told("installation.uninstalled", uninstall),
        told("installation.*", uninstall),
        told("*", uninstall),
        told("*", report),
        told("payment.*", report),
        told("trial.ended", &both),
        told("trial.ended", &kept),
        told("record.*", uninstall),
    ];
    insta::assert_snapshot!(all.join("\n"), @r##"
    rules/a.toml:1:1: a rule on `installation.uninstalled` cannot uninstall: it is done already; choose another trigger
    rules/a.toml:1:1: a rule on `installation.uninstalled` cannot uninstall: it is done already; choose another trigger
    rules/a.toml:1:1: a rule on `installation.uninstalled` cannot uninstall: it is done already; choose another trigger
    rules/a.toml:1:1: a rule on `payment.received` cannot report a payment: it would fire it again; choose another trigger
    rules/a.toml:1:1: a rule on `payment.received` cannot report a payment: it would fire it again; choose another trigger
    rules/a.toml:1:1: the steps after `uninstall` would be cancelled with the connection; put `uninstall` last, or add `keep_after_uninstall = true`
    no mistake
    no mistake
    "##);
}

#[test]
fn a_star_is_everything_that_happens_by_itself() {
    let matching = |on: &str| -> Vec<&str> {
        let set = one(&format!("on = \"{on}\""));
        let kinds = [
            "installation.pending",
            "installation.uninstalled",
            "payment.received",
            "record.updated",
            "record.visit_confirmed",
            "trial.ended",
            "period.changed",
            "connect.opened",
            "unknown",
        ];
        let matches = |kind: &&str| set.matching(&kind.parse().expect("a kind"), None).count() == 1;
        kinds.into_iter().filter(matches).collect()
    };
    assert_eq!(
        matching("installation.*"),
        ["installation.pending", "installation.uninstalled"]
    );
    assert_eq!(matching("payment.*"), ["payment.received"]);
    assert_eq!(
        matching("*"),
        [
            "installation.pending",
            "installation.uninstalled",
            "payment.received",
            "record.updated",
            "record.visit_confirmed"
        ]
    );
    let paid = one("on = \"payment.*\"\nwhen = 'event.payment.amount > 5.0'");
    assert!(!World::payment("6").judged(&paid).starts_with('-'));
    let by_kind = one("on = \"*\"\nwhen = 'event.kind.startsWith(\"record.\")'");
    assert!(!World::entity("record.updated", None).judged(&by_kind).starts_with('-'));
    assert!(World::payment("6").judged(&by_kind).starts_with("- condition is false"));
}

#[test]
fn conditions_and_texts_see_the_marks_of_the_place() {
    let world = World::entity("record.updated", None);
    let tags = ["vip".to_owned(), "wholesale".to_owned()];
    let judged = |when: &str, tags: &[String]| {
        let set = one(&format!("on = \"record.*\"\nwhen = '{when}'"));
        matches!(
            judge(&set.rules()[0], &world.facts().with_tags(tags)),
            Decision::Fire { .. }
        )
    };
    assert!(judged("\"vip\" in installation.tags", &tags));
    assert!(!judged("\"vip\" in installation.tags", &[]));
    assert!(judged("size(installation.tags) == 0", &[]));
    assert!(judged(
        "installation.tags.exists(tag, tag.startsWith(\"whole\"))",
        &tags
    ));
    let facts = world.facts().with_tags(&tags);
    let text = render(
        "{{ installation.tags | join(\", \") }}",
        &facts,
        &serde_json::Map::new(),
    );
    assert_eq!(text.as_deref(), Ok("vip, wholesale"));
    let wrong = load(
        "[[rule]]\nname = \"r\"\non = \"record.*\"\nwhen = 'installation.tags.vip'\n\
                      [[rule.then]]\naction = \"uninstall\"\n",
    );
    assert_eq!(
        show(&wrong.expect_err("a mistake")),
        "rules/a.toml:4:9: `installation.tags` is a single value and has no fields; write `installation.tags`"
    );
}

#[test]
fn a_forwarded_entity_is_as_it_was_sent_to_the_last_digit() {
    let world = World::entity("record.updated", Some(json!({"cost": 1.0, "b": 2})));
    let sent: Box<RawValue> =
        serde_json::from_str(r#"{"cost": 1.10, "id": 12345678901234567890123, "b":"\ud83d"}"#).expect("JSON");
    let body = forwarded_body(&world.facts(), Some(&sent));
    assert!(
        body.contains(r#""data":{"cost": 1.10, "id": 12345678901234567890123, "b":"\ud83d"}"#),
        "{body}"
    );
    assert!(
        body.starts_with(r#"{"type":"record.updated","timestamp":"2026-03-05T21:30:00Z","data":{"event":{"#),
        "{body}"
    );
    let body: Value = serde_json::from_str(&forwarded_body(&world.facts(), None)).expect("JSON");
    assert_eq!(body["data"]["event"]["data"], json!({"cost": 1.0, "b": 2}));
    assert_eq!(body["data"]["event"]["resource_id"], 5);
    assert_eq!(body["data"]["installation"]["status"], "active");
    assert_eq!(body["data"]["location"]["id"], 100_001);
    assert_eq!(body["data"]["application"]["id"], 18_289);
}

#[test]
fn steps_that_say_the_same_in_two_channels_keep_their_addresses() {
    let slack = |key: &str| {
        format!(
            "[[rule.then]]\naction = \"send_slack\"\nurl = \"https://hooks.slack.com/services/{key}\"\ntext = \"x\"\n"
        )
    };
    let rule = |steps: &str| load(&format!("[[rule]]\nname = \"r\"\non = \"*\"\n{steps}")).expect("a rule");
    let set = rule(&format!("{}{}", slack("a"), slack("b")));
    let address = |set: &RuleSet, number: usize| {
        let action = Action::SendSlack { text: "x".to_owned() };
        let secrets = set.secrets_of("r", number, &action);
        secrets
            .first()
            .map(|secret| secret.expose_secret().to_owned())
            .unwrap_or_default()
    };
    assert!(address(&set, 0).ends_with("/a"));
    assert!(address(&set, 1).ends_with("/b"));
    // One was taken out: what waits for it goes where the other goes, and not nowhere.
    let mut fewer = rule(&slack("b"));
    fewer.remember(&set);
    assert!(address(&fewer, 1).ends_with("/b"));
    assert!(!format!("{set:?}").contains("hooks.slack.com"));
}
