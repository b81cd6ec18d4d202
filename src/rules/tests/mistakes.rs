use super::*;

/// Every mistake of a file, as it is told.
fn told(text: &str) -> String {
    let mistakes = RuleSet::load(&[file(text)], &|path| match path {
        "/run/secrets/good" => Ok(Some(SECRET.to_owned())),
        "/run/secrets/bad" => Ok(Some("hunter2".to_owned())),
        _ => Err("no such file".to_owned()),
    });
    mistakes.map_or_else(|mistakes| show(&mistakes), |_| "no mistake".to_owned())
}

const THEN: &str = "[[rule.then]]\naction = \"set_discount\"\npercent = 5\n";

/// The mistakes of rules that differ in the lines of their heads.
fn heads(heads: &[&str]) -> String {
    let told: Vec<String> = heads
        .iter()
        .map(|head| told(&format!("[[rule]]\nname = \"r\"\n{head}\n{THEN}")))
        .collect();
    told.join("\n")
}

/// The mistakes of rules that differ in their steps.
pub(super) fn steps(steps: &[&str]) -> String {
    let told: Vec<String> = steps
        .iter()
        .map(|step| {
            told(&format!(
                "[[rule]]\nname = \"r\"\non = \"payment.received\"\n[[rule.then]]\n{step}\n"
            ))
        })
        .collect();
    told.join("\n")
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once() {
    insta::assert_snapshot!(told(r#"
[[rule]]
name = "Welcome discount"
on = "instalation.activated"
onceper = "location"
[[rule.then]]
action = "set_discount"
percnt = 20

[[rule]]
name = "second"
on = "payment.received"
when = 'location.contry_id == 7'
[[rule.then]]
action = "set_discount"
percent = 101
[[rule.then]]
action = "send_mail"
"#), @r##"
    rules/a.toml:5:1: unknown key `onceper`; did you mean `once_per`?
    rules/a.toml:3:8: `Welcome discount` cannot be the name of a rule; use small letters, digits and `-`, at most 80
    rules/a.toml:4:6: unknown trigger `instalation.activated`; did you mean `installation.activated`?
    rules/a.toml:8:1: unknown key `percnt`; did you mean `percent`?
    rules/a.toml:6:1: `percent` is missing; add `percent = 20`
    rules/a.toml:13:9: `location` has no `contry_id`; did you mean `country_id`?
    rules/a.toml:16:1: `percent` is 101; it must be between 0 and 100
    rules/a.toml:18:10: unknown action `send_mail`; did you mean `send_email`?
    "##);
}

#[test]
fn a_wrong_detail_of_a_trigger_hides_no_other_mistake() {
    let text = "[[rule]]\nname = \"r\"\non = \"trial.ending\"\nwhen = 'installation.has_payed'\n[[rule.then]]\n\
                action = \"send_email\"\nto = \"{{ location.mail }}\"\nsubject = \"s\"\ntext = \"t\"";
    insta::assert_snapshot!(told(text), @r##"
    rules/a.toml:3:6: `trial.ending` needs to know how long before; add `before = "3d"`; for the end itself there is `trial.ended`
    rules/a.toml:4:9: `installation` has no `has_payed`; did you mean `has_paid`?
    rules/a.toml:7:10: `location` has no `mail`; did you mean `email`?
    "##);
}

#[test]
fn the_frame() {
    let told: Vec<String> = [
        "rule = 5",
        "[rule]\nname = \"r\"",
        "[[rules]]",
        "[[rule]]\nname = ",
        "[[rule]]\nname = \"r\"\non = \"*.*\"",
        "[[rule]]\nname = 5\non = true\nthen = {}",
        "rule = [1]",
    ]
    .into_iter()
    .map(told)
    .collect();
    insta::assert_snapshot!(told.join("\n"), @r##"
    rules/a.toml:1:1: `rule` is a list of tables; write `[[rule]]` with two brackets on each side
    rules/a.toml:1:2: `rule` is a list of tables; write `[[rule]]` with two brackets on each side
    rules/a.toml:1:3: unknown key `rules`; did you mean `rule`?
    rules/a.toml:2:8: this is not TOML: string values must be quoted, expected literal string; correct the syntax
    rules/a.toml:1:1: the rule does nothing; add a `[[rule.then]]` with an `action`
    rules/a.toml:2:8: `name` is a number; it must be a text in quotes
    rules/a.toml:3:6: `on` is true or false; it must be a text in quotes
    rules/a.toml:4:1: `then` is a list of tables; write `[[rule.then]]` with two brackets on each side
    rules/a.toml:1:9: `rule` is a list of tables, but this is a number; write `[[rule]]`
    "##);
}

#[test]
fn triggers() {
    insta::assert_snapshot!(heads(&[
        "on = \"\"",
        "on = \"period.changed\"",
        "on = \"connect.opened\"",
        "on = \"trial.*\"",
        "on = \"installation.actived\"",
        "on = \"payments.received\"",
        "on = \"trial.ending\"",
        "on = \"trial.ending\"\nbefore = \"0d\"",
        "on = \"trial.ending\"\nbefore = \"3 days\"",
        "on = \"trial.ended\"\nbefore = \"3d\"",
        "on = \"salon.updated\"",
        "on = \"record.delete\"",
        "on = \"record.confirmed\"",
        "on = \"recrod.updated\"",
        "on = \"something\"",
    ]), @r##"
    rules/a.toml:3:6: unknown trigger ``; possible are `installation.pending`, `installation.activated`, `installation.frozen`, `installation.unfrozen`, `installation.uninstalled`, `activation.expired`, `payment.received`, `payment.refunded`, `trial.ending`, `trial.ended`, `period.ending`, `period.ended`, `schedule`, `silence`, and `<resource>.created`, `.updated`, `.deleted` for entity events
    rules/a.toml:3:6: unknown trigger `period.changed`; did you mean `period.ended`?
    rules/a.toml:3:6: unknown trigger `connect.opened`; possible are `installation.pending`, `installation.activated`, `installation.frozen`, `installation.unfrozen`, `installation.uninstalled`, `activation.expired`, `payment.received`, `payment.refunded`, `trial.ending`, `trial.ended`, `period.ending`, `period.ended`, `schedule`, `silence`, and `<resource>.created`, `.updated`, `.deleted` for entity events
    rules/a.toml:3:6: unknown trigger `trial.*`; `*` is not for moments; write one rule for each trigger
    rules/a.toml:3:6: unknown trigger `installation.actived`; did you mean `installation.activated`?
    rules/a.toml:3:6: unknown trigger `payments.received`; did you mean `payment.received`?
    rules/a.toml:3:6: `trial.ending` needs to know how long before; add `before = "3d"`; for the end itself there is `trial.ended`
    rules/a.toml:3:6: `trial.ending` needs to know how long before; add `before = "3d"`; for the end itself there is `trial.ended`
    rules/a.toml:4:10: `before` is "3 days"; write a number and a unit: "90s", "15m", "12h", "3d" or "2w"
    rules/a.toml:4:1: `before` means nothing with `trial.ended`; remove it; it belongs to `trial.ending` and `period.ending`
    rules/a.toml:3:6: unknown trigger `salon.updated`; did you mean `location.updated`?
    rules/a.toml:3:6: unknown trigger `record.delete`; did you mean `record.deleted`?
    rules/a.toml:3:6: unknown trigger `record.confirmed`; write `record.*` with a condition on `event.change`
    rules/a.toml:3:6: unknown trigger `recrod.updated`; did you mean `record.updated`?
    rules/a.toml:3:6: unknown trigger `something`; possible are `installation.pending`, `installation.activated`, `installation.frozen`, `installation.unfrozen`, `installation.uninstalled`, `activation.expired`, `payment.received`, `payment.refunded`, `trial.ending`, `trial.ended`, `period.ending`, `period.ended`, `schedule`, `silence`, and `<resource>.created`, `.updated`, `.deleted` for entity events
    "##);
}

#[test]
fn words() {
    insta::assert_snapshot!(heads(&[
        "on = \"*.*\"\nonce_per = \"occurence\"",
        "on = \"*.*\"\nmode = \"shadows\"",
        "on = \"*.*\"\nmode = \"on\"",
        "on = \"*.*\"\nlate = \"skip\"",
        "on = \"trial.ended\"\nmax_late = \"soon\"",
        "on = \"*.*\"\ncron = \"* * * * *\"",
        "on = \"*.*\"\nkeep_after_uninstall = \"yes\"",
        "on = \"*.*\"\ncap_per_day = 0",
    ]), @r##"
    rules/a.toml:4:12: `once_per` is "occurence"; did you mean `occurrence`?
    rules/a.toml:4:8: `mode` is "shadows"; did you mean `shadow`?
    rules/a.toml:4:8: `mode` is "on"; possible are `live`, `shadow`, `off`
    rules/a.toml:4:1: `late` means nothing with `*.*`; remove it; it belongs to `trial.ending`, `trial.ended`, `period.ending`, `period.ended`, `schedule`, `silence`
    rules/a.toml:4:12: `max_late` is "soon"; write a number and a unit: "90s", "15m", "12h", "3d" or "2w"
    rules/a.toml:4:1: `cron` means nothing with `*.*`; remove it; it belongs to `schedule`
    rules/a.toml:4:24: `keep_after_uninstall` is a text; it must be true or false
    rules/a.toml:4:1: `cap_per_day` is 0; it must be a whole number from 1 to 1000000
    "##);
}

#[expect(clippy::too_many_lines, reason = "a table of mistakes")]
#[test]
fn conditions() {
    let on = |on: &str, whens: &[&str]| {
        let lines: Vec<String> = whens
            .iter()
            .map(|when| format!("on = \"{on}\"\nwhen = '{when}'"))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        heads(&lines)
    };
    insta::assert_snapshot!(on("installation.frozen", &[
        "",
        "location.country_id = 7",
        "\"é\" == \"ü\" && location.emial == \"\"",
        "installation.stat == \"active\"",
        "location.title.text == \"x\"",
        "locaton.title == \"x\"",
        "event.data.client == null",
        "event.payment.amount > 1.0",
        "has(location.emai)",
        "location.country_id",
        "installation.status == \"frozen\" && location.title",
        "installation.status == \"frozen\" && location.title > 5",
        "installation.trial_ends_at - now < duration(\"3 days\")",
        "installation.trial_ends_at < duration(\"72h\")",
        "location.title.startswith(\"A\")",
        "location.title.matches(location.city)",
        "location.title.matches(\"(a{50}){50}\")",
        "location.title.matches(\"(\")",
        "[1].all(a, [1].all(b, [1].all(c, a == b)))",
        "type(location.title) == string",
        "location{title: 1} == 1",
        "now",
        "size(location.title) > 99999999999999999999",
    ]), @r##"
    rules/a.toml:4:8: syntax error: mismatched input 'end of the condition'; see the CEL language
    rules/a.toml:4:29: syntax error: token recognition error at: '= '; compare with `==`
    rules/a.toml:4:23: `location` has no `emial`; did you mean `email`?
    rules/a.toml:4:9: `installation` has no `stat`; did you mean `status`?
    rules/a.toml:4:9: `location.title` is a single value and has no fields; write `location.title`
    rules/a.toml:4:9: nothing is called `locaton`; did you mean `location`?
    rules/a.toml:4:9: `event.data` is there only for entity events; remove it, or choose such a trigger
    rules/a.toml:4:9: `event.payment` is there only for `payment.received` and `payment.refunded`; remove it, or choose such a trigger
    rules/a.toml:4:12: `location` has no `emai`; did you mean `email`?
    rules/a.toml:4:9: this is of type int, not true or false; compare it with something
    rules/a.toml:4:44: this is of type string, not true or false; compare it with something
    rules/a.toml:4:44: this can never work: `>` does not work on string and int; correct it
    rules/a.toml:4:9: this can never work: `duration` reads hours, minutes and seconds, like "72h" or "1h30m"; correct it
    rules/a.toml:4:9: this can never work: `<` does not work on timestamp and duration; correct it
    rules/a.toml:4:9: no function is called `startswith`; did you mean `startsWith`?
    rules/a.toml:4:9: the pattern of `matches` is not written out; write it as a text in quotes
    rules/a.toml:4:9: the pattern of `matches` is too large; at most 100 bytes are possible, and 100 as the product of all `{n}`
    rules/a.toml:4:9: this can never work: `matches` needs a valid regular expression; correct it
    rules/a.toml:4:31: more than 2 loops inside each other; an event could keep it busy for hours; take it apart into several rules
    rules/a.toml:4:13: no function is called `type`; possible are `size`, `contains`, `startsWith`, `endsWith`, `matches`, `duration`, `timestamp`, `string`, `int`, `uint`, `double`, `bool`, `getFullYear`, `getMonth`, `getDate`, `getDayOfMonth`, `getDayOfWeek`, `getDayOfYear`, `getHours`, `getMinutes`, `getSeconds`, `getMilliseconds`, `has`, `all`, `exists`, `exists_one`, `map`, `filter`
    rules/a.toml:4:33: nothing is called `string`; possible are `event`, `installation`, `location`, `application`, `now`
    rules/a.toml:4:17: objects of a type cannot be made here; compare single values
    rules/a.toml:4:9: this is of type timestamp, not true or false; compare it with something
    rules/a.toml:4:32: syntax error: invalid int literal; see the CEL language
    "##);
    insta::assert_snapshot!(on("record.*", &[
        "event.data.services.size()",
        "event.data.cost * 2",
        "event.dat.cost == 2",
        "event.data.services.map(s, s.cost)",
    ]), @r##"
    rules/a.toml:4:9: this is not true or false; compare it with something
    rules/a.toml:4:9: this is not true or false; compare it with something
    rules/a.toml:4:9: `event` has no `dat`; did you mean `at`?
    rules/a.toml:4:9: this is not true or false; compare it with something
    "##);
    let long = format!("on = \"*.*\"\nwhen = '{}'", "1 == 1 && ".repeat(300));
    insta::assert_snapshot!(heads(&[&long]), @r##"
    rules/a.toml:4:9: the condition has 3000 bytes; at most 2048 are possible
    "##);
    insta::assert_snapshot!(heads(&["on = \"payment.received\"\nwhen = '''\nevent.kind == \"x\"\n  && event.payment.amout > 1.0\n'''"]), @r##"
    rules/a.toml:6:6: `event.payment` has no `amout`; did you mean `amount`?
    "##);
}

#[test]
fn actions() {
    insta::assert_snapshot!(steps(&[
        "percent = 5",
        "action = \"refund_payment\"",
        "action = \"refund_payment\"\npayment = \"{{ event.paiment.id }}\"",
        "action = \"report_payment\"",
        "action = \"report_payment\"\namount = -1\ncurrency = \"eur\"\ndays = 30",
        "action = \"report_payment\"\namount = 29.90\ncurrency = \"EUR\"\ndays = 30\nmonths = 1",
        "action = \"report_payment\"\namount = 29.90\ncurrency = \"EUR\"\nmonths = 0",
        "action = \"set_dicount\"\npercent = 5",
        "action = \"set_discount\"",
        "action = \"set_discount\"\npercent = 100.01",
        "action = \"set_discount\"\npercent = -1",
        "action = \"set_discount\"\npercent = \"5\"",
        "action = \"set_discount\"\npercent = nan",
        "action = \"set_discount\"\npercent = 5\nafter = \"soon\"",
        "action = \"create_payment_link\"\ntariff_option_id = 1.5",
        "id = \"event\"\naction = \"create_payment_link\"",
        "id = \"My link\"\naction = \"create_payment_link\"",
        "id = \"a\"\naction = \"create_payment_link\"\n[[rule.then]]\nid = \"a\"\naction = \"create_payment_link\"",
    ]), @r##"
    rules/a.toml:4:1: `action` is missing; add `action = "send_email"`
    rules/a.toml:4:1: `payment` is missing; add `payment = "{{ event.payment.id }}"`
    rules/a.toml:6:15: `event` has no `paiment`; did you mean `payment`?
    rules/a.toml:4:1: `amount` is missing; add `amount = 29.90`
    rules/a.toml:4:1: `currency` is missing; add `currency = "EUR"`
    rules/a.toml:4:1: the period is missing; write either `months = 1` or `days = 30`
    rules/a.toml:6:1: `amount` is -1; it must be 0 or more, in whole units and their parts
    rules/a.toml:7:12: `eur` is no currency; write three capital letters, such as `EUR`
    rules/a.toml:4:1: both `days` and `months` are given; write either `months = 1` or `days = 30`
    rules/a.toml:8:1: `months` is 0; it must be a whole number from 1 to 120
    rules/a.toml:5:10: unknown action `set_dicount`; did you mean `set_discount`?
    rules/a.toml:4:1: `percent` is missing; add `percent = 20`
    rules/a.toml:6:1: `percent` is 100.01; it must be between 0 and 100
    rules/a.toml:6:1: `percent` is -1; it must be between 0 and 100
    rules/a.toml:6:11: `percent` is a text; it must be a number
    rules/a.toml:6:1: `percent` is nan; it must be between 0 and 100
    rules/a.toml:7:9: `after` is "soon"; write a number and a unit: "90s", "15m", "12h", "3d" or "2w"
    rules/a.toml:6:1: `tariff_option_id` is 1.5; it must be the number of a tariff option
    rules/a.toml:5:6: a step cannot be called `event`; that name has a meaning in texts; choose another one
    rules/a.toml:5:6: `My link` cannot be the id of a step; use small letters, digits and `_`, at most 40, a letter first
    rules/a.toml:8:1: two steps are called `a`; give each its own id
    "##);
}

#[test]
fn webhooks() {
    let urls = [
        "example.com/hook",
        "https://",
        "https://{{ location.title }}/x",
        "https://example.com/{{ location.titel }}",
        "ftp://example.com",
    ];
    let lines: Vec<String> = urls
        .iter()
        .map(|url| format!("action = \"send_webhook\"\nsecret_file = \"/run/secrets/good\"\nurl = \"{url}\""))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    insta::assert_snapshot!(steps(&lines), @r##"
    rules/a.toml:7:7: this is not the address of a webhook; write `https://host/path`; `{{ … }}` can stand only after the host
    rules/a.toml:7:7: this is not the address of a webhook; write `https://host/path`; `{{ … }}` can stand only after the host
    rules/a.toml:7:7: this is not the address of a webhook; write `https://host/path`; `{{ … }}` can stand only after the host
    rules/a.toml:7:31: `location` has no `titel`; did you mean `title`?
    rules/a.toml:7:7: this is not the address of a webhook; write `https://host/path`; `{{ … }}` can stand only after the host
    "##);
    let secrets = [
        "",
        "secret = \"hunter2\"",
        "secret_file = \"/run/secrets/bad\"",
        "secret_file = \"/nowhere\"",
        "secret = \"whsec_AAAA\"\nsecret_file = \"/run/secrets/good\"",
    ];
    let lines: Vec<String> = secrets
        .iter()
        .map(|secret| format!("action = \"send_webhook\"\nurl = \"https://example.com\"\n{secret}"))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    insta::assert_snapshot!(steps(&lines), @r##"
    rules/a.toml:4:1: `secret_file` is missing; webhooks are signed: add `secret_file = "/run/secrets/…"` or `secret = "whsec_…"`
    rules/a.toml:7:10: this is not a webhook secret; write `whsec_` and the base64 of 24 to 64 random bytes
    rules/a.toml:7:15: this is not a webhook secret; write `whsec_` and the base64 of 24 to 64 random bytes
    rules/a.toml:7:15: the secret cannot be read: no such file; put the file there, or correct its name
    rules/a.toml:8:1: both `secret` and `secret_file` are given; keep one of them
    "##);
}

#[test]
fn templates() {
    let texts = [
        "{{ location.title",
        "{{ location.titel }}",
        "é {{ lnk.url }}",
        "{{ link.uri }}",
        "{{ later.url }}",
        "{{ mail.x }}",
        "{{ event.data.client.name }}",
        "{{ nothing }}",
        "{{ location.title | shout }}",
        "{% include 'x' %}",
        "{{ now | date('%Q') }}",
        "{{ location.title | date }}",
        "{{ debug() }}",
        "{% raw %}{% endraw %}",
    ];
    let lines: Vec<String> = texts
        .iter()
        .map(|text| {
            format!(
                "id = \"link\"\naction = \"create_payment_link\"\n[[rule.then]]\nid = \"mail\"\naction = \"send_email\"\nto = \"a@example.com\"\nsubject = \"s\"\ntext = \"{text}\"\n[[rule.then]]\nid = \"later\"\naction = \"create_payment_link\""
            )
        })
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    insta::assert_snapshot!(steps(&lines), @r##"
    rules/a.toml:12:21: syntax error: unexpected end of input, expected end of variable block; see the minijinja language
    rules/a.toml:12:12: `location` has no `titel`; did you mean `title`?
    rules/a.toml:12:14: nothing is called `lnk`; did you mean `link`?
    rules/a.toml:12:12: the result of step `link` has no `uri`; it has `url`, `discount`
    rules/a.toml:12:12: step `later` has no result yet; only steps above this one have run
    rules/a.toml:12:12: step `mail` has no result yet; only steps above this one have run
    rules/a.toml:12:12: `event.data` is there only for entity events; remove it, or choose such a trigger
    rules/a.toml:12:12: nothing is called `nothing`; possible are `event`, `installation`, `location`, `application`, `now`
    rules/a.toml:12:29: filter shout is unknown; correct it, or leave it out
    rules/a.toml:12:12: tried to include non-existing template 'x'; correct it, or leave it out
    rules/a.toml:12:18: `date` cannot write the format "%Q"; correct it, or leave it out
    rules/a.toml:12:29: `date` was given something that is not a time; correct it, or leave it out
    rules/a.toml:12:12: nothing is called `debug`; possible are `event`, `installation`, `location`, `application`, `now`
    rules/a.toml:12:9: `raw` is not possible here; write `{{ "{{" }}` instead
    "##);
    insta::assert_snapshot!(steps(&["action = \"send_email\"\nto = \"nobody\""]), @r##"
    rules/a.toml:4:1: `subject` is missing; add `subject = "…"`
    rules/a.toml:4:1: `text` is missing; add `text = "…"`
    rules/a.toml:6:6: this is not a mail address; write `name@example.com` or `{{ location.email }}`
    "##);
}
