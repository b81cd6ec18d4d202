//! What conditions and texts can see.
//!
//! | root | fields |
//! |---|---|
//! | `event` | `id`, `kind`, `source`, `at` |
//! | … of an entity | `resource`, `change`, `resource_id`, `data` (whatever was sent) |
//! | … of a moment | `due_at`; of a silence also `silent_since` |
//! | … of a connection that was not activated | `pending_since` |
//! | … of a payment | `payment.id`, `.amount`, `.currency`, `.period_from`, `.period_to` |
//! | `installation` | `status`, `generation`, `has_paid`, `tags`, `trial_ends_at`, `paid_until`, `connected_at`, `activated_at` |
//! | `location` | `id`, `title`, `email`, `phone`, `address`, `country_id`, `country` (such as `DE`), `country_name`, `city_id`, `city`, `timezone_name`, `currency` |
//! | `application` | `id`, `name` |
//! | `now` | the moment of the decision |
//!
//! What is not known is absent, not null: `has(location.email)` is false in a condition, and
//! reading it fails with "no such key: email", which skips the rule and says so. In a text it is
//! undefined: `{% if location.email %}` is false, `{{ location.email | default("…") }}` works, and
//! printing it fails. Blank texts of a location count as not known.
//!
//! Numbers in conditions: ids are integers, amounts of money are doubles (`1 < 1.5` compares, but
//! `amount * 2` mixes types and is refused; write `2.0`). In texts and webhooks money is text with
//! the digits it came with. Times are timestamps in conditions and RFC 3339 in texts, where the
//! filter `date` writes them in the time zone of the location.
//!
//! | trigger | a condition |
//! |---|---|
//! | `installation.activated` | `location.country == "DE"` |
//! | `installation.frozen` | `installation.has_paid` |
//! | `payment.received` | `event.payment.amount >= 100.0 && event.payment.currency == "EUR"` |
//! | `trial.ending` | `installation.status == "active" && !installation.has_paid` |
//! | `trial.ended` | `now - installation.trial_ends_at < duration("72h")` |
//! | `period.ending` | `installation.paid_until > timestamp("2026-12-31T00:00:00Z")` |
//! | `silence` | `now - event.silent_since < duration("720h")` |
//! | `record.*` | `event.change == "deleted" && has(event.data.client)` |

use std::sync::OnceLock;

use cel::Context;
use chrono::{DateTime, SecondsFormat, Utc};
use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde_json::{Map, Value};

use super::condition;
use crate::domain::{
    event::{Kind, Source},
    ids::{ApplicationId, EventId},
    installation::Installation,
    location::Location,
    moment::{Came, Mark},
    payment::Payment,
};

/// An event as rules see it.
#[derive(Debug, Clone)]
pub struct EventView {
    /// Its number.
    pub id: EventId,
    /// What it is about.
    pub kind: Kind,
    /// How it was learnt.
    pub source: Source,
    /// Since when it is known to be so.
    pub at: DateTime<Utc>,
    /// What only events of this sort have.
    pub subject: Subject,
}

/// What an event carries besides its kind.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A change of status: nothing more than the installation itself.
    Status,
    /// An entity event (contract 7.3).
    Entity {
        /// The number of the entity; for `schedule` that of the team member.
        resource_id: Option<i64>,
        /// What was sent as `data`, when it could be read.
        data: Option<Value>,
        /// Digest of the raw body, hex.
        digest: String,
    },
    /// A payment or a refund.
    Payment(Payment),
    /// A moment that came.
    Moment(Came),
    /// A connection that was not activated in time.
    Expired {
        /// Since when it was pending.
        pending_since: DateTime<Utc>,
    },
}

/// An application as rules see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationView {
    /// Its number in the marketplace.
    pub id: ApplicationId,
    /// Its name in the configuration.
    pub name: String,
}

