//! What was meant to move money, and what became of it.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use sqlx::PgPool;

use super::jobs::Claimed;
use crate::domain::ids::JobId;

/// How far an entry has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(rename = "LedgerState", rename_all = "snake_case")]
pub enum State {
    /// The call has not left us.
    Intended,
    /// The call may have left us; nobody knows what became of it.
    Unknown,
    /// It happened, once.
    Done,
    /// It did not happen, and will not.
    Failed,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Intended, Self::Unknown, Self::Done, Self::Failed];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Unknown => "unknown",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    fn parse(word: &str) -> Self {
        // A word of a later version: whatever it means, nothing may be done about it.
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .unwrap_or(Self::Unknown)
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Intent {
    /// Report a payment that was made on our side.
    Payment {
        /// Major units.
        amount: Decimal,
        /// Three capital letters.
        currency: String,
        /// When it was made.
        paid_at: DateTime<Utc>,
        /// First moment that is paid for.
        period_from: DateTime<Utc>,
        /// Last moment that is paid for.
        period_to: DateTime<Utc>,
        /// Payments that the status shows already, by number.
        seen: Vec<i64>,
    },
    /// Give a reported payment back.
    Refund {
        /// The marketplace's number of it.
        payment_id: i64,
    },
}

/// An entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Number.
    pub id: i64,
    /// How far it has come.
    pub state: State,
    /// What is to be done.
    pub intent: Intent,
    /// The number of the payment, once it is known.
    pub payment_id: Option<i64>,
    /// How long ago the call may have left us, in seconds of the database's clock.
    pub called_seconds_ago: Option<f64>,
    /// What people should know.
    pub note: Option<String>,
}

/// The entry of a job.
///
/// # Errors
/// When the database does not answer.
pub async fn find(pool: &PgPool, job: JobId) -> sqlx::Result<Option<Entry>> {
    let row = sqlx::query!(
        r#"select id, state, payment_id, amount, currency, paid_at, period_from, period_to, seen, note,
                  extract(epoch from clock_timestamp() - called_at)::float8 as called_seconds_ago
           from ledger where job_id = $1"#,
        job.0
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Entry {
        id: row.id,
        state: State::parse(&row.state),
        intent: match (row.amount, row.currency, row.paid_at, row.period_from, row.period_to) {
            (Some(amount), Some(currency), Some(paid_at), Some(period_from), Some(period_to)) => Intent::Payment {
                amount,
                currency,
                paid_at,
                period_from,
                period_to,
                seen: row.seen,
            },
            _ => Intent::Refund {
                payment_id: row.payment_id.unwrap_or_default(),
            },
        },
        payment_id: row.payment_id,
        called_seconds_ago: row.called_seconds_ago,
        note: row.note,
    }))
}

/// Notes what a job is about to do; what was noted of a call that has not left us is replaced. `seen_at` is the moment
/// before the status was read on which the intent rests, by the database's clock.
///
/// Payments of a location are reported one after another, each for the period after the one before. So nothing is
/// noted, and the answer is `false`, while another job's report is under way there, or when one has ended since the
/// status was read.
///
/// # Errors
/// When the database does not answer.
pub async fn intend(pool: &PgPool, job: &Claimed, intent: &Intent, seen_at: DateTime<Utc>) -> sqlx::Result<bool> {
    let (kind, payment) = match intent {
        Intent::Payment { .. } => ("payment", None),
        Intent::Refund { payment_id } => ("refund", Some(*payment_id)),
    };
    let (amount, currency, dates, seen) = match intent {
        Intent::Payment {
            amount,
            currency,
            paid_at,
            period_from,
            period_to,
            seen,
        } => (
            Some(*amount),
            Some(currency.as_str()),
            [Some(*paid_at), Some(*period_from), Some(*period_to)],
            seen.as_slice(),
        ),
        Intent::Refund { .. } => (None, None, [None; 3], &[][..]),
    };
    let mut tx = pool.begin().await?;
    // A statement of its own, so that the next one sees what the last holder has committed.
    let place = format!("ledger {}", job.place);
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1, 0))", place)
        .execute(&mut *tx)
        .await?;
    let noted = sqlx::query!(
        "insert into ledger as l (job_id, application_id, location_id, rule, kind, payment_id, amount, currency, paid_at,
            period_from, period_to, seen)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12
         where $5 <> 'payment' or not exists (
            select from ledger other where other.application_id = $2 and other.location_id = $3 and other.job_id <> $1
                and other.kind = 'payment' and (other.changed_at >= $13
                    or (other.state in ('intended', 'unknown') and exists (select from jobs j where j.id = other.job_id))))
         on conflict (job_id) do update set paid_at = excluded.paid_at, period_from = excluded.period_from,
            period_to = excluded.period_to, seen = excluded.seen, changed_at = now()
            where l.state = 'intended'",
        job.id.0,
        job.place.application_id.0,
        job.place.location_id.0,
        job.rule,
        kind,
        payment,
        amount,
        currency,
        dates[0],
        dates[1],
        dates[2],
        seen,
        seen_at
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(noted.rows_affected() == 1)
}

