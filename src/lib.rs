//! Bellhop, the back end of a marketplace application.
//!
//! The rooms in reading order; imports only go down this list (ARCHITECTURE.md, "Floors").

/// HTTP in: the public doors, the operator listener.
pub mod web;

/// What is shared: pool, clients, rules, metrics, configuration.
pub mod app;

/// From a recognised delivery to a durable one: group commit.
pub mod intake;

/// A private PostgreSQL cluster from the system's binaries, for when no database is configured.
pub mod embedded;
/// The way out: the marketplace's API.
pub mod marketplace;
/// Other ways out: mail and signed webhooks.
pub mod notify;
/// The only SQL.
pub mod store;

/// The only reader of environment and configuration files.
pub mod config;
/// Every metric, its help text and its labels.
pub mod metrics;
/// Logs.
pub mod telemetry;

/// The nouns: ids, events, the state machine of an installation, actions. No IO, no clock.
pub mod domain;
/// The way out to the marketplace: one builder per call, one client, errors named by what to do.
pub mod marketplace;
/// The other ways out: mail, and webhooks signed by the Standard Webhooks specification.
pub mod notify;
