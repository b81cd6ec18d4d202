//! Bellhop, the back end of a marketplace application.
//!
//! The rooms in reading order; imports only go down this list (ARCHITECTURE.md, "Floors").

/// The nouns: ids, events, the state machine of an installation, actions. No IO, no clock.
pub mod domain;
/// The way out to the marketplace: one builder per call, one client, errors named by what to do.
pub mod marketplace;
/// The other ways out: mail, and webhooks signed by the Standard Webhooks specification.
pub mod notify;
