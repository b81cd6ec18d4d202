//! Who asked for which change, in the log: afterwards the database tells that a job was tried again, and not who wanted
//! it.

use std::fmt::Debug;

use actix_web::HttpRequest;
use tracing::info;

use super::Role;
use crate::{
    app::replays::{Ask, Report},
    store::jobs::{Obeyed, Order},
};

/// Tells the log who asked at which door for what, and with which status it was answered: that says whether anything was
/// done. Whoever only wants to know what would come of it asks for it in the same way. Addresses of the operator's
/// listener hold numbers and names of what is meant, and no secret; what follows the `?` is left out.
pub(crate) fn tell(door: &str, role: Role, request: &HttpRequest, status: u16) {
    let from = request.peer_addr().map(|from| from.ip());
    let (role, method, path) = (role.as_str(), request.method().as_str(), request.path());
    info!(?from, door, role, method, path, status, "Somebody asked for a change");
}

/// Tells the log what an order for many jobs came to: the address says nothing of it. `which` is the filter, of numbers
/// and names.
pub(crate) fn jobs(order: Order, which: &impl Debug, obeyed: &[Obeyed]) {
    let moved = obeyed.iter().filter(|one| one.reason.is_none()).count();
    let refused = obeyed.len() - moved;
    info!(?order, ?which, moved, refused, "An order for many jobs was carried out");
}

/// The same of events that are judged once more.
pub(crate) fn replay(which: &Ask, report: &Report) {
    let refused: i64 = report.refused.values().sum();
    let (replay, events) = (report.replay_id, report.events);
    info!(
        ?which,
        replay, events, refused, "Events were ordered to be judged once more"
    );
}
