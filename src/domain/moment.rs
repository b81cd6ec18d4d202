use std::time::Duration;

use super::event::Kind;

/// A moment of an installation that a rule waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Moment {
    /// Some time before the trial ends.
    TrialEnding {
        /// How long before.
        before: Duration,
    },
    /// The trial is over.
    TrialEnded,
}

impl Moment {
    /// The kind of event the scheduler makes when the moment has come.
    pub fn kind(self) -> Kind {
        match self {
            Self::TrialEnding { .. } => Kind::TrialEnding,
            Self::TrialEnded => Kind::TrialEnded,
        }
    }

    /// How long before the date it refers to.
    pub fn before(self) -> Duration {
        match self {
            Self::TrialEnding { before } => before,
            Self::TrialEnded => Duration::ZERO,
        }
    }
}
