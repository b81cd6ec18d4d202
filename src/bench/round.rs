//! Paired rounds: every side runs once in each, and the order turns.

use std::time::Duration;

use anyhow::Result;

use super::{
    Part,
    figure::{Unit, Values},
    ground::{Cluster, Ground},
    receiver::Who,
    run::{Protocol, Sample, pgbench, receive},
};

/// How often and how long.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub(super) rounds: usize,
    pub(super) warm_up: Duration,
    pub(super) span: Duration,
}

/// Who is run, and with how many connections.
#[derive(Clone, Copy)]
pub(super) enum Side {
    /// A receiver and its connections.
    Receiver(Who, usize),
    /// pgbench and its clients.
    Pgbench(usize, Protocol),
}

/// The samples of one side, round by round.
#[derive(Default, Clone)]
pub(super) struct Samples(Vec<Sample>);

impl Samples {
    pub(super) fn per_second(&self) -> Values {
        let rounds = self.0.iter().map(|sample| sample.per_second);
        (Unit::PerSecond, rounds.collect())
    }

    pub(super) fn p50(&self) -> Values {
        let rounds = self.0.iter().filter_map(|sample| sample.p50_ms);
        (Unit::Milliseconds, rounds.collect())
    }

    pub(super) fn p99(&self) -> Values {
        let rounds = self.0.iter().filter_map(|sample| sample.p99_ms);
        (Unit::Milliseconds, rounds.collect())
    }

    pub(super) fn peak(&self) -> Values {
        let rounds = self.0.iter().filter_map(|sample| sample.peak_mib);
        (Unit::Mebibytes, rounds.collect())
    }

    pub(super) fn ready(&self) -> Values {
        let rounds = self.0.iter().filter_map(|sample| sample.ready_ms);
        (Unit::Milliseconds, rounds.collect())
    }

    pub(super) fn lag_p99(&self) -> Values {
        let rounds = self.0.iter().filter_map(|sample| sample.judged);
        (Unit::Milliseconds, rounds.map(|judged| judged.lag_p99_ms).collect())
    }

    pub(super) fn waiting(&self) -> Values {
        let rounds = self.0.iter().filter_map(|sample| sample.judged);
        (Unit::Count, rounds.map(|judged| judged.waiting).collect())
    }

    pub(super) fn processor(&self) -> Values {
        let rounds = self.0.iter().filter_map(|sample| sample.processor_us);
        (Unit::Microseconds, rounds.collect())
    }
}

/// Runs all sides in every round.
pub(super) async fn rounds<const SIDES: usize>(
    sides: [Side; SIDES],
    place: (&Ground, &Cluster),
    pace: Pace,
    part: Part,
) -> Result<[Samples; SIDES]> {
    let mut samples = std::array::from_fn(|_| Samples::default());
    for round in 0..pace.rounds {
        eprintln!("{}: round {} of {}", part.name(), round + 1, pace.rounds);
        for (at, side) in order(&sides, round) {
            let sample = match side {
                Side::Receiver(who, connections) => receive(who, connections, pace, place).await?,
                Side::Pgbench(clients, protocol) => pgbench(clients, protocol, pace, place).await?,
            };
            samples[at].0.push(sample);
        }
    }
    Ok(samples)
}

/// The order of a round: everybody goes first once, so that what wears off or builds up hits all alike.
pub(super) fn order<T: Copy>(sides: &[T], round: usize) -> Vec<(usize, T)> {
    let mut order: Vec<(usize, T)> = sides.iter().copied().enumerate().collect();
    order.rotate_left(round % sides.len().max(1));
    order
}
