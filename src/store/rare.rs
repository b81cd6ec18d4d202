//! Indexes of rare rows on days that were there before them. A migration makes such an index for the table as a whole
//! and for days to come; here each day that is there gets its own, concurrently, so that nobody who writes has to wait.

use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

use super::partitions;

/// Indexes over all days of a table: what each is called, on which table, and which rows it holds.
const INDEXES: [(&str, &str, &str); 2] = [
    ("events_of_comparing", "events", "(id) where source = 'reconciliation'"),
    (
        "finished_jobs_discarded",
        "finished_jobs",
        "(id) where state = 'discarded'",
    ),
];

/// Any number that other users of the database do not take.
const LOCK: i64 = 0x6265_6c6c_0002;

/// Makes the next index that a day lacks, the youngest day first. Returns for which day; `None` when none lacks one,
/// when somebody else is at it, or when a long transaction is in the way: then the next round tries again.
///
/// # Errors
/// When the database does not answer.
pub async fn index_next(pool: &PgPool) -> sqlx::Result<Option<String>> {
    for (index, table, rows) in INDEXES {
        let Some(day) = lacking(pool, table, index).await? else {
            continue;
        };
        let mut connection = partitions::patient(pool).await?;
        let is_alone = alone(&mut connection).await?;
        let made = match is_alone {
            true => add(&mut connection, (index, &day), rows).await,
            false => Ok(()),
        };
        // With the connection the lock would go a moment later, and the next day would not get it.
        leave(&mut connection).await?;
        connection.close().await?;
        return match made {
            Ok(()) => Ok(is_alone.then_some(day)),
            Err(error) if partitions::no_lock(&error) => Ok(None),
            Err(error) => Err(error),
        };
    }
    Ok(None)
}

/// The youngest day of a table that lacks an index.
async fn lacking(pool: &PgPool, table: &str, index: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        r#"
        select c.relname as "name!" from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = $1::text::regclass and not i.inhdetachpending and not exists (
            select from pg_index x join pg_inherits part on part.inhrelid = x.indexrelid
            where x.indrelid = c.oid and part.inhparent = $2::text::regclass)
        order by 1 desc limit 1
        "#,
        table,
        index
    )
    .fetch_optional(pool)
    .await
}

/// Whether nobody else is at it. Two at once would take each other's work for what a crash left behind.
async fn alone(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "alone!""#, LOCK)
        .fetch_one(connection)
        .await
}

async fn leave(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("select pg_advisory_unlock_all()")
        .execute(connection)
        .await?;
    Ok(())
}

async fn add(connection: &mut PgConnection, (index, day): (&str, &str), rows: &str) -> sqlx::Result<()> {
    let name = format!("{index}_{}", day.rsplit_once('_').map_or(day, |(_, date)| date));
    for statement in [
        // What was begun and not finished is there, and of no use.
        format!("drop index concurrently if exists {name}"),
        format!("create index concurrently {name} on {day} {rows}"),
        format!("alter index {index} attach partition {name}"),
    ] {
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
