//! Bellhop, the back end of a marketplace application.
//!
//! The rooms in reading order; imports only go down this list (ARCHITECTURE.md, "Floors").

/// The commands.
pub mod cli;

/// How fast it is, as ratios to references of the same run.
pub mod bench;
/// The marketplace in a box, for trying out and for tests. Shares no code with the rest.
pub mod sandbox;
/// HTTP in: the public doors, the operator listener.
pub mod web;
/// The loops: processor, executor, scheduler, pruner.
pub mod workers;

/// What is shared: pool, clients, rules, metrics, configuration.
pub mod app;

/// From a recognised delivery to a durable one: group commit.
pub mod intake;

/// A private PostgreSQL cluster from the system's binaries, for when no database is configured.
pub mod embedded;
/// The way out to the marketplace: one builder per call, one client, errors named by what to do.
pub mod marketplace;
/// The other ways out: mail, and webhooks signed by the Standard Webhooks specification.
pub mod notify;
/// The decisions: rules, their conditions and texts. Pure.
pub mod rules;
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
