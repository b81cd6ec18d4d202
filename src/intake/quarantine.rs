//! How much that is not genuine, or not understood, is kept in a day. The limit holds for all processes
//! and across restarts: each takes small shares of it from the database.

use chrono::{NaiveDate, Utc};
use tokio::sync::Mutex;

use crate::store::{
    self, PgPool,
    quarantine::{self, Share},
};

/// A share is this part of the limit: what a process that dies may leave unused.
const SHARES: i64 = 64;

/// Deliveries of a share, at most.
const LARGEST: i64 = 100;

/// What this process may keep today.
pub(super) struct Daily {
    limit: Share,
    left: Mutex<Left>,
}

/// What is left of the share taken last.
#[derive(Default)]
struct Left {
    day: NaiveDate,
    share: Share,
    /// No more is to be had today.
    spent: bool,
}

impl Daily {
    pub(super) fn new(limit: Share) -> Self {
        Self {
            limit,
            left: Mutex::default(),
        }
    }

    /// Whether a body of so many bytes may be kept. It is counted then.
    ///
    /// # Errors
    /// When only the database knows, and it does not answer.
    pub(super) async fn admits(&self, pool: &PgPool, bytes: usize) -> Result<bool, store::Error> {
        let needed = Share {
            deliveries: 1,
            bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
        };
        let today = Utc::now().date_naive();
        let mut left = self.left.lock().await;
        if left.day != today {
            *left = Left {
                day: today,
                ..Left::default()
            };
        }
        if !left.share.covers(needed) && !left.spent {
            let more = Share {
                deliveries: (self.limit.deliveries / SHARES).clamp(1, LARGEST),
                bytes: (self.limit.bytes / SHARES).max(needed.bytes),
            };
            // Near the end there may be room for this one and for no whole share.
            if quarantine::reserve(pool, more, self.limit).await? {
                left.share = left.share.with(more);
            } else if quarantine::reserve(pool, needed, self.limit).await? {
                left.share = left.share.with(needed);
            } else {
                left.spent = true;
            }
        }
        let admitted = left.share.covers(needed);
        if admitted {
            left.share.deliveries -= needed.deliveries;
            left.share.bytes -= needed.bytes;
        }
        Ok(admitted)
    }
}

impl Share {
    fn covers(self, other: Self) -> bool {
        self.deliveries >= other.deliveries && self.bytes >= other.bytes
    }

    fn with(self, other: Self) -> Self {
        Self {
            deliveries: self.deliveries + other.deliveries,
            bytes: self.bytes + other.bytes,
        }
    }
}
