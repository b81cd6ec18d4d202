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
/// Telephone calls.
pub mod calls;
/// What numbers of countries, cities and kinds of business stand for.
pub mod dictionaries;
/// Taking the personal data of one location away.
pub mod erasing;
/// Events: storing deliveries, and what Bellhop found out itself.
pub mod events;
/// Applications of rules, each once.
pub mod firings;
/// Caps of rules, and firings that are held beyond them.
pub mod holds;
/// Events that wait to be judged, and what was decided about them.
pub mod inbox;
/// Installations, their history and payments, and the places they are at.
pub mod installations;
/// The queue.
pub mod jobs;
/// Calls that move money, and what became of them.
pub mod ledger;
/// People who look: connections of their own, and questions that end.
pub mod looking;
/// Looks at the status of places.
pub mod looks;
/// Day partitions: made ahead, dropped when old.
pub mod partitions;
/// What was stored, read again from the beginning.
pub mod past;
/// Bulk actions, as they were shown and applied.
pub mod plans;
/// How much of what is refused is kept.
pub mod quarantine;
/// Indexes of rare rows.
pub mod rare;
/// Reading for people: lists and details of the API and the terminal.
pub mod reading;
/// Comparing with the marketplace.
pub mod reconciliations;
/// Events that are judged once more.
pub mod replays;
/// The next occurrence of calendars.
pub mod schedules;
/// Places that are listened to.
pub mod silences;
/// How large tables are, and what keeps them so.
pub mod sizes;
/// Figures for the metrics.
pub mod stats;
/// Marks of places, for conditions of rules.
pub mod tags;
/// Moments to come.
pub mod timers;
/// What keeps tables small and plans good.
pub mod upkeep;

use std::{borrow::Cow, str::FromStr, time::Duration};

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

/// What each connection asks the server for, so that nothing waits without an end. No
/// statement of ours takes a minute unless something is wrong; a lock that is held for ten seconds is
/// better asked for again; and a process that stopped in the middle of a transaction must not keep the
/// others from its rows. (By `set` and not when connecting: poolers in between refuse it there.)
const BOUNDS: &str = "set statement_timeout = '60s'; set lock_timeout = '10s'; \
    set idle_in_transaction_session_timeout = '60s'; set tcp_keepalives_idle = 30; \
    set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3";

/// A plan that was made while the queue was empty reads whole tables, and a prepared statement keeps it
/// however long the queue becomes: a claim of 64 lanes then took seconds beside 60,000 jobs. So each
/// execution is planned by what there is. The statement of the intake joins nothing and needs it not. Nor is a plan worth
/// compiling that is used once: for one across ninety days that took ten seconds, and running it a third of one.
const PLANNED_ANEW: &str = "set plan_cache_mode = force_custom_plan; set jit = off";

/// A pool on the database of `url`, which is connected to lazily: [`ping`] proves it.
///
/// # Errors
/// When `url` is no PostgreSQL address.
pub fn connect(url: &str, connections: u32, patience: Duration) -> sqlx::Result<PgPool> {
    pool_of(url, (connections, patience), None)
}

/// A pool whose connections may ask the server for one thing more, and then are given back when they are idle for so long.
fn pool_of(
    url: &str,
    (connections, patience): (u32, Duration),
    more: Option<(&'static str, Duration)>,
) -> sqlx::Result<PgPool> {
    let options = PgConnectOptions::from_str(url)?.application_name("bellhop");
    let mut pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(patience);
    if let Some((_, idle)) = more {
        pool = pool.idle_timeout(idle);
    }
    Ok(pool
        .after_connect(move |connection, _| {
            Box::pin(async move {
                for set in [BOUNDS, PLANNED_ANEW].into_iter().chain(more.map(|(set, _)| set)) {
                    sqlx::raw_sql(set).execute(&mut *connection).await?;
                }
                Ok(())
            })
        })
        .connect_lazy_with(options))
}

/// A connection of its own, beside the pool.
///
/// # Errors
/// When the database does not answer.
pub async fn connect_alone(pool: &PgPool) -> sqlx::Result<PgConnection> {
    let mut connection = pool.connect_options().connect().await?;
    sqlx::raw_sql(BOUNDS).execute(&mut connection).await?;
    Ok(connection)
}

/// Whether nothing is wrong with what was tried: the database was away, would not write, or two
/// transactions stood in each other's way and this one was chosen to give in.
pub fn is_transient(error: &Error) -> bool {
    match error {
        Error::Database(error) => error.code().is_some_and(|code| {
            // Connections; rollbacks such as deadlocks; no disk, memory or connections left; the
            // operator, who also means timeouts of statements; the system.
            let class = ["08", "40", "53", "57", "58"]
                .iter()
                .any(|class| code.starts_with(class));
            // Read-only after a fail-over; transactions that took too long; locks that were not given in time.
            class
                || matches!(code.as_ref(), "25006" | "25P03" | "25P04" | "55P03")
                // A day without partitions, which are made soon.
                || partitions::is_missing_in(error.as_ref())
        }),
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

/// Whether the database answers, and will not have this data, however often it is asked. Anything
/// else may be mended on its side: also a schema that is not there, or a day without a partition.
pub fn refuses_data(error: &Error) -> bool {
    match error {
        Error::Database(error) => error.code().is_some_and(|code| {
            // Data; uniqueness and the like, but no partition is a failed check; limits of the program.
            ["21", "22", "23", "54"].iter().any(|class| code.starts_with(class)) && code != "23514"
        }),
        Error::Encode(_) => true,
        _ => false,
    }
}

/// Whether somebody has to correct the address, the database or this server: waiting does not help.
pub fn is_misconfigured(error: &Error) -> bool {
    match error {
        Error::Configuration(_) | Error::InvalidArgument(_) => true,
        Error::Database(error) => error
            .code()
            .is_some_and(|code| code.starts_with("28") || matches!(code.as_ref(), "3D000" | "42501")),
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

/// A migration that got no lock for so long lets the service past and stands at the end of the queue again: what
/// waits for a lock on a table stops everybody who comes after it, and the marketplace does not wait longer.
const MIGRATION_LOCK: &str = "set lock_timeout = '2s'";

/// So often it stands there again, with a second between: more than two minutes in all.
const MIGRATION_TRIES: usize = 50;

/// Applies what is missing. Several processes may do this at once; one does the work. Migrations of a newer version
/// that are applied already are left alone: this one may be started once more while that one takes over.
///
/// # Errors
/// When the database does not answer, a migration was changed after it was applied, or somebody holds a table for
/// minutes.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    let mut migrator = Migrator {
        migrations: Cow::Borrowed(&MIGRATOR.migrations),
        ..Migrator::DEFAULT
    };
    migrator.set_ignore_missing(true);
    for _ in 1..MIGRATION_TRIES {
        match migrate_once(&migrator, pool).await {
            Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) if got_no_lock(&error) => {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            result => return result,
        }
    }
    migrate_once(&migrator, pool).await
}

/// On a connection of its own, which takes sqlx's own lock with it whatever happens.
async fn migrate_once(migrator: &Migrator, pool: &PgPool) -> Result<(), MigrateError> {
    let mut connection = pool.connect_options().connect().await?;
    sqlx::raw_sql(MIGRATION_LOCK).execute(&mut connection).await?;
    migrator.run_direct(None, &mut connection, false).await?;
    connection.close().await?;
    Ok(())
}

/// No lock in time, or two who stood in each other's way.
fn got_no_lock(error: &Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("55P03" | "40P01"))
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
