//! The keys that rules and their steps have. The reader takes no others and asks for those that are
//! needed; the schema for editors is made from the same tables.

mod verbs;

pub(super) use self::verbs::ACTIONS;
use super::{
    load::MOST_A_DAY,
    rule::{Late, Mode, OncePer},
};

/// A key of a rule or a step.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) sort: Sort,
    pub(super) need: Need,
    /// A value as it is written after `=`.
    pub(super) example: &'static str,
    /// For editors.
    pub(super) help: &'static str,
}

/// What may stand behind a key, as far as a schema can say it.
pub(super) enum Sort {
    Text,
    /// A text of this pattern.
    Shaped(&'static str),
    /// One of these words.
    Word(fn() -> Vec<&'static str>),
    /// A trigger.
    Trigger,
    /// Such as `"3d"`.
    Duration,
    /// From 0 to 100.
    Percent,
    /// 0 or more, with a fraction.
    Amount,
    /// From 1 to so many.
    Count(u32),
    /// 1 or more.
    Whole,
    Flag,
    /// From 1 to so many texts.
    Texts(usize),
    /// The steps of a rule.
    Steps,
}

/// Whether a key has to be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    No,
    Yes,
    /// It has to, and the reader says so in words of its own.
    Told,
    /// One of those that are marked so, and no other of them.
    OneOf,
}

/// What an action is called, and its keys besides those of every step.
pub(super) struct Verb {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) keys: &'static [Key],
}

const fn needed(name: &'static str, sort: Sort, example: &'static str, help: &'static str) -> Key {
    let need = Need::Yes;
    Key {
        name,
        sort,
        need,
        example,
        help,
    }
}

const fn possible(name: &'static str, sort: Sort, example: &'static str, help: &'static str) -> Key {
    let need = Need::No;
    Key {
        name,
        sort,
        need,
        example,
        help,
    }
}

const fn one_of(name: &'static str, sort: Sort, example: &'static str, help: &'static str) -> Key {
    let need = Need::OneOf;
    Key {
        name,
        sort,
        need,
        example,
        help,
    }
}

/// The keys of a rule.
pub(super) const RULE: &[Key] = &[
    needed(
        "name",
        Sort::Shaped("^[a-z0-9-]{1,80}$"),
        "\"welcome-discount\"",
        "Unique among the rules of an application. A renamed rule is a new one, which has never fired.",
    ),
    needed(
        "on",
        Sort::Trigger,
        "\"installation.activated\"",
        "The trigger: what the rule waits for.",
    ),
    possible(
        "before",
        Sort::Duration,
        "\"3d\"",
        "With `trial.ending` and `period.ending`: how long before.",
    ),
    possible(
        "cron",
        Sort::Text,
        "\"0 9 * * MON\"",
        "With `schedule`: when, by the clocks of the location. Minute, hour, day of the month, month, day of the week.",
    ),
    possible(
        "for",
        Sort::Duration,
        "\"7d\"",
        "With `silence`: how long nothing came.",
    ),
    possible(
        "once_per",
        Sort::Word(|| words(OncePer::ALL, OncePer::as_str)),
        "\"location\"",
        "How often it may fire.",
    ),
    possible(
        "when",
        Sort::Text,
        "'installation.has_paid'",
        "The condition, in CEL; always when absent.",
    ),
    possible(
        "mode",
        Sort::Word(|| words(Mode::ALL, Mode::as_str)),
        "\"shadow\"",
        "Whether it works: `shadow` writes down what it would do and does nothing.",
    ),
    possible(
        "late",
        Sort::Word(|| words(Late::ALL, Late::as_str)),
        "\"skip\"",
        "With a moment: what to do when it passed while nobody was watching.",
    ),
    possible(
        "max_late",
        Sort::Duration,
        "\"1d\"",
        "With `late = \"run\"`: how late is too late.",
    ),
    possible(
        "cap_per_day",
        Sort::Count(MOST_A_DAY),
        "200",
        "How often it may fire on a day (UTC). What goes beyond is held until a person releases it.",
    ),
    possible(
        "keep_after_uninstall",
        Sort::Flag,
        "true",
        "Go on with the steps when the owner disconnects.",
    ),
    Key {
        name: "then",
        sort: Sort::Steps,
        need: Need::Told,
        example: "[{ action = \"set_discount\", percent = 20 }]",
        help: "The steps, which run in order.",
    },
];

/// The keys of a bulk action.
pub(super) const BULK: &[Key] = &[
    needed(
        "name",
        Sort::Shaped("^[a-z0-9-]{1,80}$"),
        "\"spring-offer\"",
        "What makes it happen once at a location: under another name it happens again.",
    ),
    possible(
        "when",
        Sort::Text,
        "'installation.status == \"active\"'",
        "The condition, in CEL, asked when it is planned and again when it is done; always when absent.",
    ),
    Key {
        name: "then",
        sort: Sort::Steps,
        need: Need::Told,
        example: "[{ action = \"set_discount\", percent = 10 }]",
        help: "The steps, which run in order.",
    },
];

/// The keys of every step.
pub(super) const STEP: &[Key] = &[
    possible(
        "id",
        Sort::Shaped("^[a-z][a-z0-9_]{0,39}$"),
        "\"link\"",
        "The name under which later steps find the result.",
    ),
    possible(
        "after",
        Sort::Duration,
        "\"2h\"",
        "How long it waits after the step before it; the first one after the rule has fired.",
    ),
    possible(
        "when",
        Sort::Text,
        "'!installation.has_paid'",
        "A condition of its own, in CEL, asked when the step runs; when it is false the step is left out.",
    ),
    Key {
        name: "action",
        sort: Sort::Text,
        need: Need::Told,
        example: "\"send_email\"",
        help: "What to do.",
    },
];

fn words<T: Copy>(all: &[T], word: fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|one| word(*one)).collect()
}

/// The names of keys.
pub(super) fn names(keys: &[Key]) -> Vec<&'static str> {
    keys.iter().map(|key| key.name).collect()
}

/// The names of the actions.
pub(super) fn actions() -> Vec<&'static str> {
    ACTIONS.iter().map(|verb| verb.name).collect()
}

/// The keys of an action besides those of every step.
pub(super) fn keys_of(action: &str) -> &'static [Key] {
    ACTIONS
        .iter()
        .find(|verb| verb.name == action)
        .map_or(&[], |verb| verb.keys)
}

/// Whether an action is done with a secret, which stays out of the database.
pub(super) fn has_secret(action: &str) -> bool {
    const SECRETS: [&str; 6] = [
        "secret",
        "secret_file",
        "token",
        "token_file",
        "url_file",
        "webhook_file",
    ];
    keys_of(action).iter().any(|key| SECRETS.contains(&key.name))
}
