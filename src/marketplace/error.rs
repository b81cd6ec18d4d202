use std::time::Duration;

/// Why a call did not do what it should. The variants are what the caller must do about it, not
/// what went wrong in the network; the texts are for the operator and hold no secrets.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// Surely not sent, so it did not happen: no connection, no name, no TLS. Repeat later.
    #[error("the marketplace could not be reached, nothing was sent: {reason}")]
    Unavailable {
        /// What the network said.
        reason: String,
    },
    /// 429: wait. It did not happen.
    #[error("the marketplace asks to slow down (429){}", waiting(retry_after))]
    Throttled {
        /// For how long, when the marketplace said it. Not bounded here.
        retry_after: Option<Duration>,
    },
    /// A call that changes state, and nobody can tell whether it did: read before repeating.
    #[error("the call may or may not have taken effect{}: {reason}", told(status))]
    Unknown {
        /// The answer's status, when one came.
        status: Option<u16>,
        /// What was wrong with the answer.
        reason: String,
    },
    /// A call that only reads, without a usable answer: harmless to repeat.
    #[error("no usable answer to a read{}: {reason}", told(status))]
    Fault {
        /// The answer's status, when one came.
        status: Option<u16>,
        /// What was wrong with the answer.
        reason: String,
    },
    /// 401, or no token configured for this call: an operator must act.
    #[error("the token was not accepted (401): {message}")]
    Unauthorized {
        /// What the marketplace said.
        message: String,
    },
    /// 403: no right to this application or location.
    #[error("access refused (403): {message}")]
    Forbidden {
        /// What the marketplace said.
        message: String,
    },
    /// 404: the marketplace does not know what the call is about.
    #[error("not found (404): {message}")]
    NotFound {
        /// What the marketplace said.
        message: String,
    },
    /// 422: the marketplace does not take these values.
    #[error("the values were refused (422): {message}{}", listed(errors))]
    Invalid {
        /// What the marketplace said.
        message: String,
        /// Its list or object of errors (contract 3) as JSON; empty when there are none.
        errors: String,
    },
    /// Any other refusal; also 200 with `success: false`.
    #[error("refused ({status}): {message}")]
    Rejected {
        /// The answer's status.
        status: u16,
        /// What the marketplace said.
        message: String,
    },
}

fn waiting(retry_after: &Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |time| format!(" for {} s", time.as_secs()))
}

fn told(status: &Option<u16>) -> String {
    status.map_or_else(String::new, |status| format!(" (status {status})"))
}

fn listed(errors: &str) -> String {
    if errors.is_empty() {
        String::new()
    } else {
        format!(" {errors}")
    }
}
