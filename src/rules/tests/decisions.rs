use serde_json::json;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn the_examples_load() {
    let examples = [
        include_str!("../../../examples/rules/welcome-discount.toml"),
        include_str!("../../../examples/rules/trial-end-link.toml"),
        include_str!("../../../examples/rules/frozen-notice.toml"),
        include_str!("../../../examples/rules/payment-thanks.toml"),
        include_str!("../../../examples/rules/own-payment.toml"),
        include_str!("../../../examples/rules/cancelled-appointments.toml"),
        include_str!("../../../examples/rules/forward-everything.toml"),
        include_str!("../../../examples/rules/forward-no-shows.toml"),
        include_str!("../../../examples/rules/telegram-on-install.toml"),
        include_str!("../../../examples/rules/slack-on-uninstall.toml"),
        include_str!("../../../examples/rules/tag-vip.toml"),
        include_str!("../../../examples/rules/sender-names.toml"),
    ];
    let files: Vec<SourceFile> = examples.iter().map(|text| file(text)).collect();
    let secret = |path: &str| {
        let text = match path {
            "/run/secrets/telegram-bot" => "123456789:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "/run/secrets/slack-webhook" => "https://hooks.slack.com/services/T0/B0/X0",
            _ => SECRET,
        };
        Ok(Some(format!("{text}\n")))
    };
    let set = RuleSet::load(&files, &secret).unwrap_or_else(|all| panic!("{}", show(&all)));
    let names: Vec<&str> = set.rules().iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "welcome-discount",
            "offer-at-trial-end",
            "frozen-notice",
            "payment-thanks",
            "contract-month",
            "cancelled-appointments",
            "forward-everything",
            "forward-no-shows",
            "telegram-on-install",
            "slack-on-uninstall",
            "tag-vip",
            "vip-trial-ends",
            "sender-names",
        ]
    );
    assert_eq!(
        set.moments(),
        [Moment::TrialEnding { before: 3 * DAY }, Moment::TrialEnded]
    );
    assert_eq!(set.max_late(), 2 * DAY);
    let offer = set
        .rules()
        .iter()
        .find(|rule| rule.name == "offer-at-trial-end")
        .expect("a rule");
    let secrets = |step: usize| set.secrets_of(&offer.name, step, &offer.steps[step].action).len();
    assert_eq!((secrets(2), secrets(1)), (1, 0));
    assert!(!format!("{set:?}").contains(SECRET));
}

#[test]
fn rules_match_their_kinds_and_moments() {
    let asked = |on: &str, kind: &str, came: Option<Moment>| {
        let set = one(&format!("on = \"{on}\""));
        let kind: Kind = kind.parse().expect("any text is a kind");
        set.matching(&kind, came).count() == 1
    };
    let matches = |on: &str, kind: &str| asked(on, kind, None);
    let comes = |on: &str, moment: Moment| asked(on, &moment.kind().to_string(), Some(moment));
    assert!(matches("record.*", "record.visit_confirmed"));
    assert!(matches("*.deleted", "client.deleted"));
    assert!(matches("*.*", "something.else"));
    assert!(!matches("*.*", "installation.frozen"));
    assert!(!comes("*.*", Moment::TrialEnded));
    assert!(!matches("record.created", "record.updated"));
    assert!(comes("trial.ended", Moment::TrialEnded));
    assert!(!comes("trial.ended", Moment::PeriodEnded));
    let ending = "trial.ending\"\nbefore = \"3d";
    assert!(comes(ending, Moment::TrialEnding { before: 3 * DAY }));
    assert!(!comes(ending, Moment::TrialEnding { before: DAY }));
    assert!(!comes(ending, Moment::PeriodEnding { before: 3 * DAY }));
    let schedule = |cron: &str| Moment::Schedule { cron: cron.to_owned() };
    assert!(comes("schedule\"\ncron = \"0  9 * * MON", schedule("0 9 * * MON")));
    assert!(!comes("schedule\"\ncron = \"0 9 * * MON", schedule("0 9 * * TUE")));
    assert!(comes("silence\"\nfor = \"7d", Moment::Silence { lasting: 7 * DAY }));
    assert!(!comes("silence\"\nfor = \"7d", Moment::Silence { lasting: DAY }));
    // The entity that is called so is another thing.
    assert!(matches("schedule.*", "schedule.updated"));
    assert!(!comes("schedule.*", schedule("0 9 * * MON")));
}

