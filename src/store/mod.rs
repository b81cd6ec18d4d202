//! The only SQL of Bellhop, one file for each family of tables.
//!
//! A function that takes `&mut PgTransaction` commits together with something else; one that takes
//! a pool stands alone. Contention, duplicates and lost leases are values, not errors. Network
//! calls never happen inside a transaction, because nothing here can make one.

/// How a connection goes on, for the owner's page.
pub mod activations;
/// Moving stored times, for the demonstration and for tests.
pub mod ageing;
/// The shared request budget.
pub mod budget;
/// Events: storing deliveries, and what Bellhop found out itself.
pub mod events;
/// Applications of rules, each once.
pub mod firings;
/// Events that wait to be judged, and what was decided about them.
pub mod inbox;
/// Installations, their history and payments, and the places they are at.
pub mod installations;
/// The queue.
pub mod jobs;
/// Day partitions: made ahead, dropped when old.
pub mod partitions;
/// How much of what is refused is kept.
pub mod quarantine;
/// Reading for people: lists and details of the API and the terminal.
pub mod reading;
/// Figures for the metrics.
pub mod stats;
/// Moments to come.
pub mod timers;

use std::{str::FromStr, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::{
    ConnectOptions, Connection,
    migrate::{Migrate, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};
/// What other rooms may name of sqlx: they pass these on, and write no SQL.
pub use sqlx::{Error, PgConnection, PgPool, PgTransaction, Result, migrate::MigrateError};

/// All migrations, oldest first.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// A pool on the database of `url`, which is connected to lazily: [`ping`] proves it.
///
/// # Errors
/// When `url` is no PostgreSQL address.
pub fn connect(url: &str, connections: u32, patience: Duration) -> sqlx::Result<PgPool> {
    let options = PgConnectOptions::from_str(url)?.application_name("bellhop");
    Ok(PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(patience)
        .connect_lazy_with(options))
}

/// A connection of its own, beside the pool.
///
/// # Errors
/// When the database does not answer.
pub async fn connect_alone(pool: &PgPool) -> sqlx::Result<PgConnection> {
    pool.connect_options().connect().await
}

/// Whether nothing is wrong with what was tried: the database was away, or two transactions stood in
/// each other's way and this one was chosen to give in.
pub fn is_transient(error: &Error) -> bool {
    match error {
        Error::Database(error) => {
            let code = error.code();
            // Deadlock, serialization failure, a lock that was not given in time, and a server that
            // stops or starts.
            matches!(
                code.as_deref(),
                Some("40P01" | "40001" | "55P03" | "57P01" | "57P02" | "57P03")
            )
        }
        Error::Io(_)
        | Error::Tls(_)
        | Error::Protocol(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed
        | Error::BeginFailed => true,
        // The enum of the library may grow; what is left are mistakes in a query or in its data.
        _ => false,
    }
}

/// Whether the database answers, and which version it is (`server_version_num`, 150000 for 15.0). On
/// a connection of its own: a pool tries again until its patience ends, and then cannot tell why.
///
/// # Errors
/// When it does not answer.
pub async fn ping(pool: &PgPool) -> sqlx::Result<i32> {
    let mut connection = pool.connect_options().connect().await?;
    let version = sqlx::query_scalar!(r#"select current_setting('server_version_num')::int as "version!""#)
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    Ok(version)
}

/// The one clock of stored facts. Machines disagree about the time, and what was learnt when decides
/// what is out of date.
///
/// # Errors
/// When the database does not answer.
pub async fn now(executor: impl sqlx::PgExecutor<'_>) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#)
        .fetch_one(executor)
        .await
}

/// Applies what is missing. Several processes may do this at once; one does the work.
///
/// # Errors
/// When the database does not answer or a migration was changed after it was applied.
pub async fn migrate(pool: &PgPool) -> Result<(), sqlx::migrate::MigrateError> {
    MIGRATOR.run(pool).await
}

/// The migrations that are not applied yet, by description.
///
/// # Errors
/// When the database does not answer.
pub async fn pending_migrations(pool: &PgPool) -> Result<Vec<String>, sqlx::migrate::MigrateError> {
    let mut connection = pool.acquire().await?;
    // A look must not make the table, which the first migration does.
    let begun = sqlx::query_scalar!(
        r#"select to_regclass($1) is not null as "begun!""#,
        &*MIGRATOR.table_name
    )
    .fetch_one(&mut *connection)
    .await?;
    let applied = match begun {
        true => connection.list_applied_migrations(&MIGRATOR.table_name).await?,
        false => Vec::new(),
    };
    let is_applied = |version| applied.iter().any(|migration| migration.version == version);
    Ok(MIGRATOR
        .iter()
        .filter(|migration| !is_applied(migration.version))
        .map(|migration| format!("{:04} {}", migration.version, migration.description))
        .collect())
}
