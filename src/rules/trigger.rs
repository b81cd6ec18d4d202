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
    /// A change of status, a payment, or a connection that was not activated.
    Fixed(Kind),
    /// A moment that comes by itself.
    Moment(Moment),
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

/// What a rule says of its trigger in other keys.
#[derive(Debug, Default)]
pub(super) struct Details {
    /// `before`
    pub(super) before: Option<Duration>,
    /// `for`
    pub(super) lasting: Option<Duration>,
    /// `cron`, as it is kept.
    pub(super) cron: Option<String>,
}

/// The triggers that something tells.
const FIXED: [(&str, Kind); 8] = [
    ("installation.pending", Kind::InstallationPending),
    ("installation.activated", Kind::InstallationActivated),
    ("installation.frozen", Kind::InstallationFrozen),
    ("installation.unfrozen", Kind::InstallationUnfrozen),
    ("installation.uninstalled", Kind::InstallationUninstalled),
    ("activation.expired", Kind::ActivationExpired),
    ("payment.received", Kind::PaymentReceived),
    ("payment.refunded", Kind::PaymentRefunded),
];

/// The triggers that stand for several.
const EVERY: [(&str, Family); 3] = [
    ("*", Family::All),
    ("installation.*", Family::Installation),
    ("payment.*", Family::Payment),
];

/// The triggers that come by themselves.
pub(super) const MOMENTS: [&str; 6] = [
    "trial.ending",
    "trial.ended",
    "period.ending",
    "period.ended",
    "schedule",
    "silence",
];

/// The keys that belong to some triggers only.
pub(super) const DETAILS: [(&str, &[&str]); 3] = [
    ("before", &["trial.ending", "period.ending"]),
    ("for", &["silence"]),
    ("cron", &["schedule"]),
];

/// A shorter silence is none: locations close at night, and each is looked for at this pace.
const SHORTEST_SILENCE: Duration = Duration::from_secs(3600);

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
    /// Reads the text after `on =`. `details` are what the rule says of it in other keys. The refusal
    /// is what is wrong and what to do.
    pub(super) fn parse(text: &str, details: &Details) -> Result<Self, (String, String)> {
        if MOMENTS.contains(&text) {
            return moment(text, details).map(Self::Moment);
        }
        if let Some((_, kind)) = FIXED.iter().find(|(name, _)| *name == text) {
            return Ok(Self::Fixed(kind.clone()));
        }
        if let Some((_, family)) = EVERY.iter().find(|(name, _)| *name == text) {
            return Ok(Self::Every(*family));
        }
        parse_entity(text)
    }

    /// The trigger of a name, with examples for what else it needs.
    pub(super) fn example(name: &str) -> Result<Self, (String, String)> {
        let days = |count: u64| Some(Duration::from_secs(count * 86_400));
        let details = Details {
            before: days(3),
            lasting: days(7),
            cron: Some("0 9 * * MON".to_owned()),
        };
        Self::parse(name, &details)
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
            Self::Moment(moment) => moment.kind().to_string(),
            Self::Fixed(_) | Self::Every(_) | Self::Entity { .. } => self.to_string(),
        }
    }

    /// The lines of a rule that say it.
    pub(super) fn head(&self) -> String {
        let on = format!("on = \"{}\"", self.word());
        match self {
            Self::Moment(Moment::TrialEnding { before } | Moment::PeriodEnding { before }) => {
                format!("{on}\nbefore = \"{}\"", span::write(*before))
            }
            Self::Moment(Moment::Schedule { cron }) => format!("{on}\ncron = \"{cron}\""),
            Self::Moment(Moment::Silence { lasting }) => format!("{on}\nfor = \"{}\"", span::write(*lasting)),
            Self::Moment(Moment::TrialEnded | Moment::PeriodEnded)
            | Self::Fixed(_)
            | Self::Every(_)
            | Self::Entity { .. } => on,
        }
    }

    /// Whether an event of this kind concerns the rule. `came` is the moment that it reports, if it does.
    pub fn matches(&self, kind: &Kind, came: Option<&Moment>) -> bool {
        match self {
            Self::Fixed(wanted) => wanted == kind,
            Self::Moment(wanted) => wanted.kind() == *kind && came == Some(wanted),
            Self::Every(family) => family.admits(kind),
            Self::Entity { resource, change } => {
                matches!(kind, Kind::Entity { resource: found, change: changed }
                    if resource.admits(found) && change.admits(changed))
            }
        }
    }

    /// The moment that has to be watched for this trigger.
    pub fn moment(&self) -> Option<&Moment> {
        match self {
            Self::Moment(moment) => Some(moment),
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
            Self::Moment(moment) => moment.kind(),
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

/// A moment of a valid name.
fn moment(name: &str, details: &Details) -> Result<Moment, (String, String)> {
    let refuse = |what: String, remedy: &str| Err((what, remedy.to_owned()));
    let before = details.before.filter(|before| !before.is_zero());
    match (name, before) {
        ("trial.ended", _) => Ok(Moment::TrialEnded),
        ("period.ended", _) => Ok(Moment::PeriodEnded),
        ("trial.ending", Some(before)) => Ok(Moment::TrialEnding { before }),
        ("period.ending", Some(before)) => Ok(Moment::PeriodEnding { before }),
        ("schedule", _) => match &details.cron {
            Some(cron) => Ok(Moment::Schedule { cron: cron.clone() }),
            None => refuse(
                "`schedule` needs to know when".to_owned(),
                "add `cron = \"0 9 * * MON\"`: minute, hour, day of the month, month, day of the week",
            ),
        },
        ("silence", _) => match details.lasting {
            Some(lasting) if lasting >= SHORTEST_SILENCE => Ok(Moment::Silence { lasting }),
            Some(lasting) => refuse(
                format!("`for` is \"{}\"", span::write(lasting)),
                "an hour is the least: `for = \"1h\"`",
            ),
            None => refuse("`silence` needs to know how long".to_owned(), "add `for = \"7d\"`"),
        },
        (_, _) => {
            let ended = name.replace("ending", "ended");
            refuse(
                format!("`{name}` needs to know how long before"),
                &format!("add `before = \"3d\"`; for the end itself there is `{ended}`"),
            )
        }
    }
}

fn parse_entity(text: &str) -> Result<Trigger, (String, String)> {
    let refuse = |remedy: String| Err((format!("unknown trigger `{}`", shorten(text)), remedy));
    let Some((resource, change)) = text.split_once('.') else {
        return refuse(suggest_whole(text));
    };
    let family = ["installation", "activation", "payment", "trial", "period", "connect"];
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
    names.extend(MOMENTS);
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
            Self::Every(family) => f.write_str(family.as_str()),
            Self::Moment(moment) => {
                moment.kind().fmt(f)?;
                match moment {
                    Moment::TrialEnding { before } | Moment::PeriodEnding { before } => {
                        write!(f, " {} before", span::show(*before))
                    }
                    Moment::Schedule { cron } => write!(f, " {cron}"),
                    Moment::Silence { lasting } => write!(f, " for {}", span::show(*lasting)),
                    Moment::TrialEnded | Moment::PeriodEnded => Ok(()),
                }
            }
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
        let read = |text: &str| Trigger::parse(text, &Details::default());
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
