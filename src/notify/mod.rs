//! The ways out that are not the marketplace.

/// Mail.
pub mod email;
/// Why a message did not get through.
pub mod error;
/// The clients that messages leave through.
pub mod http;
/// Messages in Slack channels.
pub mod slack;
/// Messages of Telegram bots.
pub mod telegram;
/// Webhooks to other systems, signed.
pub mod webhook;
