//! How an application that sends messages for a location is shown there.

use super::event::words;

words! {
    /// A way to send messages to clients (contract M5).
    Channel {
        /// Text messages.
        Sms = "sms",
        /// WhatsApp.
        Whatsapp = "whatsapp",
    }
}

/// The most sender names of a location (contract 4).
pub const MOST_SENDER_NAMES: usize = 20;

/// What the vendor's own client holds against a sender name (contract M12); nothing when it may be used.
pub fn objection_to_sender_name(name: &str) -> Option<&'static str> {
    let lower = name.trim().to_lowercase();
    // Cyrillic with its supplement and extensions, by Unicode blocks.
    let cyrillic = |c: char| matches!(c, '\u{400}'..='\u{52f}' | '\u{1c80}'..='\u{1c8f}' | '\u{2de0}'..='\u{2dff}' | '\u{a640}'..='\u{a69f}');
    if lower.is_empty() {
        Some("is empty")
    } else if lower.chars().any(cyrillic) {
        Some("has Cyrillic letters")
    } else if lower.contains("altegio") {
        Some("has the marketplace's name in it")
    } else if lower == "ag" {
        Some("is the marketplace's own")
    } else {
        None
    }
}
