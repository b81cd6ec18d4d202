use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{
    ids::EventId,
    moment::Term,
    payment::{Payment, Periods},
};

/// What an event of an installation says, in our words. It is stored beside the raw bytes, so that
/// nobody has to parse those twice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// A browser came to the registration address for this location.
    ConnectOpened {
        /// Its user data carried a valid signature.
        signed: bool,
    },
    /// The status is pending.
    Pending {
        /// When the owner consented, as far as the marketplace said.
        since: Option<DateTime<Utc>>,
    },
    /// The status is active.
    Activated {
        /// Trial and paid period.
        periods: Periods,
    },
    /// The status is frozen.
    Frozen,
    /// The status is active after it was frozen.
    Unfrozen {
        /// Trial and paid period.
        periods: Periods,
    },
    /// Not installed any more.
    Uninstalled {
        /// Which connection it is that ended, when a look at the status found it; a callback does not say. Two looks
        /// may find the same end before either is judged, and the second must not end what was connected since.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        generation: Option<i32>,
    },
    /// A callback says that the owner paid through the platform. Not believed before the status
    /// says it too: the signature covers neither period nor payment number (contract 7.2).
    PaymentReported {
        /// What the callback says.
        payment: Payment,
    },
    /// The status shows a payment we did not know.
    PaymentReceived {
        /// The payment.
        payment: Payment,
        /// What all payments add up to with it.
        periods: Periods,
    },
    /// The status shows that a payment we knew was refunded.
    PaymentRefunded {
        /// The payment.
        payment: Payment,
        /// What all payments add up to without it.
        periods: Periods,
    },
    /// Trial or paid period have other dates than we knew.
    PeriodChanged {
        /// The dates now.
        periods: Periods,
    },
    /// An end has come, or some time before it.
    MomentCame {
        /// Which generation of the installation it was planned for.
        generation: i32,
        /// The date it refers to.
        date: DateTime<Utc>,
        /// How long before that date, in seconds.
        before_seconds: i64,
        /// What ends. The version before knew the trial only, and did not write it down.
        #[serde(default = "trial")]
        of: Term,
    },
    /// A calendar says so.
    ScheduleCame {
        /// Which generation it was planned for.
        generation: i32,
        /// The calendar.
        cron: String,
        /// What the clocks of the place show, as planned.
        local_at: NaiveDateTime,
    },
    /// An active location sent nothing for long.
    FellSilent {
        /// Which generation it is about.
        generation: i32,
        /// For how long, in seconds.
        lasting_seconds: i64,
        /// Since when.
        since: DateTime<Utc>,
        /// The last event before it, if there was one.
        after: Option<EventId>,
    },
    /// The time to activate a connection is over.
    ActivationExpired {
        /// Which generation the connection was.
        generation: i32,
        /// Since when it was pending.
        pending_since: DateTime<Utc>,
    },
    /// A person asked for a bulk action.
    BulkRequested {
        /// The plan that tells what it does.
        plan: i64,
    },
}

fn trial() -> Term {
    Term::Trial
}