/// Everything a decision may depend on: the event, the installation, the location, the application
/// and the time. Made once for an event and used by all its rules.
///
/// What is not known is absent: `has(location.email)` is false in a condition, and undefined in a
/// text. The head of this file lists all fields.
pub struct Facts<'a> {
    pub(super) event: &'a EventView,
    pub(super) installation: &'a Installation,
    pub(super) location: &'a Location,
    pub(super) application: &'a ApplicationView,
    pub(super) now: DateTime<Utc>,
    tags: &'a [String],
    context: OnceLock<Context<'static, 'static>>,
}

/// One fact with its type.
#[derive(Debug, Clone)]
pub(super) enum Fact {
    Whole(i64),
    Text(String),
    Texts(Vec<String>),
    Flag(bool),
    Money(Decimal),
    Time(DateTime<Utc>),
    /// What somebody else sent: any shape.
    Foreign(Value),
    Group(Group),
}

/// Facts under their names, in reading order.
pub(super) type Group = Vec<(&'static str, Fact)>;

impl<'a> Facts<'a> {
    /// Gathers the facts for one event.
    pub fn new(
        event: &'a EventView,
        installation: &'a Installation,
        location: &'a Location,
        application: &'a ApplicationView,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            event,
            installation,
            location,
            application,
            now,
            tags: &[],
            context: OnceLock::new(),
        }
    }

    /// With the marks of the place.
    #[must_use]
    pub fn with_tags(self, tags: &'a [String]) -> Self {
        Self { tags, ..self }
    }

    /// The facts under their roots.
    pub(super) fn tree(&self) -> Group {
        vec![
            ("event", Fact::Group(self.event_group())),
            ("installation", Fact::Group(self.installation_group())),
            ("location", Fact::Group(self.location_group())),
            (
                "application",
                Fact::Group(vec![
                    ("id", Fact::Whole(self.application.id.0)),
                    ("name", Fact::Text(self.application.name.clone())),
                ]),
            ),
            ("now", Fact::Time(self.now)),
        ]
    }

    /// The facts as JSON: what texts and webhooks are made from.
    pub(super) fn json(&self) -> Map<String, Value> {
        group_json(self.tree())
    }

    /// The facts as conditions see them, converted when the first condition asks.
    pub(super) fn context(&self) -> &Context<'static, 'static> {
        self.context.get_or_init(|| condition::context(self.tree()))
    }

    /// `data` of an entity event.
    pub(super) fn data(&self) -> Option<&Value> {
        match &self.event.subject {
            Subject::Entity { data, .. } => data.as_ref(),
            Subject::Status | Subject::Payment(_) | Subject::Moment(_) | Subject::Expired { .. } => None,
        }
    }

    fn event_group(&self) -> Group {
        let event = self.event;
        let mut group = vec![
            ("id", Fact::Whole(event.id.0)),
            ("kind", Fact::Text(event.kind.to_string())),
            ("source", Fact::Text(event.source.to_string())),
            ("at", Fact::Time(event.at)),
        ];
        if let Kind::Entity { resource, change } = &event.kind {
            group.push(("resource", Fact::Text(resource.clone())));
            group.push(("change", Fact::Text(change.clone())));
        }
        match &event.subject {
            Subject::Status => {}
            Subject::Moment(came) => {
                group.push(("due_at", Fact::Time(came.due_at)));
                if let Mark::Silence { since, .. } = came.mark {
                    group.push(("silent_since", Fact::Time(since)));
                }
            }
            Subject::Expired { pending_since } => group.push(("pending_since", Fact::Time(*pending_since))),
            Subject::Entity { resource_id, data, .. } => {
                push(&mut group, "resource_id", resource_id.map(Fact::Whole));
                let data = data.clone().unwrap_or_else(|| Value::Object(Map::new()));
                group.push(("data", Fact::Foreign(data)));
            }
            Subject::Payment(payment) => group.push(("payment", Fact::Group(payment_group(payment)))),
        }
        group
    }

    fn installation_group(&self) -> Group {
        let installation = self.installation;
        let mut group = vec![
            ("status", Fact::Text(installation.status.to_string())),
            ("generation", Fact::Whole(installation.generation.into())),
            ("has_paid", Fact::Flag(installation.periods.has_paid)),
            ("tags", Fact::Texts(self.tags.to_vec())),
        ];
        for (name, time) in [
            ("trial_ends_at", installation.periods.trial_ends_at),
            ("paid_until", installation.periods.paid_until),
            ("connected_at", installation.connected_at),
            ("activated_at", installation.activated_at),
        ] {
            push(&mut group, name, time.map(Fact::Time));
        }
        group
    }

    fn location_group(&self) -> Group {
        let location = self.location;
        let text = |value: &Option<String>| {
            value
                .as_ref()
                .filter(|text| !text.trim().is_empty())
                .map(|text| Fact::Text(text.clone()))
        };
        let mut group = vec![("id", Fact::Whole(location.id.0))];
        for (name, fact) in [
            ("title", text(&location.title)),
            ("email", text(&location.email)),
            ("phone", text(&location.phone)),
            ("address", text(&location.address)),
            ("country_id", location.country_id.map(Fact::Whole)),
            ("country", text(&location.country)),
            ("country_name", text(&location.country_name)),
            ("city_id", location.city_id.map(Fact::Whole)),
            ("city", text(&location.city)),
            ("timezone_name", text(&location.timezone_name)),
            ("currency", text(&location.currency)),
        ] {
            push(&mut group, name, fact);
        }
        group
    }
}

