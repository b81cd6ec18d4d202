//! Bellhop, the back end of a marketplace application.
//!
//! The rooms in reading order; imports only go down this list (ARCHITECTURE.md, "Floors").

/// The only SQL.
pub mod store;

/// The nouns: ids, events, the state machine of an installation, actions. No IO, no clock.
pub mod domain;
