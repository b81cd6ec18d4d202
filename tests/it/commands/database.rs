//! Commands and the database they need, or do not get.

use bellhop::sandbox::{Application, Brand, Options, Sandbox};
use sqlx::{ConnectOptions, PgPool};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::desk::{Desk, PARTNER_TOKEN};

const LOOKERS: [&[&str]; 5] = [
    &["serve"],
    &["migrate"],
    &["locations", "list"],
    &["events", "show", "1"],
    &["jobs", "list", "--json"],
];

pub(super) fn url(pool: &PgPool) -> String {
    pool.connect_options().to_url_lossy().to_string()
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_told_with_its_address_and_the_reason() {
    let desk = Desk::new();
    // With a spool `serve` waits for it.
    desk.change("[database]", "[spool]\nenabled = false\n[database]");
    for args in LOOKERS {
        assert_eq!(
            desk.refused(args).await,
            "database `none` at 127.0.0.1:1: it does not answer: Connection refused (os error 111). Remedy: start it, \
             or correct database.url; without database.url Bellhop runs a private one\n",
            "{args:?}"
        );
    }
    desk.change("127.0.0.1:1/", "nowhere.invalid/");
    let said = desk.refused(&["serve"]).await;
    assert!(
        said.starts_with("database `none` at nowhere.invalid:5432: it does not answer: failed to lookup address"),
        "{said}"
    );
}

/// A server that wants a password and takes none.
async fn picky_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            // The start-up message, and the wish for a password in clear text.
            let length = client.read_u32().await.expect("a length");
            let mut rest = vec![0; length as usize - 4];
            client.read_exact(&mut rest).await.expect("a message");
            if rest.starts_with(&80_877_103_u32.to_be_bytes()) {
                client.write_all(b"N").await.expect("sent");
                let length = client.read_u32().await.expect("a length");
                client
                    .read_exact(&mut vec![0; length as usize - 4])
                    .await
                    .expect("a message");
            }
            client.write_all(b"R\0\0\0\x08\0\0\0\x03").await.expect("sent");
            let mut password = [0; 256];
            let _ = client.read(&mut password).await.expect("a password");
            let fields = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user \"bellhop\"\0\0";
            let mut refusal = b"E".to_vec();
            refusal.extend(u32::try_from(fields.len() + 4).expect("short").to_be_bytes());
            refusal.extend(fields);
            client.write_all(&refusal).await.expect("sent");
        }
    });
    port
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_shown() {
    let place = format!("127.0.0.1:{}", picky_server().await);
    let desk = Desk::with_database(&format!("postgres://bellhop:secret-password@{place}/bellhop"));
    for args in LOOKERS {
        assert_eq!(
            desk.refused(args).await,
            format!(
                "database `bellhop` at {place}: it refuses us: password authentication failed for user \"bellhop\". \
                 Remedy: correct user and password in database.url, or what the server's pg_hba.conf allows\n"
            ),
            "{args:?}"
        );
    }
    for wrong in [
        "mysql://u:secret-password@h/d",
        "secret-password",
        "postgres:secret password",
    ] {
        let ran = desk.run_with(&["serve"], &[("BELLHOP_DATABASE__URL", wrong)]).await;
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
        assert!(
            ran.err.starts_with("environment: BELLHOP_DATABASE__URL: database.url "),
            "{}",
            ran.err
        );
        assert!(!ran.err.contains("secret-password"), "{}", ran.err);
    }
}

#[sqlx::test(migrations = false)]
async fn migrations_are_applied_once_and_missed_in_plain_words(pool: PgPool) {
    let desk = Desk::with_database(&url(&pool));
    for args in [&["locations", "list"][..], &["events", "list"], &["jobs", "show", "1"]] {
        assert_eq!(
            desk.refused(args).await,
            "the database has not all tables yet. Remedy: `bellhop migrate`\n"
        );
    }
    let said = desk.refused(&["serve", "--no-migrate"]).await;
    let last = said.lines().last().unwrap_or("");
    assert!(last.starts_with("migrations are missing: 0001 "), "{said}");
    assert!(
        last.ends_with(". Remedy: `bellhop migrate`, or start without --no-migrate"),
        "{said}"
    );
    let first = desk.run(&["migrate"]).await;
    assert_eq!((first.code, first.err.as_str()), (0, ""));
    let count = bellhop::store::MIGRATOR.iter().count();
    assert!(
        first.out.starts_with(&format!("Applied {count}:\n  0001 ")),
        "{}",
        first.out
    );
    let second = desk.run(&["migrate"]).await;
    assert_eq!(
        (second.code, second.out.as_str()),
        (0, "Nothing to do: all migrations are applied.\n")
    );
    let empty = desk.run(&["locations", "list"]).await;
    assert_eq!((empty.code, empty.err.as_str()), (0, "Nothing to show.\n"));
    assert_eq!(empty.out.lines().count(), 1, "headings");
}

