//! What needs a person, worst first: what the alerts watch too, as far as this process and the database know it. Each
//! names the section of the runbook that says what to do.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::{
    app::{App, rounds},
    domain::{ids::ApplicationId, span},
    store::{self, PgPool, reading::ledger, stats::Stats},
};

/// Events older than this should have been judged.
const JUDGED_WITHIN: f64 = 120.0;

/// Jobs that are due should have begun by then.
const BEGUN_WITHIN: f64 = 600.0;

/// A connection with less time left than this needs a look.
const ACTIVATION_LEFT: f64 = 1_800.0;

/// Comparing should have come to an end within this, unless it is planned to take longer.
const COMPARED_WITHIN: Duration = Duration::from_secs(6 * 3_600);

/// What became of a call that moves money should be known by then.
const MONEY_WITHIN: Duration = Duration::from_secs(15 * 60);

/// A forwarded event should have arrived by then.
const FORWARDED_WITHIN: f64 = 3_600.0;

/// Something that needs a person.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(super) struct Need {
    /// Whether it hurts now.
    is_urgent: bool,
    headline: String,
    text: String,
    /// The section of the runbook.
    alert: &'static str,
    /// Where one acts in the console.
    address: Option<String>,
}

impl Need {
    fn new(alert: &'static str, headline: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            is_urgent: false,
            headline: headline.into(),
            text: text.into(),
            alert,
            address: None,
        }
    }

    fn urgent(self) -> Self {
        Self {
            is_urgent: true,
            ..self
        }
    }

    fn at(self, address: impl Into<String>) -> Self {
        let address = Some(address.into());
        Self { address, ..self }
    }
}

/// Why there are no figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoFigures {
    /// Counting took too long.
    Late,
    /// The database did not answer.
    Away,
}

/// What the database knows of it.
pub(super) struct Known {
    /// The figures that metrics show too.
    pub stats: Stats,
    /// Calls that move money and of which nobody will know by itself what became of them.
    in_doubt: i64,
    /// How long ago the last complete round of comparing may have begun.
    compared_within: BTreeMap<ApplicationId, Duration>,
}

impl Known {
    /// Reads what it knows beside the figures.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn read(app: &App, pool: &PgPool, stats: Stats) -> store::Result<Self> {
        let in_doubt = ledger::in_doubt(pool, MONEY_WITHIN).await?;
        let mut compared_within = BTreeMap::new();
        if app.config.reconcile.enabled {
            for (demand, applications) in rounds::demands(app, pool, app.all_served(), None).await?.into_values() {
                let within = demand.plan().too_long().max(COMPARED_WITHIN);
                compared_within.extend(applications.into_iter().map(|application| (application, within)));
            }
        }
        Ok(Self {
            stats,
            in_doubt,
            compared_within,
        })
    }
}

/// Everything that needs a person, as far as it is known.
pub(super) fn all(app: &App, known: Result<&Known, &NoFigures>) -> Vec<Need> {
    let mut needs = Vec::new();
    of_this_process(app, &mut needs);
    match known {
        Ok(known) => {
            waiting(&known.stats, &mut needs);
            places(app, &known.stats, &mut needs);
            comparing(known, &mut needs);
            decisions(known, &mut needs);
        }
        Err(NoFigures::Late) => needs.push(Need::new(
            "BellhopPoolExhausted",
            "The figures took too long",
            "The database answers, and did not count in time what waits. So what is not named here may not be well. \
             Load this page again in a while; if it stays so, find out what holds the database up.",
        )),
        Err(NoFigures::Away) => needs.push(
            Need::new(
                "BellhopDatabaseDown",
                "The database does not answer",
                "Nothing is judged and nothing is done until it does. Deliveries go to the spool, if there is one.",
            )
            .urgent(),
        ),
    }
    // Stable: within both halves the order is that of above.
    needs.sort_by_key(|need| !need.is_urgent);
    needs
}

fn of_this_process(app: &App, needs: &mut Vec<Need>) {
    let mut accounts: Vec<&str> = app
        .all_served()
        .filter(|served| served.circuit.is_open())
        .map(|served| served.account.name.as_str())
        .collect();
    accounts.dedup();
    for account in accounts {
        let text = format!("Account {account}: requests are not answered. Jobs wait without losing attempts.");
        needs.push(Need::new("BellhopMarketplaceSilent", "The marketplace does not answer", text).urgent());
    }
    for (id, set) in app.rulebook.now().sets() {
        for (rule, url) in set.forwarding() {
            if app.endpoints.of(url).is_open() {
                let text = format!(
                    "Rule {} of application {id}: its receiver does not answer. Events wait.",
                    rule.name
                );
                needs.push(Need::new("BellhopForwardingReceiverDown", "A receiver is down", text));
            }
        }
    }
    let spooled = app.intake.spooled().unwrap_or_default();
    if spooled.events > 0 {
        let text = format!(
            "{} deliveries wait on this machine's disk for the database.",
            spooled.events
        );
        needs.push(Need::new("BellhopSpoolWaiting", "The spool is not empty", text).urgent());
    }
    if spooled.set_aside > 0 {
        let text = format!(
            "{} files of the spool could not be read and were set aside.",
            spooled.set_aside
        );
        needs.push(Need::new(
            "BellhopSpoolSetAside",
            "Part of the spool was set aside",
            text,
        ));
    }
    needs.extend(rules(app));
}

