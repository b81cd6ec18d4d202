//! An event with everything known, for every trigger: conditions and texts are tried on it when
//! rules are loaded, and its shape is the shape that paths are checked against.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use super::{
    facts::{ApplicationView, EventView, Facts, Subject},
    trigger::Trigger,
};
use crate::domain::{
    event::{Kind, Source},
    ids::{ApplicationId, EventId, LocationId, Place},
    installation::{Installation, Status},
    location::Location,
    moment::{Came, Mark, Moment, Term},
    payment::{Payment, Periods},
};

/// An event and all around it: owns what facts borrow.
#[derive(Debug)]
pub struct Sample {
    /// The event.
    pub event: EventView,
    /// The installation, as the event left it.
    pub installation: Installation,
    /// Marks of the place.
    pub tags: Vec<String>,
    /// The place.
    pub location: Location,
    /// The application.
    pub application: ApplicationView,
    /// The moment of the decision.
    pub now: DateTime<Utc>,
}

impl Sample {
    /// An event that the trigger waits for, with everything known.
    pub fn of(trigger: &Trigger) -> Self {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default();
        let application_id = ApplicationId(1);
        let location_id = LocationId(100_001);
        let kind = trigger.sample_kind();
        Self {
            event: EventView {
                id: EventId(1),
                source: Source::Callback,
                at: now,
                subject: subject(trigger, &kind, now),
                kind,
            },
            installation: Installation {
                place: Place {
                    application_id,
                    location_id,
                },
                status: Status::Active,
                generation: 1,
                status_since: now,
                status_seen_at: now,
                connected_at: Some(now - TimeDelta::days(14)),
                activated_at: Some(now - TimeDelta::days(14)),
                periods: Periods {
                    trial_ends_at: Some(now + TimeDelta::days(1)),
                    paid_until: Some(now + TimeDelta::days(30)),
                    has_paid: true,
                },
            },
            tags: vec!["vip".to_owned()],
            location: location(location_id),
            application: ApplicationView {
                id: application_id,
                name: "Example".to_owned(),
            },
            now,
        }
    }

    /// The same with nothing but what every event of the trigger has.
    pub(super) fn bare(trigger: &Trigger) -> Self {
        let mut bare = Self::of(trigger);
        // A moment of an end has that end.
        let end = trigger.moment().and_then(Moment::end).map(|(term, _)| term);
        let of = |term: Term| end == Some(term);
        bare.location = Location::unknown(bare.location.id);
        bare.tags.clear();
        bare.installation = Installation {
            connected_at: None,
            activated_at: None,
            periods: Periods {
                trial_ends_at: bare.installation.periods.trial_ends_at.filter(|_| of(Term::Trial)),
                paid_until: bare.installation.periods.paid_until.filter(|_| of(Term::Period)),
                ..bare.installation.periods
            },
            ..bare.installation
        };
        match &mut bare.event.subject {
            Subject::Entity { resource_id, .. } => *resource_id = None,
            Subject::Payment(payment) => {
                *payment = Payment {
                    id: None,
                    currency: None,
                    period_from: None,
                    period_to: None,
                    ..payment.clone()
                };
            }
            Subject::Status | Subject::Moment(_) | Subject::Expired { .. } => {}
        }
        bare
    }

    /// As conditions and texts see it.
    pub fn facts(&self) -> Facts<'_> {
        Facts::new(
            &self.event,
            &self.installation,
            &self.location,
            &self.application,
            self.now,
        )
        .with_tags(&self.tags)
    }
}

fn subject(trigger: &Trigger, kind: &Kind, now: DateTime<Utc>) -> Subject {
    match (trigger, kind) {
        (Trigger::Entity { .. }, _) => Subject::Entity {
            resource_id: Some(1),
            data: None,
            digest: String::new(),
        },
        (Trigger::Moment(moment), _) => Subject::Moment(Came {
            moment: moment.clone(),
            due_at: now,
            mark: mark(moment, now),
        }),
        (Trigger::Fixed(_), Kind::ActivationExpired) => Subject::Expired {
            pending_since: now - TimeDelta::hours(13),
        },
        (Trigger::Fixed(_) | Trigger::Every(_), Kind::PaymentReceived | Kind::PaymentRefunded) => {
            Subject::Payment(Payment {
                id: Some(1),
                amount: Decimal::new(99_090, 2),
                currency: Some("EUR".to_owned()),
                period_from: Some(now),
                period_to: Some(now + TimeDelta::days(30)),
                refunded: false,
            })
        }
        (Trigger::Fixed(_) | Trigger::Every(_), _) => Subject::Status,
    }
}

fn mark(moment: &Moment, now: DateTime<Utc>) -> Mark {
    match moment {
        Moment::Schedule { .. } => Mark::Local(now.naive_utc()),
        Moment::Silence { lasting } => Mark::Silence {
            since: now - *lasting,
            after: None,
        },
        Moment::TrialEnding { before } | Moment::PeriodEnding { before } => Mark::End(now + *before),
        Moment::TrialEnded | Moment::PeriodEnded => Mark::End(now),
    }
}

fn location(id: LocationId) -> Location {
    Location {
        id,
        title: Some("Example".to_owned()),
        email: Some("owner@example.com".to_owned()),
        phone: Some("10000000001".to_owned()),
        address: Some("1 Example Street".to_owned()),
        country_id: Some(1),
        country: Some("DE".to_owned()),
        country_name: Some("Example".to_owned()),
        city_id: Some(1),
        city: Some("Example".to_owned()),
        timezone_name: Some("Europe/Berlin".to_owned()),
        currency: Some("€".to_owned()),
    }
}
