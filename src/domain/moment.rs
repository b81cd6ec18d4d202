//! Moments: what rules wait for that nobody tells.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use super::{
    event::{Fact, Kind, words},
    ids::EventId,
    installation::{Change, Installation, Status},
};

words! {
    /// What has an end.
    Term {
        /// The trial.
        Trial = "trial",
        /// What is paid for.
        Period = "period",
    }
}

impl Term {
    /// When it ends at an installation, as far as it is known and was begun. After a reconnection the marketplace shows
    /// old payments again; what was over before the owner came back ended in another connection.
    pub fn end(self, at: &Installation) -> Option<DateTime<Utc>> {
        let is_ours = |end: &DateTime<Utc>| at.periods.has_paid && at.connected_at.is_none_or(|since| *end > since);
        match self {
            Self::Trial => at.periods.trial_ends_at,
            Self::Period => at.periods.paid_until.filter(is_ours),
        }
    }
}

/// An end that is reported so little later or earlier is the same one, read by another zone's clocks (contract 5):
/// farther from UTC lies none, and nobody pays for less than a day.
pub const SAME_END: TimeDelta = TimeDelta::hours(15);

/// Whether two dates are the same end.
pub fn is_same_end(one: DateTime<Utc>, other: DateTime<Utc>) -> bool {
    (one - other).abs() < SAME_END
}

/// A moment of an installation that a rule waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Moment {
    /// Some time before the trial ends.
    TrialEnding {
        /// How long before.
        before: Duration,
    },
    /// The trial is over.
    TrialEnded,
    /// Some time before the paid period ends.
    PeriodEnding {
        /// How long before.
        before: Duration,
    },
    /// The paid period is over.
    PeriodEnded,
    /// A calendar says so, by the clocks of the place.
    Schedule {
        /// The calendar, as a cron expression.
        cron: String,
    },
    /// Nothing came from the place.
    Silence {
        /// For so long.
        lasting: Duration,
    },
}

impl Moment {
    /// The moment of an end, or some time before it.
    pub fn of_end(term: Term, before: Duration) -> Self {
        match term {
            Term::Trial if before.is_zero() => Self::TrialEnded,
            Term::Trial => Self::TrialEnding { before },
            Term::Period if before.is_zero() => Self::PeriodEnded,
            Term::Period => Self::PeriodEnding { before },
        }
    }

    /// What it is the end of, and how long before that end it is; nothing when it is not about an end.
    pub fn end(&self) -> Option<(Term, Duration)> {
        match self {
            Self::TrialEnding { before } => Some((Term::Trial, *before)),
            Self::TrialEnded => Some((Term::Trial, Duration::ZERO)),
            Self::PeriodEnding { before } => Some((Term::Period, *before)),
            Self::PeriodEnded => Some((Term::Period, Duration::ZERO)),
            Self::Schedule { .. } | Self::Silence { .. } => None,
        }
    }

    /// The kind of event the scheduler makes when the moment has come.
    pub fn kind(&self) -> Kind {
        match self {
            Self::TrialEnding { .. } => Kind::TrialEnding,
            Self::TrialEnded => Kind::TrialEnded,
            Self::PeriodEnding { .. } => Kind::PeriodEnding,
            Self::PeriodEnded => Kind::PeriodEnded,
            Self::Schedule { .. } => Kind::Schedule,
            Self::Silence { .. } => Kind::Silence,
        }
    }
}

/// A moment that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Came {
    /// Which.
    pub moment: Moment,
    /// When it came.
    pub due_at: DateTime<Utc>,
    /// What tells it from others of the same moment.
    pub mark: Mark,
}

/// Which one of all that a moment brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The end it is about.
    End(DateTime<Utc>),
    /// What the clocks of the place show, as planned.
    Local(NaiveDateTime),
    /// The silence.
    Silence {
        /// Since when.
        since: DateTime<Utc>,
        /// The last event before it; none when there was none at all.
        after: Option<EventId>,
    },
}

impl Fact {
    /// The moment that it reports, if it does.
    pub fn moment(&self) -> Option<Moment> {
        self.marked().map(|(moment, _)| moment)
    }

    /// The same with what tells it from others; `due_at` is when it came.
    pub fn came(&self, due_at: DateTime<Utc>) -> Option<Came> {
        let (moment, mark) = self.marked()?;
        Some(Came { moment, due_at, mark })
    }

    fn marked(&self) -> Option<(Moment, Mark)> {
        let time = |seconds: &i64| Duration::from_secs(u64::try_from(*seconds).unwrap_or(0));
        match self {
            Self::MomentCame {
                date,
                before_seconds,
                of,
                ..
            } => Some((Moment::of_end(*of, time(before_seconds)), Mark::End(*date))),
            Self::ScheduleCame { cron, local_at, .. } => {
                Some((Moment::Schedule { cron: cron.clone() }, Mark::Local(*local_at)))
            }
            Self::FellSilent {
                lasting_seconds,
                since,
                after,
                ..
            } => {
                let (lasting, since, after) = (time(lasting_seconds), *since, *after);
                Some((Moment::Silence { lasting }, Mark::Silence { since, after }))
            }
            Self::ConnectOpened { .. }
            | Self::Pending { .. }
            | Self::Activated { .. }
            | Self::Frozen
            | Self::Unfrozen { .. }
            | Self::Uninstalled { .. }
            | Self::PaymentReported { .. }
            | Self::PaymentReceived { .. }
            | Self::PaymentRefunded { .. }
            | Self::PeriodChanged { .. }
            | Self::ActivationExpired { .. }
            | Self::BulkRequested { .. } => None,
        }
    }
}

/// What moments mean for an installation. They count only for the connection they were planned for.
impl Installation {
    /// An end came, or some time before it. It counts only while it is the end still.
    pub(super) fn end_came(&self, generation: i32, of: Term, date: DateTime<Utc>) -> Change {
        if self.generation != generation || self.status == Status::Uninstalled {
            Change::Nothing("planned for a connection that is over")
        } else if of.end(self).is_some_and(|end| is_same_end(end, date)) {
            Change::Happened
        } else {
            Change::Nothing("the date has moved since it was planned")
        }
    }

    /// Something that concerns only locations that work.
    pub(super) fn came_while_active(&self, generation: i32) -> Change {
        if self.generation != generation || self.status == Status::Uninstalled {
            Change::Nothing("planned for a connection that is over")
        } else if self.status == Status::Active {
            Change::Happened
        } else {
            Change::Nothing("the location is not active")
        }
    }

    /// The time to activate ran out; by then the marketplace may have cleaned the connection up.
    pub(super) fn not_activated(&self, generation: i32) -> Change {
        if self.generation != generation {
            return Change::Nothing("it was connected again meanwhile");
        }
        match self.status {
            Status::Pending | Status::Uninstalled => Change::Happened,
            Status::Active | Status::Frozen => Change::Nothing("it was activated meanwhile"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_read_by_another_zone_is_the_same_and_the_next_day_is_not() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        let end = at("2026-03-31T00:00:00Z");
        for same in ["2026-03-30T10:00:00Z", "2026-03-31T11:00:00Z", "2026-03-31T14:00:00Z"] {
            assert!(is_same_end(at(same), end), "{same}");
        }
        for other in ["2026-04-01T00:00:00Z", "2026-03-31T23:00:00Z", "2026-03-30T08:00:00Z"] {
            assert!(!is_same_end(at(other), end), "{other}");
        }
    }
}
