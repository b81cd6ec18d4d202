use std::{fmt, time::Duration};

use super::{
    mistake::{nearest, suggest},
    table::shorten,
};
use crate::domain::{
    event::{CALL_CHANGES, CHANGES, Kind, RESOURCES, changes_of},
    moment::Moment,
    span,
};

/// What a rule waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// A change of status or a payment.
    Fixed(Kind),
    /// Some time before the trial ends.
    TrialEnding {
        /// How long before.
        before: Duration,
    },
    /// The end of the trial.
    TrialEnded,
    /// Everything that happens, or everything of one family.
    Every(Family),
    /// A change of an entity.
    Entity {
        /// Which resource.
        resource: Word,
        /// Which change.
        change: Word,
    },
}

/// What belongs together. Moments do not: they come to pass only because a rule waits for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Changes of status, payments, entity events.
    All,
    /// Changes of status.
    Installation,
    /// Payments and refunds.
    Payment,
}

/// One half of an entity trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// `*`
    Any,
    /// Exactly this word.
    Is(String),
}

/// The triggers that are changes of status and payments.
const FIXED: [(&str, Kind); 7] = [
    ("installation.pending", Kind::InstallationPending),
    ("installation.activated", Kind::InstallationActivated),
    ("installation.frozen", Kind::InstallationFrozen),
    ("installation.unfrozen", Kind::InstallationUnfrozen),
    ("installation.uninstalled", Kind::InstallationUninstalled),
    ("payment.received", Kind::PaymentReceived),
    ("payment.refunded", Kind::PaymentRefunded),
];

/// The triggers that stand for several.
const EVERY: [(&str, Family); 3] = [
    ("*", Family::All),
    ("installation.*", Family::Installation),
    ("payment.*", Family::Payment),
];

/// How long before, where an example needs it.
const EXAMPLE_BEFORE: Duration = Duration::from_secs(3 * 86_400);

const PLANNED: [&str; 4] = ["period.ending", "period.ended", "schedule", "silence"];

/// Words of the marketplace and of habit, and ours for them.
const OTHER_WORDS: [(&str, &str); 6] = [
    ("salon", "location"),
    ("company", "location"),
    ("master", "staff"),
    ("create", "created"),
    ("update", "updated"),
    ("delete", "deleted"),
];

impl Trigger {
    /// Reads the text after `on =`. `before` is what the rule says of it, or nothing. The refusal
    /// is what is wrong and what to do.
    pub(super) fn parse(text: &str, before: Option<Duration>) -> Result<Self, (String, String)> {
        if text == "trial.ending" {
            let before = before.filter(|before| !before.is_zero()).ok_or_else(|| {
                (
                    "`trial.ending` needs to know how long before".to_owned(),
                    "add `before = \"3d\"`; for the end itself there is `trial.ended`".to_owned(),
                )
            })?;
            return Ok(Self::TrialEnding { before });
        }
        if text == "trial.ended" {
            return Ok(Self::TrialEnded);
        }
        if let Some((_, kind)) = FIXED.iter().find(|(name, _)| *name == text) {
            return Ok(Self::Fixed(kind.clone()));
        }
        if let Some((_, family)) = EVERY.iter().find(|(name, _)| *name == text) {
            return Ok(Self::Every(*family));
        }
        if PLANNED.contains(&text) {
            return Err((
                format!("the trigger `{text}` is not available in this version"),
                "choose another one".to_owned(),
            ));
        }
        parse_entity(text)
    }

    /// The trigger of a name, with examples for what else it needs.
    pub(super) fn example(name: &str) -> Result<Self, (String, String)> {
        Self::parse(name, Some(EXAMPLE_BEFORE))
    }

    /// The names of the triggers, entity events by one of them.
    pub fn names() -> Vec<&'static str> {
        let mut names = fixed_names();
        names.push("record.updated");
        names.extend(EVERY.iter().map(|(name, _)| *name));
        names
    }

    /// As it is written after `on =`.
    pub(super) fn word(&self) -> String {
        match self {
            Self::TrialEnding { .. } => "trial.ending".to_owned(),
            Self::Fixed(_) | Self::TrialEnded | Self::Every(_) | Self::Entity { .. } => self.to_string(),
        }
    }

    /// The lines of a rule that say it.
    pub(super) fn head(&self) -> String {
        let on = format!("on = \"{}\"", self.word());
        match self {
            Self::TrialEnding { before } => format!("{on}\nbefore = \"{}\"", span::show(*before)),
            Self::Fixed(_) | Self::TrialEnded | Self::Every(_) | Self::Entity { .. } => on,
        }
    }

    /// Whether an event of this kind concerns the rule. `moment_before` tells moments of one kind
    /// apart.
    pub fn matches(&self, kind: &Kind, moment_before: Option<Duration>) -> bool {
        match self {
            Self::Fixed(wanted) => wanted == kind,
            Self::TrialEnding { before } => *kind == Kind::TrialEnding && moment_before == Some(*before),
            Self::TrialEnded => *kind == Kind::TrialEnded,
            Self::Every(family) => family.admits(kind),
            Self::Entity { resource, change } => match kind {
                Kind::Entity {
                    resource: found,
                    change: changed,
                } => resource.admits(found) && change.admits(changed),
                Kind::ConnectOpened
                | Kind::InstallationPending
                | Kind::InstallationActivated
                | Kind::InstallationFrozen
                | Kind::InstallationUnfrozen
                | Kind::InstallationUninstalled
                | Kind::PaymentReceived
                | Kind::PaymentRefunded
                | Kind::PeriodChanged
                | Kind::TrialEnding
                | Kind::TrialEnded
                | Kind::BulkRequested
                | Kind::Unknown => false,
            },
        }
    }

    /// The moment that has to be watched for this trigger.
    pub fn moment(&self) -> Option<Moment> {
        match self {
            Self::TrialEnding { before } => Some(Moment::TrialEnding { before: *before }),
            Self::TrialEnded => Some(Moment::TrialEnded),
            Self::Fixed(_) | Self::Every(_) | Self::Entity { .. } => None,
        }
    }

    /// A kind that matches.
    pub(super) fn sample_kind(&self) -> Kind {
        let word = |word: &Word, any: &str| match word {
            Word::Any => any.to_owned(),
            Word::Is(word) => word.clone(),
        };
        match self {
            Self::Fixed(kind) => kind.clone(),
            Self::TrialEnding { .. } => Kind::TrialEnding,
            Self::TrialEnded => Kind::TrialEnded,
            Self::Every(Family::All | Family::Installation) => Kind::InstallationActivated,
            Self::Every(Family::Payment) => Kind::PaymentReceived,
            Self::Entity { resource, change } => Kind::Entity {
                resource: word(resource, "record"),
                change: word(change, "updated"),
            },
        }
    }
}

