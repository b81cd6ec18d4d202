use std::time::Duration;

use super::http::Answer;

/// Why a message did not get through, named by what the caller must do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// It will not get through by repeating it.
    #[error("{reason}")]
    Permanent {
        /// What happened, for the operator.
        reason: String,
        /// What a webhook's receiver answered.
        answer: Option<Answer>,
    },
    /// It may get through later. It may also have got through, with the confirmation lost: the
    /// receiver recognises a repetition by its id.
    #[error("{reason}")]
    Transient {
        /// What happened, for the operator.
        reason: String,
        /// How long the receiver asked to wait. Not bounded here.
        retry_after: Option<Duration>,
        /// What a webhook's receiver answered.
        answer: Option<Answer>,
    },
}

impl Error {
    pub(super) fn permanent(reason: impl Into<String>) -> Self {
        Self::Permanent {
            reason: reason.into(),
            answer: None,
        }
    }

    pub(super) fn transient(reason: impl Into<String>) -> Self {
        Self::Transient {
            reason: reason.into(),
            retry_after: None,
            answer: None,
        }
    }
}

/// An error with what caused it: the outermost text alone rarely helps.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
