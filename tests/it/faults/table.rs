//! What a run of the suite tells in the end.

use std::{collections::BTreeMap, fmt};

use super::{checks::Check, round::Round};

/// The sum of some rounds.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rounds: u64,
    failed: Vec<u64>,
    sum: Round,
    kept: BTreeMap<Check, u64>,
}

impl Table {
    /// Adds a round.
    pub(crate) fn add(&mut self, seed: u64, round: Round) {
        self.rounds += 1;
        if !round.breaches.is_empty() {
            self.failed.push(seed);
        }
        for check in Check::ALL {
            let kept = !round.breaches.iter().any(|breach| breach.check == check);
            *self.kept.entry(check).or_default() += u64::from(kept);
        }
        let sum = &mut self.sum;
        for (name, times) in round.injected {
            *sum.injected.entry(name).or_default() += times;
        }
        sum.requests += round.requests;
        sum.acknowledged += round.acknowledged;
        sum.unacknowledged += round.unacknowledged;
        sum.repeated += round.repeated;
        sum.events += round.events;
        sum.spooled += round.spooled;
        sum.firings += round.firings;
        sum.relayed.0 += round.relayed.0;
        sum.relayed.1 += round.relayed.1;
        sum.held.0 += round.held.0;
        sum.held.1 += round.held.1;
        sum.logged += round.logged;
        sum.calls += round.calls;
        sum.breaches.extend(round.breaches);
    }

    /// The seeds of rounds in which a promise was broken.
    pub(crate) fn failed(&self) -> &[u64] {
        &self.failed
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = &self.sum;
        writeln!(f, "{:<52} {:>8}", "FAULT", "INJECTED")?;
        for (name, times) in &sum.injected {
            writeln!(f, "{name:<52} {times:>8}")?;
        }
        writeln!(f, "\n{:<52} {:>8}", "TRAFFIC", "COUNT")?;
        for (name, count) in [
            ("rounds", self.rounds),
            ("deliveries sent, repetitions included", sum.requests),
            ("of these repetitions", sum.repeated),
            ("different deliveries acknowledged", sum.acknowledged),
            ("different deliveries never acknowledged", sum.unacknowledged),
            ("events stored", sum.events),
            ("of these by way of a spool", sum.spooled),
            ("rules fired", sum.firings),
            ("tries to relay an event", sum.relayed.1),
            ("of these taken by the receiver", sum.relayed.0),
            ("firings held beyond a cap", sum.held.0),
            ("of these released", sum.held.1),
            ("telephone calls in the history", sum.logged),
            ("calls of the marketplace", sum.calls),
        ] {
            writeln!(f, "{name:<52} {count:>8}")?;
        }
        writeln!(f, "\n{:<52} {:>8}", "CHECK", "PASSED")?;
        for (check, times) in &self.kept {
            writeln!(f, "{check:<52} {:>8}", format!("{times}/{}", self.rounds))?;
        }
        Ok(())
    }
}
