//! Who asked for which change, in the log: afterwards the database tells that a job was tried again, and not who wanted
//! it.

use actix_web::HttpRequest;
use tracing::info;

use super::Role;

/// Tells the log who asked at which door for what, and with which status it was answered: that says whether anything was
/// done. Whoever only wants to know what would come of it asks for it in the same way. Addresses of the operator's
/// listener hold numbers and names of what is meant, and no secret; what follows the `?` is left out.
pub(crate) fn tell(door: &str, role: Role, request: &HttpRequest, status: u16) {
    let from = request.peer_addr().map(|from| from.ip());
    let (role, method, path) = (role.as_str(), request.method().as_str(), request.path());
    info!(?from, door, role, method, path, status, "Somebody asked for a change");
}
