use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    event::{Fact, Kind, words},
    ids::Place,
    moment::Term,
    payment::{Payment, Periods},
};

words! {
    /// Where an installation stands (contract 8). The marketplace's `freezed` and `disabled` are
    /// both `frozen` here: no access, no events, until somebody pays.
    Status {
        /// The owner consented; we have to activate.
        Pending = "pending",
        /// It works.
        Active = "active",
        /// It is there but does not work until somebody pays.
        Frozen = "frozen",
        /// It is not there.
        Uninstalled = "uninstalled",
    }
}

/// An application at a location. It starts to exist with the first connection and is kept for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Installation {
    /// Which.
    #[serde(flatten)]
    pub place: Place,
    /// Where it stands.
    pub status: Status,
    /// Grows with every new connection; 0 before the first.
    pub generation: i32,
    /// Since when `status` is known to be so.
    pub status_since: DateTime<Utc>,
    /// The last moment for which it was told or seen. What is dated before it cannot move the status.
    pub status_seen_at: DateTime<Utc>,
    /// When the owner consented to this generation.
    pub connected_at: Option<DateTime<Utc>>,
    /// When this generation became active first.
    pub activated_at: Option<DateTime<Utc>>,
    /// Trial and paid period of this generation.
    #[serde(flatten)]
    pub periods: Periods,
}

/// What the status call showed (contract 6.1, M6), in our words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Where the installation stands; `Uninstalled` also for "not found".
    pub status: Status,
    /// When the link was made.
    pub created_at: Option<DateTime<Utc>>,
    /// All payments, in any order.
    pub payments: Vec<Payment>,
    /// The moment before the call was sent.
    pub observed_at: DateTime<Utc>,
}

/// Why a bulk action leaves a place out.
pub const NOT_INSTALLED: &str = "not installed";

/// What a fact did to an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing; the text says why, for people.
    Nothing(&'static str),
    /// The status or the generation is another.
    Moved,
    /// Something happened that rules may wait for, without a new status.
    Happened,
}

impl Observation {
    /// Whether the application is at the location, working or frozen.
    pub fn is_connected(&self) -> bool {
        matches!(self.status, Status::Active | Status::Frozen)
    }
}

impl Installation {
    /// Whether the application is at the location, in whatever state.
    pub fn is_there(&self) -> bool {
        self.status != Status::Uninstalled
    }

    /// Before anything is known.
    pub fn unknown(place: Place, now: DateTime<Utc>) -> Self {
        Self {
            place,
            status: Status::Uninstalled,
            generation: 0,
            // Anything observed from now on is newer.
            status_since: now - chrono::TimeDelta::days(36_500),
            status_seen_at: now - chrono::TimeDelta::days(36_500),
            connected_at: None,
            activated_at: None,
            periods: Periods::default(),
        }
    }

    /// Applies what was learnt. Total: every fact is possible in every state, because callbacks get
    /// lost, come twice and come late.
    pub fn apply(&self, fact: &Fact, occurred_at: DateTime<Utc>) -> (Self, Change) {
        match fact {
            Fact::ConnectOpened { .. } => (
                self.clone(),
                Change::Nothing("the status call decides what an opened page means"),
            ),
            Fact::PaymentReported { .. } => (
                self.clone(),
                Change::Nothing("a reported payment waits for the status to confirm it"),
            ),
            Fact::Pending { since } => self.pending(*since, occurred_at),
            Fact::Activated { periods } | Fact::Unfrozen { periods } => self.active(*periods, occurred_at),
            Fact::Frozen => self.frozen(occurred_at),
            Fact::Uninstalled {
                generation: Some(ended),
            } if *ended != self.generation => (self.clone(), Change::Nothing("that connection was over already")),
            Fact::Uninstalled { .. } => self.uninstalled(occurred_at),
            Fact::PaymentReceived { periods, .. }
            | Fact::PaymentRefunded { periods, .. }
            | Fact::PeriodChanged { periods } => {
                if self.status == Status::Uninstalled {
                    return (
                        self.clone(),
                        Change::Nothing("not installed: dates of payment do not matter"),
                    );
                }
                (
                    Self {
                        periods: *periods,
                        ..self.clone()
                    },
                    Change::Happened,
                )
            }
            Fact::MomentCame {
                generation, date, of, ..
            } => (self.clone(), self.end_came(*generation, *of, *date)),
            Fact::ScheduleCame { generation, .. } | Fact::FellSilent { generation, .. } => {
                (self.clone(), self.came_while_active(*generation))
            }
            Fact::ActivationExpired { generation, .. } => (self.clone(), self.not_activated(*generation)),
            Fact::BulkRequested { .. } if self.is_there() => (self.clone(), Change::Happened),
            Fact::BulkRequested { .. } => (self.clone(), Change::Nothing(NOT_INSTALLED)),
        }
    }

