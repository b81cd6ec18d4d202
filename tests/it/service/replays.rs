//! Events that a person has judged once more.

use bellhop::sandbox::{Change, Place};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::stage::{APP, Stage, TOKEN, days};

const RECORDS: &str = r#"
[[rule]]
name = "record"
on = "record.created"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/record"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ event.id }} {{ event.resource_id }}"
"#;

const VISITS: &str = r#"
[[rule]]
name = "visit"
on = "record.created"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/visit"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ event.resource_id }}"
"#;

fn place(location_id: i64) -> Place {
    Place {
        application_id: APP,
        location_id,
    }
}

async fn records(stage: &Stage, location: i64, ids: std::ops::RangeInclusive<i64>) {
    for id in ids {
        let change = Change {
            resource_id: Some(id),
            data: Some(json!({"id": id})),
            ..Change::new(location, "record", "create")
        };
        stage.sandbox.change(change).await.expect("changed");
    }
    stage.settled().await;
}

/// The events of a kind, oldest first.
async fn numbers(stage: &Stage, location: i64, kind: &str) -> Vec<i64> {
    let page = stage
        .api(&format!("events?location={location}&kind={kind}&limit=500"))
        .await;
    let items = page["items"].as_array().expect("a list").iter();
    let mut numbers: Vec<i64> = items.map(|event| event["id"].as_i64().expect("a number")).collect();
    numbers.reverse();
    numbers
}

async fn told(stage: &Stage, inbox: &str) -> Vec<String> {
    stage.inbox(inbox).await.into_iter().map(|one| one.body).collect()
}

