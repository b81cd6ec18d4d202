use std::{fmt, time::Duration};

use super::{
    mistake::{nearest, suggest},
    table::shorten,
};
use crate::domain::{
    event::{CHANGES, Kind, RESOURCES},
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
    /// A change of an entity.
    Entity {
        /// Which resource.
        resource: Word,
        /// Which change.
        change: Word,
    },
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
        names
    }

    /// As it is written after `on =`.
    pub(super) fn word(&self) -> String {
        match self {
            Self::TrialEnding { .. } => "trial.ending".to_owned(),
            Self::Fixed(_) | Self::TrialEnded | Self::Entity { .. } => self.to_string(),
        }
    }

    /// The lines of a rule that say it.
    pub(super) fn head(&self) -> String {
        let on = format!("on = \"{}\"", self.word());
        match self {
            Self::TrialEnding { before } => format!("{on}\nbefore = \"{}\"", span::show(*before)),
            Self::Fixed(_) | Self::TrialEnded | Self::Entity { .. } => on,
        }
    }

    /// Whether an event of this kind concerns the rule. `moment_before` tells moments of one kind
    /// apart.
    pub fn matches(&self, kind: &Kind, moment_before: Option<Duration>) -> bool {
        match self {
            Self::Fixed(wanted) => wanted == kind,
            Self::TrialEnding { before } => *kind == Kind::TrialEnding && moment_before == Some(*before),
            Self::TrialEnded => *kind == Kind::TrialEnded,
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
            Self::Fixed(_) | Self::Entity { .. } => None,
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
            Self::Entity { resource, change } => Kind::Entity {
                resource: word(resource, "record"),
                change: word(change, "updated"),
            },
        }
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
            "`*` is for entity events; write one rule for each trigger".to_owned()
        } else {
            suggest_whole(text)
        };
        return refuse(remedy);
    }
    let ours = |word: &str, valid: &[&'static str]| match OTHER_WORDS.iter().find(|(other, _)| *other == word) {
        Some((_, ours)) => Some(*ours),
        None => nearest(word, valid),
    };
    match (Word::parse(resource, &RESOURCES), Word::parse(change, &CHANGES)) {
        (Some(resource), Some(change)) => Ok(Trigger::Entity { resource, change }),
        (Some(_), None) => refuse(match ours(change, &CHANGES) {
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
