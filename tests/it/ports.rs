//! Ports for programs that have to know theirs before they listen.

use std::{collections::BTreeSet, sync::Mutex};

/// A port that nobody has now. It is not one of those that the system gives away by itself: a client's
/// connection or another listener would have it before the program asks for it. No other test gets it either.
pub(crate) fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = fastrand::u16(10_000..32_000);
        let is_free = std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free && GIVEN.lock().is_ok_and(|mut given| given.insert(port)) {
            return port;
        }
    }
}