/// Says that the call leaves us now: from here on nobody knows what became of it, until somebody does.
/// False when that must not be: somebody else was quicker, or the lease of the job is over.
///
/// # Errors
/// When the database does not answer.
pub async fn begin(pool: &PgPool, entry: i64, job: &Claimed) -> sqlx::Result<bool> {
    let begun = sqlx::query!(
        "update ledger set state = 'unknown', calls = calls + 1, called_at = clock_timestamp(), changed_at = now()
         where id = $1 and state = 'intended'
           and exists (select from lanes where id = $2 and leased_by = $3 and leased_until > clock_timestamp())",
        entry,
        job.lane_id,
        &*job.lease
    )
    .execute(pool)
    .await?;
    Ok(begun.rows_affected() == 1)
}

/// What was found out about a call.
#[derive(Debug, Clone, Copy)]
pub enum Finding<'a> {
    /// It happened; a report has this number.
    Happened(i64),
    /// It did not happen, and may be tried again.
    NotYet,
    /// It did not happen, and will not, for this reason.
    Refused(&'a str),
    /// That cannot be told, for this reason.
    Unclear(&'a str),
}

/// Writes what was found out. What is done or failed stays so.
///
/// # Errors
/// When the database does not answer.
pub async fn find_out(pool: &PgPool, entry: i64, finding: Finding<'_>) -> sqlx::Result<()> {
    write(pool, entry, finding, &[State::Intended, State::Unknown]).await?;
    Ok(())
}

/// Writes what people found out about an entry whose end is unknown. False when it is none.
///
/// # Errors
/// When the database does not answer.
pub async fn close(pool: &PgPool, entry: i64, finding: Finding<'_>) -> sqlx::Result<bool> {
    write(pool, entry, finding, &[State::Unknown]).await
}

async fn write(pool: &PgPool, entry: i64, finding: Finding<'_>, from: &[State]) -> sqlx::Result<bool> {
    let from: Vec<String> = from.iter().map(|state| state.as_str().to_owned()).collect();
    let (state, payment, note) = match finding {
        Finding::Happened(payment) => (State::Done, Some(payment), None),
        Finding::NotYet => (State::Intended, None, None),
        Finding::Refused(why) => (State::Failed, None, Some(why)),
        Finding::Unclear(why) => (State::Unknown, None, Some(why)),
    };
    let written = sqlx::query!(
        "update ledger set state = $2, payment_id = coalesce($3, payment_id), note = $4, changed_at = now()
         where id = $1 and state = any($5)",
        entry,
        state.as_str(),
        payment,
        note,
        &from
    )
    .execute(pool)
    .await?;
    Ok(written.rows_affected() == 1)
}

/// Those of some payments of an application that are the answer to a report of ours.
///
/// # Errors
/// When the database does not answer.
pub async fn reported(pool: &PgPool, application: i64, payments: &[i64]) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"select payment_id as "id!" from ledger
           where application_id = $1 and kind = 'payment' and payment_id = any($2)"#,
        application,
        payments
    )
    .fetch_all(pool)
    .await
}
