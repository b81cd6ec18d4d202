//! Durable acknowledgements in a second, against pgbench and against a receiver with one INSERT for each request.

use anyhow::Result;

use super::{
    Part,
    figure::{Report, Target, ratios},
    ground::{Cluster, Ground},
    receiver::Who,
    round::{Pace, Samples, Side, rounds},
    run::Protocol,
};

/// On a disk as it is.
pub(super) async fn measure(cluster: &Cluster, ground: &Ground, pace: Pace, report: &mut Report) -> Result<()> {
    let sides = [
        Side::Receiver(Who::Intake, 128),
        Side::Receiver(Who::OneInsert, 128),
        Side::Pgbench(64, Protocol::Simple),
        Side::Pgbench(64, Protocol::Prepared),
        Side::Receiver(Who::Intake, 16),
        Side::Receiver(Who::OneInsert, 16),
    ];
    let [bellhop, other, rows, prepared, bellhop_16, other_16] =
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
    report.tell(
        part,
        "acks/s at 128 connections / pgbench rows/s at 64 clients, prepared",
        acks(&bellhop, &prepared),
    );
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
    report.tell(part, "pgbench, 64 clients, prepared: rows/s", prepared.per_second());
    Ok(())
}

/// On a disk that takes a millisecond longer for every flush.
pub(super) async fn measure_slow(cluster: &Cluster, ground: &Ground, pace: Pace, report: &mut Report) -> Result<()> {
    let sides = [
        Side::Receiver(Who::Intake, 128),
        Side::Pgbench(64, Protocol::Simple),
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
