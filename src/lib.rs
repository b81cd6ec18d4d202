//! Bellhop, the back end of a marketplace application.
//!
//! The rooms in reading order; imports only go down this list (ARCHITECTURE.md, "Floors").

/// The nouns: ids, events, the state machine of an installation, actions. No IO, no clock.
pub mod domain;
/// The decisions: rules, their conditions and texts. Pure.
pub mod rules;
