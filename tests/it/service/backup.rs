//! A backup of the database, as docs/deploy.md tells: what is restored goes on where it stood, and fires nothing twice.

use std::{path::PathBuf, process::Command};

use bellhop::sandbox::Pay;
use sqlx::{ConnectOptions, PgPool, postgres::PgConnectOptions};

use super::stage::{APP, Stage, days};

const SHOP: i64 = 100_001;

const RULES: &str = r#"
[[rule]]
name = "welcome"
on = "installation.activated"
once_per = "location"
[[rule.then]]
action = "set_discount"
percent = 20
[[rule.then]]
after = "1d"
action = "send_webhook"
url = "{sandbox}/inbox/reminders"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

[[rule]]
name = "appointments"
on = "record.*"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/appointments"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

[[rule]]
name = "thanks"
on = "payment.received"
[[rule.then]]
action = "send_webhook"
url = "{sandbox}/inbox/payments"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"#;

/// A database beside that of the test, which goes with it.
struct Beside {
    admin: PgPool,
    name: String,
}

impl Beside {
    async fn new(pool: &PgPool) -> Self {
        let name = format!("restored_{:016x}", fastrand::u64(..));
        sqlx::query(sqlx::AssertSqlSafe(format!("create database \"{name}\"")))
            .execute(pool)
            .await
            .expect("created");
        Self {
            admin: pool.clone(),
            name,
        }
    }

    fn options(&self) -> PgConnectOptions {
        (*self.admin.connect_options()).clone().database(&self.name)
    }

    async fn drop(self) {
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "drop database \"{}\" with (force)",
            self.name
        )))
        .execute(&self.admin)
        .await
        .expect("dropped");
    }
}

/// A program of PostgreSQL's client, from the folder of the server.
fn postgres(program: &str, arguments: &[&str], database: &PgConnectOptions) {
    let folder = Command::new(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres-bin.sh"))
        .output()
        .expect("a folder");
    let folder = String::from_utf8(folder.stdout).expect("text");
    let socket = database.get_socket().map(|path| path.display().to_string());
    let output = Command::new(PathBuf::from(folder.trim()).join(program))
        .args(arguments)
        .args(["--dbname", database.get_database().expect("a name")])
        .env("PGHOST", socket.unwrap_or_else(|| database.get_host().to_owned()))
        .env("PGPORT", database.get_port().to_string())
        .env("PGUSER", database.get_username())
        .env("PGPASSWORD", database.to_url_lossy().password().unwrap_or_default())
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{program}: {output:?}");
}

async fn appointment(stage: &Stage) {
    let body = r#"{"company_id":100001,"resource":"record","resource_id":7,"status":"create","data":{"id":7}}"#;
    assert_eq!(stage.post(&stage.hook(SHOP), body).await.0, 200);
    stage.settled().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_restored_backup_goes_on_where_it_stood_and_fires_nothing_twice(pool: PgPool) {
    let stage = Stage::set(pool.clone(), RULES).await;
    stage.connected(&[SHOP]).await;
    appointment(&stage).await;
    assert_eq!(stage.called("add_discount").await, 1);
    assert_eq!(stage.inbox("appointments").await.len(), 1);

    // The backup is made while the service runs.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bellhop.dump");
    let file = file.to_str().expect("text");
    postgres("pg_dump", &["--format=custom", "--file", file], &pool.connect_options());
    // What comes afterwards is not in it.
    let pay = Pay {
        application_id: APP,
        location_id: SHOP,
        ..Pay::default()
    };
    stage.sandbox.pay(pay).await.expect("paid");
    stage.settled().await;
    assert_eq!(stage.inbox("payments").await.len(), 1);

    let beside = Beside::new(&pool).await;
    postgres(
        "pg_restore",
        &["--exit-on-error", "--no-owner", file],
        &beside.options(),
    );
    let restored = PgPool::connect_with(beside.options()).await.expect("a database");
    let stage = stage.moved(restored.clone()).await;
    stage.settled().await;
    assert_eq!(stage.status(SHOP).await, "active");
    // Said again, it is known; and what was to wait still waits, and happens once.
    appointment(&stage).await;
    assert_eq!(stage.inbox("reminders").await.len(), 0);
    stage.pass(days(1)).await;
    assert_eq!(stage.inbox("reminders").await.len(), 1);
    assert_eq!(stage.called("add_discount").await, 1);
    assert_eq!(stage.inbox("appointments").await.len(), 1);
    assert_eq!(stage.inbox("payments").await.len(), 1);

    // What only the lost days knew is found by comparing, and its rule fires once more: nothing here says that it had.
    let (status, _) = stage.order(&format!("locations/{APP}/{SHOP}/reconcile")).await;
    assert_eq!(status, 202);
    stage.settled().await;
    stage
        .until("the payment is found", async || {
            stage.inbox("payments").await.len() == 2
        })
        .await;
    stage.end().await;
    restored.close().await;
    beside.drop().await;
}
