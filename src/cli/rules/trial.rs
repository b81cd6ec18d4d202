use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use chrono::{DateTime, Utc};
use clap::Args;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{read, show_steps};
use crate::{
    app::view::view,
    cli::{Misused, output::tell, sheet::Sheet},
    domain::{
        event::{Fact, Kind, Source},
        ids::{ApplicationId, EventId, LocationId, Place},
        installation::Status,
        payment::{Payment, Periods},
    },
    rules::{self, Decision, Rule, Sample, Subject},
    store::inbox::Waiting,
};

#[derive(Args)]
pub(super) struct Trial {
    /// The file of rules.
    file: PathBuf,
    /// Only the rule of this name.
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// A file with the event as JSON: what `bellhop events show --json` prints, or by hand {"kind": "record.updated",
    /// "data": {…}} or {"kind": "payment.received", "payment": {"amount": 29.9}}. Without it: an example of what each
    /// rule waits for.
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    #[command(flatten)]
    world: World,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What the rule finds around the event. What is not said is as in the example of `bellhop rules explain`.
#[derive(Args)]
struct World {
    /// Where the installation stands.
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(Status::ALL.iter().map(|status| status.as_str())))]
    status: Option<String>,
    /// How often it was connected.
    #[arg(long, value_name = "NUMBER")]
    generation: Option<i32>,
    /// Whether anything was paid.
    #[arg(long, value_name = "YES")]
    has_paid: Option<bool>,
    /// When the trial ends.
    #[arg(long, value_name = "TIME")]
    trial_ends_at: Option<DateTime<Utc>>,
    /// Until when is paid.
    #[arg(long, value_name = "TIME")]
    paid_until: Option<DateTime<Utc>>,
    /// Country of the location, such as DE; an empty one is not known.
    #[arg(long, value_name = "CODE")]
    country: Option<String>,
    /// The marketplace's number of the country.
    #[arg(long, value_name = "NUMBER")]
    country_id: Option<i64>,
    /// Mail address of the location; an empty one is not known.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Name of the location.
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Time zone of the location, such as Europe/Berlin.
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Marks of the location, such as vip,wholesale; an empty text for none.
    #[arg(long, value_name = "TAGS")]
    tags: Option<String>,
    /// The moment of the decision.
    #[arg(long, value_name = "TIME")]
    now: Option<DateTime<Utc>>,
}

/// An event as somebody writes it down. What else the list of events shows is left aside.
#[derive(Deserialize)]
struct Given {
    kind: String,
    source: Option<Source>,
    resource_id: Option<i64>,
    occurred_at: Option<DateTime<Utc>>,
    fact: Option<Fact>,
    body: Option<String>,
    data: Option<Value>,
    payment: Option<GivenPayment>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenPayment {
    id: Option<i64>,
    amount: Decimal,
    currency: Option<String>,
    period_from: Option<DateTime<Utc>>,
    period_to: Option<DateTime<Utc>>,
}

impl Trial {
    pub(super) fn run(self) -> Result<ExitCode> {
        let set = read(std::slice::from_ref(&self.file))?;
        let named = |rule: &&Rule| self.rule.as_ref().is_none_or(|name| rule.name == *name);
        let tried: Vec<&Rule> = set.with_retired().filter(named).collect();
        if tried.is_empty() {
            return Err(Misused(format!("there is no such rule in {}", self.file.display())).into());
        }
        let given = self.event.as_ref().map(given).transpose()?;
        let (mut sheets, mut items) = (Vec::new(), Vec::new());
        for rule in tried {
            let mut sample = Sample::of(&rule.trigger);
            if let Some(given) = &given {
                given.lay_over(&mut sample);
            }
            self.world.lay_over(&mut sample);
            let (sheet, item) = tried_on(rule, &sample);
            sheets.push(sheet.text());
            items.push(item);
        }
        if self.json {
            return tell(&json!({"items": items, "next_cursor": null}).to_string());
        }
        tell(&sheets.join("\n\n"))
    }
}

fn given(file: &PathBuf) -> Result<Given> {
    let wrong = |what: String| Misused(format!("{}: {what}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let given: Given = serde_json::from_str(&text).map_err(|error| {
        wrong(format!(
            "this is no event: {error}. Remedy: {{\"kind\": \"…\"}}, as in the help of --event"
        ))
    })?;
    match given.kind.parse() {
        Ok(Kind::Unknown) | Err(_) => Err(wrong(format!("`{}` is no kind of event", given.kind)).into()),
        Ok(_) => Ok(given),
    }
}

impl Given {
    /// Puts the event in the place of the example's.
    fn lay_over(&self, sample: &mut Sample) {
        let kind = self.kind.parse().unwrap_or(Kind::Unknown);
        if self.is_bare() && sample.event.kind == kind {
            return;
        }
        // As it is stored, so that a rule sees it in the same way.
        let stored = Waiting {
            id: EventId(1),
            received_at: sample.now,
            place: Place {
                application_id: ApplicationId(1),
                location_id: LocationId(100_001),
            },
            kind,
            source: self.source.unwrap_or(sample.event.source),
            occurred_at: self.occurred_at.unwrap_or(sample.event.at),
            resource_id: self.resource_id,
            digest: None,
            fact: self.fact(),
            unreadable: None,
            body: self.bytes(),
        };
        let example = std::mem::replace(&mut sample.event, view(&stored));
        let has_no_more = matches!(example.subject, Subject::Moment(_) | Subject::Expired { .. });
        if has_no_more && example.kind == sample.event.kind && self.fact.is_none() {
            sample.event.subject = example.subject;
        }
        sample.installation.status = match sample.event.kind {
            Kind::InstallationPending | Kind::ActivationExpired => Status::Pending,
            Kind::InstallationFrozen => Status::Frozen,
            Kind::InstallationUninstalled => Status::Uninstalled,
            _ => Status::Active,
        };
    }

