use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use anyhow::Result;
use serde_json::json;

use crate::{
    app::{App, served::Served},
    cli::{output::tell, reading::explained},
    domain::span,
    store::reconciliations,
    workers::reconciler::{Demand, Plan},
};

/// Tells for each request budget how long rounds take.
pub(super) async fn show(app: &App, served: &[&Served], locations: Option<u64>, as_json: bool) -> Result<ExitCode> {
    let settings = &app.config.reconcile;
    let mut demands: BTreeMap<&str, (Demand, Vec<i64>)> = BTreeMap::new();
    for served in served {
        let known = reconciliations::extent(&app.pool, served.id).await.map_err(explained)?;
        let number = |count: i64| u64::try_from(count).unwrap_or(0);
        let places = locations.unwrap_or(number(known.places));
        let hooks = locations.unwrap_or(number(known.active));
        let (demand, applications) = demands.entry(&served.budget_scope).or_insert_with(|| {
            let nothing = Demand {
                places: 0,
                urgent: 0,
                hooks: 0,
                requests_per_minute: served.limits.per_minute,
                share: settings.share,
                interval: settings.interval,
                hooks_interval: settings.hooks_interval,
            };
            (nothing, Vec::new())
        });
        demand.places += places;
        demand.urgent += number(known.urgent);
        demand.hooks += served.config.user_token.as_ref().map_or(0, |_| hooks);
        applications.push(served.id.0);
    }
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

fn text(scope: &str, demand: Demand, plan: Plan, applications: &[i64]) -> Vec<String> {
    let applications: Vec<String> = applications.iter().map(i64::to_string).collect();
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
