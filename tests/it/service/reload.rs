//! Other rules take the place of those in use, whole or not at all, while everything goes on.

use std::time::Duration;

use bellhop::sandbox::{Change, Fault, FaultKind};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{
    program::{Program, ended, signal, until},
    stage::{APP, SIBLING, Stage, days},
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";

/// A rule that tells an inbox of its own name.
fn tell(name: &str, on: &str, secret: &str) -> String {
    format!(
        "[[rule]]\nname = \"{name}\"\non = \"{on}\"\n[[rule.then]]\naction = \"send_webhook\"\n\
         url = \"{{sandbox}}/inbox/{name}\"\nsecret = \"{secret}\"\nbody = \"{name}\"\n\n"
    )
}

fn metric(metrics: &str, name: &str) -> Option<f64> {
    let line = metrics.lines().find(|line| line.starts_with(name))?;
    line.rsplit(' ').next()?.parse().ok()
}

async fn changed(stage: &Stage, resource: &str) {
    let change = Change::new(1, resource, "create");
    stage.sandbox.change(change).await.expect("changed");
    stage.settled().await;
}

/// The names of the rules in use, by application.
async fn in_use(stage: &Stage) -> Vec<String> {
    let rules = stage.api("rules").await;
    let items = rules["items"].as_array().expect("a list");
    items
        .iter()
        .map(|item| {
            format!(
                "{} {} {}",
                item["application_id"],
                item["rule"].as_str().expect("a name"),
                item["firings"]
            )
        })
        .collect()
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_rules_of_all_applications_change_together_and_firings_are_counted(pool: PgPool) {
    let sibling = format!(
        "rules = [\"rules.toml\"]\n[[application]]\nid = {SIBLING}\naccount = \"main\"\nname = \"Sibling\"\n\
         rules = [\"rules.toml\"]"
    );
    let edits = [("rules = [\"rules.toml\"]", sibling.as_str())];
    let stage = Stage::set_edited(pool, &tell("old", "record.created", SECRET), |_| {}, &edits).await;
    stage.connected(&[1]).await;
    changed(&stage, "record").await;
    assert_eq!(in_use(&stage).await, ["18289 old 1", "18290 old 0"]);
    let began = metric(&stage.metrics().await, "bellhop_rules_loaded_timestamp_seconds").expect("a moment");

    stage.write_rules(
        &[
            tell("new", "client.created", SECRET),
            tell("more", "record.created", SECRET),
        ]
        .concat(),
    );
    assert_eq!(in_use(&stage).await.len(), 2, "nobody has asked yet");
    let (status, said) = stage.order("rules/reload").await;
    assert_eq!((status, &said["rules"]), (200, &json!(4)));
    assert_eq!(
        in_use(&stage).await,
        ["18289 new 0", "18289 more 0", "18290 new 0", "18290 more 0"]
    );
    changed(&stage, "client").await;
    changed(&stage, "record").await;
    assert_eq!(stage.decisions(1).await, ["old fired", "new fired", "more fired"]);
    assert_eq!(
        in_use(&stage).await,
        ["18289 new 1", "18289 more 1", "18290 new 0", "18290 more 0"]
    );
    let metrics = stage.metrics().await;
    assert_eq!(
        metric(&metrics, "bellhop_rules_reloads_total{result=\"loaded\"}"),
        Some(1.0)
    );
    assert!(metric(&metrics, "bellhop_rules_loaded_timestamp_seconds").is_some_and(|at| at > began));
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_set_with_a_mistake_is_refused_whole_with_all_of_them(pool: PgPool) {
    let stage = Stage::set(pool, &tell("old", "record.created", SECRET)).await;
    stage.connected(&[1]).await;
    let good = tell("good", "record.created", SECRET);
    let wrong = [
        good.clone(),
        tell("wrong", "record.creatd", SECRET),
        tell("worse", "record.created", "whsec_short"),
    ]
    .concat();
    stage.write_rules(&wrong);
    let (status, said) = stage.order("rules/reload").await;
    assert_eq!((status, &said["title"]), (422, &json!("Unprocessable Entity")));
    let mistakes: Vec<&str> = said["mistakes"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(mistakes.len(), 2, "{said}");
    assert!(mistakes[0].ends_with("rules.toml:12:6: unknown trigger `record.creatd`; did you mean `record.created`?"));
    assert!(
        mistakes[1].contains("rules.toml:25:10: this is not a webhook secret"),
        "{said}"
    );
    changed(&stage, "record").await;
    assert_eq!(stage.decisions(1).await, ["old fired"]);
    let metrics = stage.metrics().await;
    assert_eq!(metric(&metrics, "bellhop_rules_refused"), Some(1.0));
    assert_eq!(
        metric(&metrics, "bellhop_rules_reloads_total{result=\"refused\"}"),
        Some(1.0)
    );

    stage.write_rules(&good);
    assert_eq!(stage.order("rules/reload").await.0, 200);
    assert_eq!(metric(&stage.metrics().await, "bellhop_rules_refused"), Some(0.0));
    changed(&stage, "record").await;
    assert_eq!(stage.decisions(1).await, ["old fired", "good fired"]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_a_rule_has_begun_goes_on_as_it_was_when_the_rule_is_gone_or_changed(pool: PgPool) {
    let rules = [
        tell("gone", "record.created", SECRET),
        tell("moved", "record.created", SECRET),
        tell("bye", "installation.uninstalled", SECRET),
    ]
    .concat();
    let stage = Stage::set(pool, &rules).await;
    stage.connected(&[1]).await;
    for name in ["inbox.gone", "inbox.moved", "inbox.bye"] {
        let busy = Fault::new(name, FaultKind::Status).status(503).retry_after(1);
        stage.sandbox.fail(busy).await.expect("a fault");
    }
    changed(&stage, "record").await;
    // The step before the old one makes it the second, and it goes elsewhere with another secret.
    let moved = tell("moved", "record.created", OTHER_SECRET).replace("/inbox/moved", "/inbox/elsewhere");
    stage.write_rules(&moved);
    assert_eq!(stage.order("rules/reload").await.0, 200);
    stage.pass(Duration::from_secs(2)).await;
    for name in ["gone", "moved"] {
        let [_, webhook] = &stage.inbox(name).await[..] else {
            panic!(
                "one that was refused and one more for {name}: {:?}",
                stage.jobs(1).await
            )
        };
        let headers = webhook
            .headers
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect();
        let receiver = standardwebhooks::Webhook::new(SECRET).expect("a secret");
        receiver
            .verify(webhook.body.as_bytes(), &headers)
            .expect("signed as before");
    }
    assert_eq!(stage.inbox("elsewhere").await.len(), 0);
    changed(&stage, "record").await;
    assert_eq!(stage.inbox("elsewhere").await.len(), 1);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_rule_about_the_uninstall_ends_its_work_when_it_is_taken_out_meanwhile(pool: PgPool) {
    let stage = Stage::set(pool, &tell("bye", "installation.uninstalled", SECRET)).await;
    stage.connected(&[1]).await;
    let busy = Fault::new("inbox.bye", FaultKind::Status).status(503).retry_after(1);
    stage.sandbox.fail(busy).await.expect("a fault");
    let place = bellhop::sandbox::Place {
        application_id: APP,
        location_id: 1,
    };
    stage.sandbox.disconnect(place).await.expect("gone");
    stage.settled().await;
    stage.write_rules("");
    assert_eq!(stage.order("rules/reload").await.0, 200);
    stage.pass(Duration::from_secs(2)).await;
    let jobs = stage.jobs(1).await;
    assert_eq!(jobs, ["- activate completed 1", "bye send_webhook completed 2"]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_moments_of_new_rules_are_planned_and_those_of_removed_ones_forgotten(pool: PgPool) {
    let before = |name: &str, days: u32| {
        tell(name, "trial.ending", SECRET).replace("\n[[rule.then]]", &format!("\nbefore = \"{days}d\"\n[[rule.then]]"))
    };
    let stage = Stage::set(pool, &before("early", 5)).await;
    stage.connected(&[1]).await;
    stage.write_rules(&before("later", 3));
    assert_eq!(stage.order("rules/reload").await.0, 200);
    stage.pass(days(10)).await;
    assert_eq!(
        stage.decisions(1).await,
        [""; 0],
        "nobody waits for the fifth day before any more"
    );
    // A change of the installation plans by the new rules too.
    stage.connected(&[2]).await;
    stage.pass(days(2)).await;
    assert_eq!(stage.decisions(1).await, ["later fired"]);
    stage.pass(days(10)).await;
    assert_eq!(stage.decisions(2).await, ["later fired"]);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_hangup_signal_replaces_the_rules_and_a_mistake_is_in_the_log(pool: PgPool) {
    let program = Program::new(pool, "", "rules = [\"rules.toml\"]");
    let rules = tell("one", "record.created", SECRET).replace("{sandbox}", "http://127.0.0.1:1");
    let write = |text: &str| std::fs::write(program.path("rules.toml"), text).expect("written");
    write(&rules);
    let mut process = program.start(Vec::new()).await;
    let id = process.id().expect("it runs");
    write(&rules.replace("record.created", "recrd.created"));
    signal(id, "HUP");
    until("the mistake is told", async || {
        program.log().contains("did you mean `record.created`?")
    })
    .await;
    assert!(
        program.log().contains("The rules were not replaced"),
        "{}",
        program.log()
    );
    write(&format!("{rules}{}", rules.replace("\"one\"", "\"two\"")));
    signal(id, "HUP");
    until("they are in use", async || {
        program.log().contains("The rules were read again and are in use")
    })
    .await;
    assert_eq!(program.operator_status("readyz").await, 200);
    signal(id, "TERM");
    assert_eq!(ended(&mut process).await.code(), Some(0));
}