    fn pending(&self, since: Option<DateTime<Utc>>, at: DateTime<Utc>) -> (Self, Change) {
        match self.status {
            _ if at < self.status_seen_at => self.stale(),
            Status::Pending => self.seen_again(at, "already pending"),
            // A link is never pending again without having been disconnected (contract 8), so an
            // active or frozen one means that we missed the uninstall: it is a new connection too.
            Status::Uninstalled | Status::Active | Status::Frozen => {
                (self.connected(Status::Pending, since.unwrap_or(at), at), Change::Moved)
            }
        }
    }

    fn active(&self, periods: Periods, at: DateTime<Utc>) -> (Self, Change) {
        match self.status {
            _ if at < self.status_seen_at => self.stale(),
            Status::Active => self.seen_again(at, "already active"),
            Status::Pending | Status::Frozen => {
                let activated_at = self.activated_at.or(Some(at));
                let periods = self.periods.updated(periods);
                (
                    Self {
                        status: Status::Active,
                        status_since: at,
                        status_seen_at: at,
                        activated_at,
                        periods,
                        ..self.clone()
                    },
                    Change::Moved,
                )
            }
            // Private applications skip pending, and another program may have activated.
            Status::Uninstalled => {
                let next = self.connected(Status::Active, at, at);
                (
                    Self {
                        activated_at: Some(at),
                        periods,
                        ..next
                    },
                    Change::Moved,
                )
            }
        }
    }

    fn frozen(&self, at: DateTime<Utc>) -> (Self, Change) {
        match self.status {
            _ if at < self.status_seen_at => self.stale(),
            Status::Frozen => self.seen_again(at, "already frozen"),
            Status::Active | Status::Pending => (
                Self {
                    status: Status::Frozen,
                    status_since: at,
                    status_seen_at: at,
                    ..self.clone()
                },
                Change::Moved,
            ),
            // We never saw it connected, and yet it is there.
            Status::Uninstalled => (self.connected(Status::Frozen, at, at), Change::Moved),
        }
    }

    fn uninstalled(&self, at: DateTime<Utc>) -> (Self, Change) {
        match self.status {
            _ if at < self.status_seen_at => self.stale(),
            // Nothing is kept of a place that was never connected.
            Status::Uninstalled if self.generation == 0 => (self.clone(), Change::Nothing("already uninstalled")),
            Status::Uninstalled => self.seen_again(at, "already uninstalled"),
            Status::Pending | Status::Active | Status::Frozen => (
                Self {
                    status: Status::Uninstalled,
                    status_since: at,
                    status_seen_at: at,
                    ..self.clone()
                },
                Change::Moved,
            ),
        }
    }

    fn connected(&self, status: Status, since: DateTime<Utc>, at: DateTime<Utc>) -> Self {
        Self {
            place: self.place,
            status,
            generation: self.generation + 1,
            status_since: at,
            status_seen_at: at,
            connected_at: Some(since),
            activated_at: None,
            periods: Periods::default(),
        }
    }

    /// The status stays, and whatever is older has nothing to say any more: callbacks, lost answers and looks at the
    /// status arrive in another order than they happened.
    fn seen_again(&self, at: DateTime<Utc>, why: &'static str) -> (Self, Change) {
        let seen = Self {
            status_seen_at: at,
            ..self.clone()
        };
        (seen, Change::Nothing(why))
    }

    fn stale(&self) -> (Self, Change) {
        (
            self.clone(),
            Change::Nothing("learnt before what is known of the status"),
        )
    }

    /// Counts on a trial of so many days until the marketplace tells the real one.
    pub fn expecting_trial(mut self, days: u32) -> Self {
        if let (Status::Active, Some(activated_at)) = (self.status, self.activated_at)
            && days > 0
            && !self.periods.has_paid
            && self.periods.trial_ends_at.is_none()
        {
            self.periods.trial_ends_at = Some(activated_at + chrono::TimeDelta::days(days.into()));
        }
        self
    }