/// What was decided about an event, as `rule result replay reason`, in order.
async fn decided(stage: &Stage, event: i64) -> Vec<String> {
    let found = stage.api(&format!("events/{event}")).await;
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let decisions = found["decisions"].as_array().expect("a list").iter();
    let line = |one: &Value| {
        ["rule", "result", "replay_id", "reason"]
            .map(|key| word(&one[key]))
            .join(" ")
    };
    decisions.map(line).collect()
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_replay_fires_only_what_has_not_fired_and_its_decisions_stand_beside_the_first_ones(pool: PgPool) {
    let stage = Stage::set(pool, RECORDS).await;
    stage.connected(&[1]).await;
    records(&stage, 1, 1..=3).await;
    let events = numbers(&stage, 1, "record.created").await;
    let first = told(&stage, "record").await;
    assert_eq!(first.len(), 3);

    // A rule that came later has not fired for them.
    stage.write_rules(&format!("{RECORDS}\n{VISITS}"));
    assert_eq!(stage.order("rules/reload").await.0, 200);
    let ask = json!({"location": 1, "kind": "record.created", "dry_run": true});
    let (status, foreseen) = stage.order_with("events/replay", &ask).await;
    assert_eq!(status, 200, "{foreseen}");
    assert_eq!((&foreseen["events"], &foreseen["would_fire"]), (&json!(3), &json!(3)));
    let rules = &foreseen["items"][0]["rules"];
    assert_eq!(
        rules,
        &json!([
            {"rule": "record", "result": "skipped", "reason": "it has fired for this event before"},
            {"rule": "visit", "result": "would_fire", "reason": null}
        ])
    );
    let replays: i64 = sqlx::query_scalar("select count(*) from replays")
        .fetch_one(&stage.pool)
        .await
        .expect("a count");
    assert_eq!((replays, told(&stage, "visit").await.len()), (0, 0), "nothing was done");

    let (status, begun) = stage
        .order_with("events/replay", &json!({"location": 1, "kind": "record.created"}))
        .await;
    assert_eq!((status, &begun["events"]), (202, &json!(3)), "{begun}");
    stage.settled().await;
    assert_eq!(told(&stage, "visit").await, ["1", "2", "3"], "in their order");
    assert_eq!(told(&stage, "record").await, first);
    assert_eq!(
        decided(&stage, events[0]).await,
        [
            "record fired null null",
            "record skipped 1 it has fired for this event before",
            "visit fired 1 null"
        ]
    );

    // And once more: nothing.
    let (status, _) = stage.order(&format!("events/{}/replay", events[0])).await;
    assert_eq!(status, 202);
    stage.settled().await;
    assert_eq!(told(&stage, "visit").await.len(), 3);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_forced_replay_of_one_rule_tells_everything_again_in_order_under_keys_of_its_own(pool: PgPool) {
    let stage = Stage::set(pool, &format!("{RECORDS}\n{VISITS}")).await;
    stage.connected(&[1, 2]).await;
    records(&stage, 1, 1..=20).await;
    records(&stage, 2, 21..=30).await;
    let before = told(&stage, "record").await;
    let since = sqlx::query_scalar::<_, chrono::DateTime<chrono::Utc>>("select min(received_at) from events")
        .fetch_one(&stage.pool)
        .await
        .expect("a time");
    let ask = json!({"since": since, "rule": "record", "force": true, "key": "this once"});
    let (status, begun) = stage.order_with("events/replay", &ask).await;
    assert_eq!((status, &begun["events"]), (202, &json!(30)), "{begun}");
    // A program that repeats its request has not ordered twice.
    let (status, repeated) = stage.order_with("events/replay", &ask).await;
    let refused = json!({"a replay was asked for with this key before": 30});
    assert_eq!((status, &repeated["refused"]), (202, &refused), "{repeated}");
    assert_eq!((&repeated["events"], &repeated["replay_id"]), (&json!(0), &json!(null)));
    for wrong in [String::new(), "\0".to_owned(), "x".repeat(201)] {
        let ask = json!({"since": since, "key": wrong});
        let (status, problem) = stage.order_with("events/replay", &ask).await;
        assert_eq!(status, 400, "{wrong:?}: {problem}");
    }
    stage.settled().await;
    let all = told(&stage, "record").await;
    let of = |told: &[String], location: i64| -> Vec<String> {
        let here = |body: &&String| {
            let record: i64 = body.split(' ').nth(1).expect("two words").parse().expect("a number");
            (record <= 20) == (location == 1)
        };
        told.iter().filter(here).cloned().collect()
    };
    for location in [1, 2] {
        // The same events under their own numbers, once more from the first on.
        assert_eq!(of(&all[30..], location), of(&before, location));
    }
    assert_eq!(told(&stage, "visit").await.len(), 30, "the other rule was not asked");
    let keys: Vec<String> =
        sqlx::query_scalar("select key from firings where rule = 'record' and key like '%|replay 1' order by id")
            .fetch_all(&stage.pool)
            .await
            .expect("keys");
    assert_eq!(keys.len(), 30);
    let wrong = stage
        .order_with("events/replay", &json!({"since": since, "rule": "recrod"}))
        .await;
    assert_eq!(wrong.0, 404, "{}", wrong.1);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_replay_judges_and_does_not_move(pool: PgPool) {
    let rules = r#"
[[rule]]
name = "gone"
on = "installation.uninstalled"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/gone"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ installation.status }}"
"#;
    let stage = Stage::set(pool, "").await;
    stage.connected(&[1, 2]).await;
    stage.sandbox.disconnect(place(1)).await.expect("gone");
    stage.sandbox.disconnect(place(2)).await.expect("gone");
    stage.settled().await;
    stage.connected(&[2]).await;
    let history = async || stage.location(2).await["history"].clone();
    let before = history().await;
    stage.write_rules(rules);
    assert_eq!(stage.order("rules/reload").await.0, 200);
    for (location, told_so_far) in [(1, 1), (2, 1)] {
        let event = numbers(&stage, location, "installation.uninstalled").await[0];
        assert_eq!(stage.order(&format!("events/{event}/replay")).await.0, 202);
        stage.settled().await;
        assert_eq!(told(&stage, "gone").await.len(), told_so_far);
    }
    let event = numbers(&stage, 2, "installation.uninstalled").await[0];
    assert_eq!(
        decided(&stage, event).await,
        ["gone skipped 2 it belongs to an earlier connection (1, and now it is 2)"]
    );
    assert_eq!((stage.status(2).await, history().await), ("active".to_owned(), before));
    // Who insists gets it.
    for _ in 0..2 {
        let again = format!("events/{event}/replay?force=true&key=again");
        assert_eq!(stage.order(&again).await.0, 202);
    }
    stage.settled().await;
    assert_eq!(told(&stage, "gone").await, ["uninstalled", "active"]);
    assert_eq!(stage.status(2).await, "active");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_moment_that_is_too_late_stays_so_unless_it_is_forced(pool: PgPool) {
    let trial = r#"
[[rule]]
name = "over"
on = "trial.ended"
max_late = "2d"
when = 'RULE'
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/over"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "x"
"#;
    let stage = Stage::set(pool, &trial.replace("RULE", "installation.has_paid")).await;
    stage.connected(&[1]).await;
    stage.pass(days(15)).await;
    let events = numbers(&stage, 1, "trial.ended").await;
    assert_eq!(events.len(), 1);
    stage.pass(days(3)).await;
    // The date of the event stays, and the moment is made as old as it is.
    sqlx::query("update events set occurred_at = occurred_at - interval '3 days' where id = $1")
        .bind(events[0])
        .execute(&stage.pool)
        .await
        .expect("aged");
    sqlx::query(
        "update events set fact = jsonb_set(fact, '{date}', to_jsonb(i.trial_ends_at)) from installations i where events.id = $1",
    )
    .bind(events[0])
    .execute(&stage.pool)
    .await
    .expect("aged");
    stage.write_rules(&trial.replace("RULE", "!installation.has_paid"));
    assert_eq!(stage.order("rules/reload").await.0, 200);
    assert_eq!(stage.order(&format!("events/{}/replay", events[0])).await.0, 202);
    stage.settled().await;
    let late = &decided(&stage, events[0]).await[1];
    assert!(
        late.starts_with("over skipped 1 late by") && late.ends_with("max_late 2d"),
        "{late}"
    );
    assert_eq!(
        stage.order(&format!("events/{}/replay?force=true", events[0])).await.0,
        202
    );
    stage.settled().await;
    assert_eq!(told(&stage, "over").await, ["x"]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn an_event_that_could_not_be_judged_is_judged_as_if_it_waited(pool: PgPool) {
    let stage = Stage::set(pool, RECORDS).await;
    stage.connected(&[1]).await;
    let place = "update locations set data = data || '{\"id\": \"x\"}' where location_id = 1";
    sqlx::query(place).execute(&stage.pool).await.expect("spoilt");
    records(&stage, 1, 1..=2).await;
    stage
        .until("they failed", async || {
            let failed = stage.events(1).await;
            failed.iter().filter(|event| event.contains(" failed ")).count() == 2
        })
        .await;
    sqlx::query("update locations set data = data || '{\"id\": 1}' where location_id = 1")
        .execute(&stage.pool)
        .await
        .expect("mended");
    let (status, begun) = stage.order_with("events/replay", &json!({"state": "failed"})).await;
    assert_eq!((status, &begun["events"]), (202, &json!(2)), "{begun}");
    assert_eq!(begun["items"][0]["result"], "put_back");
    stage.settled().await;
    assert_eq!(told(&stage, "record").await.len(), 2);
    let events = stage.events(1).await;
    assert!(!events.iter().any(|event| event.contains("failed")), "{events:?}");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_was_refused_becomes_an_event_when_a_person_vouches_for_it(pool: PgPool) {
    let stage = Stage::set(pool, RECORDS).await;
    stage.connected(&[1]).await;
    let record =
        json!({"company_id": 1, "resource": "record", "resource_id": 77, "status": "create", "data": {"id": 77}});
    let wrong_key = stage.url(&format!("apps/{APP}/hooks/1/wrong"));
    assert_eq!(stage.post(&wrong_key, record.to_string()).await.0, 200);
    let freeze = json!({"salon_id": 1, "application_id": APP, "event": "freeze", "partner_token": "other"});
    assert_eq!(
        stage
            .post(&stage.url(&format!("apps/{APP}/callback")), freeze.to_string())
            .await
            .0,
        200
    );
    let foreign = json!({"salon_id": 1, "application_id": 5, "event": "freeze", "partner_token": TOKEN});
    assert_eq!(
        stage
            .post(&stage.url(&format!("apps/{APP}/callback")), foreign.to_string())
            .await
            .0,
        200
    );
    stage.settled().await;
    let [record, freeze, foreign] = numbers_of_refused(&stage).await[..] else {
        panic!("three were refused")
    };

    // Nothing proves them, and by itself nothing is believed.
    for (event, reason) in [
        (
            record,
            "the key of the address is wrong; what would prove it was not kept; --trust takes it as genuine",
        ),
        (
            freeze,
            "partner_token is wrong; what would prove it was not kept; --trust takes it as genuine",
        ),
    ] {
        let (status, refused) = stage.order(&format!("events/{event}/replay")).await;
        assert_eq!((status, &refused["items"][0]["reason"]), (202, &json!(reason)));
        assert_eq!(refused["replay_id"], Value::Null);
    }
    let (_, foreseen) = stage
        .order(&format!("events/{record}/replay?trust=true&dry_run=true"))
        .await;
    assert_eq!(foreseen["items"][0]["rules"][0]["result"], "would_fire", "{foreseen}");

    let (_, taken) = stage.order(&format!("events/{record}/replay?trust=true")).await;
    let became = taken["items"][0]["became"].as_i64().expect("a number");
    stage.settled().await;
    assert_eq!(told(&stage, "record").await, [format!("{became} 77")]);
    let made = stage.api(&format!("events/{became}")).await;
    assert_eq!(
        (&made["source"], &made["made_of"]),
        (&json!("operator"), &json!(record))
    );
    let old = stage.api(&format!("events/{record}")).await;
    assert_eq!(
        (&old["state"], &old["replays"][0]["became"]),
        (&json!("quarantined"), &json!(became))
    );
    let (_, again) = stage.order(&format!("events/{record}/replay?trust=true")).await;
    assert_eq!(
        again["items"][0]["reason"],
        format!("it was taken before, as event {became}")
    );

    // The token was cut out; what the callback says counts from when it came.
    assert_eq!(stage.order(&format!("events/{freeze}/replay?trust=true")).await.0, 202);
    stage.settled().await;
    assert_eq!(stage.status(1).await, "frozen");
    // Whoever vouches cannot make it another application's.
    let (_, refused) = stage.order(&format!("events/{foreign}/replay?trust=true")).await;
    assert_eq!(refused["items"][0]["reason"], "it is about another application");
    stage.end().await;
}

async fn numbers_of_refused(stage: &Stage) -> Vec<i64> {
    sqlx::query_scalar("select id from events where verdict <> 'received' order by id")
        .fetch_all(&stage.pool)
        .await
        .expect("numbers")
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn two_processes_judge_a_replay_once_and_a_stop_in_between_loses_nothing(pool: PgPool) {
    let stage = Stage::set(pool, RECORDS).await;
    stage.connected(&[1, 2, 3]).await;
    for location in 1..=3 {
        records(&stage, location, location * 100..=location * 100 + 29).await;
    }
    let other = stage.another().await;
    let ask = json!({"kind": "record.created", "application": APP, "force": true});
    let (first, second) = tokio::join!(
        stage.order_with("events/replay", &ask),
        stage.order_with("events/replay", &ask)
    );
    assert_eq!((first.0, second.0), (202, 202));
    let stage = stage.restarted().await;
    stage.settled().await;
    other.stop().await;
    stage.settled().await;
    // Each was told once, and once more by each of the two replays.
    assert_eq!(told(&stage, "record").await.len(), 270);
    let firings: i64 = sqlx::query_scalar("select count(*) from firings where rule = 'record'")
        .fetch_one(&stage.pool)
        .await
        .expect("a count");
    assert_eq!(firings, 270);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_had_no_effect_or_was_erased_is_left_out_with_its_reason(pool: PgPool) {
    let stage = Stage::set(pool, RECORDS).await;
    stage.connected(&[1]).await;
    records(&stage, 1, 1..=1).await;
    stage.sandbox.freeze(place(1)).await.expect("frozen");
    stage.settled().await;
    let freeze = json!({"salon_id": 1, "application_id": APP, "event": "freeze", "partner_token": TOKEN});
    assert_eq!(
        stage
            .post(&stage.url(&format!("apps/{APP}/callback")), freeze.to_string())
            .await
            .0,
        200
    );
    stage.settled().await;
    sqlx::query("update events set body = null where kind = 'record.created'")
        .execute(&stage.pool)
        .await
        .expect("erased");
    let (_, report) = stage.order_with("events/replay", &json!({"location": 1})).await;
    let refused = report["refused"].as_object().expect("reasons");
    for reason in [
        "its data was erased",
        "it had no effect: already frozen",
        "no rule waits for such an event",
    ] {
        assert!(refused.contains_key(reason), "{reason}: {refused:?}");
    }
    assert_eq!((&report["events"], &report["replay_id"]), (&json!(0), &Value::Null));
    let (status, _) = stage.order_with("events/replay", &json!({"force": true})).await;
    assert_eq!(status, 400, "it has to be said which");
    assert_eq!(stage.order("events/99999/replay").await.0, 404);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_receiver_that_lost_its_data_is_told_the_same_again_under_the_same_names(pool: PgPool) {
    let rules = r#"
[[rule]]
name = "relay"
on = "*"
[[rule.then]]
action = "forward_event"
url = "{sandbox}/inbox/relay"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"#;
    let stage = Stage::set(pool, rules).await;
    stage.connected(&[1]).await;
    records(&stage, 1, 1..=5).await;
    stage.sandbox.freeze(place(1)).await.expect("frozen");
    stage.settled().await;
    let named = async || -> Vec<(String, Value)> {
        let told = stage.inbox("relay").await.into_iter();
        told.map(|one| {
            let body: Value = serde_json::from_str(&one.body).expect("JSON");
            (one.headers["webhook-id"].clone(), body["data"]["event"]["id"].clone())
        })
        .collect()
    };
    let first = named().await;
    assert!(first.len() >= 7, "{first:?}");
    let ask = json!({"location": 1, "rule": "relay", "force": true});
    let (status, begun) = stage.order_with("events/replay", &ask).await;
    assert_eq!((status, &begun["events"]), (202, &json!(first.len())), "{begun}");
    stage.settled().await;
    assert_eq!(named().await[first.len()..], first);
    stage.end().await;
}
