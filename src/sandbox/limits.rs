//! Request limits per client address, as sliding windows (contract 4).

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::options::Limits;

/// The requests of the last minute, per address.
#[derive(Debug)]
pub(super) struct Windows {
    limits: Option<Limits>,
    seen: HashMap<IpAddr, VecDeque<Instant>>,
}

/// A request over the limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// What `Retry-After` says, if anything.
    pub(super) retry_after: Option<u64>,
}

impl Windows {
    pub(super) fn new(limits: Option<Limits>) -> Self {
        Self {
            limits,
            seen: HashMap::new(),
        }
    }

    /// Counts a request, unless it is over the limit.
    pub(super) fn admit(&mut self, address: IpAddr, now: Instant) -> Result<(), Refused> {
        let Some(limits) = self.limits else {
            return Ok(());
        };
        let seen = self.seen.entry(address).or_default();
        let minute = Duration::from_secs(60);
        let second = Duration::from_secs(1);
        while seen.front().is_some_and(|at| now.duration_since(*at) >= minute) {
            seen.pop_front();
        }
        let within_second = seen
            .iter()
            .rev()
            .take_while(|at| now.duration_since(**at) < second)
            .count();
        let wait = if seen.len() >= limits.per_minute as usize {
            seen.front().map_or(minute, |at| minute - now.duration_since(*at))
        } else if within_second >= limits.per_second as usize {
            second
        } else {
            seen.push_back(now);
            return Ok(());
        };
        let seconds = wait.as_secs_f64().ceil().max(1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and 60"
        )]
        let retry_after = limits.retry_after.then_some(seconds as u64);
        Err(Refused { retry_after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_windows_slide() {
        let limits = Limits {
            per_second: 2,
            per_minute: 3,
            retry_after: true,
        };
        let mut windows = Windows::new(Some(limits));
        let address = IpAddr::from([127, 0, 0, 1]);
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(windows.admit(address, at(0)), Ok(()));
        assert_eq!(windows.admit(address, at(10)), Ok(()));
        let refused = |seconds| {
            Err(Refused {
                retry_after: Some(seconds),
            })
        };
        assert_eq!(windows.admit(address, at(20)), refused(1));
        assert_eq!(windows.admit(address, at(1001)), Ok(()));
        assert_eq!(windows.admit(address, at(30_000)), refused(30));
        assert_eq!(windows.admit(address, at(60_005)), Ok(()));
    }
}
