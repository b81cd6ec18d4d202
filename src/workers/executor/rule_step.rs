//! The actions of rules. Texts are rendered now, so that they see the results of earlier steps and
//! the present state of the installation.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use secrecy::SecretString;
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    Done, forward, messages,
    money::{self, Wish},
    uninstall,
};
use crate::{
    app::{
        App,
        line::{Failure, Line},
        plans,
        served::Served,
        view::{sent, view},
    },
    domain::{
        action::Action,
        event::Fact,
        ids::Place,
        installation::{Installation, Status},
        location::Location,
    },
    marketplace::calls::{self, LimitError},
    rules::{self, EventView, Facts, Objection, RenderError, Rule},
    store::{
        self, firings,
        inbox::{self, Waiting},
        installations,
        jobs::{Claimed, Outcome},
        tags,
    },
    workers::judge,
};

const OVER: &str = "the connection it was meant for is over";

/// What a step may refer to.
pub(super) struct Scene<'a> {
    pub(super) app: &'a App,
    pub(super) served: &'a Served,
    pub(super) job: &'a Claimed,
    /// The rule, and what its step is to do by now.
    pub(super) rule: String,
    pub(super) action: Action,
    /// The secrets of the step, the present one first.
    pub(super) secrets: Vec<SecretString>,
    pub(super) event: EventView,
    /// What was sent of an entity, and when the event became durable.
    pub(super) sent: Option<Box<RawValue>>,
    pub(super) received_at: DateTime<Utc>,
    /// Now, by the clock of the database: that of this process may be hours off, and receivers refuse signatures with
    /// another hour in them.
    pub(super) now: DateTime<Utc>,
    installation: Installation,
    /// Whether the connection is still the one in which the rule fired.
    same_connection: bool,
    tags: Vec<String>,
    location: Location,
    pub(super) results: Map<String, Value>,
    /// Why it is not to be done.
    objection: Option<Objection>,
}

/// Does one step of a firing.
pub(super) async fn run(
    app: &App,
    served: &Served,
    job: &Claimed,
    line: &mut Line<'_>,
    action: &Action,
) -> Result<Done, Failure> {
    let scene = match scene((app, served), job, action).await? {
        Ok(scene) => scene,
        Err(why) => return Ok(Done::of(Outcome::Discard(why))),
    };
    if let Some(objection) = &scene.objection {
        return Ok(Done::of(match objection {
            Objection::Condition(reason) => Outcome::Done(json!({"skipped": reason})),
            Objection::Unknown => Outcome::Discard(gone(&scene.rule, "condition")),
        }));
    }
    let outcome = match action {
        Action::SetDiscount { percent } => set_discount(served, job.place, line, *percent).await,
        Action::CreatePaymentLink {
            discount,
            tariff_option_id,
        } => create_payment_link(served, job.place, line, (*discount, *tariff_option_id)).await,
        Action::SendWebhook { url, body } => Ok(messages::webhook(&scene, url, body.as_deref()).await),
        Action::SendEmail { to, subject, text } => Ok(messages::email(&scene, [to, subject, text]).await),
        Action::SendTelegram { chat, text } => Ok(messages::telegram(&scene, chat, text).await),
        Action::SendSlack { text } => Ok(messages::slack(&scene, text).await),
        Action::ForwardEvent { .. } => Ok(forward::run(&scene).await),
        Action::SetTag { tag, present } => {
            return Ok(Done {
                tag: Some((tag.clone(), *present)),
                ..Done::of(Outcome::Done(json!({"tag": tag, "present": present})))
            });
        }
        Action::SetChannel { channel, available } => {
            let call = calls::channels::update_channel(job.place, *channel, *available);
            line.send(&call).await?;
            Ok(Outcome::Done(json!({"channel": channel, "available": available})))
        }
        Action::SetSenderNames { names } => set_sender_names(job.place, line, names).await,
        Action::ReportPayment { amount, currency, term } => {
            let (amount, term) = (*amount, *term);
            let wish = Wish::Report { amount, currency, term };
            return money::run(app, served, job, line, wish).await;
        }
        Action::RefundPayment { payment } => match number(&scene, payment) {
            Ok(payment_id) => return money::run(app, served, job, line, Wish::Refund { payment_id }).await,
            Err(why) => Ok(Outcome::Discard(why)),
        },
        // A connection that was made since must not be cut.
        Action::Uninstall if scene.same_connection => return uninstall::run(job, line).await,
        Action::Uninstall => Ok(Outcome::Discard(OVER.to_owned())),
        Action::Activate { .. }
        | Action::ReadStatus { .. }
        | Action::RepairHooks { .. }
        | Action::AnnounceCall { .. }
        | Action::LogCall { .. } => Ok(Outcome::Discard("not an action of rules".to_owned())),
    };
    if let Ok(Outcome::Done(_)) = &outcome {
        count(app, served, action);
    }
    outcome.map(Done::of)
}

/// What the marketplace was asked for and did. A discount of zero takes one away.
fn count(app: &App, served: &Served, action: &Action) {
    let counter = match action {
        Action::SetDiscount { percent } if !percent.is_zero() => &app.metrics.discounts_set_total,
        Action::CreatePaymentLink { .. } => &app.metrics.payment_links_total,
        _ => return,
    };
    counter.with_label_values(&[&served.id.to_string()]).inc();
}

fn number(scene: &Scene<'_>, template: &str) -> Result<i64, String> {
    let text = scene.render(template).map_err(|error| error.to_string())?;
    let number = text.trim().parse::<i64>().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("`{}` is not the number of a payment", text.trim()))
}