    fn is_bare(&self) -> bool {
        self.fact.is_none() && self.body.is_none() && self.data.is_none() && self.payment.is_none()
    }

    fn bytes(&self) -> Option<Vec<u8>> {
        let body = self.body.clone().map(String::into_bytes);
        body.or_else(|| Some(json!({"data": self.data.as_ref()?}).to_string().into_bytes()))
    }

    fn fact(&self) -> Option<Fact> {
        let paid = self.payment.as_ref().map(|payment| Fact::PaymentReceived {
            payment: Payment {
                id: payment.id,
                amount: payment.amount,
                currency: payment.currency.clone(),
                period_from: payment.period_from,
                period_to: payment.period_to,
                refunded: false,
            },
            periods: Periods::default(),
        });
        let is_entity = matches!(self.kind.parse(), Ok(Kind::Entity { .. }));
        // Any fact that says nothing more than the status; the rule sees the installation.
        let plain = (!is_entity).then_some(Fact::Frozen);
        self.fact.clone().or(paid).or(plain)
    }
}

impl World {
    fn lay_over(&self, sample: &mut Sample) {
        let known = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let installation = &mut sample.installation;
        let status = self.status.as_deref().and_then(Status::parse);
        installation.status = status.unwrap_or(installation.status);
        installation.generation = self.generation.unwrap_or(installation.generation);
        let periods = &mut installation.periods;
        periods.has_paid = self.has_paid.unwrap_or(periods.has_paid);
        periods.trial_ends_at = self.trial_ends_at.or(periods.trial_ends_at);
        periods.paid_until = self.paid_until.or(periods.paid_until);
        if let Some(tags) = &self.tags {
            let tags = tags.split(',').map(str::trim).filter(|tag| !tag.is_empty());
            sample.tags = tags.map(str::to_owned).collect();
        }
        let location = &mut sample.location;
        location.country_id = self.country_id.or(location.country_id);
        for (given, known_so_far) in [
            (&self.country, &mut location.country),
            (&self.email, &mut location.email),
            (&self.title, &mut location.title),
            (&self.timezone, &mut location.timezone_name),
        ] {
            if given.is_some() {
                *known_so_far = known(given);
            }
        }
        sample.now = self.now.unwrap_or(sample.now);
    }
}

/// What a rule says to the event, for people and for programs.
fn tried_on(rule: &Rule, sample: &Sample) -> (Sheet, Value) {
    let facts = sample.facts();
    let came = match &sample.event.subject {
        Subject::Moment(came) => Some(&came.moment),
        Subject::Status | Subject::Entity { .. } | Subject::Payment(_) | Subject::Expired { .. } => None,
    };
    let kind = &sample.event.kind;
    let fires = match rules::would(rule, &facts) {
        _ if !rule.trigger.matches(kind, came) => Err(format!("it waits for {}, and this is {kind}", rule.trigger)),
        Decision::Skip { reason, .. } => Err(reason),
        Decision::Fire { key, .. } => Ok(key),
    };
    let mut sheet = Sheet::new(&format!("Rule {}", rule.name));
    sheet.field("event", Some(kind));
    let mut item = json!({"rule": rule.name, "kind": kind, "fires": false});
    match fires {
        Err(reason) => {
            sheet.field("would", Some("not fire"));
            sheet.field("because", Some(&reason));
            item["reason"] = reason.into();
        }
        Ok(key) => {
            sheet.field("would", Some("fire"));
            sheet.field("key", Some(&key));
            let steps = rules::preview(rule, &facts);
            sheet.begin("Steps");
            show_steps(&mut sheet, &steps);
            item["fires"] = true.into();
            item["key"] = key.into();
            item["steps"] = json!(steps);
        }
    }
    (sheet, item)
}
