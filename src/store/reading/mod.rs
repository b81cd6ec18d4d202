//! What people read: the lists and details of the JSON API and of the terminal. Field names are the
//! words of the product; nothing here changes anything.

/// What came lately, for charts.
pub mod activity;
/// Events and what was decided about them.
pub mod events;
/// Rules that were applied, would have been, or wait.
pub mod firings;
/// Jobs and their attempts.
pub mod jobs;
/// Calls that move money.
pub mod ledger;
/// Installations with everything around them.
pub mod locations;
/// Bulk actions and what became of them.
pub mod plans;
/// Where one place stands now.
pub mod profile;
/// How often rules fired.
pub mod rules;
/// What happened at one place.
pub mod story;

use schemars::JsonSchema;
use serde::Serialize;

/// One page of a list, newest first.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Hand this back as `cursor` for the next page; absent on the last.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Cuts a list that was read one longer than asked, to see whether more follows.
    pub(in crate::store) fn cut(mut items: Vec<T>, limit: i64, cursor: impl Fn(&T) -> String) -> Self {
        let limit = usize::try_from(limit).unwrap_or(0);
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = if more { items.last().map(cursor) } else { None };
        Self { items, next_cursor }
    }
}
