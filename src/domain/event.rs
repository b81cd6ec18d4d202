mod fact;

use std::{convert::Infallible, fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::Serialize;

pub use self::fact::Fact;
use super::ids::Place;

/// What an event is about. Written as `installation.activated`, `record.updated` and so on, in
/// rules, in the API and in the database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An owner's browser came to the registration address. Proves nothing by itself.
    ConnectOpened,
    /// The owner consented; the application has to be activated.
    InstallationPending,
    /// The application works at the location.
    InstallationActivated,
    /// The trial or the paid period ran out.
    InstallationFrozen,
    /// It works again after it was frozen.
    InstallationUnfrozen,
    /// It was disconnected.
    InstallationUninstalled,
    /// Money came.
    PaymentReceived,
    /// Money went back.
    PaymentRefunded,
    /// The dates of trial or paid period are other than we knew.
    PeriodChanged,
    /// The trial ends soon.
    TrialEnding,
    /// The trial is over.
    TrialEnded,
    /// The paid period ends soon.
    PeriodEnding,
    /// The paid period is over.
    PeriodEnded,
    /// A calendar says so.
    Schedule,
    /// Nothing came for long.
    Silence,
    /// A connection that the owner began was not activated in time.
    ActivationExpired,
    /// A person asked for a bulk action.
    BulkRequested,
    /// An appointment, a client, a sale, … changed.
    Entity {
        /// What changed, in our words: `location` for salon and company, `staff` for master.
        resource: String,
        /// `created`, `updated`, `deleted`, or a word the sender invented.
        change: String,
    },
    /// It could not be recognised.
    Unknown,
}

/// The resources the contract names (6.2), in our words, and the calls of telephony systems.
pub const RESOURCES: [&str; 16] = [
    "location",
    "staff",
    "service",
    "service_category",
    "client",
    "record",
    "good",
    "goods_operations_sale",
    "goods_operations_receipt",
    "goods_operations_consumable",
    "goods_operations_stolen",
    "goods_operations_move",
    "finances_operation",
    "schedule",
    "loyalty_card",
    CALL,
];

/// A telephone call: the one resource that the marketplace does not tell us of.
pub const CALL: &str = "call";

/// What happens to a call.
pub const CALL_CHANGES: [&str; 2] = ["ringing", "ended"];

/// The changes the contract names (7.3), in our words.
pub const CHANGES: [&str; 3] = ["created", "updated", "deleted"];

/// The changes that are known of a resource.
pub fn changes_of(resource: &str) -> &'static [&'static str] {
    if resource == CALL { &CALL_CHANGES } else { &CHANGES }
}

