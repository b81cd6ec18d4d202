//! The actions of rules. Texts are rendered now, so that they see the results of earlier steps and
//! the present state of the installation.

use chrono::Utc;
use rust_decimal::Decimal;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::{
    Done,
    money::{self, Wish},
    outcome,
};
use crate::{
    app::{
        App,
        line::{Failure, Line},
        plans,
        served::Served,
        view::view,
    },
    domain::{
        action::Action,
        event::Fact,
        ids::{FiringId, Place},
        installation::{Installation, Status},
        location::Location,
    },
    marketplace::calls::{self, LimitError},
    notify::{
        email::Mail,
        webhook::{Secret, SignedRequest},
    },
    rules::{self, EventView, Facts, Objection, RenderError, Rule},
    store::{
        self, firings,
        inbox::{self, Waiting},
        installations,
        jobs::{Claimed, Outcome},
    },
    workers::judge,
};

/// What a step may refer to.
struct Scene {
    rule: String,
    event: EventView,
    installation: Installation,
    location: Location,
    results: Map<String, Value>,
    /// What signs the step's webhook.
    secret: Option<SecretString>,
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
    let scene = match scene(app, served, job, action).await? {
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
        Action::SendWebhook { url, body } => send_webhook(app, served, job, &scene, (url, body.as_deref())).await,
        Action::SendEmail { to, subject, text } => send_email(app, served, job, &scene, [to, subject, text]).await,
        Action::ReportPayment { amount, currency, term } => {
            let (amount, term) = (*amount, *term);
            let wish = Wish::Report { amount, currency, term };
            return money::run(app, served, job, line, wish).await;
        }
        Action::RefundPayment { payment } => match number(&scene, served, payment) {
            Ok(payment_id) => return money::run(app, served, job, line, Wish::Refund { payment_id }).await,
            Err(why) => Ok(Outcome::Discard(why)),
        },
        Action::Activate { .. } | Action::ReadStatus { .. } => {
            Ok(Outcome::Discard("not an action of rules".to_owned()))
        }
    };
    outcome.map(Done::of)
}

fn number(scene: &Scene, served: &Served, template: &str) -> Result<i64, String> {
    let text = scene.render(served, template).map_err(|error| error.to_string())?;
    let number = text.trim().parse::<i64>().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("`{}` is not the number of a payment", text.trim()))
}

/// Gathers the facts, or says why the step must not be done any more.
async fn scene(app: &App, served: &Served, job: &Claimed, action: &Action) -> Result<Result<Scene, String>, Failure> {
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
        return Ok(Err("the connection it was meant for is over".to_owned()));
    }
    let location = installations::location(&app.pool, job.place).await?;
    let results = match firing.results {
        Value::Object(results) => results,
        _ => Map::new(),
    };
    let mut scene = Scene {
        objection: None,
        secret: rules.webhook_secret(&firing.rule, action).cloned(),
        rule: firing.rule,
        event: view(&event),
        installation,
        location: location.unwrap_or_else(|| Location::unknown(job.place.location_id)),
        results,
    };
    if job.conditional {
        scene.objection = rules::object(rule, (job.step, action), &scene.facts(served));
    }
    Ok(Ok(scene))
}

/// The rule of a bulk action stands in its plan. It is needed only where a step has a condition.
async fn planned(app: &App, job: &Claimed, event: &Waiting) -> Result<Option<Rule>, Failure> {
    let Some(Fact::BulkRequested { plan }) = event.fact.as_ref().filter(|_| job.conditional) else {
        return Ok(None);
    };
    let source = store::plans::source(&app.pool, *plan).await?;
    Ok(source.and_then(|source| plans::rule(*plan, &source).ok()))
}

impl Scene {
    fn facts<'a>(&'a self, served: &'a Served) -> Facts<'a> {
        Facts::new(
            &self.event,
            &self.installation,
            &self.location,
            &served.view,
            Utc::now(),
        )
    }

    fn render(&self, served: &Served, template: &str) -> Result<String, RenderError> {
        rules::render(template, &self.facts(served), &self.results)
    }
}

fn gone(rule: &str, what: &str) -> String {
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

/// The name of a message is the same for every attempt, so that the receiver can tell a repetition.
fn message_id(firing: Option<FiringId>, step: i16) -> String {
    format!("bellhop-{}-{step}", firing.map_or(0, |firing| firing.0))
}

async fn send_webhook(
    app: &App,
    served: &Served,
    job: &Claimed,
    scene: &Scene,
    (url, body): (&str, Option<&str>),
) -> Result<Outcome, Failure> {
    let secret = scene.secret.as_ref();
    let Some(Ok(secret)) = secret.map(|secret| Secret::parse(secret.expose_secret())) else {
        return Ok(Outcome::Discard(gone(&scene.rule, "secret")));
    };
    let rendered = scene.render(served, url).and_then(|url| {
        let body = match body {
            Some(template) => scene.render(served, template)?,
            None => rules::default_webhook_body(&scene.facts(served), &scene.results).to_string(),
        };
        Ok((url, body))
    });
    let (url, body) = match rendered {
        Ok(rendered) => rendered,
        Err(error) => return Ok(Outcome::Discard(error.to_string())),
    };
    let id = message_id(job.firing_id, job.step);
    let request = SignedRequest {
        url: &url,
        id: &id,
        timestamp: Utc::now(),
        body: &body,
        secrets: &[secret],
    };
    Ok(match app.webhooks.send(&request).await {
        Ok(answer) => Outcome::Done(json!({"status": answer.status, "id": id})),
        Err(error) => outcome::of_message(&app.config.jobs, job, &error),
    })
}

async fn send_email(
    app: &App,
    served: &Served,
    job: &Claimed,
    scene: &Scene,
    templates: [&String; 3],
) -> Result<Outcome, Failure> {
    let Some(mailer) = &app.mailer else {
        return Ok(Outcome::Discard(
            "no mail server is configured: [smtp] is missing".to_owned(),
        ));
    };
    let [to, subject, text] = templates.map(|template| scene.render(served, template));
    let (to, subject, text) = match (to, subject, text) {
        (Ok(to), Ok(subject), Ok(text)) => (to, subject, text),
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => return Ok(Outcome::Discard(error.to_string())),
    };
    let id = message_id(job.firing_id, job.step);
    let mail = Mail {
        to,
        subject,
        text,
        id: id.clone(),
    };
    Ok(match mailer.send(&mail).await {
        Ok(()) => Outcome::Done(json!({"id": id})),
        Err(error) => outcome::of_message(&app.config.jobs, job, &error),
    })
}
