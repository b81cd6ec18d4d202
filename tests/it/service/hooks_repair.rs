//! Putting our address back into the webhook settings of a location, beside those of others.

use std::time::Duration;

use bellhop::{
    domain::signature::hook_key,
    sandbox::{Application, Change, Fault, FaultKind, Location},
};
use serde_json::{Map, Value, json};
use sqlx::PgPool;

use super::stage::{APP, HOOK_SECRET, Stage, TOKEN, place};

const USER: &str = "system-user-token";
const BYSTANDERS: [&str; 2] = ["https://one.example.com/hook", "https://two.example.com/hook?key=short"];
const FORMER_SECRET: &str = "the hook secret before this one";

/// A stage with an active location, where two other applications have addresses.
async fn stage(pool: PgPool, edits: &[(&str, &str)]) -> Stage {
    let user = format!("rules = [\"rules.toml\"]\nuser_token = \"{USER}\"");
    let mut all = vec![("rules = [\"rules.toml\"]", user.as_str())];
    all.extend_from_slice(edits);
    let stage = Stage::set_edited(pool, "", |_| {}, &all).await;
    furnished(&stage).await;
    stage
}

/// Connects the location, and brings the addresses of others.
async fn furnished(stage: &Stage) {
    let known = Application {
        id: APP,
        callback_url: stage.url(&format!("apps/{APP}/callback")),
        redirect_url: stage.url(&format!("apps/{APP}/connect")),
        system_user_token: USER.to_owned(),
        ..Application::default()
    };
    stage.sandbox.put_application(known).await.expect("an application");
    stage.connected(&[1]).await;
    let location = Location {
        other_webhook_urls: BYSTANDERS.map(str::to_owned).to_vec(),
        ..Location::new(1)
    };
    stage.sandbox.put_location(location).await.expect("a location");
}

/// Somebody writes the settings of the location: these addresses, with what an activation gives but for these changes.
async fn written(stage: &Stage, urls: &[&str], changes: &[(&str, u8)]) {
    let mut body: Map<String, Value> = [
        "salon",
        "service_category",
        "service",
        "good",
        "master",
        "client",
        "record",
        "goods_operations_sale",
        "goods_operations_receipt",
        "goods_operations_consumable",
        "goods_operations_stolen",
        "goods_operations_move",
        "finances_operation",
        "schedule",
        "self_sending",
        "active",
    ]
    .into_iter()
    .map(|flag| (flag.to_owned(), json!(1)))
    .collect();
    body.extend(changes.iter().map(|(flag, on)| ((*flag).to_owned(), json!(on))));
    body.insert("urls".to_owned(), json!(urls));
    let answer = stage
        .http
        .post(format!("{}/api/v1/hooks_settings/1", stage.sandbox.url()))
        .header("Accept", "application/vnd.api.v2+json")
        .header("Content-Type", "application/json")
        .header("Authorization", format!("Bearer {TOKEN}, User {USER}"))
        .body(Value::Object(body).to_string())
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 201, "{}", answer.text().await.expect("text"));
    stage.sandbox.reset_calls().await;
}

/// The addresses that the marketplace has, sorted, and how many of others' were lost.
async fn addresses(stage: &Stage) -> (Vec<String>, usize) {
    let truth = stage.sandbox.truth().await;
    let location = &truth.locations[0];
    let mut urls: Vec<String> = location.hooks.iter().map(|hook| hook.url.clone()).collect();
    urls.sort();
    (urls, location.lost_hooks.len())
}

fn sorted(mut urls: Vec<String>) -> Vec<String> {
    urls.sort();
    urls
}

