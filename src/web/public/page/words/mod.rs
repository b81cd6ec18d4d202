//! Everything the page says, each language in a file of its own. A language without one of the texts does not compile.

mod english;
mod russian;

use chrono::{NaiveDateTime, TimeDelta};

pub(super) use self::{english::ENGLISH, russian::RUSSIAN};
use crate::store::activations::Progress;

/// A language.
pub(super) struct Words {
    /// As the `lang` attribute and `Accept-Language` have it.
    pub lang: &'static str,
    /// Before the number of a location whose name is not known.
    pub location: &'static str,
    /// Before the way to the partner's people.
    pub help: &'static str,
    /// The label of a link to the application's card in the marketplace.
    pub open_card: &'static str,
    /// How far a connection has come.
    pub state: fn(Progress) -> Said,
    /// What comes next: the label of the button where there is a way on, else a sentence.
    pub next: fn(Progress, Way) -> &'static str,
    /// One message.
    pub notice: fn(Notice) -> Message,
    /// Until when the connection has to be finished.
    pub deadline: fn(&Date) -> String,
    /// How many of all locations are connected.
    pub tally: fn(usize, usize) -> String,
}

/// What is told of a state.
pub(super) struct Said {
    pub headline: &'static str,
    pub sentence: &'static str,
}

/// What is told instead of states, and what to do.
pub(super) struct Message {
    pub headline: &'static str,
    pub sentence: &'static str,
    pub next: &'static str,
}

/// What the page tells instead of states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web::public) enum Notice {
    /// The address is of no application.
    UnknownApplication,
    /// The address names no location: somebody opened it by hand.
    NoLocation,
    /// The signature of the redirect is wrong.
    Forged,
    /// The way to this page has expired, or is none of ours.
    TooOld,
    /// Too many pages are opened right now.
    Throttled,
    /// The visit could not be made durable.
    NotNoted,
    /// The connection could not be read.
    CannotLook,
}

/// Where a button leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To the partner's product.
    Product,
    /// To the application's card in the marketplace.
    Card,
    /// There is none.
    Nowhere,
}

/// A date as somebody reads it.
pub(super) struct Date {
    /// By the clocks of the location, or of UTC.
    pub local: NaiveDateTime,
    /// Whether the location's clocks are known.
    pub zone_known: bool,
    /// How long until then; may be negative.
    pub left: TimeDelta,
}

/// A span as people say it.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    Hours(i64),
    Minutes(i64),
    Nothing,
}

impl Date {
    /// Rounded down, so that nobody comes too late.
    fn left(&self) -> Left {
        match self.left.num_minutes() {
            minutes if minutes >= 90 => Left::Hours(minutes / 60),
            minutes if minutes >= 1 => Left::Minutes(minutes),
            _ => Left::Nothing,
        }
    }
}
