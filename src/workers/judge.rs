//! One event, from what it says to what follows: the state machine, then the rules, then the jobs.
//! Everything it writes commits together with the event's leaving the inbox.

use std::time::Duration;

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::{
    app::{App, served::Served},
    domain::{
        action::{Action, ExpectedPayment, Priority},
        event::{Fact, Kind, Source, State},
        ids::FiringId,
        installation::{Change, Installation, Status},
        location::Location,
    },
    rules::{self, EventView, Facts, Rule, Subject},
    store::{
        PgTransaction, activations,
        events::{self, Decision, Waiting},
        firings::{self, NewFiring},
        installations,
        jobs::{self, Cancel, NewJob, Step},
        timers,
    },
};

/// Nobody asked for it by hand.
const ACTIVATE: Action = Action::Activate { by_hand: false };

/// Unexpected events of one place make us look at most this often.
const UNEXPECTED_AGAIN: Duration = Duration::from_secs(10 * 60);

/// Events of an uninstalled place may still arrive for so long: the sender's delays and retries.
const ON_ITS_WAY: TimeDelta = TimeDelta::minutes(1);

/// What judging came to, for the metrics.
pub(super) struct Judged {
    moved: Option<(Status, Status)>,
    decisions: Vec<Decision>,
    queued: bool,
}

impl Judged {
    /// Counts what was committed.
    pub(super) fn count(&self, app: &App, event: &Waiting) {
        for decision in &self.decisions {
            let result = if decision.firing.is_some() { "fired" } else { "skipped" };
            app.metrics
                .firings_total
                .with_label_values(&[&decision.rule, result])
                .inc();
        }
        if let Some((from, to)) = self.moved {
            let application = event.place.application_id.to_string();
            let labels = [application.as_str(), from.as_str(), to.as_str(), event.source.as_str()];
            app.metrics
                .installation_transitions_total
                .with_label_values(&labels)
                .inc();
        }
    }

    /// Whether there is something to do now.
    pub(super) fn has_jobs(&self) -> bool {
        self.queued || self.decisions.iter().any(|decision| decision.firing.is_some())
    }
}

/// One event and what is needed to judge it.
struct Case<'a> {
    app: &'a App,
    served: &'a Served,
    event: &'a Waiting,
    now: DateTime<Utc>,
}

/// Judges one event.
pub(super) async fn judge(
    app: &App,
    tx: &mut PgTransaction<'_>,
    event: &Waiting,
    now: DateTime<Utc>,
) -> Result<Judged> {
    let Some(served) = app.served(event.place.application_id) else {
        let note = "no application of this number is configured here any more";
        events::settle(tx, event, State::Failed, Some(note), &[]).await?;
        return Ok(Judged {
            moved: None,
            decisions: Vec::new(),
            queued: false,
        });
    };
    let case = Case {
        app,
        served,
        event,
        now,
    };
    let before = installations::lock(tx, event.place).await?;
    let (after, change) = match &event.fact {
        Some(fact) => before.apply(fact, event.occurred_at),
        None => (before.clone(), Change::Happened),
    };
    let after = after.expecting_trial(served.config.trial_days);
    if after != before {
        case.follow_up(tx, &before, &after).await?;
    }
    let note = match change {
        Change::Nothing(why) => Some(why),
        Change::Moved | Change::Happened if remember(tx, event).await? => None,
        Change::Moved | Change::Happened => Some("this payment was known"),
    };
    let queued = look_closer(tx, event, &after).await?;
    let decisions = if note.is_none() {
        case.apply_rules(tx, &after).await?
    } else {
        Vec::new()
    };
    events::settle(tx, event, State::Processed, note, &decisions).await?;
    let moved = (change == Change::Moved).then_some((before.status, after.status));
    Ok(Judged {
        moved,
        decisions,
        queued,
    })
}

