use super::{
    facts::{Facts, Subject},
    rule::{Mode, OncePer, Rule},
};
use crate::domain::{
    moment::{Came, Mark, Moment},
    signature::sha256,
};

/// Longest key that is kept as it is; a longer one is replaced by its digest.
const LONGEST: usize = 200;

/// What makes two firings of a rule the same. Unique in the database: this is what makes a rule
/// fire once, whatever was delivered twice.
///
/// - `location`: `rule|application|location`
/// - `installation`: the same and the generation
/// - `occurrence`: what happened. For an entity its number, the change and `last_change_date`, or
///   without one the digest of the body; for a moment its kind and how long before. A trial's has no
///   date, so that one which is extended does not offer twice; a paid period's has, because every
///   period offers anew; a schedule's is what the clocks of the place show, and a silence's the last
///   event before it. A change of status counts by its event, because the state machine lets each
///   happen once. These count anew in every generation. A connection is not activated in time once.
///   A payment counts by its number whatever the generation: after a reinstall the marketplace
///   shows old payments again.
///
/// A rule that is only watched has keys of its own, so that it can still fire when it is made to work.
pub(super) fn firing_key(rule: &Rule, facts: &Facts<'_>) -> String {
    let place = facts.installation.place;
    let base = format!("{}|{}|{}", rule.name, place.application_id, place.location_id);
    let generation = facts.installation.generation;
    let base = match rule.mode {
        Mode::Shadow => format!("shadow|{base}"),
        Mode::Live | Mode::Off => base,
    };
    let key = match rule.once_per {
        OncePer::Location => base,
        OncePer::Installation => format!("{base}|g{generation}"),
        OncePer::Occurrence => match &facts.event.subject {
            Subject::Payment(payment) => format!("{base}|{}|{}", facts.event.kind, payment.key()),
            Subject::Status => format!("{base}|g{generation}|{}|{}", facts.event.kind, facts.event.id),
            Subject::Expired { .. } => format!("{base}|g{generation}|{}", facts.event.kind),
            Subject::Moment(came) => format!("{base}|g{generation}|{}", moment_key(came)),
            Subject::Entity {
                resource_id, digest, ..
            } => {
                let number = resource_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
                let version = last_change(facts).map_or_else(|| format!("sha={digest}"), |date| format!("at={date}"));
                format!("{base}|g{generation}|{}|{number}|{version}", facts.event.kind)
            }
        },
    };
    bounded(&rule.name, key)
}

fn moment_key(came: &Came) -> String {
    let kind = came.moment.kind();
    // Dates stand at the end and in seconds: `store/ageing.rs` makes them older with everything else.
    let mark = match came.mark {
        Mark::End(date) => format!("end={}", date.timestamp()),
        Mark::Local(local_at) => local_at.format("%Y-%m-%dT%H:%M").to_string(),
        Mark::Silence { after: Some(event), .. } => format!("after={event}"),
        Mark::Silence { since, after: None } => format!("since={}", since.timestamp()),
    };
    match &came.moment {
        Moment::TrialEnding { before } => format!("{kind}|{}s", before.as_secs()),
        Moment::TrialEnded => format!("{kind}|0s"),
        Moment::PeriodEnding { before: time } | Moment::Silence { lasting: time } => {
            format!("{kind}|{}s|{mark}", time.as_secs())
        }
        Moment::PeriodEnded | Moment::Schedule { .. } => format!("{kind}|{mark}"),
    }
}

fn last_change<'f>(facts: &'f Facts<'_>) -> Option<&'f str> {
    facts
        .data()?
        .get("last_change_date")?
        .as_str()
        .filter(|date| !date.trim().is_empty())
}

fn bounded(name: &str, key: String) -> String {
    if key.len() <= LONGEST {
        key
    } else {
        format!("{name}|#{}", hex::encode(sha256(&[key.as_bytes()])))
    }
}
