//! The whole service: real HTTP, a real database, the sandbox for the marketplace.

mod api;
mod budget;
mod connecting;
mod convergence;
mod crash;
mod doors;
mod handover;
mod hostile;
mod jobs;
mod judging;
mod leases;
mod line;
mod pages;
mod payloads;
mod retention;
mod program;
mod rules;
pub(crate) mod stage;
