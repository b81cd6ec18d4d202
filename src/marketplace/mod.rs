//! The typed client of the marketplace (contract 6).
//!
//! A [`Call`] is a description made by a pure function of `calls`; a [`Client`] sends it, once,
//! against a [`Permit`] of the request budget. Nothing here repeats a request, follows a redirect
//! or decides by the clock: who sends decides what an [`Error`] means for the work at hand.
//!
//! [`Call`]: crate::marketplace::call::Call
//! [`Client`]: crate::marketplace::client::Client
//! [`Permit`]: crate::marketplace::client::Permit
//! [`Error`]: crate::marketplace::error::Error

/// What came back, judged: the one table from answers to values and errors.
pub mod answer;
/// What a request is, before it is sent.
pub mod call;
/// The vendor's calls, one file per family.
pub mod calls;
/// Sends calls.
pub mod client;
/// Why a call did not do what it should, named by what the caller must do.
pub mod error;
/// Reads numbers, flags, dates and objects however the marketplace prints them.
pub mod lenient;
/// Keeps secrets out of what people are shown.
mod redact;