    /// What an observation says that we do not know yet, as facts in the order in which they
    /// happened. `known` are the payments that we have seen; `expected` is the number of a payment
    /// that a callback announced, which counts even when a full discount made it zero.
    pub fn differences(&self, seen: &Observation, known: &[Payment], expected: Option<i64>) -> Vec<Fact> {
        let new_connection = self.status == Status::Uninstalled || seen.status == Status::Pending;
        let before = if new_connection && self.status != seen.status {
            Periods::default()
        } else {
            self.periods
        };
        let periods = before.updated(Periods::of(&seen.payments));
        let mut facts = Vec::new();
        match (self.status, seen.status) {
            (Status::Active | Status::Frozen, Status::Pending) => {
                facts.push(self.ended());
                facts.push(Fact::Pending { since: seen.created_at });
            }
            (Status::Uninstalled, Status::Pending) => facts.push(Fact::Pending { since: seen.created_at }),
            (Status::Frozen, Status::Active) => facts.push(Fact::Unfrozen { periods }),
            (Status::Pending | Status::Uninstalled, Status::Active) => facts.push(Fact::Activated { periods }),
            (Status::Pending | Status::Active | Status::Uninstalled, Status::Frozen) => facts.push(Fact::Frozen),
            (Status::Pending | Status::Active | Status::Frozen, Status::Uninstalled) => facts.push(self.ended()),
            (Status::Pending, Status::Pending)
            | (Status::Active, Status::Active)
            | (Status::Frozen, Status::Frozen)
            | (Status::Uninstalled, Status::Uninstalled) => {}
        }
        if seen.status == Status::Uninstalled {
            return facts;
        }
        let money = payment_differences(seen, known, expected, periods);
        let told = !money.is_empty()
            || facts
                .iter()
                .any(|fact| matches!(fact, Fact::Activated { .. } | Fact::Unfrozen { .. }));
        facts.extend(money);
        if !told && before != periods && !seen.payments.is_empty() {
            facts.push(Fact::PeriodChanged { periods });
        }
        facts
    }

    fn ended(&self) -> Fact {
        Fact::Uninstalled {
            generation: Some(self.generation),
        }
    }

    /// The same for a place that was disconnected and connected again unseen: what ended, and what began.
    pub fn differences_after_reinstall(&self, seen: &Observation, known: &[Payment]) -> Vec<Fact> {
        let gone = Self {
            status: Status::Uninstalled,
            periods: Periods::default(),
            ..self.clone()
        };
        let mut facts = vec![self.ended()];
        facts.extend(gone.differences(seen, known, None));
        facts
    }
}

fn payment_differences(seen: &Observation, known: &[Payment], expected: Option<i64>, periods: Periods) -> Vec<Fact> {
    let before = |payment: &Payment| known.iter().find(|known| known.key() == payment.key());
    seen.payments
        .iter()
        .filter_map(|payment| match before(payment) {
            None if payment.counts() || (expected.is_some() && payment.id == expected) => Some(Fact::PaymentReceived {
                payment: payment.clone(),
                periods,
            }),
            Some(known) if payment.refunded && !known.refunded => Some(Fact::PaymentRefunded {
                payment: Payment {
                    // The status call does not say it; who told of the payment may have.
                    currency: payment.currency.clone().or_else(|| known.currency.clone()),
                    ..payment.clone()
                },
                periods,
            }),
            None | Some(_) => None,
        })
        .collect()
}

impl Fact {
    /// The kind of the event that reports it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::ConnectOpened { .. } => Kind::ConnectOpened,
            Self::Pending { .. } => Kind::InstallationPending,
            Self::Activated { .. } => Kind::InstallationActivated,
            Self::Frozen => Kind::InstallationFrozen,
            Self::Unfrozen { .. } => Kind::InstallationUnfrozen,
            Self::Uninstalled { .. } => Kind::InstallationUninstalled,
            Self::PaymentReported { .. } | Self::PaymentReceived { .. } => Kind::PaymentReceived,
            Self::PaymentRefunded { .. } => Kind::PaymentRefunded,
            Self::PeriodChanged { .. } => Kind::PeriodChanged,
            Self::MomentCame { before_seconds, of, .. } => match of {
                Term::Trial if *before_seconds > 0 => Kind::TrialEnding,
                Term::Trial => Kind::TrialEnded,
                Term::Period if *before_seconds > 0 => Kind::PeriodEnding,
                Term::Period => Kind::PeriodEnded,
            },
            Self::ScheduleCame { .. } => Kind::Schedule,
            Self::FellSilent { .. } => Kind::Silence,
            Self::ActivationExpired { .. } => Kind::ActivationExpired,
            Self::BulkRequested { .. } => Kind::BulkRequested,
        }
    }
}

#[cfg(test)]
mod tests;
