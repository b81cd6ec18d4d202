//! Acknowledgements while everything is judged, against acknowledgements alone, and how far judging falls behind.

use anyhow::Result;

use super::{
    Part,
    figure::{Report, Target, ratios},
    ground::{Cluster, Ground},
    http::Sink,
    receiver::Who,
    round::{Pace, Side, rounds},
    rules::RuleSet,
};

/// Connections of the load.
const CONNECTIONS: usize = 128;

pub(super) async fn measure(cluster: &Cluster, ground: &Ground, pace: Pace, report: &mut Report) -> Result<()> {
    let sink = Sink::open().await?;
    let rules = |looks_at_all| RuleSet {
        sink: sink.address,
        looks_at_all,
    };
    let sides = [
        Side::Receiver(Who::Whole(rules(false)), CONNECTIONS),
        Side::Receiver(Who::Intake, CONNECTIONS),
        Side::Receiver(Who::Whole(rules(true)), CONNECTIONS),
    ];
    let [whole, intake, looking] = rounds(sides, (ground, cluster), pace, Part::Processing).await?;
    let part = Part::Processing.name();
    report.judge(
        part,
        "acks/s with processing / without; 20 rules, 10 % of the events match",
        Target::AtLeast(0.9),
        ratios(&whole.per_second(), &intake.per_second()),
    );
    report.judge(
        part,
        "event lag p99 under full load",
        Target::AtMost(1000.0),
        whole.lag_p99(),
    );
    report.tell(part, "events that wait when the load ends", whole.waiting());
    report.tell(
        part,
        "acks/s with processing / without, when five rules look into every event",
        ratios(&looking.per_second(), &intake.per_second()),
    );
    report.tell(
        part,
        "event lag p99, when five rules look into every event",
        looking.lag_p99(),
    );
    report.tell(part, "events that wait then", looking.waiting());
    report.tell(part, "acks/s with processing", whole.per_second());
    report.tell(part, "acks/s without", intake.per_second());
    Ok(())
}
