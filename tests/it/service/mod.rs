//! The whole service: real HTTP, a real database, the sandbox for the marketplace.

mod api;
mod budget;
mod caps;
mod claims;
mod connecting;
mod convergence;
pub(crate) mod crash;
mod doors;
mod gate;
mod handover;
mod hostile;
mod jobs;
mod judging;
mod leases;
mod line;
mod money;
mod pages;
mod payloads;
mod program;
mod reconciling;
mod reload;
mod retention;
mod rules;
mod snapshots;
mod spool;
pub(crate) mod stage;
mod waiting;
