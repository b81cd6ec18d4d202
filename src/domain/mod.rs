//! The nouns of Bellhop and what can be decided about them without IO and without a clock.
//!
//! Wire names of the marketplace (`salon_id`, `freezed`, `company`) do not occur here: the rooms
//! that read or write bytes translate.

/// What a job can be told to do.
pub mod action;
/// When something comes again and again.
pub mod calendar;
/// The currencies people pay with.
pub mod currency;
/// What numbers of countries, cities and kinds of business stand for.
pub mod dictionary;
/// What was learnt: kinds, sources, facts, and the states an event ends in.
pub mod event;
/// Numbers that name things.
pub mod ids;
/// The installation of an application at a location, and its state machine.
pub mod installation;
/// How one connection is told from the next.
pub mod link;
/// What is known of a business place.
pub mod location;
/// Channels and sender names of applications that send messages.
pub mod messaging;
/// Moments that come due by themselves.
pub mod moment;
/// Payments and the periods they cover.
pub mod payment;
/// Telephone calls, as a telephony system tells of them.
pub mod phone_call;
/// How a webhook address proves that it was made for us.
pub mod signature;
/// Durations as people write them.
pub mod span;