#[test]
fn a_key_names_what_must_happen_once() {
    let record = World::entity(
        "record.updated",
        Some(json!({"last_change_date": "2026-03-05T10:00:00+0400"})),
    );
    let per = |once_per: &str| one(&format!("on = \"record.*\"\nonce_per = \"{once_per}\""));
    assert_eq!(record.judged(&per("location")), "r|18289|100001");
    assert_eq!(record.judged(&per("installation")), "r|18289|100001|g2");
    assert_eq!(
        record.judged(&per("occurrence")),
        "r|18289|100001|g2|record.updated|5|at=2026-03-05T10:00:00+0400"
    );
    let schedule = World::entity("schedule.updated", Some(json!([])));
    assert_eq!(
        schedule.judged(&one("on = \"schedule.updated\"")),
        "r|18289|100001|g2|schedule.updated|5|sha=abc123"
    );
    assert_eq!(
        World::payment("10").judged(&one("on = \"payment.received\"")),
        "r|18289|100001|payment.received|9"
    );
    assert_eq!(
        World::new("activation.expired", Subject::Expired { pending_since: now() })
            .judged(&one("on = \"activation.expired\"")),
        "r|18289|100001|g2|activation.expired"
    );
    assert_eq!(
        World::new("installation.frozen", Subject::Status).judged(&one("on = \"installation.frozen\"")),
        "r|18289|100001|g2|installation.frozen|77"
    );
}

#[test]
fn a_key_of_a_moment_tells_those_apart_that_are_two() {
    let key = |moment: Moment, mark: Mark, on: &str| {
        World::moment(moment, TimeDelta::zero(), mark).judged(&one(&format!("on = \"{on}\"")))
    };
    let end = Mark::End(now());
    let before = DAY;
    assert_eq!(
        key(Moment::TrialEnding { before }, end, "trial.ending\"\nbefore = \"1d"),
        "r|18289|100001|g2|trial.ending|86400s"
    );
    assert_eq!(
        key(Moment::PeriodEnding { before }, end, "period.ending\"\nbefore = \"1d"),
        "r|18289|100001|g2|period.ending|86400s|end=1772746200"
    );
    assert_eq!(
        key(Moment::PeriodEnded, end, "period.ended"),
        "r|18289|100001|g2|period.ended|end=1772746200"
    );
    let cron = "0 9 * * MON".to_owned();
    let local_at = "2026-03-09T09:00:00".parse().expect("a time");
    assert_eq!(
        key(
            Moment::Schedule { cron },
            Mark::Local(local_at),
            "schedule\"\ncron = \"0 9 * * MON"
        ),
        "r|18289|100001|g2|schedule|2026-03-09T09:00"
    );
    let silence = |after| {
        let mark = Mark::Silence { since: now(), after };
        key(Moment::Silence { lasting: DAY }, mark, "silence\"\nfor = \"1d")
    };
    assert_eq!(silence(Some(EventId(5))), "r|18289|100001|g2|silence|86400s|after=5");
    assert_eq!(silence(None), "r|18289|100001|g2|silence|86400s|since=1772746200");
}

#[test]
fn a_long_key_becomes_a_digest_that_still_tells_apart() {
    let of = |end: &str| {
        let date = format!("{}{end}", "x".repeat(5000));
        World::entity("record.updated", Some(json!({ "last_change_date": date }))).judged(&one("on = \"record.*\""))
    };
    assert!(of("a").len() <= 200, "{}", of("a"));
    assert_ne!(of("a"), of("b"));
}

