//! What a replay comes to, as it is told.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{
    event::Kind,
    ids::{ApplicationId, EventId, LocationId},
};

/// What a rule would do.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WouldRule {
    /// The rule.
    pub rule: String,
    /// `would_fire` or `skipped`.
    pub result: &'static str,
    /// Why it would be skipped.
    pub reason: Option<String>,
}

/// What becomes of an event.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ReplayItem")]
pub struct Item {
    /// The event.
    pub event_id: EventId,
    /// Application.
    pub application_id: ApplicationId,
    /// Location, when one could be read.
    pub location_id: Option<LocationId>,
    /// What about.
    #[schemars(with = "String")]
    pub kind: Kind,
    /// `judged_again`, `put_back`, `taken_as_new` or `refused`.
    pub result: &'static str,
    /// Why it is refused, or why no rule is asked.
    pub reason: Option<String>,
    /// The event that was made of it.
    pub became: Option<EventId>,
    /// What each rule would do; only when nothing is done.
    pub rules: Vec<WouldRule>,
}

/// What a replay comes to.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "ReplayReport")]
pub struct Report {
    /// Its number, when there is something in it.
    pub replay_id: Option<i64>,
    /// Events that are judged again, put back, or taken as new ones.
    pub events: i64,
    /// Rules that would fire; only when nothing is done.
    pub would_fire: i64,
    /// Why events are not among them, and how many.
    pub refused: BTreeMap<String, i64>,
    /// The first ones, one by one.
    pub items: Vec<Item>,
    /// There may be more after this number: ask again with it as `after`.
    pub more_after: Option<i64>,
}
