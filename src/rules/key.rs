use super::{
    facts::{Facts, Subject},
    rule::{Mode, OncePer, Rule},
};
use crate::domain::signature::sha256;

/// Longest key that is kept as it is; a longer one is replaced by its digest.
const LONGEST: usize = 200;

/// What makes two firings of a rule the same. Unique in the database: this is what makes a rule
/// fire once, whatever was delivered twice.
///
/// - `location`: `rule|application|location`
/// - `installation`: the same and the generation
/// - `occurrence`: what happened. For an entity its number, the change and `last_change_date`, or
///   without one the digest of the body; for a moment its kind and how long before, not the date,
///   so that a trial which is extended does not offer twice; for a change of status the event,
///   because the state machine lets each happen once. These count anew in every generation.
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
            Subject::Moment { before, .. } => {
                format!("{base}|g{generation}|{}|{}s", facts.event.kind, before.as_secs())
            }
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
