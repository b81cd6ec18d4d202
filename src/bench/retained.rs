//! A database with much behind it and much ahead of it, against an empty one: both take the same load in turn.

use anyhow::Result;

use super::{
    Part, Retained, database,
    figure::{Report, Target, ratios},
    ground::{Cluster, Ground},
    jobs::{Depth, drain, per_second},
    receiver::Who,
    round::{Pace, order},
    run::receive,
};

/// Connections of the load.
const CONNECTIONS: usize = 128;

/// Fills a cluster: events of the last month with their outcomes, and moments of the months to come.
pub(super) async fn fill(cluster: &mut Cluster, retained: Retained) -> Result<()> {
    eprintln!(
        "retained: writing {} events and {} timers, which takes minutes",
        retained.events, retained.timers
    );
    database::retain(&cluster.pool, retained.events, retained.timers).await?;
    cluster.keeps = true;
    Ok(())
}

pub(super) async fn measure(
    (empty, full): (&Cluster, &Cluster),
    ground: &Ground,
    pace: Pace,
    report: &mut Report,
) -> Result<()> {
    let clusters = [full, empty];
    let (mut acks, mut jobs) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for round in 0..pace.rounds {
        eprintln!("{}: round {} of {}", Part::Retained.name(), round + 1, pace.rounds);
        for (at, cluster) in order(&clusters, round) {
            let sample = receive(Who::Intake, CONNECTIONS, pace, (ground, cluster)).await?;
            acks[at].push(sample.per_second);
            jobs[at].push(drain(cluster, Depth::OneEach, pace).await?);
        }
    }
    let part = Part::Retained.name();
    let ([full_acks, empty_acks], [full_jobs, empty_jobs]) = (acks.map(per_second), jobs.map(per_second));
    report.judge(
        part,
        "acks/s with much retained / with nothing",
        Target::AtLeast(0.9),
        ratios(&full_acks, &empty_acks),
    );
    report.judge(
        part,
        "jobs/s with much retained / with nothing",
        Target::AtLeast(0.9),
        ratios(&full_jobs, &empty_jobs),
    );
    report.tell(part, "acks/s with much retained", full_acks);
    report.tell(part, "acks/s with nothing", empty_acks);
    report.tell(part, "jobs/s with much retained", full_jobs);
    report.tell(part, "jobs/s with nothing", empty_jobs);
    Ok(())
}
