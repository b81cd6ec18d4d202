//! Tests of the room as a whole; what belongs to one file is tested there.

mod arbitrary;
mod bulk;
mod decisions;
mod explaining;
mod mistakes;
mod moments;
mod steps;
mod texts;
mod vocabulary;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::*;
use crate::domain::{
    event::Source,
    ids::{ApplicationId, EventId, LocationId, Place},
    installation::{Installation, Status},
    location::Location,
    moment::{Came, Mark},
    payment::{Payment, Periods},
};

const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";

fn file(text: &str) -> SourceFile {
    SourceFile {
        name: "rules/a.toml".to_owned(),
        text: text.to_owned(),
    }
}

fn load(text: &str) -> Result<RuleSet, Vec<Mistake>> {
    RuleSet::load(&[file(text)], &|_| Ok(None))
}

/// A set of one rule with the given lines in its head.
fn one(head: &str) -> RuleSet {
    let text = format!("[[rule]]\nname = \"r\"\n{head}\n[[rule.then]]\naction = \"set_discount\"\npercent = 5\n");
    load(&text).unwrap_or_else(|mistakes| panic!("{}", show(&mistakes)))
}

fn show(mistakes: &[Mistake]) -> String {
    let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn now() -> DateTime<Utc> {
    "2026-03-05T21:30:00Z".parse().expect("a time")
}

/// An event and all around it, to be changed by a test.
struct World {
    event: EventView,
    installation: Installation,
    location: Location,
    application: ApplicationView,
    now: DateTime<Utc>,
}

impl World {
    fn new(kind: &str, subject: Subject) -> Self {
        let place = Place {
            application_id: ApplicationId(18289),
            location_id: LocationId(100_001),
        };
        Self {
            event: EventView {
                id: EventId(77),
                kind: kind.parse().expect("any text is a kind"),
                source: Source::Status,
                at: now(),
                subject,
            },
            installation: Installation {
                place,
                status: Status::Active,
                generation: 2,
                status_since: now(),
                status_seen_at: now(),
                connected_at: Some(now()),
                activated_at: None,
                periods: Periods {
                    trial_ends_at: Some(now() + TimeDelta::hours(48)),
                    paid_until: None,
                    has_paid: false,
                },
            },
            location: Location {
                title: Some("Salon \"<b>\"".to_owned()),
                country: Some("GE".to_owned()),
                country_id: Some(7),
                email: Some(" ".to_owned()),
                timezone_name: Some("Asia/Tbilisi".to_owned()),
                ..Location::unknown(place.location_id)
            },
            application: ApplicationView {
                id: place.application_id,
                name: "Example app".to_owned(),
            },
            now: now(),
        }
    }

    fn entity(kind: &str, data: Option<Value>) -> Self {
        Self::new(
            kind,
            Subject::Entity {
                resource_id: Some(5),
                data,
                digest: "abc123".to_owned(),
            },
        )
    }

    fn moment(moment: Moment, late: TimeDelta, mark: Mark) -> Self {
        let kind = moment.kind().to_string();
        let due_at = now() - late;
        Self::new(&kind, Subject::Moment(Came { moment, due_at, mark }))
    }

    fn payment(amount: &str) -> Self {
        Self::new(
            "payment.received",
            Subject::Payment(Payment {
                id: Some(9),
                amount: amount.parse().expect("a number"),
                currency: None,
                period_from: None,
                period_to: None,
                refunded: false,
            }),
        )
    }

    fn facts(&self) -> Facts<'_> {
        Facts::new(
            &self.event,
            &self.installation,
            &self.location,
            &self.application,
            self.now,
        )
    }

    /// What the one rule of a set says: the key, or the reason to skip after a `-`.
    fn judged(&self, set: &RuleSet) -> String {
        match judge(&set.rules()[0], &self.facts()) {
            Decision::Fire { key, .. } => key,
            Decision::Skip { reason, .. } => format!("- {reason}"),
        }
    }
}
