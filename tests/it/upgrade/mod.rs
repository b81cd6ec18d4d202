//! A new version comes while the one before still runs: its statements, its data and its rows on the new schema.
//! `first-release.sql` and `first-release-statements.json` are what the release with only the first migration left in
//! its database, and every statement it was built with.

mod manners;
mod side_by_side;

use std::{fs, path::Path, time::Duration};

use bellhop::store;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/upgrade");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// A database as the first release made it, with its data.
async fn first_release(pool: &PgPool) {
    store::MIGRATOR.run_to(1, pool).await.expect("the first migration");
    let data = fixture("first-release.sql");
    sqlx::raw_sql(AssertSqlSafe(data))
        .execute(pool)
        .await
        .expect("its data");
}

async fn texts(pool: &PgPool, statement: &str) -> Vec<String> {
    sqlx::query_scalar(AssertSqlSafe(statement.to_owned()))
        .fetch_all(pool)
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"))
}

#[sqlx::test(migrations = false)]
async fn every_statement_the_version_before_has_prepared_still_works(pool: PgPool) {
    first_release(&pool).await;
    let statements: Vec<Value> = serde_json::from_str(&fixture("first-release-statements.json")).expect("JSON");
    assert!(statements.len() > 60);
    // Prepared before, as by a process that runs, and again afterwards, as by one that is started again.
    let mut running = pool.acquire().await.expect("a connection");
    let mut wrong = Vec::new();
    for (number, statement) in statements.iter().enumerate() {
        let query = statement["query"].as_str().expect("a query");
        let prepare = AssertSqlSafe(format!("prepare before_{number} as {query}"));
        running
            .execute(sqlx::raw_sql(prepare))
            .await
            .expect("it worked on its own schema");
    }
    store::migrate(&pool).await.expect("the other migrations");
    for (number, statement) in statements.iter().enumerate() {
        let query = statement["query"].as_str().expect("a query");
        let nulls = vec!["null"; usize::try_from(statement["parameters"].as_u64().expect("a number")).expect("small")];
        let nulls = match nulls.len() {
            0 => String::new(),
            _ => format!("({})", nulls.join(", ")),
        };
        for again in [
            format!("explain execute before_{number}{nulls}"),
            format!("prepare after_{number} as {query}"),
        ] {
            if let Err(error) = running.execute(sqlx::raw_sql(AssertSqlSafe(again))).await {
                wrong.push(format!("{error}: {query}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// The rows of every table of the first release, in its own columns, as one digest each.
async fn digests(pool: &PgPool, columns: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (table, columns) in columns {
        let digest = format!(
            "select '{table} ' || count(*) || ' ' || coalesce(md5(string_agg(row::text, '|' order by row::text)), '')
             from (select ({columns})::text as row from {table}) r"
        );
        found.extend(texts(pool, &digest).await);
    }
    found
}

#[sqlx::test(migrations = false)]
async fn the_data_of_the_version_before_is_all_there_after_every_migration(pool: PgPool) {
    first_release(&pool).await;
    let columns: Vec<(String, String)> = sqlx::query_as(
        "select table_name::text, 'row(' || string_agg(quote_ident(column_name), ', ' order by ordinal_position) || ')'
         from information_schema.columns where table_schema = 'public' and table_name !~ '^_|_[0-9]{8}$' group by 1 order by 1",
    )
    .fetch_all(&pool)
    .await
    .expect("columns");
    assert_eq!(columns.len(), 17);
    let before = digests(&pool, &columns).await;
    for digest in &before {
        assert!(
            !digest.contains(" 0 "),
            "the fixture has rows for every table: {digest}"
        );
    }
    store::migrate(&pool).await.expect("the other migrations");
    assert_eq!(digests(&pool, &columns).await, before);
}

/// What a row of the version before must satisfy, by table.
const DEMANDS: &str = "
    select format('column %s.%s %s', table_name, column_name, data_type) from information_schema.columns
        where table_schema = 'public' and table_name !~ '_[0-9]{8}$'
    union all
    select format('must have %s.%s', table_name, column_name) from information_schema.columns
        where table_schema = 'public' and table_name !~ '_[0-9]{8}$'
          and is_nullable = 'NO' and column_default is null and is_identity = 'NO' and is_generated = 'NEVER'
    union all
    select format('constraint %s on %s: %s', conname, conrelid::regclass, pg_get_constraintdef(oid)) from pg_constraint
        where contype in ('c', 'f', 'u', 'p', 'x') and conrelid <> 0 and conrelid::regclass::text !~ '_[0-9]{8}$'
    union all
    select format('unique index %s on %s', indexrelid::regclass, indrelid::regclass) from pg_index
        join pg_class c on c.oid = indexrelid and c.relnamespace = 'public'::regnamespace
        where indisunique and indrelid::regclass::text !~ '_[0-9]{8}$' order by 1";

#[sqlx::test(migrations = false)]
async fn rows_of_the_version_before_satisfy_the_new_schema(pool: PgPool) {
    first_release(&pool).await;
    let tables = texts(
        &pool,
        "select tablename::text from pg_tables where schemaname = 'public'",
    )
    .await;
    let before = texts(&pool, DEMANDS).await;
    store::migrate(&pool).await.expect("the other migrations");
    let after = texts(&pool, DEMANDS).await;
    let gone: Vec<&String> = before
        .iter()
        .filter(|demand| demand.starts_with("column ") && !after.contains(demand))
        .collect();
    assert!(gone.is_empty(), "a version later these may go: {gone:?}");
    // Only tables that the version before does not know may demand more.
    let of_old_table = |demand: &str| {
        tables.iter().any(|table| {
            demand.starts_with(&format!("must have {table}."))
                || demand.contains(&format!(" on {table}:"))
                || demand.ends_with(&format!(" on {table}"))
        })
    };
    let more: Vec<&String> = after
        .iter()
        .filter(|demand| of_old_table(demand) && !before.contains(demand) && !satisfied(demand, &before))
        .collect();
    assert!(
        more.is_empty(),
        "rows of the version before do not know these: {more:?}"
    );
}

/// Whether rows of the version before satisfy a new check all the same: it takes more words than the one before, or
/// looks at columns only that the version before does not know, and those have defaults.
fn satisfied(demand: &str, before: &[String]) -> bool {
    let Some((name, check)) = demand.split_once(": CHECK ") else {
        return false;
    };
    let words = |check: &str| -> Vec<String> { check.split('\'').skip(1).step_by(2).map(str::to_owned).collect() };
    let known = before
        .iter()
        .find_map(|demand| demand.strip_prefix(name)?.strip_prefix(": CHECK "));
    if let Some(known) = known {
        let now = words(check);
        return !words(known).is_empty() && words(known).iter().all(|word| now.contains(word));
    }
    let table = name.rsplit(' ').next().unwrap_or_default();
    let of_table = format!("column {table}.");
    let mut columns = before
        .iter()
        .filter_map(|demand| demand.strip_prefix(&of_table)?.split(' ').next());
    let mentioned: Vec<&str> = check.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    !columns.any(|column| mentioned.contains(&column))
}

#[sqlx::test(migrations = false)]
async fn a_migration_that_gets_no_lock_lets_everybody_past_and_comes_again(pool: PgPool) {
    first_release(&pool).await;
    let mut holder = pool.begin().await.expect("a transaction");
    let hold = "lock table delivery_keys in share update exclusive mode";
    sqlx::raw_sql(hold).execute(&mut *holder).await.expect("held");
    let migrating = store::migrate(&pool);
    let watching = async {
        let waits =
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
        let waiting = async || {
            sqlx::query_scalar::<_, i64>(waits)
                .fetch_one(&pool)
                .await
                .expect("a count")
        };
        while waiting().await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        while waiting().await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // It has stepped back, although the table is still held.
        holder.commit().await.expect("released");
    };
    let (migrated, ()) = tokio::join!(migrating, watching);
    migrated.expect("applied in the end");
    assert_eq!(
        store::pending_migrations(&pool).await.expect("a list"),
        Vec::<String>::new()
    );
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_version_before_may_be_started_again_while_a_new_one_takes_over(pool: PgPool) {
    let options = pool.connect_options();
    let mut connection = PgConnection::connect_with(&options).await.expect("a connection");
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (9999, 'of a later version', true, '', 0)";
    sqlx::raw_sql(newer)
        .execute(&mut connection)
        .await
        .expect("as if applied");
    store::migrate(&pool).await.expect("nothing to do");
    assert_eq!(
        store::pending_migrations(&pool).await.expect("a list"),
        Vec::<String>::new()
    );
}
