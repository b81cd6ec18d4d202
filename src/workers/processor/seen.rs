use std::time::{Duration, Instant};

use crate::store::events::SHARDS;

/// Events get their numbers before their transaction commits. One that is this old when it commits is
/// found only by a look at everything.
const LAG: Duration = Duration::from_secs(1);

/// How often to look at everything.
const WHOLE_EVERY: Duration = Duration::from_secs(1);

/// A look at everything may take this part of the time: it walks over all rows that are gone.
const WHOLE_SHARE: u32 = 50;

/// Up to where the inbox has been judged.
///
/// While somebody holds an old snapshot, rows that are gone cannot be cleaned up, and looking for the
/// oldest event of a shard walks over all of them. So the processor begins where it has been. That
/// only saves time: every now and then it looks from the beginning.
pub(super) struct Seen {
    shards: [Mark; SHARDS as usize],
    whole_at: Option<Instant>,
}

#[derive(Clone, Copy, Default)]
struct Mark {
    /// Nothing up to this number was there when it was looked for, for the last time at least [`LAG`]
    /// after the number was given.
    floor: i64,
    /// What becomes the floor when it is old enough.
    next: i64,
    since: Option<Instant>,
}

impl Seen {
    pub(super) fn nothing() -> Self {
        Self {
            shards: [Mark::default(); SHARDS as usize],
            whole_at: None,
        }
    }

    /// Where to begin in each shard, and whether that is a look at everything.
    pub(super) fn floors(&self, now: Instant) -> (Vec<i64>, bool) {
        let whole = self.whole_at.is_none_or(|at| at <= now);
        let floors = self.shards.iter().map(|mark| if whole { 0 } else { mark.floor });
        (floors.collect(), whole)
    }

    /// Everything was looked at; finding out where something is took so long.
    pub(super) fn looked_at_all(&mut self, now: Instant, took: Duration) {
        self.whole_at = Some(now + WHOLE_EVERY.max(took * WHOLE_SHARE));
    }

    /// Every event of a shard up to this number that was there has been judged.
    pub(super) fn judged(&mut self, now: Instant, shard: i16, highest: i64) {
        let Some(mark) = usize::try_from(shard).ok().and_then(|at| self.shards.get_mut(at)) else {
            return;
        };
        if mark.since.is_none_or(|since| now - since >= LAG) {
            (mark.floor, mark.next, mark.since) = (mark.next, highest.max(mark.next), Some(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_stays_behind_what_may_still_appear() {
        let began = Instant::now();
        let at = |milliseconds| began + Duration::from_millis(milliseconds);
        let mut seen = Seen::nothing();
        assert_eq!(seen.floors(began), (vec![0; SHARDS as usize], true));
        seen.looked_at_all(began, Duration::ZERO);
        let floor = |seen: &Seen, now| seen.floors(now).0[3];
        seen.judged(at(0), 3, 100);
        seen.judged(at(999), 3, 200);
        assert_eq!(floor(&seen, at(999)), 0, "100 is not old enough");
        seen.judged(at(1000), 3, 300);
        assert_eq!(floor(&seen, at(999)), 100);
        assert_eq!(seen.floors(at(999)).0[4], 0, "another shard");
        seen.judged(at(2500), 3, 250);
        assert_eq!(floor(&seen, at(999)), 300, "it never falls");
        assert_eq!(seen.floors(at(1000)), (vec![0; SHARDS as usize], true));
    }

    #[test]
    fn slow_looks_at_everything_become_rare() {
        let began = Instant::now();
        let mut seen = Seen::nothing();
        seen.looked_at_all(began, Duration::from_millis(100));
        assert!(!seen.floors(began + Duration::from_millis(4999)).1);
        assert!(seen.floors(began + Duration::from_secs(5)).1);
    }
}
