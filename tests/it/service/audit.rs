//! Who ordered what stands in the log.

use reqwest::{Method, RequestBuilder, redirect::Policy};
use serde_json::json;
use sqlx::PgPool;

use super::{
    program::{Program, ended, signal},
    stage::{APP, OPERATOR_TOKEN},
};

const READ_TOKEN: &str = "a-token-that-may-only-look";

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_log_says_by_which_door_and_role_something_was_ordered(pool: PgPool) {
    let program = Program::new(pool, "threads = 1", "[log]\nformat = \"json\"");
    let token = format!("token = \"{OPERATOR_TOKEN}\"");
    program.change(&token, &format!("{token}\nread_token = \"{READ_TOKEN}\""));
    let mut process = program.start(Vec::new()).await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build();
    let http = http.expect("a client");
    let ask = |method, path: &str| http.request(method, format!("http://127.0.0.1:{}{path}", program.operator));
    let status = async |request: RequestBuilder| request.send().await.expect("an answer").status().as_u16();

    // Who looks, and who may not, orders nothing.
    let look = ask(Method::GET, "/api/v1/jobs?application=1").bearer_auth(OPERATOR_TOKEN);
    assert_eq!(status(look).await, 200);
    let refused = ask(Method::POST, "/api/v1/rules/reload").bearer_auth(READ_TOKEN);
    assert_eq!(status(refused).await, 403);
    let reload = "/api/v1/rules/reload";
    let done = ask(Method::POST, reload).bearer_auth(OPERATOR_TOKEN);
    assert_eq!(status(done).await, 200);
    let strange = ask(Method::POST, "/api/v1/rules/reload?secret=in-the-query").bearer_auth(OPERATOR_TOKEN);
    assert_eq!(status(strange).await, 400, "there is no such parameter");
    // The address of an order for many does not say which.
    let many = |path: &str, dry: bool| {
        let which = format!(r#"{{"application": {APP}, "dry_run": {dry}}}"#);
        let order = ask(Method::POST, path).bearer_auth(OPERATOR_TOKEN);
        order.header("Content-Type", "application/json").body(which)
    };
    let (retry, replay) = ("/api/v1/jobs/retry", "/api/v1/events/replay");
    for (path, dry, answer) in [
        (retry, true, 200),
        (retry, false, 200),
        (replay, true, 200),
        (replay, false, 202),
    ] {
        assert_eq!(status(many(path, dry)).await, answer, "{path} {dry}");
    }

    let form = |path: &str, body: String| {
        let form = "application/x-www-form-urlencoded";
        ask(Method::POST, path).header("Content-Type", form).body(body)
    };
    let login = form("/login", format!("token={OPERATOR_TOKEN}"))
        .send()
        .await
        .expect("an answer");
    let cookie = login.headers()["set-cookie"]
        .to_str()
        .expect("text")
        .split(';')
        .next()
        .expect("a cookie");
    let page = ask(Method::GET, "/")
        .header("cookie", cookie)
        .send()
        .await
        .expect("a page");
    let page = page.text().await.expect("text");
    let (_, key) = page.split_once("name=\"form_key\" value=\"").expect("a form");
    let key = key.split('"').next().expect("a key");
    let compare = format!("/reconciliation/{APP}");
    let order = form(&compare, format!("form_key={key}")).header("cookie", cookie);
    assert_eq!(status(order).await, 303);

    signal(process.id().expect("it runs"), "TERM");
    ended(&mut process).await;
    let log = program.log();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let of_many = |message: &str| {
        let told: Vec<_> = lines.clone().filter(|line| line["message"] == message).collect();
        assert_eq!(told.len(), 1, "a dry run orders nothing: {log}");
        let which = told[0]["which"].as_str().expect("text");
        assert!(which.contains(&format!("application: Some({APP})")), "{which}");
        told[0].clone()
    };
    let jobs = of_many("An order for many jobs was carried out");
    assert_eq!((&jobs["moved"], &jobs["refused"]), (&json!(0), &json!(0)), "{jobs}");
    let events = of_many("Events were ordered to be judged once more");
    assert_eq!(
        (&events["events"], &events["refused"]),
        (&json!(0), &json!(0)),
        "{events}"
    );
    let orders: Vec<_> = lines
        .filter(|line| line["message"] == "Somebody asked for a change")
        .collect();
    let told: Vec<_> = orders
        .iter()
        .map(|line| {
            let word = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            (word("door"), word("role"), word("path"), line["status"].as_u64())
        })
        .collect();
    let said = |door: &str, path: &str, status| (door.to_owned(), "operator".to_owned(), path.to_owned(), Some(status));
    assert_eq!(
        told,
        [
            said("API", reload, 200),
            said("API", reload, 400),
            said("API", retry, 200),
            said("API", retry, 200),
            said("API", replay, 200),
            said("API", replay, 202),
            said("console", &compare, 303)
        ],
        "{log}"
    );
    assert!(
        orders
            .iter()
            .all(|line| line["from"].as_str().is_some_and(|from| from.contains("127.0.0.1")))
    );
    assert!(!log.contains("in-the-query"));
}
