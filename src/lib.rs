//! Bellhop, the back end of a marketplace application.
//!
//! The rooms in reading order; imports only go down this list (ARCHITECTURE.md, "Floors").

/// The nouns: ids, events, the state machine of an installation, actions. No IO, no clock.
pub mod domain;

/// A private PostgreSQL cluster from the system's binaries, for when no database is configured.
pub mod embedded;