/// Gathers the facts, or says why the step must not be done any more.
async fn scene<'a>(
    (app, served): (&'a App, &'a Served),
    job: &'a Claimed,
    action: &Action,
) -> Result<Result<Scene<'a>, String>, Failure> {
    let Some(firing) = job.firing_id else {
        return Ok(Err("it belongs to no firing".to_owned()));
    };
    let Some(firing) = firings::get(&app.pool, firing).await? else {
        return Ok(Err("its firing is gone".to_owned()));
    };
    let Some(event) = inbox::find(&app.pool, firing.event_id, firing.event_received_at).await? else {
        return Ok(Err("its event was dropped, because it is too old".to_owned()));
    };
    let installation = installations::get(&app.pool, job.place).await?;
    let rules = app.rulebook.now();
    let rules = rules.of(job.place.application_id);
    let planned = planned(app, job, &event).await?;
    let mut known = rules.with_retired().chain(&planned);
    let rule = known.find(|rule| rule.name == firing.rule);
    let connected = installation.status != Status::Uninstalled && installation.generation == firing.generation;
    if firing.generation > 0 && !connected && !rule.is_some_and(judge::survives) {
        return Ok(Err(OVER.to_owned()));
    }
    let action = by_now(rule, action);
    let location = installations::location(&app.pool, job.place).await?;
    let results = match firing.results {
        Value::Object(results) => results,
        _ => Map::new(),
    };
    let number = usize::try_from(job.step).unwrap_or_default();
    let mut scene = Scene {
        objection: None,
        app,
        served,
        job,
        secrets: rules.secrets_of(&firing.rule, number, action).to_vec(),
        action: action.clone(),
        rule: firing.rule,
        sent: matches!(action, Action::ForwardEvent { .. })
            .then(|| sent(&event))
            .flatten(),
        received_at: event.received_at,
        now: firing.read_at,
        event: view(&event),
        same_connection: installation.generation == firing.generation,
        installation,
        tags: tags::of(&app.pool, job.place).await?,
        location: location.unwrap_or_else(|| Location::unknown(job.place.location_id)),
        results,
    };
    if job.conditional {
        scene.objection = rules::object(rule, (job.step, &scene.action), &scene.facts());
    }
    Ok(Ok(scene))
}

/// What waits to be forwarded goes where its rule says now: a receiver that has moved gets the backlog too. Everything
/// else is done as it was queued.
fn by_now<'s>(rule: Option<&'s Rule>, queued: &'s Action) -> &'s Action {
    let forwards = |action: &Action| matches!(action, Action::ForwardEvent { .. });
    let now = rule.and_then(|rule| {
        rule.steps
            .iter()
            .map(|step| &step.action)
            .find(|action| forwards(action))
    });
    now.filter(|_| forwards(queued)).unwrap_or(queued)
}

/// The rule of a bulk action stands in its plan. It is needed only where a step has a condition.
async fn planned(app: &App, job: &Claimed, event: &Waiting) -> Result<Option<Rule>, Failure> {
    let Some(Fact::BulkRequested { plan }) = event.fact.as_ref().filter(|_| job.conditional) else {
        return Ok(None);
    };
    let source = store::plans::source(&app.pool, *plan).await?;
    Ok(source.and_then(|source| plans::rule(*plan, &source).ok()))
}

impl Scene<'_> {
    pub(super) fn facts(&self) -> Facts<'_> {
        Facts::new(
            &self.event,
            &self.installation,
            &self.location,
            &self.served.view,
            self.now,
        )
        .with_tags(&self.tags)
    }

    pub(super) fn render(&self, template: &str) -> Result<String, RenderError> {
        rules::render(template, &self.facts(), &self.results)
    }
}

pub(super) fn gone(rule: &str, what: &str) -> String {
    format!("the rule `{rule}` and its {what} are not in the rule files any more")
}

fn refused(error: &LimitError) -> Outcome {
    Outcome::Discard(error.to_string())
}

async fn set_discount(
    served: &Served,
    place: Place,
    line: &mut Line<'_>,
    percent: Decimal,
) -> Result<Outcome, Failure> {
    match calls::billing::add_discount(served.id, &[place.location_id], percent) {
        Ok(call) => line.send(&call).await?,
        Err(error) => return Ok(refused(&error)),
    }
    Ok(Outcome::Done(json!({"percent": percent.normalize().to_string()})))
}

async fn set_sender_names(place: Place, line: &mut Line<'_>, names: &[String]) -> Result<Outcome, Failure> {
    match calls::channels::short_names(place, names) {
        Ok(call) => line.send(&call).await?,
        Err(error) => return Ok(refused(&error)),
    }
    Ok(Outcome::Done(json!({"names": names})))
}

/// The vendor's own client names an option of the tariffs, the reference does not (contract M4): the
/// cheapest is named when there are any.
async fn create_payment_link(
    served: &Served,
    place: Place,
    line: &mut Line<'_>,
    (discount, option): (Option<Decimal>, Option<i64>),
) -> Result<Outcome, Failure> {
    let option = match option {
        Some(option) => Some(option),
        None => calls::inventory::cheapest_option(&line.send(&calls::inventory::tariffs(served.id)).await?),
    };
    let url = match calls::billing::payment_link(place, option, discount) {
        Ok(call) => line.send(&call).await?,
        Err(error) => return Ok(refused(&error)),
    };
    let discount = discount.map(|discount| discount.normalize().to_string());
    Ok(Outcome::Done(
        json!({"url": url, "discount": discount, "tariff_option_id": option}),
    ))
}
