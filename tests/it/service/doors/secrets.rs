//! Credentials are looked for everywhere after everything was sent.

use std::{
    io,
    sync::{Mutex, OnceLock},
};

use serde_json::json;
use sqlx::PgPool;
use tracing_subscriber::fmt::MakeWriter;

use super::{Stage, callback, record};
use crate::service::stage::{APP, SIBLING, TOKEN, place};

const OTHER_TOKEN: &str = "the-token-of-somebody-else";

/// Everything that is logged in this test process.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Kept;

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().expect("a log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Kept {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

/// Listens to the log of all threads, from now on.
fn listen() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let log = tracing_subscriber::fmt()
            .with_env_filter("bellhop=trace,sqlx=debug,info")
            .with_writer(Kept);
        let _ = log.try_init();
    });
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn no_credential_is_stored_or_logged_whatever_it_came_in(pool: PgPool) {
    listen();
    let stage = Stage::set(pool, "").await;
    stage.connected(&[1]).await;
    let escaped = TOKEN.replace('t', "\\u0074");
    let nested = json!({"data": {"partner_token": OTHER_TOKEN, "copy": TOKEN}, "salon_id": 1, "event": "freeze"});
    let bodies = [
        callback(1, "freeze").to_string(),
        callback(1, "unknown word").to_string(),
        callback(1, "freeze").to_string().replace(TOKEN, OTHER_TOKEN),
        callback(1, "freeze").to_string().replace(TOKEN, &escaped),
        json!([callback(1, "freeze"), nested, {"token": TOKEN}, TOKEN]).to_string(),
        format!(r#"{{"partner_token":"{OTHER_TOKEN}","partner_token":"{TOKEN}","event":"freeze","salon_id":1}}"#),
        format!(r#"{{"event":"freeze","partner_token":"{OTHER_TOKEN}", cut off {TOKEN}"#),
        format!("partner_token={OTHER_TOKEN}&event=freeze&again={TOKEN}"),
        json!({"company_id": 1, "resource": "record", "status": "update", "partner_token": OTHER_TOKEN, "data": TOKEN})
            .to_string(),
    ];
    let doors = [
        stage.callback_url(),
        stage.hook(1),
        stage.url(&format!("apps/{APP}/hooks/1/wrong")),
        stage.url(&format!("apps/{SIBLING}/callback")),
        stage.url("apps/77/hooks/wrong"),
    ];
    for door in &doors {
        for body in &bodies {
            stage.give(door, body.clone()).await;
        }
    }
    stage
        .open(&stage.url(&format!("apps/{APP}/connect?salon_id=1&partner_token={TOKEN}")))
        .await;
    stage.give(&stage.hook(1), record(1, 1, "the last")).await;
    stage.settled().await;
    // The address with its key is in the request that was noted; nowhere else.
    let key = bellhop::domain::signature::hook_key(crate::service::stage::HOOK_SECRET, place(1));
    assert_eq!(found(&stage.pool, TOKEN).await, [""; 0]);
    assert_eq!(found(&stage.pool, OTHER_TOKEN).await, [""; 0]);
    let log = String::from_utf8_lossy(&LOG.lock().expect("a log")).into_owned();
    assert!(log.contains("A request was answered"), "the log is not listened to");
    for secret in [TOKEN, OTHER_TOKEN, &key] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None);
    }
    stage.end().await;
}

/// The tables in which a text stands anywhere, also inside bytes.
pub(crate) async fn found(pool: &PgPool, text: &str) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace order by 1",
    )
    .fetch_all(pool)
    .await
    .expect("tables");
    assert!(tables.len() > 15, "{tables:?}");
    let mut found = Vec::new();
    for table in tables {
        let sql = format!("select count(*) from {table} t where strpos(t::text, $1) > 0 or strpos(t::text, $2) > 0");
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(text)
            .bind(hex::encode(text))
            .fetch_one(pool)
            .await
            .expect("a count");
        if rows > 0 {
            found.push(table);
        }
    }
    found
}
