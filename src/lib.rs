//! Bellhop, the back end of a marketplace application.
//!
//! The rooms in reading order; imports only go down this list (ARCHITECTURE.md, "Floors").

/// The nouns: ids, events, the state machine of an installation, actions. No IO, no clock.
pub mod domain;
/// The marketplace in a box, for the demo, for partners and for tests.
pub mod sandbox;
