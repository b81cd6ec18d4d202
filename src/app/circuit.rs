//! Leaves the other end alone while it does not answer, be it an account's side of the marketplace or a receiver of
//! forwarded events: jobs wait without losing attempts, nothing is spent on them, and who is in trouble is not kept busy. What this process knows is
//! enough: another one finds out by itself with a few requests, and nothing has to be agreed on.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// So many requests in a row without an answer open it.
const FAILURES: u32 = 5;

/// The longest time without a probe.
const LONGEST: Duration = Duration::from_secs(60);

/// The state for one other end.
#[derive(Debug)]
pub struct Circuit {
    first_wait: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Requests in a row that were not answered.
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    /// When the next probe may go.
    probe_at: Instant,
    /// How long is waited for a probe.
    wait: Duration,
    /// Whether one is under way.
    probing: bool,
}

/// Whether a request may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Yes.
    Granted,
    /// Only this one, to find out. It must change nothing at the other end.
    Probe,
    /// Not for this long.
    Refused(Duration),
}

impl Circuit {
    /// A closed one. The first wait doubles with every probe that fails.
    pub fn new(first_wait: Duration) -> Self {
        Self {
            first_wait,
            state: Mutex::default(),
        }
    }

    /// Whether a request may go now.
    pub fn ask(&self, now: Instant) -> Leave {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut state.open {
            None => Leave::Granted,
            Some(open) if now < open.probe_at => Leave::Refused(open.probe_at - now),
            Some(open) => {
                // If nobody ever hears of this probe, the next may go later.
                open.probe_at = now + open.wait;
                open.probing = true;
                Leave::Probe
            }
        }
    }

    /// Whether it is open: since when it was, nobody has heard of an answer.
    pub fn is_open(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.open.is_some()
    }

    /// For how long nothing may go, not even a probe.
    pub fn shut_for(&self, now: Instant) -> Option<Duration> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let probe_at = state.open.as_ref()?.probe_at;
        probe_at.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }

    /// Takes note of a request that was answered or not. Returns whether the circuit is open now.
    pub fn heard(&self, now: Instant, answered: bool) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if answered {
            *state = State::default();
            return false;
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures < FAILURES {
            return false;
        }
        let wait = match &state.open {
            None => self.first_wait,
            Some(open) if open.probing => (open.wait * 2).min(LONGEST),
            // It was under way when the circuit opened, and says nothing new.
            Some(_) => return true,
        };
        state.open = Some(Open {
            probe_at: now + wait,
            wait,
            probing: false,
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_opens_after_failures_in_a_row_and_one_probe_at_a_time_closes_it() {
        let circuit = Circuit::new(SECOND);
        let start = Instant::now();
        for _ in 1..FAILURES {
            assert!(!circuit.heard(start, false));
        }
        assert!(!circuit.heard(start, true), "an answer begins the count anew");
        for _ in 1..FAILURES {
            assert!(!circuit.heard(start, false));
        }
        assert_eq!(circuit.ask(start), Leave::Granted);
        assert!(circuit.heard(start, false));
        assert!(circuit.heard(start, false), "one that was under way");
        assert_eq!(circuit.ask(start), Leave::Refused(SECOND));
        assert!(circuit.is_open() && circuit.shut_for(start) == Some(SECOND));
        let later = start + SECOND;
        assert!(circuit.is_open() && circuit.shut_for(later).is_none());
        assert_eq!(circuit.ask(later), Leave::Probe);
        assert_eq!(circuit.ask(later), Leave::Refused(SECOND), "one is enough");
        assert!(circuit.heard(later, false));
        assert_eq!(circuit.ask(later), Leave::Refused(2 * SECOND));
        let again = later + 2 * SECOND;
        assert_eq!(circuit.ask(again), Leave::Probe);
        assert!(!circuit.heard(again, true));
        assert_eq!(circuit.ask(again), Leave::Granted);
    }

    #[test]
    fn a_probe_nobody_hears_of_is_followed_by_another_and_waits_end_at_a_minute() {
        let circuit = Circuit::new(SECOND);
        let mut now = Instant::now();
        for _ in 0..FAILURES {
            circuit.heard(now, false);
        }
        now += SECOND;
        assert_eq!(circuit.ask(now), Leave::Probe);
        now += SECOND;
        assert_eq!(circuit.ask(now), Leave::Probe);
        for _ in 0..10 {
            circuit.heard(now, false);
            let Leave::Refused(wait) = circuit.ask(now) else {
                panic!("it is open")
            };
            assert!(wait <= LONGEST);
            now += wait;
            assert_eq!(circuit.ask(now), Leave::Probe);
        }
        circuit.heard(now, false);
        assert_eq!(circuit.ask(now), Leave::Refused(LONGEST));
    }
}