fn with_bystanders(ours: String) -> Vec<String> {
    let mut urls = BYSTANDERS.map(str::to_owned).to_vec();
    urls.push(ours);
    sorted(urls)
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn an_address_that_a_careless_write_took_away_is_put_back_and_bystanders_keep_theirs(pool: PgPool) {
    let stage = stage(pool, &[]).await;
    written(&stage, &BYSTANDERS, &[]).await;
    let (status, answer) = stage.order(&format!("locations/{APP}/1/hooks/repair")).await;
    assert_eq!(status, 202);
    stage.settled().await;
    let job = stage.last_job(1).await;
    assert_eq!((&job["id"], &job["state"]), (&answer["job_id"], &json!("completed")));
    assert_eq!(
        job["result"],
        json!({"repaired": true, "before": "missing", "addresses": 3, "changed_for_others": 0})
    );
    let shown = job["history"].to_string();
    assert!(
        !shown.contains("one.example.com") && !shown.contains("short"),
        "{shown}"
    );
    assert_eq!(addresses(&stage).await, (with_bystanders(stage.hook(1)), 0));
    assert_eq!(stage.location(1).await["hooks"], "registered");
    // And its events come again.
    let change = Change::new(1, "record", "update");
    assert_eq!(stage.sandbox.change(change).await.expect("changed"), 1);
    stage
        .until("it came", async || {
            stage
                .events(1)
                .await
                .iter()
                .any(|event| event.starts_with("record.updated"))
        })
        .await;
    // What is there already is not written again.
    stage.order(&format!("locations/{APP}/1/hooks/repair")).await;
    stage.settled().await;
    assert_eq!(stage.last_job(1).await["result"]["repaired"], false);
    assert_eq!(stage.called("hooks_write").await, 1);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn who_gets_something_else_is_left_alone_unless_somebody_insists(pool: PgPool) {
    let stage = stage(pool, &[]).await;
    written(&stage, &BYSTANDERS, &[("client", 0)]).await;
    stage.order(&format!("locations/{APP}/1/hooks/repair")).await;
    stage.settled().await;
    let job = stage.last_job(1).await;
    assert_eq!(job["state"], "discarded");
    let why = job["last_error"].as_str().expect("a reason").to_owned();
    assert!(
        why.contains("https://two.example.com/…: it would also get client"),
        "{why}"
    );
    assert!(!why.contains("short"), "{why}");
    assert_eq!(stage.called("hooks_write").await, 0);
    stage.order(&format!("locations/{APP}/1/hooks/repair?force=true")).await;
    stage.settled().await;
    assert_eq!(stage.last_job(1).await["result"]["changed_for_others"], 2);
    assert_eq!(addresses(&stage).await, (with_bystanders(stage.hook(1)), 0));
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_full_list_stays_as_it_is_even_when_somebody_insists(pool: PgPool) {
    let stage = stage(pool, &[]).await;
    let ten: Vec<String> = (0..10).map(|number| format!("https://{number}.example.com/")).collect();
    written(&stage, &ten.iter().map(String::as_str).collect::<Vec<&str>>(), &[]).await;
    stage.order(&format!("locations/{APP}/1/hooks/repair?force=true")).await;
    stage.settled().await;
    let job = stage.last_job(1).await;
    assert_eq!(
        (job["state"].as_str(), job["last_error"].as_str()),
        (
            Some("discarded"),
            Some("the location has 10 webhook addresses already, and 10 is all it can have")
        )
    );
    assert_eq!(stage.called("hooks_write").await, 0);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_write_whose_answer_was_lost_is_looked_up_and_not_repeated(pool: PgPool) {
    let stage = stage(pool, &[]).await;
    written(&stage, &BYSTANDERS, &[]).await;
    let lost = Fault::new("hooks_write", FaultKind::DropConnection).after_effect(true);
    stage.sandbox.fail(lost).await.expect("a fault");
    stage.order(&format!("locations/{APP}/1/hooks/repair")).await;
    stage.settled().await;
    let job = stage.last_job(1).await;
    assert_eq!(
        (&job["result"]["repaired"], &job["attempts"]),
        (&json!(true), &json!(1))
    );
    // One that did not happen is done again.
    written(&stage, &BYSTANDERS, &[]).await;
    let lost = Fault::new("hooks_write", FaultKind::DropConnection).after_effect(false);
    stage.sandbox.fail(lost).await.expect("a fault");
    stage.order(&format!("locations/{APP}/1/hooks/repair")).await;
    stage
        .until("it is done", async || stage.last_job(1).await["state"] == "completed")
        .await;
    assert_eq!(stage.called("hooks_write").await, 2);
    assert_eq!(addresses(&stage).await, (with_bystanders(stage.hook(1)), 0));
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn comparing_repairs_by_itself_when_it_is_told_to_also_after_a_change_of_the_secret(pool: PgPool) {
    let round = "interval = \"1h\"\nhooks_interval = \"1m\"\nrepair_hooks = true";
    let secrets = format!("hook_secret = \"{HOOK_SECRET}\"\nhook_secret_previous = \"{FORMER_SECRET}\"");
    let secret = format!("hook_secret = \"{HOOK_SECRET}\"");
    let stage = stage(pool, &[("enabled = false", round), (&secret, &secrets)]).await;
    let former = stage.url(&format!("apps/{APP}/hooks/1/{}", hook_key(FORMER_SECRET, place(1))));
    written(&stage, &[BYSTANDERS[0], &former, BYSTANDERS[1]], &[]).await;
    for before in ["former", "missing"] {
        stage.pass(Duration::from_secs(2 * 60 * 60)).await;
        stage
            .until("it is repaired", async || {
                let job = stage.last_job(1).await;
                job["action"] == "repair_hooks" && job["result"]["before"] == before
            })
            .await;
        assert_eq!(addresses(&stage).await, (with_bystanders(stage.hook(1)), 0));
        written(&stage, &BYSTANDERS, &[]).await;
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_repair_says_what_it_lacks(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    stage.order(&format!("locations/{APP}/1/hooks/repair")).await;
    stage.settled().await;
    let job = stage.last_job(1).await;
    let why = job["last_error"].as_str().expect("a reason");
    assert!(why.contains("set user_token_file"), "{why}");
    let (status, _) = stage.order("locations/7/1/hooks/repair").await;
    assert_eq!(status, 404);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_server_that_tells_nothing_apart_is_not_guessed_at(pool: PgPool) {
    let user = format!("rules = [\"rules.toml\"]\nuser_token = \"{USER}\"");
    let terms = |options: &mut bellhop::sandbox::Options| options.terms.hooks_told_apart = false;
    let stage = Stage::set_edited(pool, "", terms, &[("rules = [\"rules.toml\"]", user.as_str())]).await;
    furnished(&stage).await;
    written(&stage, &BYSTANDERS, &[]).await;
    stage.order(&format!("locations/{APP}/1/hooks/repair")).await;
    stage.settled().await;
    let job = stage.last_job(1).await;
    let why = job["last_error"].as_str().expect("a reason");
    assert!(why.contains("the server does not tell what it gets now"), "{why}");
    assert_eq!(stage.called("hooks_write").await, 0);
    stage.end().await;
}
