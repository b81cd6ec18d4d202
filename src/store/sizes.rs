//! How large tables are and what keeps them from shrinking. Sizes move slowly and cost a look at many
//! files, so they are read now and then and not with every look at the metrics.

use sqlx::PgPool;

/// One table; a partitioned one with all its days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    /// Its name.
    pub table: String,
    /// With indexes and what is stored apart, in bytes.
    pub bytes: i64,
    /// Rows that are gone and still take room.
    pub dead_rows: i64,
}

/// The size of every table of Bellhop.
///
/// # Errors
/// When the database does not answer.
pub async fn read(pool: &PgPool) -> sqlx::Result<Vec<Size>> {
    sqlx::query_as!(
        Size,
        r#"
        with part as (
            select c.oid, coalesce(p.relname, c.relname) as "table"
            from pg_class c left join pg_inherits i on i.inhrelid = c.oid left join pg_class p on p.oid = i.inhparent
            where c.relkind in ('r', 'p') and c.relnamespace = (select relnamespace from pg_class where oid = 'installations'::regclass)
        )
        select "table" as "table!", sum(pg_total_relation_size(part.oid))::bigint as "bytes!",
               coalesce(sum(s.n_dead_tup), 0)::bigint as "dead_rows!"
        from part left join pg_stat_user_tables s on s.relid = part.oid
        group by 1 order by 1
        "#
    )
    .fetch_all(pool)
    .await
}

/// For how long the oldest transaction on this database has held its view of the past: rows that were
/// deleted since cannot be cleaned up. Only transactions that this user may see count; of others
/// PostgreSQL does not tell.
///
/// # Errors
/// When the database does not answer.
pub async fn oldest_snapshot_seconds(pool: &PgPool) -> sqlx::Result<f64> {
    sqlx::query_scalar!(
        r#"
        select coalesce(extract(epoch from now() - least(
            (select min(xact_start) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid() and backend_type <> 'autovacuum worker'
               and (backend_xmin is not null or backend_xid is not null)),
            (select min(prepared) from pg_prepared_xacts where database = current_database())
        ))::float8, 0) as "seconds!"
        "#
    )
    .fetch_one(pool)
    .await
}