fn payment_group(payment: &Payment) -> Group {
    let mut group = Vec::new();
    push(&mut group, "id", payment.id.map(Fact::Whole));
    group.push(("amount", Fact::Money(payment.amount)));
    push(&mut group, "currency", payment.currency.clone().map(Fact::Text));
    push(&mut group, "period_from", payment.period_from.map(Fact::Time));
    push(&mut group, "period_to", payment.period_to.map(Fact::Time));
    group
}

fn push(group: &mut Group, name: &'static str, fact: Option<Fact>) {
    group.extend(fact.map(|fact| (name, fact)));
}

fn group_json(group: Group) -> Map<String, Value> {
    group
        .into_iter()
        .map(|(name, fact)| (name.to_owned(), fact.into_json()))
        .collect()
}

impl Fact {
    pub(super) fn into_json(self) -> Value {
        match self {
            Self::Whole(number) => number.into(),
            Self::Text(text) => text.into(),
            Self::Texts(texts) => texts.into(),
            Self::Flag(flag) => flag.into(),
            Self::Money(amount) => amount.to_string().into(),
            Self::Time(time) => time.to_rfc3339_opts(SecondsFormat::AutoSi, true).into(),
            Self::Foreign(value) => value,
            Self::Group(group) => Value::Object(group_json(group)),
        }
    }

    pub(super) fn into_cel(self) -> cel::Value {
        match self {
            Self::Whole(number) => cel::Value::Int(number),
            Self::Text(text) => text.into(),
            Self::Texts(texts) => {
                let texts: Vec<cel::Value> = texts.into_iter().map(cel::Value::from).collect();
                texts.into()
            }
            Self::Flag(flag) => cel::Value::Bool(flag),
            Self::Money(amount) => cel::Value::Float(amount.to_f64().unwrap_or(f64::NAN)),
            Self::Time(time) => cel::Value::Timestamp(time.fixed_offset()),
            Self::Foreign(value) => foreign_cel(value),
            Self::Group(group) => {
                let map: std::collections::HashMap<String, cel::Value> = group
                    .into_iter()
                    .map(|(name, fact)| (name.to_owned(), fact.into_cel()))
                    .collect();
                map.into()
            }
        }
    }
}

fn foreign_cel(value: Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(flag) => cel::Value::Bool(flag),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => cel::Value::Int(whole),
            (None, Some(large)) => cel::Value::UInt(large),
            (None, None) => cel::Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => text.into(),
        Value::Array(list) => {
            let list: Vec<cel::Value> = list.into_iter().map(foreign_cel).collect();
            list.into()
        }
        Value::Object(map) => {
            let map: std::collections::HashMap<String, cel::Value> =
                map.into_iter().map(|(key, value)| (key, foreign_cel(value))).collect();
            map.into()
        }
    }
}