#[sqlx::test(migrations = false)]
async fn check_online_asks_database_and_marketplace(pool: PgPool) {
    let mut options = Options::new(PARTNER_TOKEN, Brand::Altegio);
    options.applications = vec![Application {
        id: 18289,
        ..Application::default()
    }];
    let sandbox = Sandbox::start(options).await.expect("a sandbox");
    let desk = Desk::with_database(&url(&pool));
    desk.change(
        "partner_token = ",
        &format!("partner_base = \"{}/marketplace\"\npartner_token = ", sandbox.url()),
    );
    let found = async |args: &[&str]| {
        let ran = desk.run(args).await;
        assert_eq!(ran.err, "");
        let (_, found) = ran
            .out
            .split_once("# The configuration has no mistakes.\n")
            .expect("first the configuration");
        (ran.code, found.to_owned())
    };
    let count = bellhop::store::MIGRATOR.iter().count();
    let (code, text) = found(&["check", "--online"]).await;
    assert_eq!(code, 0);
    assert!(
        text.starts_with(&format!("# database: answers; {count} migration")),
        "{text}"
    );
    assert!(text.ends_with("Remedy: `bellhop migrate`\n"), "{text}");
    desk.run(&["migrate"]).await;
    assert_eq!(
        found(&["check", "--online"]).await,
        (
            0,
            "# database: answers; all migrations are applied\n# application 18289: the marketplace answers and knows it\n"
                .to_owned()
        )
    );
    desk.change(PARTNER_TOKEN, "secret-partner-token-9999");
    let (code, text) = found(&["check", "--online"]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("\n# application 18289: "), "{text}");
    assert!(
        text.ends_with(". Remedy: correct partner_token of account `main`\n"),
        "{text}"
    );
    sandbox.stop().await;
    let (code, text) = found(&["check", "--online"]).await;
    assert_eq!(code, 1);
    assert!(
        text.ends_with(". Remedy: correct partner_base of account `main`, or open the way to it\n"),
        "{text}"
    );
}

/// The lines of `packaging/postgres/roles.sql` that hold for the database it makes.
fn grants() -> String {
    let roles = include_str!("../../../packaging/postgres/roles.sql");
    let (_, grants) = roles.split_once("\\connect bellhop\n").expect("a database");
    grants.to_owned()
}

#[sqlx::test(migrations = false)]
async fn who_has_the_role_of_readers_can_look_and_change_nothing(pool: PgPool) {
    let plain: bool =
        sqlx::query_scalar("select not (rolsuper or rolcreaterole) from pg_roles where rolname = current_user")
            .fetch_one(&pool)
            .await
            .expect("a role");
    assert!(plain, "these tests run as the role that the service is told to have");
    sqlx::raw_sql(sqlx::AssertSqlSafe(grants()))
        .execute(&pool)
        .await
        .expect("granted");
    let owner = Desk::with_database(&url(&pool));
    assert_eq!(owner.run(&["migrate"]).await.code, 0);
    let options = (*pool.connect_options()).clone().username("bellhop_reader");
    let reader = Desk::with_database(options.to_url_lossy().as_str());
    for args in [
        &["locations", "list"][..],
        &["events", "list"],
        &["jobs", "list"],
        &["ledger", "list"],
        &["plans"],
        &["rules", "held"],
    ] {
        let ran = reader.run(args).await;
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
    }
    let pool = PgPool::connect_with(options.clone()).await.expect("connected");
    let limits: (String, String, i32) = sqlx::query_as(
        "select current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout'),
                rolconnlimit from pg_roles where rolname = current_user",
    )
    .fetch_one(&pool)
    .await
    .expect("limits");
    pool.close().await;
    assert_eq!(limits, ("30s".to_owned(), "1min".to_owned(), 5));
    for change in [
        "delete from events",
        "set default_transaction_read_only = off; delete from jobs",
        "create table mine (id int)",
    ] {
        let pool = PgPool::connect_with(options.clone()).await.expect("connected");
        let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(change)).execute(&pool).await;
        let code = refused
            .expect_err(change)
            .into_database_error()
            .and_then(|error| error.code().map(String::from));
        assert!(matches!(code.as_deref(), Some("25006" | "42501")), "{change}: {code:?}");
        pool.close().await;
    }
}