#[test]
fn late_moments_are_skipped_by_their_limits() {
    let ended = |head: &str, late: TimeDelta| {
        World::moment(Moment::TrialEnded, late, Mark::End(now())).judged(&one(&format!("on = \"trial.ended\"\n{head}")))
    };
    assert!(ended("", TimeDelta::hours(47)).starts_with("r|"));
    assert_eq!(ended("", TimeDelta::hours(76)), "- late by 3d 4h, max_late 2d");
    assert!(ended("", TimeDelta::hours(-5)).starts_with("r|"));
    assert_eq!(
        ended("max_late = \"1h\"", TimeDelta::minutes(61)),
        "- late by 1h 1m, max_late 1h"
    );
    assert!(ended("late = \"skip\"", TimeDelta::minutes(15)).starts_with("r|"));
    assert_eq!(
        ended("late = \"skip\"", TimeDelta::minutes(16)),
        "- late by 16m, and late = \"skip\""
    );
}

#[test]
fn a_schedule_may_be_an_hour_late_unless_the_rule_says_otherwise() {
    let came = |head: &str, late| {
        let cron = "0 9 * * *".to_owned();
        World::moment(Moment::Schedule { cron }, late, Mark::Local(now().naive_utc()))
            .judged(&one(&format!("on = \"schedule\"\ncron = \"0 9 * * *\"\n{head}")))
    };
    assert!(came("", TimeDelta::minutes(60)).starts_with("r|"));
    assert_eq!(came("", TimeDelta::minutes(61)), "- late by 1h 1m, max_late 1h");
    assert!(came("max_late = \"1d\"", TimeDelta::hours(23)).starts_with("r|"));
}

#[test]
fn conditions_answer_or_say_why_not() {
    let frozen = World::new("installation.frozen", Subject::Status);
    let judged = |when: &str| frozen.judged(&one(&format!("on = \"installation.frozen\"\nwhen = '{when}'")));
    for holds in [
        "location.country_id == 7",
        "location.country in [\"GE\", \"AM\"] && !has(location.country_name)",
        "location[\"country_id\"] in [1, 7]",
        "installation.trial_ends_at - now < duration(\"72h\")",
        "!has(location.email) && has(location.title)",
        "installation.status == \"active\" && !installation.has_paid",
        "application.name.startsWith(\"Example\") && location.title.matches(\"^Sal\")",
        "[1, 2, 7].exists(n, n == location.country_id)",
        "event.kind == \"installation.frozen\" && event.source == \"status\"",
    ] {
        assert!(judged(holds).starts_with("r|"), "{holds}: {}", judged(holds));
    }
    assert_eq!(
        judged("location.country_id == 8"),
        "- condition is false: location.country_id == 8"
    );
    assert_eq!(
        judged("location.email != \"\""),
        "- condition failed: no such key: email"
    );
    assert_eq!(
        judged("now > installation.paid_until"),
        "- condition failed: no such key: paid_until"
    );
    assert_eq!(
        frozen.judged(&one("on = \"installation.frozen\"\nmode = \"off\"")),
        "- the rule is off"
    );
}

#[test]
fn money_compares_with_any_number() {
    let paid = World::payment("990.99");
    let judged = |when: &str| paid.judged(&one(&format!("on = \"payment.received\"\nwhen = '{when}'")));
    assert!(judged("event.payment.amount > 990 && event.payment.amount * 2.0 < 2000.0").starts_with("r|"));
    assert_eq!(
        judged("event.payment.currency == \"EUR\""),
        "- condition failed: no such key: currency"
    );
}

#[test]
fn data_of_an_event_may_have_any_shape() {
    let data = json!({"client": null, "services": [{"cost": 10}, {"cost": 20.5}], "attendance": -1, "big": u64::MAX});
    let judged = |data: Option<Value>, when: &str| {
        World::entity("record.updated", data).judged(&one(&format!("on = \"record.*\"\nwhen = '{when}'")))
    };
    let with = |when: &str| judged(Some(data.clone()), when);
    assert!(with("event.data.services.exists(s, s.cost > 20)").starts_with("r|"));
    assert!(with("event.data.client == null && event.data.big > 5u").starts_with("r|"));
    assert_eq!(
        with("event.data.attendance"),
        "- condition failed: it gives int, not true or false"
    );
    assert_eq!(
        with("event.data.client.name == \"x\""),
        "- condition failed: `.` does not work on null and string"
    );
    assert!(judged(None, "!has(event.data.client)").starts_with("r|"));
    assert_eq!(
        judged(Some(json!([])), "has(event.data.client)"),
        "- condition failed: `.` does not work on list and string"
    );
}

