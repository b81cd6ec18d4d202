//! Everything that needs more than one room, in one binary.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may fail loudly, block, and be told by its environment where the database is"
)]

mod browser;
mod commands;
mod conformance;
mod dashboards;
mod docs;
mod embedded;
mod faults;
mod house;
mod marketplace_client;
mod packaging;
mod ports;
mod sandbox;
mod scripts;
mod service;
mod simulation;
mod upgrade;
mod webhook_sender;
