//! People who look. What they ask for may be too much to look through, and many may ask at once; neither may take
//! anything away from who does the work. So they have a few connections of their own, and their questions end.

use std::{ops::Deref, time::Duration};

use sqlx::{PgPool, PgTransaction};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Error, pool_of};

/// So many look at once: connections of a process, beside those of its work. They are opened when somebody looks.
pub const READERS: u32 = 4;

/// Who finds no place by then is told so.
const PATIENCE: Duration = Duration::from_secs(3);

/// Connections that nobody needs are given back after this.
const IDLE: Duration = Duration::from_secs(30);

/// What takes longer has too much to look through.
const BOUND: &str = "set statement_timeout = '10s'";

/// The connections of those who look.
pub struct Readers {
    pool: PgPool,
    places: Semaphore,
}

/// A look at the database. It keeps others out while it is held.
pub struct Look<'r> {
    pool: &'r PgPool,
    _place: SemaphorePermit<'r>,
}

/// Why there is nothing to see.
#[derive(Debug)]
pub enum NotSeen {
    /// Too many look at once.
    Busy,
    /// The database did not answer, or there was too much to look through ([`took_too_long`]).
    Store(Error),
}

impl Readers {
    /// Nothing is opened yet. `patience` is for the database; whoever waits for others who look waits for less.
    ///
    /// # Errors
    /// When `url` is no PostgreSQL address.
    pub fn new(url: &str, patience: Duration) -> sqlx::Result<Self> {
        let pool = pool_of(url, (READERS, patience), Some((BOUND, IDLE)))?;
        let places = Semaphore::new(READERS as usize);
        Ok(Self { pool, places })
    }

    /// A look, as soon as there is a place. Hold one at a time: who waits for a second may wait for himself.
    ///
    /// # Errors
    /// When too many look at once.
    pub async fn look(&self) -> Result<Look<'_>, NotSeen> {
        match tokio::time::timeout(PATIENCE, self.places.acquire()).await {
            Ok(Ok(place)) => Ok(Look {
                pool: &self.pool,
                _place: place,
            }),
            Ok(Err(_)) | Err(_) => Err(NotSeen::Busy),
        }
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl From<Error> for NotSeen {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl Deref for Look<'_> {
    type Target = PgPool;

    fn deref(&self) -> &PgPool {
        self.pool
    }
}

/// Whether the database gave a question up because there was too much to look through.
pub fn took_too_long(error: &Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.as_deref() == Some("57014")
}

/// A transaction in which no question takes longer than `patience`.
pub(super) async fn hasty(pool: &PgPool, patience: Duration) -> sqlx::Result<PgTransaction<'static>> {
    let mut tx = pool.begin().await?;
    let limit = patience.as_millis().to_string();
    sqlx::query_scalar!("select set_config('statement_timeout', $1, true)", limit)
        .fetch_one(&mut *tx)
        .await?;
    Ok(tx)
}

/// The answer, or `None` when it took too long.
pub(super) fn in_time<T>(answer: sqlx::Result<T>) -> sqlx::Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if took_too_long(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