/// How the files of the rules were read again last, when the rules before are still in use.
fn rules(app: &App) -> Option<Need> {
    let last = app.rulebook.last_reloading()?;
    let problem = last.problem?;
    let (headline, text) = match last.result {
        "refused" => (
            "Rules were refused",
            "The files of the rules have mistakes; the rules before are still in use. `bellhop check` names them."
                .to_owned(),
        ),
        _ => (
            "Rules were not replaced",
            format!(
                "The files of the rules were read again and could not be taken: {problem}. The rules before are still in use."
            ),
        ),
    };
    Some(Need::new("BellhopRulesRefused", headline, text).at("/rules"))
}

fn waiting(stats: &Stats, needs: &mut Vec<Need>) {
    if stats.events_oldest_unprocessed_seconds > JUDGED_WITHIN {
        let (count, age) = (stats.events_unprocessed, ago(stats.events_oldest_unprocessed_seconds));
        let text = format!("{count} events wait; the oldest came {age} ago.");
        needs.push(
            Need::new("BellhopEventsNotJudged", "Events are not judged", text)
                .urgent()
                .at("/events?state=received"),
        );
    }
    if stats.job_oldest_due_seconds > BEGUN_WITHIN {
        let text = format!("The oldest has been due for {}.", ago(stats.job_oldest_due_seconds));
        needs.push(
            Need::new("BellhopJobsLate", "Jobs are late", text)
                .urgent()
                .at("/jobs?state=available"),
        );
    }
    for ((application, rule), (count, age)) in &stats.forwarding {
        if *age > FORWARDED_WITHIN {
            let text = format!(
                "Rule {rule} of application {application}: {count} events wait to be forwarded, the oldest for {}.",
                ago(*age)
            );
            let place = format!("/rules/{application}/{rule}");
            needs.push(Need::new("BellhopForwardingBacklogOld", "Forwarding is behind", text).at(place));
        }
    }
}

fn places(app: &App, stats: &Stats, needs: &mut Vec<Need>) {
    for (application, age) in &stats.activation_oldest_seconds {
        let left = app.config.activation.safe.as_secs_f64() - age;
        if left < ACTIVATION_LEFT {
            let text = match left > 0.0 {
                true => format!(
                    "Application {application}: the safe deadline of a connection is in {}.",
                    ago(left)
                ),
                false => format!(
                    "Application {application}: the safe deadline of a connection was {} ago.",
                    ago(-left)
                ),
            };
            let need = Need::new("BellhopActivationDeadline", "A connection is about to fail", text).urgent();
            needs.push(need.at(format!("/locations?application={application}&status=pending")));
        }
    }
    for (state, headline, what) in [
        ("missing", "Webhooks do not come to us", "do not have our address"),
        (
            "refused",
            "Webhook settings cannot be read",
            "the marketplace does not show us",
        ),
    ] {
        let count = hooks(stats, state);
        if count > 0 {
            let text = format!("Active locations whose webhook settings {what}: {count}.");
            needs.push(Need::new("BellhopHooksMissing", headline, text).at(format!("/locations?hooks={state}")));
        }
    }
}

fn comparing(known: &Known, needs: &mut Vec<Need>) {
    let now = chrono::Utc::now().timestamp_millis() as f64 / 1_000.0;
    for (application, within) in &known.compared_within {
        let at = known.stats.reconciled_at.get(&application.0).copied().unwrap_or(0.0);
        if at > 0.0 && now - at > within.as_secs_f64() {
            let text = format!(
                "Application {application}: the last complete round began {} ago.",
                ago(now - at)
            );
            let headline = "Comparing with the marketplace is behind";
            needs.push(Need::new("BellhopReconcileStale", headline, text).at("/reconciliation"));
        }
    }
}

/// At how many active locations that is what was seen of the webhook settings.
fn hooks(stats: &Stats, wanted: &str) -> i64 {
    let of = stats.hooks.iter().filter(|((_, state), _)| state == wanted);
    of.map(|(_, count)| *count).sum()
}

fn decisions(known: &Known, needs: &mut Vec<Need>) {
    let stats = &known.stats;
    if known.in_doubt > 0 {
        let text = format!(
            "Calls that move money: {}. Whether they happened is not known, and they are not repeated.",
            known.in_doubt
        );
        needs.push(
            Need::new("BellhopPaymentUnknown", "Money is in doubt", text)
                .urgent()
                .at("/ledger?state=unknown"),
        );
    }
    let discarded: Vec<String> = stats
        .discarded_last_day
        .iter()
        .map(|(action, count)| format!("{action} {count}"))
        .collect();
    if !discarded.is_empty() {
        let text = format!("Within the last day: {}.", discarded.join(", "));
        needs.push(Need::new("BellhopJobsDiscarded", "Jobs were given up", text).at("/jobs?state=discarded"));
    }
    for (application, rule, count) in &stats.held {
        let text =
            format!("Rule {rule} of application {application}: {count} firings beyond its cap wait for a decision.");
        let place = format!("/rules/{application}/{rule}");
        needs.push(Need::new("BellhopRuleHeld", "A rule is held", text).at(place));
    }
}

fn ago(seconds: f64) -> String {
    span::show(Duration::from_secs_f64(seconds.max(0.0)))
}
