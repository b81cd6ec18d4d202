//! The ways out that are not the marketplace.

/// Mail.
pub mod email;
/// Why a message did not get through.
pub mod error;
/// Webhooks to other systems, signed.
pub mod webhook;
