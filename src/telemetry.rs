//! Logs. A message is readable alone and carries the same identifiers as fields. Never in a log:
//! bodies, tokens, keys, the addresses that contain them, and personal data.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Starts logging to the standard error stream; `filter` is a level or a list such as
/// `info,bellhop=debug`. A second call changes nothing.
pub fn start(form: Form, filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    // A failure means that logging has been started already, as in tests.
    let _ = match form {
        Form::Text => {
            let layer = fmt::layer()
                .with_ansi(std::io::stderr().is_terminal())
                .with_writer(std::io::stderr);
            registry.with(layer).try_init()
        }
        Form::Json => registry
            .with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr))
            .try_init(),
    };
}