impl Case<'_> {
    /// What a new state of the installation brings with it.
    async fn follow_up(&self, tx: &mut PgTransaction<'_>, before: &Installation, after: &Installation) -> Result<()> {
        let (served, event) = (self.served, self.event);
        installations::save(tx, after).await?;
        if after.status != before.status || after.generation != before.generation {
            installations::remember_move(tx, before.status, after, event.source, event.id).await?;
        }
        if after.status == Status::Uninstalled {
            let survivors = served.rules.rules().iter().filter(|rule| survives(rule));
            let survivors: Vec<String> = survivors.map(|rule| rule.name.clone()).collect();
            let which = Cancel::Rules {
                place: event.place,
                except: &survivors,
            };
            jobs::cancel(tx, &which, "the application was uninstalled").await?;
        }
        let max_late = i64::try_from(served.rules.max_late().as_secs()).unwrap_or(i64::MAX);
        let location = Some(event.place.location_id);
        timers::plan(&mut **tx, served.id, location, &served.rules.moments(), max_late).await?;
        Ok(())
    }

    async fn apply_rules(&self, tx: &mut PgTransaction<'_>, installation: &Installation) -> Result<Vec<Decision>> {
        let event = self.event;
        let before = match event.fact {
            Some(Fact::MomentCame { before_seconds, .. }) => {
                u64::try_from(before_seconds).ok().map(Duration::from_secs)
            }
            _ => None,
        };
        let matching: Vec<&Rule> = self.served.rules.matching(&event.kind, before).collect();
        if matching.is_empty() {
            return Ok(Vec::new());
        }
        let view = view(event);
        let location = installations::location(&mut **tx, event.place).await?;
        let location = location.unwrap_or_else(|| Location::unknown(event.place.location_id));
        let facts = Facts::new(&view, installation, &location, &self.served.view, self.now);
        let mut decisions = Vec::with_capacity(matching.len());
        for rule in matching {
            let name = rule.name.clone();
            decisions.push(match rules::judge(rule, &facts) {
                rules::Decision::Skip { reason } => Decision {
                    rule: name,
                    firing: None,
                    reason: Some(reason),
                },
                rules::Decision::Fire { key, once } => match self.fire(tx, installation, rule, &key).await? {
                    Some(firing) => Decision {
                        rule: name,
                        firing: Some(firing),
                        reason: None,
                    },
                    None => Decision {
                        rule: name,
                        firing: None,
                        reason: Some(format!("fired before (once per {once})")),
                    },
                },
            });
        }
        Ok(decisions)
    }

    /// Claims the firing key and queues the steps. `None` when the rule has fired before.
    async fn fire(
        &self,
        tx: &mut PgTransaction<'_>,
        installation: &Installation,
        rule: &Rule,
        key: &str,
    ) -> Result<Option<FiringId>> {
        let event = self.event;
        let new = NewFiring {
            key,
            rule: &rule.name,
            once_per: rule.once_per.as_str(),
            place: event.place,
            generation: installation.generation,
            event_id: event.id,
            event_received_at: event.received_at,
            kind: &event.kind.to_string(),
        };
        let Some(firing) = firings::claim(tx, &new).await? else {
            return Ok(None);
        };
        for (number, step) in rule.steps.iter().enumerate() {
            let number = i16::try_from(number).unwrap_or(i16::MAX);
            let job = NewJob {
                place: event.place,
                lane: &rule.name,
                priority: step.action.priority(),
                action: &step.action,
                step: Some(Step {
                    firing,
                    rule: &rule.name,
                    number,
                    id: step.id.as_deref(),
                }),
                max_attempts: self.app.config.jobs.max_attempts,
            };
            jobs::enqueue(tx, &job).await?;
        }
        Ok(Some(firing))
    }
}

/// A rule about the uninstall itself, or one that says so, goes on after it.
pub(super) fn survives(rule: &Rule) -> bool {
    rule.keep_after_uninstall || rule.trigger.matches(&Kind::InstallationUninstalled, None)
}

/// Keeps payments; a payment that was known already is no news.
async fn remember(tx: &mut PgTransaction<'_>, event: &Waiting) -> Result<bool> {
    match &event.fact {
        Some(Fact::PaymentReceived { payment, .. } | Fact::PaymentRefunded { payment, .. }) => {
            Ok(installations::remember_payment(tx, event.place, payment).await?)
        }
        _ => Ok(true),
    }
}

