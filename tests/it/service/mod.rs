//! The whole service: real HTTP, a real database, the sandbox for the marketplace.

mod connecting;
mod doors;
mod payloads;
mod rules;
pub(crate) mod stage;
