//! From what went wrong to what is done about it: one table, pure.

use std::time::Duration;

use crate::{
    app::line::Failure,
    config::Jobs,
    marketplace::error::Error,
    notify,
    store::jobs::{Claimed, Outcome},
};

/// What is done about a failed attempt.
pub(super) fn of(settings: &Jobs, job: &Claimed, failure: &Failure) -> Outcome {
    match failure {
        Failure::NoTurn => Outcome::Snooze {
            after: Duration::from_secs(5),
            reason: failure.to_string(),
        },
        // So that they do not all come back in the same moment.
        Failure::Shut(wait) => Outcome::Snooze {
            after: jittered(*wait),
            reason: failure.to_string(),
        },
        // Whoever is there may go on at once.
        Failure::Stopping | Failure::Overtaken => Outcome::Snooze {
            after: Duration::ZERO,
            reason: failure.to_string(),
        },
        Failure::Store(_) => retry(settings, job, None, &failure.to_string()),
        Failure::Call(error) => of_call(settings, job, error),
    }
}

fn of_call(settings: &Jobs, job: &Claimed, error: &Error) -> Outcome {
    let text = error.to_string();
    match error {
        Error::Throttled { retry_after } => {
            let after = retry_after.unwrap_or(settings.backoff).min(settings.backoff_limit);
            Outcome::Snooze {
                after: jittered(after),
                reason: text,
            }
        }
        // Calls that must not be repeated blindly do not come here: their jobs read the status first.
        Error::Unavailable { .. } | Error::Unknown { .. } | Error::Fault { .. } => retry(settings, job, None, &text),
        // A wrong token is mended by people, and then everything should go on.
        Error::Unauthorized { .. } => retry(settings, job, None, &text),
        Error::Forbidden { .. } | Error::NotFound { .. } | Error::Invalid { .. } | Error::Rejected { .. } => {
            Outcome::Discard(text)
        }
    }
}

/// What is done about a message that did not get through.
pub(super) fn of_message(settings: &Jobs, job: &Claimed, error: &notify::error::Error) -> Outcome {
    match error {
        notify::error::Error::Permanent { reason, .. } => Outcome::Discard(reason.clone()),
        notify::error::Error::Transient {
            reason, retry_after, ..
        } => retry(settings, job, *retry_after, reason),
    }
}

/// Tries again after a wait that doubles, until the attempts are used up.
pub(super) fn retry(settings: &Jobs, job: &Claimed, asked: Option<Duration>, error: &str) -> Outcome {
    if job.attempt >= job.max_attempts {
        return Outcome::Discard(format!("given up after {} attempts: {error}", job.attempt));
    }
    let after = asked
        .unwrap_or_else(|| backoff(settings, job.attempt))
        .min(settings.backoff_limit);
    Outcome::Retry {
        after: jittered(after),
        error: error.to_owned(),
    }
}

/// Doubles with every attempt.
pub(super) fn backoff(settings: &Jobs, attempt: i32) -> Duration {
    let doublings = u32::try_from(attempt - 1).unwrap_or(0).min(20);
    settings
        .backoff
        .saturating_mul(2_u32.saturating_pow(doublings))
        .min(settings.backoff_limit)
}

/// Up to a quarter longer, so that what failed together does not come back together.
pub(super) fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(1.0 + fastrand::f64() / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        action::Priority,
        ids::{ApplicationId, JobId, LocationId, Place},
    };

    fn job(attempt: i32) -> Claimed {
        Claimed {
            id: JobId(1),
            lane_id: 1,
            lease: "worker/1".into(),
            last: true,
            place: Place {
                application_id: ApplicationId(1),
                location_id: LocationId(1),
            },
            firing_id: None,
            rule: None,
            step: 0,
            step_id: None,
            conditional: false,
            priority: Priority::Rule,
            params: serde_json::Value::Null,
            attempt,
            started_at: chrono::DateTime::UNIX_EPOCH,
            max_attempts: 12,
            age: Duration::ZERO,
        }
    }

    #[test]
    fn waits_double_up_to_the_limit_and_attempts_end() {
        let settings = Jobs::default();
        let waits: Vec<u64> = (1..=12).map(|attempt| backoff(&settings, attempt).as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600]);
        assert!(matches!(retry(&settings, &job(12), None, "x"), Outcome::Discard(_)));
        let Outcome::Retry { after, .. } = retry(&settings, &job(1), Some(Duration::from_secs(90_000)), "x") else {
            panic!("not given up yet")
        };
        assert!(after >= settings.backoff_limit && after <= settings.backoff_limit.mul_f64(1.25));
    }

    #[test]
    fn what_may_have_happened_or_not_is_tried_again_and_refusals_are_not() {
        let settings = Jobs::default();
        let word = |error: Error| of(&settings, &job(1), &Failure::Call(error)).word();
        let reason = || "x".to_owned();
        assert_eq!(word(Error::Throttled { retry_after: None }), "snooze");
        assert_eq!(word(Error::Unavailable { reason: reason() }), "retry");
        assert_eq!(
            word(Error::Unknown {
                status: None,
                reason: reason()
            }),
            "retry"
        );
        assert_eq!(word(Error::Unauthorized { message: reason() }), "retry");
        assert_eq!(word(Error::NotFound { message: reason() }), "discard");
        assert_eq!(
            word(Error::Rejected {
                status: 200,
                message: reason()
            }),
            "discard"
        );
    }
}
