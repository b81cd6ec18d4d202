use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use serde_json::json;

use crate::{
    app::{
        App,
        rounds::{self, Demand, Plan},
        served::Served,
    },
    cli::{output::tell, reading::explained},
    domain::{ids::ApplicationId, span},
};

/// Tells for each request budget how long rounds take.
pub(super) async fn show(app: &App, served: &[&Served], locations: Option<u64>, as_json: bool) -> Result<ExitCode> {
    let demands = rounds::demands(app, &app.pool, served.iter().copied(), locations).await;
    let demands = demands.map_err(explained)?;
    let mut lines = Vec::new();
    let mut items = Vec::new();
    for (scope, (demand, applications)) in &demands {
        let plan = demand.plan();
        lines.extend(text(scope, *demand, plan, applications));
        items.push(json!({
            "marketplace": scope, "application_ids": applications, "locations": demand.places, "urgent": demand.urgent,
            "requests": plan.requests, "requests_per_minute": plan.requests_per_minute,
            "round_seconds": plan.round.as_secs(), "urgent_seconds": plan.urgent.as_secs(),
            "unseen_seconds": plan.unseen.as_secs(),
        }));
    }
    if as_json {
        return tell(&json!({"items": items, "next_cursor": null}).to_string());
    }
    tell(&lines.join("\n"))
}

fn text(scope: &str, demand: Demand, plan: Plan, applications: &[ApplicationId]) -> Vec<String> {
    let applications: Vec<String> = applications.iter().map(ToString::to_string).collect();
    let show = |time: Duration| span::show(Duration::from_secs(time.as_secs().max(1)));
    let mut lines = vec![
        format!("{scope}, applications {}:", applications.join(", ")),
        format!(
            "  locations          {}, of which {} are looked at first",
            demand.places, demand.urgent
        ),
        format!("  requests           {} in a round", plan.requests),
        format!(
            "  may use            {:.0} of {} a minute (reconcile.share = {})",
            plan.requests_per_minute, demand.requests_per_minute, demand.share
        ),
        format!("  a round takes      {}", show(plan.round)),
        format!("  the urgent take    {}", show(plan.urgent)),
        format!("  found at the latest after {}", show(plan.unseen)),
    ];
    if plan.round > demand.interval {
        lines.push(format!(
            "  Rounds take longer than reconcile.interval ({}) and follow each other without a pause. Remedy: raise \
             reconcile.share, or leave it: what is urgent is looked at first.",
            show(demand.interval)
        ));
    }
    lines
}
