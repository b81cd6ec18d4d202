use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    event::{Fact, Kind, words},
    ids::Place,
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
    /// Since when `status` is known to be so. Older observations do not change it.
    pub status_since: DateTime<Utc>,
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

impl Installation {
    /// Before anything is known.
    pub fn unknown(place: Place, now: DateTime<Utc>) -> Self {
        Self {
            place,
            status: Status::Uninstalled,
            generation: 0,
            // Anything observed from now on is newer.
            status_since: now - chrono::TimeDelta::days(36_500),
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
            Fact::Uninstalled => self.uninstalled(occurred_at),
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
            Fact::MomentCame { generation, date, .. } => (self.clone(), self.moment(*generation, *date)),
        }
    }

    fn pending(&self, since: Option<DateTime<Utc>>, at: DateTime<Utc>) -> (Self, Change) {
        match self.status {
            _ if at < self.status_since => self.stale(),
            Status::Pending => (self.clone(), Change::Nothing("already pending")),
            // A link is never pending again without having been disconnected (contract 8), so an
            // active or frozen one means that we missed the uninstall: it is a new connection too.
            Status::Uninstalled | Status::Active | Status::Frozen => {
                (self.connected(Status::Pending, since.unwrap_or(at), at), Change::Moved)
            }
        }
    }