impl Kind {
    /// The kinds that are no entity's.
    pub const FIXED: [(&'static str, Self); 18] = [
        ("connect.opened", Self::ConnectOpened),
        ("installation.pending", Self::InstallationPending),
        ("installation.activated", Self::InstallationActivated),
        ("installation.frozen", Self::InstallationFrozen),
        ("installation.unfrozen", Self::InstallationUnfrozen),
        ("installation.uninstalled", Self::InstallationUninstalled),
        ("payment.received", Self::PaymentReceived),
        ("payment.refunded", Self::PaymentRefunded),
        ("period.changed", Self::PeriodChanged),
        ("trial.ending", Self::TrialEnding),
        ("trial.ended", Self::TrialEnded),
        ("period.ending", Self::PeriodEnding),
        ("period.ended", Self::PeriodEnded),
        ("schedule", Self::Schedule),
        ("silence", Self::Silence),
        ("activation.expired", Self::ActivationExpired),
        ("bulk.requested", Self::BulkRequested),
        ("unknown", Self::Unknown),
    ];

    /// The kind of an entity event from the words on the wire (contract 6.2, 7.3). Unknown words
    /// are valid: they are kept, cleaned to what may stand in a name.
    pub fn of_entity(wire_resource: &str, wire_status: &str) -> Self {
        let resource = match wire_resource {
            "salon" | "company" => "location".to_owned(),
            "master" => "staff".to_owned(),
            other => clean_word(other),
        };
        let change = match wire_status {
            "create" => "created".to_owned(),
            "update" => "updated".to_owned(),
            "delete" => "deleted".to_owned(),
            other => clean_word(other),
        };
        Self::Entity { resource, change }
    }

    /// A label for metrics: the same text for the kinds the contract names, `other` for words a
    /// sender invented, so that nobody outside can grow the set.
    pub fn label(&self) -> String {
        match self {
            Self::Entity { resource, change }
                if !RESOURCES.contains(&resource.as_str()) || !changes_of(resource).contains(&change.as_str()) =>
            {
                "other".to_owned()
            }
            known => known.to_string(),
        }
    }
}

/// Lower-case letters, digits and underscores, at most 40; anything else becomes an underscore.
fn clean_word(word: &str) -> String {
    let cleaned: String = word
        .chars()
        .take(40)
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .collect();
    if cleaned.is_empty() { "none".to_owned() } else { cleaned }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Entity { resource, change } = self {
            return write!(f, "{resource}.{change}");
        }
        let name = Self::FIXED
            .iter()
            .find(|(_, kind)| kind == self)
            .map_or("unknown", |(name, _)| name);
        f.write_str(name)
    }
}

impl FromStr for Kind {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        if let Some((_, kind)) = Self::FIXED.iter().find(|(name, _)| *name == text) {
            return Ok(kind.clone());
        }
        Ok(match text.split_once('.') {
            Some((resource, change)) => Self::Entity {
                resource: resource.to_owned(),
                change: change.to_owned(),
            },
            None => Self::Unknown,
        })
    }
}

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Writes a closed enum as the words it is stored and shown as.
macro_rules! words {
    ($(#[$about:meta])+ $name:ident { $($(#[doc = $vdoc:literal])+ $variant:ident = $word:literal,)+ }) => {
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
        )]
        $(#[$about])+
        pub enum $name { $($(#[doc = $vdoc])+ #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// Every value, in reading order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word it is stored and shown as.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The value of a word.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// How an event was learnt.
    Source {
        /// The owner's browser.
        Connect = "connect",
        /// A lifecycle callback.
        Callback = "callback",
        /// An entity webhook.
        Webhook = "webhook",
        /// The job that activates a connection.
        Activation = "activation",
        /// A look at the installation's status.
        Status = "status",
        /// The comparison with the marketplace.
        Reconciliation = "reconciliation",
        /// A telephony system.
        Telephony = "telephony",
        /// The scheduler.
        Timer = "timer",
        /// A person, by the API or the terminal.
        Operator = "operator",
    }
}

words! {
    /// What became of an event; every event ends in one of the last four.
    #[schemars(rename = "EventState")]
    State {
        /// Stored; nobody has judged it yet.
        Received = "received",
        /// Judged against every rule.
        Processed = "processed",
        /// It could not be judged; the note says why.
        Failed = "failed",
        /// It is not genuine: wrong token, wrong signature, somebody else's application.
        Rejected = "rejected",
        /// It could be ours but was not understood or not proven; kept for a look.
        Quarantined = "quarantined",
    }
}

words! {
    /// What a rule said to an event that it waits for.
    Ruling {
        /// Its steps were queued.
        Fired = "fired",
        /// It does nothing; the reason says why.
        Skipped = "skipped",
        /// It would have fired, and is only watched.
        Shadow = "shadow",
        /// It wants to fire beyond its cap, and waits for a person.
        Held = "held",
    }
}

/// An event that Bellhop makes itself, on its way to the inbox.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Where.
    pub place: Place,
    /// What about.
    pub kind: Kind,
    /// How learnt.
    pub source: Source,
    /// What it says.
    pub fact: Fact,
    /// Since when that is known to be so. For a status call the moment before it was sent.
    pub occurred_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests;