#[test]
fn an_event_cannot_keep_a_condition_busy() {
    let judged = |data: Value, when: &str| {
        World::entity("record.updated", Some(data)).judged(&one(&format!("on = \"record.*\"\nwhen = '{when}'")))
    };
    let list = |length: usize| json!({ "l": vec![1; length] });
    let pairs = "event.data.l.all(x, event.data.l.all(y, x == y))";
    assert!(judged(list(100), pairs).starts_with("r|"));
    assert_eq!(
        judged(list(5000), pairs),
        "- condition failed: the event is too large for it (5002 values, longest list 5000)"
    );
    let copies = "event.data.l.map(x, event.data).size() > 0";
    assert!(judged(list(5000), copies).contains("too large"));
    assert!(judged(list(100_000), "event.data.l.size() > 0").contains("too large"));
    assert!(judged(json!({"t": "x".repeat(3_000_000)}), "event.data.t == \"\"").contains("too large"));
    let text = "event.data.l.all(x, \"abc\".matches(\"a\"))";
    assert!(judged(list(5000), text).contains("too large"));
}

#[test]
fn a_worker_thread_has_stack_enough_for_the_deepest_condition() {
    let sum = vec!["1"; condition::DEEPEST - 1].join(" + ");
    let set = one(&format!("on = \"installation.frozen\"\nwhen = '{sum} > 0'"));
    std::thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(move || {
            let frozen = World::new("installation.frozen", Subject::Status);
            assert!(frozen.judged(&set).starts_with("r|"));
        })
        .expect("a thread")
        .join()
        .expect("no panic");
}

#[test]
fn the_same_name_in_two_files_is_refused() {
    let text = "[[rule]]\nname = \"r\"\non = \"*.*\"\n[[rule.then]]\naction = \"set_discount\"\npercent = 1\n";
    let files = [
        file(text),
        SourceFile {
            name: "rules/b.toml".to_owned(),
            text: text.to_owned(),
        },
    ];
    let mistakes = RuleSet::load(&files, &|_| Err("no".to_owned())).expect_err("one name twice");
    insta::assert_snapshot!(show(&mistakes), @"rules/b.toml:2:8: another rule is called `r` too; choose another name; it is part of what makes a firing unique");
}

#[test]
fn the_default_body_of_a_webhook_says_everything() {
    let mut world = World::payment("990.90");
    world.location.email = Some("owner@example.com".to_owned());
    let mut results = serde_json::Map::new();
    results.insert("link".to_owned(), json!({"url": "https://example.com/pay"}));
    insta::assert_json_snapshot!(default_webhook_body(&world.facts(), &results), @r##"
    {
      "type": "payment.received",
      "timestamp": "2026-03-05T21:30:00Z",
      "data": {
        "event": {
          "id": 77,
          "kind": "payment.received",
          "source": "status",
          "at": "2026-03-05T21:30:00Z",
          "payment": {
            "id": 9,
            "amount": "990.90"
          }
        },
        "installation": {
          "status": "active",
          "generation": 2,
          "has_paid": false,
          "tags": [],
          "trial_ends_at": "2026-03-07T21:30:00Z",
          "connected_at": "2026-03-05T21:30:00Z"
        },
        "location": {
          "id": 100001,
          "title": "Salon \"<b>\"",
          "email": "owner@example.com",
          "country_id": 7,
          "country": "GE",
          "timezone_name": "Asia/Tbilisi"
        },
        "application": {
          "id": 18289,
          "name": "Example app"
        },
        "results": {
          "link": {
            "url": "https://example.com/pay"
          }
        }
      }
    }
    "##);
}
