//! The nouns. No IO, no clock.
