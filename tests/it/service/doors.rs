//! The doors of the marketplace: what each believes, keeps and refuses, and what is answered.

mod bad_days;
mod rotation;
pub(crate) mod secrets;

use bellhop::{
    domain::{
        ids::{ApplicationId, Place},
        signature::{application_hook_key, hook_key},
    },
    sandbox::{self, Forged, ForgedToken},
};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::stage::{APP, HOOK_SECRET, SIBLING, Stage, TOKEN, place};

/// An appointment that changed.
fn record(location: i64, id: i64, note: &str) -> String {
    json!({"company_id": location, "resource": "record", "resource_id": id, "status": "update", "data": {"comment": note}})
        .to_string()
}

/// A lifecycle callback with nothing wrong.
fn callback(location: i64, event: &str) -> Value {
    json!({"salon_id": location, "application_id": APP, "event": event, "partner_token": TOKEN})
}

impl Stage {
    fn callback_url(&self) -> String {
        self.url(&format!("apps/{APP}/callback"))
    }

    /// Sends to a door; whatever it is, it is answered 200.
    async fn give(&self, url: &str, body: impl Into<Vec<u8>>) {
        let (status, answer) = self.post(url, body).await;
        assert_eq!((status, answer.as_str()), (200, r#"{"success":true}"#), "{url}");
    }
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_door_believes_its_own_key_and_what_was_refused_may_come_again_by_the_right_one(pool: PgPool) {
    let secret = format!("hook_secret = \"{HOOK_SECRET}\"");
    let two = format!("{secret}\nhook_secret_previous = \"the secret before\"");
    let stage = Stage::set_edited(pool, "", |_| {}, &[(&secret, &two)]).await;
    let at = |path: &str| stage.url(&format!("apps/{APP}/{path}"));
    let whole = application_hook_key(HOOK_SECRET, ApplicationId(APP));
    let wrong = [
        at("hooks/7/wrong"),
        at("hooks/wrong"),
        stage.hook(8).replace("/hooks/8/", "/hooks/7/"),
        at(&format!("hooks/7/{whole}")),
        stage.callback_url(),
        stage.url(&format!("apps/{SIBLING}/hooks/7/{whole}")),
    ];
    for url in &wrong {
        stage.give(url, record(7, 1, "x")).await;
    }
    stage.give(&stage.hook(8), record(7, 1, "x")).await;
    let previous = |location| hook_key("the secret before", place(location));
    stage.give(&stage.hook(7), record(7, 1, "x")).await;
    stage
        .give(&at(&format!("hooks/{whole}")), record(9, 2, "by the application's key"))
        .await;
    stage
        .give(
            &at(&format!("hooks/7/{}", previous(7))),
            record(7, 3, "by the previous secret"),
        )
        .await;
    stage.settled().await;
    assert_eq!(
        stage.all_events().await,
        [
            "7 record.updated webhook quarantined the key of the address is wrong",
            "7 record.updated webhook quarantined unverified: an entity event at an address without a key",
            "7 unknown webhook quarantined no application of this number is configured here",
            "7 record.updated webhook rejected it is about another location than its address",
            "7 record.updated webhook processed",
            "9 record.updated webhook processed",
            "7 record.updated webhook processed",
        ]
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_callback_counts_with_our_token_for_our_application_at_any_of_our_doors(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    stage.connected(&[1, 2, 3, 4]).await;
    let forged = |token, claimed| Forged {
        token,
        claimed_application_id: claimed,
        ..Forged::new(APP, 1, "uninstall")
    };
    for (token, claimed) in [
        (ForgedToken::Wrong, None),
        (ForgedToken::Null, None),
        (ForgedToken::Missing, None),
        (ForgedToken::Right, Some(SIBLING)),
        (ForgedToken::Right, Some(999)),
    ] {
        stage.sandbox.callback(forged(token, claimed)).await.expect("sent");
    }
    let mut no_application = callback(1, "uninstall");
    no_application
        .as_object_mut()
        .expect("an object")
        .remove("application_id");
    stage.give(&stage.callback_url(), no_application.to_string()).await;
    stage
        .give(&stage.callback_url(), callback(1, "disable").to_string())
        .await;
    stage
        .give(&stage.callback_url(), callback(-1, "freeze").to_string())
        .await;
    stage.settled().await;
    assert_eq!(stage.status(1).await, "active");
    let refused: Vec<String> = stage
        .events(1)
        .await
        .into_iter()
        .filter(|line| line.contains("callback"))
        .collect();
    assert_eq!(
        refused,
        [
            "installation.uninstalled callback rejected partner_token is wrong",
            "installation.uninstalled callback rejected partner_token is missing",
            "installation.uninstalled callback rejected partner_token is missing",
            "installation.uninstalled callback rejected it is about another application",
            "installation.uninstalled callback rejected it is about another application",
            "installation.uninstalled callback rejected it is about another application",
            "unknown callback quarantined unknown lifecycle event",
        ]
    );
    // Genuine: the same, after all those; ids as texts; the other name of the key; at the hooks URL.
    stage
        .give(&stage.callback_url(), callback(1, "uninstall").to_string())
        .await;
    let text_ids = Forged {
        string_ids: true,
        ..Forged::new(APP, 2, "freeze")
    };
    stage.sandbox.callback(text_ids).await.expect("sent");
    let other_key = Forged {
        event_type_key: true,
        ..Forged::new(APP, 3, "freeze")
    };
    stage.sandbox.callback(other_key).await.expect("sent");
    stage.give(&stage.hook(9), callback(4, "freeze").to_string()).await;
    stage.settled().await;
    let mut statuses = Vec::new();
    for location in 1..=4 {
        statuses.push(stage.status(location).await);
    }
    assert_eq!(statuses, ["uninstalled", "frozen", "frozen", "frozen"]);
    let deliveries = stage.sandbox.deliveries().await;
    let answered: Vec<_> = deliveries
        .iter()
        .flat_map(|sent| &sent.attempts)
        .map(|attempt| attempt.status)
        .collect();
    assert_eq!(answered, [Some(200); 7]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_bad_element_loses_no_good_one_and_numbers_may_be_texts(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let good = |id: i64| json!({"company_id": "7", "resource": "master", "resource_id": id.to_string(), "status": "create", "data": []});
    let list = json!([
        good(1), 17, null, "text", [], {}, {"resource": "record"}, [good(2)], good(3_000_000_000_i64), good(1),
        {"company_id": "seven", "resource": "client", "status": "update"},
        {"company_id": 0, "resource": "client", "status": "update"},
        {"company_id": 7, "resource": "Something New", "resource_id": null, "status": "visit_confirmed", "data": null},
        callback(7, "freeze"),
    ]);
    stage.give(&stage.hook(7), list.to_string()).await;
    stage.settled().await;
    let unknown = "7 unknown webhook quarantined unknown shape";
    assert_eq!(
        stage.all_events().await[..13],
        [
            "7 staff.created webhook processed",
            unknown, // 17
            unknown, // null
            unknown, // "text"
            unknown, // []
            unknown, // {}
            unknown, // no company_id
            unknown, // a list in the list
            "7 staff.created webhook processed",
            "7 client.updated webhook quarantined company_id is no location number",
            "7 client.updated webhook quarantined company_id is no location number",
            "7 something_new.visit_confirmed webhook processed",
            "7 installation.frozen callback processed",
        ]
    );
    let staff = stage.api("events?kind=staff.created").await;
    assert_eq!(staff["items"][0]["resource_id"], 3_000_000_000_i64);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_delivery_is_the_same_by_its_name_and_its_body(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let send = async |hook_id: &str, body: String| {
        let request = stage.http.post(stage.hook(7)).header("X-Hook-Id", hook_id).body(body);
        assert_eq!(request.send().await.expect("an answer").status(), 200);
    };
    send("a", record(7, 1, "named a")).await;
    send("a", record(7, 1, "named a")).await; // a transport retry
    send("a", record(7, 1, "another body under the same name")).await;
    send("b", record(7, 1, "named a")).await; // the same change, told again
    send(" ", record(7, 2, "no name")).await;
    send("", record(7, 2, "no name")).await;
    stage.give(&stage.hook(7), record(7, 2, "no name")).await;
    stage
        .give(&stage.hook(7), format!("[{0},{0}]", record(7, 3, "twice in one list")))
        .await;
    // Many at once end in one batch of the writer.
    let body = record(7, 4, "at once");
    let hook = stage.hook(7);
    futures_util::future::join_all((0..30).map(|_| stage.give(&hook, body.clone()))).await;
    stage.settled().await;
    assert_eq!(stage.events(7).await.len(), 6);
    let metrics = stage.metrics().await;
    let counted = |result: &str| {
        let start =
            format!("bellhop_deliveries_total{{application=\"{APP}\",kind=\"record.updated\",result=\"{result}\"}} ");
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(&start))
            .unwrap_or("0");
        line.parse::<u32>().expect("a number")
    };
    assert_eq!((counted("accepted"), counted("duplicate")), (6, 33));
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn equal_callbacks_with_a_reconnection_between_them_all_count(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let here = sandbox::Place {
        application_id: APP,
        location_id: 5,
    };
    for _ in 0..2 {
        stage.connected(&[5]).await;
        stage.sandbox.disconnect(here).await.expect("disconnected");
        stage.settled().await;
        assert_eq!(stage.status(5).await, "uninstalled");
    }
    stage
        .give(&stage.callback_url(), callback(5, "uninstall").to_string())
        .await;
    stage.settled().await;
    let uninstalls: Vec<String> = stage
        .events(5)
        .await
        .into_iter()
        .filter(|line| line.starts_with("installation.uninstalled"))
        .collect();
    assert_eq!(
        uninstalls,
        [
            "installation.uninstalled callback processed",
            "installation.uninstalled callback processed",
            "installation.uninstalled callback processed already uninstalled",
        ]
    );
    let location = stage.location(5).await;
    assert_eq!(location["generation"], 2);
    assert_eq!(stage.called("activate").await, 2);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_reported_payment_needs_its_sign_and_the_status_to_be_believed(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    stage.connected(&[100_001]).await;
    let payment = |edit: &dyn Fn(&mut Value)| {
        let mut body = callback(100_001, "payment");
        let more = json!({"payment_id": 13, "amount": 100, "discount": 5, "currency_iso": "EUR",
            "sign": "44a0e992d61647cc2d6f38304c465777aa54f501f6c5fa73f6358d57091b993d"});
        body.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        edit(&mut body);
        body.to_string()
    };
    let edits: [&dyn Fn(&mut Value); 8] = [
        &|body| body["amount"] = json!(101),
        &|body| body["discount"] = Value::Null,
        &|body| body["sign"] = json!("00"),
        &|body| body["sign"] = Value::Null,
        &|body| body["amount"] = Value::Null,
        &|body| body["payment_id"] = json!("none"),
        &|body| body["partner_token"] = json!("wrong"),
        &|body| body["currency_iso"] = json!("\u{0}\u{1}\u{2}"),
    ];
    for edit in edits {
        stage.give(&stage.callback_url(), payment(edit)).await;
    }
    stage.settled().await;
    let reported: Vec<String> = stage
        .events(100_001)
        .await
        .into_iter()
        .filter(|line| line.starts_with("payment"))
        .collect();
    assert_eq!(
        reported,
        [
            "payment.received callback rejected sign does not match",
            "payment.received callback rejected sign does not match",
            "payment.received callback rejected sign does not match",
            "payment.received callback rejected sign is missing",
            "payment.received callback rejected the signed fields are missing",
            "payment.received callback quarantined payment_id is no number",
            "payment.received callback rejected partner_token is wrong",
            "payment.received callback processed a reported payment waits for the status to confirm it",
        ]
    );
    assert_eq!(stage.location(100_001).await["has_paid"], false);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn unverified_events_are_believed_only_where_the_configuration_says_so(pool: PgPool) {
    let rules = r#"
        [[rule]]
        name = "any-record"
        on = "record.updated"
        [[rule.then]]
        action = "send_webhook"
        url = "{sandbox}/inbox/all"
        secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    "#;
    let stage = Stage::set_with(pool, rules, |_| {}, "accept_unverified = true").await;
    stage.give(&stage.callback_url(), record(7, 1, "x")).await;
    stage
        .give(&stage.url(&format!("apps/{APP}/hooks/7/wrong")), record(7, 2, "x"))
        .await;
    stage.settled().await;
    assert_eq!(
        stage.events(7).await,
        [
            "record.updated webhook processed",
            "record.updated webhook quarantined the key of the address is wrong",
        ]
    );
    assert_eq!(stage.decisions(7).await, ["any-record fired"]);
    assert_eq!(stage.sandbox.inbox().await.len(), 1);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn probes_are_answered_and_change_nothing(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let key = hook_key("any", Place { ..place(7) });
    for path in [
        "callback",
        "hooks/7/x",
        &format!("hooks/7/{key}"),
        "hooks/x",
        "connect",
        "connect?salon_id=7",
    ] {
        let url = stage.url(&format!("apps/{APP}/{path}"));
        if !path.ends_with("salon_id=7") {
            assert_eq!(
                stage.http.get(&url).send().await.expect("an answer").status(),
                200,
                "GET {path}"
            );
        }
        assert_eq!(
            stage.http.head(&url).send().await.expect("an answer").status(),
            200,
            "HEAD {path}"
        );
    }
    assert_eq!(stage.open(&stage.url("healthz")).await, (200, None, "ok\n".to_owned()));
    assert_eq!(stage.open(&stage.url("apps/999/callback")).await.0, 200);
    assert_eq!(stage.all_events().await, [""; 0]);
    stage.end().await;
}
