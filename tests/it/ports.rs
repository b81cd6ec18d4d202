//! Ports for programs that have to know theirs before they listen.

/// A port that nobody has now. It is not one of those that the system gives away by itself: a client's
/// connection or another listener would have it before the program asks for it.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(10_000..32_000);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