impl Family {
    fn admits(self, kind: &Kind) -> bool {
        let fixed = FIXED.iter().find(|(_, fixed)| fixed == kind).map(|(name, _)| *name);
        let of = |prefix: &str| fixed.is_some_and(|name| name.starts_with(prefix));
        match self {
            Self::All => fixed.is_some() || matches!(kind, Kind::Entity { .. }),
            Self::Installation => of("installation."),
            Self::Payment => of("payment."),
        }
    }

    fn as_str(self) -> &'static str {
        let written = EVERY.iter().find(|(_, family)| *family == self);
        written.map_or("*", |(name, _)| name)
    }
}

impl Word {
    fn admits(&self, found: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Is(word) => word == found,
        }
    }

    /// `*` or one of the valid words.
    fn parse(text: &str, valid: &[&str]) -> Option<Self> {
        match text {
            "*" => Some(Self::Any),
            word => valid.contains(&word).then(|| Self::Is(word.to_owned())),
        }
    }
}

fn parse_entity(text: &str) -> Result<Trigger, (String, String)> {
    let refuse = |remedy: String| Err((format!("unknown trigger `{}`", shorten(text)), remedy));
    let Some((resource, change)) = text.split_once('.') else {
        return refuse(suggest_whole(text));
    };
    let family = ["installation", "payment", "trial", "period", "connect"];
    if family.contains(&resource) {
        let remedy = if change == "*" {
            "`*` is not for moments; write one rule for each trigger".to_owned()
        } else {
            suggest_whole(text)
        };
        return refuse(remedy);
    }
    let ours = |word: &str, valid: &[&'static str]| match OTHER_WORDS.iter().find(|(other, _)| *other == word) {
        Some((_, ours)) => Some(*ours),
        None => nearest(word, valid),
    };
    let change_word = match RESOURCES.contains(&resource) || resource == "*" {
        true => Word::parse(change, changes_of(resource)),
        false => Word::parse(change, &CHANGES).or_else(|| Word::parse(change, &CALL_CHANGES)),
    };
    match (Word::parse(resource, &RESOURCES), change_word) {
        (Some(resource), Some(change)) => Ok(Trigger::Entity { resource, change }),
        (Some(_), None) => refuse(match ours(change, changes_of(resource)) {
            Some(near) => format!("did you mean `{resource}.{near}`?"),
            None => format!("write `{resource}.*` with a condition on `event.change`"),
        }),
        (None, Some(_)) => match (nearest(text, &fixed_names()), ours(resource, &RESOURCES)) {
            (Some(near), _) => refuse(format!("did you mean `{near}`?")),
            (None, Some(near)) => refuse(format!("did you mean `{near}.{change}`?")),
            (None, None) => refuse(suggest(resource, &RESOURCES)),
        },
        (None, None) => refuse(suggest_whole(text)),
    }
}

fn fixed_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = FIXED.iter().map(|(name, _)| *name).collect();
    names.extend(["trial.ending", "trial.ended"]);
    names
}

fn suggest_whole(text: &str) -> String {
    match nearest(text, &fixed_names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!(
            "possible are `{}`, and `<resource>.created`, `.updated`, `.deleted` for entity events",
            fixed_names().join("`, `")
        ),
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(kind) => kind.fmt(f),
            Self::TrialEnding { before } => write!(f, "trial.ending {} before", span::show(*before)),
            Self::TrialEnded => f.write_str("trial.ended"),
            Self::Every(family) => f.write_str(family.as_str()),
            Self::Entity { resource, change } => write!(f, "{resource}.{change}"),
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Is(word) => f.write_str(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_have_changes_of_their_own() {
        let read = |text: &str| Trigger::parse(text, None);
        let ended: Kind = "call.ended".parse().expect("any text is a kind");
        for fine in ["call.ended", "call.*"] {
            assert!(read(fine).is_ok_and(|trigger| trigger.matches(&ended, None)), "{fine}");
        }
        for (wrong, remedy) in [
            ("call.endet", "did you mean `call.ended`?"),
            ("call.updated", "write `call.*` with a condition on `event.change`"),
            ("record.ended", "write `record.*` with a condition on `event.change`"),
            ("calls.ended", "did you mean `call.ended`?"),
        ] {
            let (_, told) = read(wrong).expect_err(wrong);
            assert_eq!(told, remedy, "{wrong}");
        }
    }
}
