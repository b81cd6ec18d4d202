use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// So often an address may try to log in within a minute.
const A_MINUTE: u32 = 10;

/// So many addresses are told apart; more are refused for the rest of the minute.
const ADDRESSES: usize = 1024;

/// Counts who tries to log in.
pub(crate) struct Tries(Mutex<Window>);

struct Window {
    began: Instant,
    counts: HashMap<IpAddr, u32>,
}

impl Tries {
    /// Nobody has tried.
    pub(crate) fn new(now: Instant) -> Self {
        Self(Mutex::new(Window {
            began: now,
            counts: HashMap::new(),
        }))
    }

    /// Whether somebody from this address may try once more.
    pub(crate) fn admit(&self, from: IpAddr, now: Instant) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(window.began) >= Duration::from_secs(60) {
            window.began = now;
            window.counts.clear();
        }
        if window.counts.len() >= ADDRESSES && !window.counts.contains_key(&from) {
            return false;
        }
        let count = window.counts.entry(from).or_default();
        *count += 1;
        *count <= A_MINUTE
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn an_address_has_some_tries_a_minute_and_a_crowd_is_bounded() {
        let began = Instant::now();
        let tries = Tries::new(began);
        let address = |number: u32| IpAddr::V4(Ipv4Addr::from(number));
        for _ in 0..A_MINUTE {
            assert!(tries.admit(address(1), began));
        }
        assert!(!tries.admit(address(1), began));
        assert!(tries.admit(address(2), began));
        let crowd = (0..5_000)
            .filter(|number| tries.admit(address(10 + number), began))
            .count();
        assert_eq!(crowd, ADDRESSES - 2);
        assert!(tries.admit(address(2), began), "who is known is still counted");
        let later = began + Duration::from_secs(60);
        assert!(tries.admit(address(1), later) && tries.admit(address(4_000), later));
    }
}
