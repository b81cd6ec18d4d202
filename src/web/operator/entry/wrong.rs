//! Wrong tokens. Nobody is kept from trying: a token of 16 characters is not guessed, and behind a proxy or a tunnel
//! everybody has one address, so a limit would keep out whoever has the right one. But it is told.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracing::warn;

/// Not more often is it told, so that whoever tries does not fill the log.
const EVERY: Duration = Duration::from_secs(1);

/// When it was told last.
static TOLD: Mutex<Option<Instant>> = Mutex::new(None);

/// Tells the log that somebody came with a wrong token, and to which door.
pub(crate) fn tell(door: &str, from: Option<SocketAddr>) {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if is_due(&mut told, Instant::now()) {
        let from = from.map(|from| from.ip());
        warn!(?from, door, "A wrong operator's token was given");
    }
}

/// Whether it is time again, which is noted.
fn is_due(told: &mut Option<Instant>, now: Instant) -> bool {
    let is_due = told.is_none_or(|told| now.duration_since(told) >= EVERY);
    if is_due {
        *told = Some(now);
    }
    is_due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_wrong_tokens_are_told_once_a_second() {
        let (began, mut told) = (Instant::now(), None);
        let tried = (0..5_000).map(|tick| began + Duration::from_millis(tick));
        assert_eq!(tried.filter(|now| is_due(&mut told, *now)).count(), 5);
    }
}