    fn active(&self, periods: Periods, at: DateTime<Utc>) -> (Self, Change) {
        match self.status {
            _ if at < self.status_since => self.stale(),
            Status::Active => (self.clone(), Change::Nothing("already active")),
            Status::Pending | Status::Frozen => {
                let activated_at = self.activated_at.or(Some(at));
                let periods = self.periods.updated(periods);
                (
                    Self {
                        status: Status::Active,
                        status_since: at,
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
            _ if at < self.status_since => self.stale(),
            Status::Frozen => (self.clone(), Change::Nothing("already frozen")),
            Status::Active | Status::Pending => (
                Self {
                    status: Status::Frozen,
                    status_since: at,
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
            _ if at < self.status_since => self.stale(),
            Status::Uninstalled => (self.clone(), Change::Nothing("already uninstalled")),
            Status::Pending | Status::Active | Status::Frozen => (
                Self {
                    status: Status::Uninstalled,
                    status_since: at,
                    ..self.clone()
                },
                Change::Moved,
            ),
        }
    }

    /// A moment counts only for the generation and the date it was planned for.
    fn moment(&self, generation: i32, date: DateTime<Utc>) -> Change {
        if self.generation != generation || self.status == Status::Uninstalled {
            Change::Nothing("planned for a connection that is over")
        } else if self.periods.trial_ends_at != Some(date) {
            Change::Nothing("the date has moved since it was planned")
        } else {
            Change::Happened
        }
    }

    fn connected(&self, status: Status, since: DateTime<Utc>, at: DateTime<Utc>) -> Self {
        Self {
            place: self.place,
            status,
            generation: self.generation + 1,
            status_since: at,
            connected_at: Some(since),
            activated_at: None,
            periods: Periods::default(),
        }
    }

    fn stale(&self) -> (Self, Change) {
        (self.clone(), Change::Nothing("learnt before the present status began"))
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
                facts.push(Fact::Uninstalled);
                facts.push(Fact::Pending { since: seen.created_at });
            }
            (Status::Uninstalled, Status::Pending) => facts.push(Fact::Pending { since: seen.created_at }),
            (Status::Frozen, Status::Active) => facts.push(Fact::Unfrozen { periods }),
            (Status::Pending | Status::Uninstalled, Status::Active) => facts.push(Fact::Activated { periods }),
            (Status::Pending | Status::Active | Status::Uninstalled, Status::Frozen) => facts.push(Fact::Frozen),
            (Status::Pending | Status::Active | Status::Frozen, Status::Uninstalled) => facts.push(Fact::Uninstalled),
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
                payment: payment.clone(),
                periods,
            }),
            None | Some(_) => None,
        })
        .collect()
}

impl Fact {
    /// The kind of the event that reports it. Moments carry their kind themselves.
    pub fn kind(&self) -> Kind {
        match self {
            Self::ConnectOpened { .. } => Kind::ConnectOpened,
            Self::Pending { .. } => Kind::InstallationPending,
            Self::Activated { .. } => Kind::InstallationActivated,
            Self::Frozen => Kind::InstallationFrozen,
            Self::Unfrozen { .. } => Kind::InstallationUnfrozen,
            Self::Uninstalled => Kind::InstallationUninstalled,
            Self::PaymentReported { .. } | Self::PaymentReceived { .. } => Kind::PaymentReceived,
            Self::PaymentRefunded { .. } => Kind::PaymentRefunded,
            Self::PeriodChanged { .. } => Kind::PeriodChanged,
            Self::MomentCame { before_seconds, .. } if *before_seconds > 0 => Kind::TrialEnding,
            Self::MomentCame { .. } => Kind::TrialEnded,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    use super::*;
    use crate::domain::ids::{ApplicationId, LocationId};

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
    }

    fn new() -> Installation {
        Installation::unknown(
            Place {
                application_id: ApplicationId(1),
                location_id: LocationId(2),
            },
            at(0),
        )
    }

    fn periods() -> Periods {
        Periods {
            trial_ends_at: Some(at(1_000_000)),
            paid_until: None,
            has_paid: false,
        }
    }

    fn any_fact() -> impl Strategy<Value = Fact> {
        let payment = Payment {
            id: Some(5),
            amount: Decimal::ONE,
            currency: None,
            period_from: None,
            period_to: Some(at(500)),
            refunded: false,
        };
        prop_oneof![
            Just(Fact::ConnectOpened { signed: true }),
            Just(Fact::Pending { since: None }),
            Just(Fact::Activated { periods: periods() }),
            Just(Fact::Frozen),
            Just(Fact::Unfrozen { periods: periods() }),
            Just(Fact::Uninstalled),
            Just(Fact::PaymentReported {
                payment: payment.clone()
            }),
            Just(Fact::PaymentReceived {
                payment: payment.clone(),
                periods: periods()
            }),
            Just(Fact::PaymentRefunded {
                payment,
                periods: Periods::default()
            }),
            Just(Fact::PeriodChanged {
                periods: Periods::default()
            }),
            (0..4, 0..2_i64).prop_map(|(generation, days)| Fact::MomentCame {
                generation,
                date: at(1_000_000 * days),
                before_seconds: 0
            }),
        ]
    }

    fn any_observation() -> impl Strategy<Value = Observation> {
        let payments = prop::collection::vec(
            (0..3_i64, 0..3_i64, any::<bool>()).prop_map(|(id, amount, refunded)| Payment {
                id: Some(id),
                amount: Decimal::from(amount),
                currency: None,
                period_from: Some(at(id)),
                period_to: Some(at(id + 10)),
                refunded,
            }),
            0..4,
        );
        (prop::sample::select(Status::ALL), payments).prop_map(|(status, mut payments)| {
            payments.sort_by_key(|payment| payment.id);
            payments.dedup_by_key(|payment| payment.id);
            Observation {
                status,
                created_at: None,
                payments,
                observed_at: at(1_000),
            }
        })
    }

    proptest! {
        #[test]
        fn a_fact_told_twice_changes_nothing_the_second_time(
            before in prop::collection::vec(any_fact(), 0..8), fact in any_fact(),
        ) {
            let start = before.iter().fold(new(), |state, fact| state.apply(fact, at(10)).0);
            let (once, _) = start.apply(&fact, at(20));
            let (twice, change) = once.apply(&fact, at(20));
            prop_assert_eq!(&once, &twice);
            prop_assert_ne!(change, Change::Moved);
        }

        #[test]
        fn the_generation_never_falls_and_grows_by_one_with_a_new_connection(facts in prop::collection::vec(any_fact(), 0..20)) {
            let mut state = new();
            for (step, fact) in facts.iter().enumerate() {
                let (next, change) = state.apply(fact, at(i64::try_from(step).expect("small")));
                let reconnected = next.generation == state.generation + 1;
                prop_assert!(next.generation == state.generation || reconnected);
                prop_assert_eq!(change == Change::Moved, next.status != state.status || reconnected);
                if next.status != Status::Uninstalled { prop_assert!(next.generation > 0); }
                state = next;
            }
        }

        #[test]
        fn what_is_older_than_the_present_status_cannot_move_it(facts in prop::collection::vec(any_fact(), 1..8), late in any_fact()) {
            let state = facts.iter().fold(new(), |state, fact| state.apply(fact, at(100)).0);
            let (after, _) = state.apply(&late, at(99));
            if state.status_since == at(100) { prop_assert_eq!(after.status, state.status); }
            prop_assert!(state.status_since != at(100) || after.generation == state.generation);
        }

        /// Whatever was lost, doubled or shuffled before: one look at the truth repairs it, and a
        /// second look finds nothing more to say.
        #[test]
        fn one_observation_brings_us_to_the_truth(
            facts in prop::collection::vec(any_fact(), 0..12), seen in any_observation(),
        ) {
            let mut state = facts.iter().fold(new(), |state, fact| state.apply(fact, at(10)).0);
            let told = state.differences(&seen, &[], None);
            for fact in &told { state = state.apply(fact, seen.observed_at).0; }
            prop_assert_eq!(state.status, seen.status);
            let known: Vec<Payment> = seen.payments.clone();
            let later = Observation { observed_at: seen.observed_at + TimeDelta::seconds(1), ..seen };
            prop_assert_eq!(state.differences(&later, &known, None), vec![]);
        }
    }

    #[test]
    fn an_uninstall_of_an_older_generation_does_not_touch_the_new_one() {
        let first = new().apply(&Fact::Pending { since: None }, at(1)).0;
        let active = first.apply(&Fact::Activated { periods: periods() }, at(2)).0;
        let gone = active.apply(&Fact::Uninstalled, at(3)).0;
        let again = gone.apply(&Fact::Pending { since: None }, at(5)).0;
        let (after, change) = again.apply(&Fact::Uninstalled, at(4));
        assert_eq!((after.status, after.generation), (Status::Pending, 2));
        assert!(matches!(change, Change::Nothing(_)));
    }

    #[test]
    fn a_moment_counts_only_for_the_date_and_the_connection_it_was_planned_for() {
        let active = new().apply(&Fact::Activated { periods: periods() }, at(2)).0;
        let came = |generation, date| Fact::MomentCame {
            generation,
            date,
            before_seconds: 60,
        };
        assert_eq!(active.apply(&came(1, at(1_000_000)), at(9)).1, Change::Happened);
        assert!(matches!(
            active.apply(&came(2, at(1_000_000)), at(9)).1,
            Change::Nothing(_)
        ));
        assert!(matches!(
            active.apply(&came(1, at(2_000_000)), at(9)).1,
            Change::Nothing(_)
        ));
    }
}
