use chrono::{DateTime, Utc};
use sqlx::PgPool;

/// How often a rule has fired, as far as firings are kept.
#[derive(Debug)]
pub struct Fired {
    /// Application.
    pub application_id: i64,
    /// Its name.
    pub rule: String,
    /// How often.
    pub firings: i64,
    /// How often it would have fired while it was only watched.
    pub shadow_firings: i64,
    /// When it fired last.
    pub last_fired_at: DateTime<Utc>,
}

/// How often each rule has fired. Reads all firings.
///
/// # Errors
/// When the database does not answer.
pub async fn fired(pool: &PgPool) -> sqlx::Result<Vec<Fired>> {
    sqlx::query_as!(
        Fired,
        r#"select application_id, rule, count(*) filter (where mode = 'live') as "firings!",
                  count(*) filter (where mode = 'shadow') as "shadow_firings!", max(fired_at) as "last_fired_at!"
           from firings group by application_id, rule"#
    )
    .fetch_all(pool)
    .await
}
