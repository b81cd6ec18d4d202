//! Durable acknowledgements in a second, against pgbench and against a receiver with one INSERT for each request.

use anyhow::Result;

use super::{
    Part,
    figure::{Report, Target, Unit, Values, ratios},
    ground::{Cluster, Ground},
    receiver::Who,
    round::{Pace, Sample, order, pgbench, receive},
};

/// Who is run, and with how many connections.
#[derive(Clone, Copy)]
enum Side {
    Receiver(Who, usize),
    Pgbench(usize),
}

/// The samples of one side, round by round.
#[derive(Default, Clone)]
struct Samples(Vec<Sample>);

impl Samples {
    fn per_second(&self) -> Values {
        let rounds = self.0.iter().map(|sample| sample.per_second);
        (Unit::PerSecond, rounds.collect())
    }

    fn p50(&self) -> Values {
        let rounds = self.0.iter().filter_map(|sample| sample.p50_ms);
        (Unit::Milliseconds, rounds.collect())
    }

    fn p99(&self) -> Values {
        let rounds = self.0.iter().filter_map(|sample| sample.p99_ms);
        (Unit::Milliseconds, rounds.collect())
    }

    fn processor(&self) -> Values {
        let rounds = self.0.iter().filter_map(|sample| sample.processor_us);
        (Unit::Microseconds, rounds.collect())
    }
}

async fn rounds<const SIDES: usize>(
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
                Side::Pgbench(clients) => pgbench(clients, pace, place).await?,
            };
            samples[at].0.push(sample);
        }
    }
    Ok(samples)
}

/// On a disk as it is.
pub(super) async fn measure(cluster: &Cluster, ground: &Ground, pace: Pace, report: &mut Report) -> Result<()> {
    let sides = [
        Side::Receiver(Who::Intake, 128),
        Side::Receiver(Who::OneInsert, 128),
        Side::Pgbench(64),
        Side::Receiver(Who::Intake, 16),
        Side::Receiver(Who::OneInsert, 16),
        Side::Pgbench(16),
    ];
    let [bellhop, other, rows, bellhop_16, other_16, rows_16] =
        rounds(sides, (ground, cluster), pace, Part::Intake).await?;
    let part = Part::Intake.name();
    let acks = |one: &Samples, two: &Samples| ratios(&one.per_second(), &two.per_second());
    report.judge(
        part,
        "acks/s at 128 connections / pgbench rows/s at 64 clients",
        Target::AtLeast(2.0),
        acks(&bellhop, &rows),
    );
    report.judge(
        part,
        "acks/s at 128 connections / one INSERT for each request",
        Target::AtLeast(3.0),
        acks(&bellhop, &other),
    );
    report.judge(
        part,
        "acks/s at 16 connections / one INSERT for each request",
        Target::AtLeast(1.0),
        acks(&bellhop_16, &other_16),
    );
    report.judge(
        part,
        "p99 at 128 connections / one INSERT for each request",
        Target::AtMost(0.33),
        ratios(&bellhop.p99(), &other.p99()),
    );
    report.judge(
        part,
        "processor time of an ack at 128 connections / one INSERT for each request",
        Target::AtMost(0.25),
        ratios(&bellhop.processor(), &other.processor()),
    );
    let beside = "acks/s at 16 connections / pgbench rows/s at 16 clients";
    report.tell(part, beside, acks(&bellhop_16, &rows_16));
    for (name, samples) in [
        ("Bellhop, 128 connections", &bellhop),
        ("one INSERT, 128 connections", &other),
        ("Bellhop, 16 connections", &bellhop_16),
        ("one INSERT, 16 connections", &other_16),
    ] {
        report.tell(part, &format!("{name}: acks/s"), samples.per_second());
        report.tell(part, &format!("{name}: p50"), samples.p50());
        report.tell(part, &format!("{name}: p99"), samples.p99());
        report.tell(part, &format!("{name}: processor time of an ack"), samples.processor());
    }
    report.tell(part, "pgbench, 64 clients: rows/s", rows.per_second());
    report.tell(part, "pgbench, 16 clients: rows/s", rows_16.per_second());
    Ok(())
}

/// On a disk that takes a millisecond longer for every flush.
pub(super) async fn measure_slow(cluster: &Cluster, ground: &Ground, pace: Pace, report: &mut Report) -> Result<()> {
    let sides = [
        Side::Receiver(Who::Intake, 128),
        Side::Pgbench(64),
        Side::Receiver(Who::OneInsert, 128),
    ];
    let [bellhop, rows, other] = rounds(sides, (ground, cluster), pace, Part::SlowDisk).await?;
    let part = Part::SlowDisk.name();
    report.judge(
        part,
        "acks/s at 128 connections / pgbench rows/s at 64 clients",
        Target::AtLeast(1.5),
        ratios(&bellhop.per_second(), &rows.per_second()),
    );
    report.tell(
        part,
        "acks/s at 128 connections / one INSERT for each request",
        ratios(&bellhop.per_second(), &other.per_second()),
    );
    report.tell(part, "Bellhop, 128 connections: acks/s", bellhop.per_second());
    report.tell(part, "pgbench, 64 clients: rows/s", rows.per_second());
    report.tell(part, "one INSERT, 128 connections: acks/s", other.per_second());
    Ok(())
}
