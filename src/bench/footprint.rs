//! What the service takes: memory under many connections, and time to start.

use anyhow::Result;

use super::{
    Part,
    figure::{Report, Target},
    ground::{Cluster, Ground},
    http::Sink,
    receiver::Who,
    round::{Pace, Side, rounds},
    rules::RuleSet,
};

/// Connections of the load.
const CONNECTIONS: usize = 256;

pub(super) async fn measure(cluster: &Cluster, ground: &Ground, pace: Pace, report: &mut Report) -> Result<()> {
    let sink = Sink::open().await?;
    let whole = Who::Whole(RuleSet {
        sink: sink.address,
        looks_at_all: false,
    });
    let sides = [Side::Receiver(whole, CONNECTIONS)];
    let [whole] = rounds(sides, (ground, cluster), pace, Part::Footprint).await?;
    let part = Part::Footprint.name();
    report.judge(
        part,
        "resident memory at 256 connections, at its highest",
        Target::AtMost(64.0),
        whole.peak(),
    );
    report.judge(
        part,
        "start of the process to ready, migrations checked",
        Target::AtMost(250.0),
        whole.ready(),
    );
    Ok(())
}