/// What nobody told yet, the marketplace is asked. Returns whether there is something to ask. The
/// lane comes before the activation, as where a job is settled: in the other order the two could wait
/// for each other.
async fn look_closer(tx: &mut PgTransaction<'_>, event: &Waiting, installation: &Installation) -> Result<bool> {
    match &event.fact {
        Some(Fact::ConnectOpened { signed }) => {
            let priority = if *signed {
                Priority::Activation
            } else {
                Priority::Unproven
            };
            jobs::enqueue_once(tx, &NewJob::activation(event.place, priority, &ACTIVATE)).await?;
            activations::open(tx, event.place).await?;
        }
        // A look at the status found a connection whose redirect never came.
        Some(Fact::Pending { .. }) if event.source != Source::Activation && installation.status == Status::Pending => {
            jobs::enqueue_once(tx, &NewJob::activation(event.place, Priority::Activation, &ACTIVATE)).await?;
            activations::open(tx, event.place).await?;
        }
        Some(Fact::PaymentReported { payment }) => {
            let expected = payment.id.map(|id| ExpectedPayment {
                id,
                currency: payment.currency.clone(),
            });
            let action = Action::ReadStatus {
                expect_payment: expected,
            };
            jobs::enqueue_once(tx, &NewJob::look(event.place, &action)).await?;
        }
        // An application that needs no activation sends events before anybody told us of it, and again
        // after it came back.
        None if event.source == Source::Webhook && unexpected(event, installation) => {
            if !activations::looked_at(tx, event.place, UNEXPECTED_AGAIN).await? {
                jobs::enqueue_once(tx, &NewJob::activation(event.place, Priority::Unproven, &ACTIVATE)).await?;
                activations::open(tx, event.place).await?;
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Whether an event comes from a place that should be silent. What was on its way when the place was
/// uninstalled is not unexpected.
fn unexpected(event: &Waiting, installation: &Installation) -> bool {
    installation.status == Status::Uninstalled && event.occurred_at - installation.status_since > ON_ITS_WAY
}

/// An event as rules see it.
pub(super) fn view(event: &Waiting) -> EventView {
    let subject = match &event.fact {
        Some(Fact::PaymentReceived { payment, .. } | Fact::PaymentRefunded { payment, .. }) => {
            Subject::Payment(payment.clone())
        }
        Some(Fact::MomentCame { before_seconds, .. }) => Subject::Moment {
            due_at: event.occurred_at,
            before: Duration::from_secs(u64::try_from(*before_seconds).unwrap_or(0)),
        },
        Some(_) => Subject::Status,
        None => Subject::Entity {
            resource_id: event.resource_id,
            data: event.body.as_deref().and_then(data),
            digest: event.digest.as_deref().map(hex::encode).unwrap_or_default(),
        },
    };
    EventView {
        id: event.id,
        kind: event.kind.clone(),
        source: event.source,
        at: event.occurred_at,
        subject,
    }
}

/// The `data` of an entity event. Bodies with broken Unicode are read as well as they can be.
fn data(body: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(body);
    let whole: Option<Value> = serde_json::from_str(&text).ok().or_else(|| {
        let readable = lone_surrogates_replaced(&text);
        serde_json::from_str(&readable).ok()
    });
    whole.and_then(|mut whole| whole.get_mut("data").map(Value::take))
}

/// Replaces escaped surrogates, which JSON cannot hold alone; pairs are lost with them.
fn lone_surrogates_replaced(text: &str) -> String {
    let mut parts = text.split("\\u");
    let mut readable = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let surrogate = part.len() >= 4 && part.as_bytes()[0].eq_ignore_ascii_case(&b'd') && part.as_bytes()[1] >= b'8';
        readable.push_str("\\u");
        if surrogate && part.is_char_boundary(4) {
            readable.push_str("fffd");
            readable.push_str(&part[4..]);
        } else {
            readable.push_str(part);
        }
    }
    readable
}
