//! Bellhop, the back end of a marketplace application.
//!
//! The rooms in reading order; imports only go down this list (ARCHITECTURE.md, "Floors").

/// HTTP in: the public doors, the operator listener.
pub mod web;

/// From a recognised delivery to a durable one: group commit.
pub mod intake;

/// The only SQL.
pub mod store;

/// The only reader of environment and configuration files.
pub mod config;
/// The nouns: ids, events, the state machine of an installation, actions. No IO, no clock.
pub mod domain;
/// Every metric, its help text and its labels.
pub mod metrics;
/// Logs.
pub mod telemetry;
