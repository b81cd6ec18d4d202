//! `bellhop erase`: what goes, what stays, and what it says.

use bellhop::sandbox;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{
    database::url,
    desk::{Desk, Ran},
};
use crate::service::stage::{APP, Stage};

const RULES: &str = r#"
[[rule]]
name = "welcome"
on = "installation.activated"
once_per = "location"
[[rule.then]]
action = "set_discount"
percent = 20

[[rule]]
name = "forward"
on = "record.created"
[[rule.then]]
id = "sent"
action = "send_webhook"
url = "{sandbox}/inbox/forward"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
body = "{{ event.data.client.name }}"
"#;

/// What must not be found anywhere afterwards.
const PERSONAL: &str = "Anna Example";

async fn told(stage: &Stage, location: i64, number: i64) {
    let body = json!({"company_id": location, "resource": "record", "resource_id": number, "status": "create",
                      "data": {"id": number, "client": {"name": PERSONAL}, "note": "x"}});
    let (status, said) = stage.post(&stage.hook(location), body.to_string()).await;
    assert_eq!(status, 200, "{said}");
}

/// How often a text stands anywhere in the rows of a location, in every table that has locations.
async fn found(pool: &PgPool, text: &str, location: i64) -> i64 {
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.columns where column_name = 'location_id' and table_schema = 'public'
         and table_name !~ '_[0-9]{8}$'",
    )
    .fetch_all(pool)
    .await
    .expect("tables");
    assert!(tables.len() > 8, "{tables:?}");
    let mut found = 0;
    let attempts = "(select a.*, j.location_id from attempts a join (select id, location_id from jobs
                     union all select id, location_id from finished_jobs) j on j.id = a.job_id)"
        .to_owned();
    for table in tables.into_iter().chain([attempts]) {
        // A body is bytes, which are shown in hexadecimal.
        let statement = format!(
            "select count(*) from {table} t where location_id = $1
             and (position($2 in t::text) > 0 or position(encode($2::bytea, 'hex') in t::text) > 0)"
        );
        found += sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(statement))
            .bind(location)
            .bind(text)
            .fetch_one(pool)
            .await
            .expect("a count");
    }
    found
}

async fn scalar(pool: &PgPool, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).fetch_one(pool).await.expect("a number")
}

async fn erase(desk: &Desk, location: &str, more: &[&str]) -> Ran {
    let application = APP.to_string();
    let args = ["erase", "--application", &application, "--location", location];
    desk.run(&[&args[..], more].concat()).await
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn one_location_is_erased_while_the_service_runs_and_its_rules_do_not_fire_again(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    stage.connected(&[1, 2]).await;
    for location in [1, 2] {
        told(&stage, location, 10 + location).await;
    }
    stage.settled().await;
    let pool = &stage.pool;
    let title = "Salon 1";
    assert!(found(pool, PERSONAL, 1).await >= 1, "the body");
    assert!(found(pool, title, 1).await >= 1);
    let others = found(pool, PERSONAL, 2).await;
    let desk = Desk::with_database(&url(pool));

    // While it is connected, it is looked at and refused.
    let look = erase(&desk, "1", &[]).await;
    assert_eq!((look.code, look.err.as_str()), (2, ""));
    assert!(
        look.out
            .contains("The location is active; only --connected erases it now.\n"),
        "{}",
        look.out
    );
    assert!(
        look.out.contains("Nothing was erased; --yes does it.\n"),
        "{}",
        look.out
    );
    let refused = erase(&desk, "1", &["--yes"]).await;
    assert_eq!((refused.code, refused.out.as_str()), (2, ""));
    assert!(
        refused.err.starts_with("the location is active. Remedy: "),
        "{}",
        refused.err
    );
    assert!(found(pool, PERSONAL, 1).await >= 1, "nothing happened");

    let there = sandbox::Place {
        application_id: APP,
        location_id: 1,
    };
    stage.sandbox.disconnect(there).await.expect("disconnected");
    stage.settled().await;
    let counted: Value = serde_json::from_str(&erase(&desk, "1", &["--json"]).await.out).expect("JSON");
    assert_eq!(
        [&counted["status"], &counted["erased"]],
        [&json!("uninstalled"), &json!(false)]
    );
    let done = erase(&desk, "1", &["--yes", "--json"]).await;
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let done: Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!([&done["erased"], &done["in_use"]], [&json!(true), &json!(0)]);
    assert_eq!(done["rows"], counted["rows"], "what was counted is what went");
    assert!(done["rows"]["events"].as_u64() >= Some(3), "{done}");

    assert_eq!(found(pool, PERSONAL, 1).await, 0);
    assert_eq!(found(pool, title, 1).await, 0);
    assert_eq!(found(pool, PERSONAL, 2).await, others, "the neighbour keeps everything");
    let seen = stage.location(1).await;
    assert_eq!(
        [&seen["status"], &seen["erasures"][0]["asked_by"]],
        ["uninstalled", "operator"]
    );
    assert_eq!(seen["history"].as_array().map(Vec::len), Some(3), "{}", seen["history"]);
    assert_eq!(
        scalar(pool, "select count(*) from firings where location_id = 1").await,
        2
    );

    // A second time there is nothing left, and it says so.
    let again: Value = serde_json::from_str(&erase(&desk, "1", &["--yes", "--json"]).await.out).expect("JSON");
    assert!(
        again["rows"]
            .as_object()
            .expect("rows")
            .values()
            .all(|count| count == 0),
        "{again}"
    );

    // The owner comes back: known anew, and no second welcome.
    stage.connected(&[1]).await;
    assert!(found(pool, title, 1).await >= 1);
    assert_eq!(stage.called("add_discount").await, 2, "one for each location");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_is_still_needed_is_left_and_said(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    stage.connected(&[1]).await;
    told(&stage, 1, 7).await;
    stage.settled().await;
    let pool = &stage.pool;
    // As if it had arrived in this moment.
    sqlx::raw_sql(
        "insert into lanes (application_id, location_id, name, priority, run_at) values (18289, 1, 'forward', 2, now() + interval '1 hour');
         insert into jobs (lane_id, application_id, location_id, firing_id, rule, action, params, run_at, max_attempts, last_error)
         select l.id, 18289, 1, f.id, 'forward', 'send_webhook', '{}', l.run_at, 3, 'Anna Example is not at home'
         from lanes l, firings f where f.rule = 'forward'",
    )
    .execute(pool)
    .await
    .expect("a job");
    let desk = Desk::with_database(&url(pool));
    let done = erase(&desk, "1", &["--yes", "--connected"]).await;
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    assert!(
        done.out.contains(
            "\n1 events are in use: not judged yet, or a job still needs them. Erase again when that is over.\n"
        ),
        "{}",
        done.out
    );
    assert_eq!(
        scalar(pool, "select count(*) from events where body is not null").await,
        1
    );
    assert_eq!(
        scalar(pool, "select count(*) from jobs where last_error is not null").await,
        0
    );
    sqlx::raw_sql("delete from jobs; delete from lanes")
        .execute(pool)
        .await
        .expect("gone");
    erase(&desk, "1", &["--yes", "--connected"]).await;
    assert_eq!(
        scalar(pool, "select count(*) from events where body is not null").await,
        0
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_location_that_nobody_knows_is_told(pool: PgPool) {
    let desk = Desk::with_database(&url(&pool));
    let told = erase(&desk, "404", &["--yes"]).await;
    assert_eq!((told.code, told.out.as_str()), (2, ""));
    assert_eq!(told.err, "nothing is known of application 18289 at location 404\n");
}
