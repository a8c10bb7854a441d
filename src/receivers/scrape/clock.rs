//! Corrects the start times of counters after the wall clock was set back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::component::Now;

/// A clock that NTP merely slows down loses less than this between two polls.
const LEAST: Duration = Duration::from_millis(500);

/// A wall clock that was set back. A start time that now lies in the future is moved back by the
/// same amount, so that it stays as long ago as it was. Other start times aren't moved, since a
/// consumer takes a changed start for a counter that began anew.
#[derive(Debug, Clone, Copy)]
pub struct SetBack {
    by: Duration,
    wall: SystemTime,
}

impl SetBack {
    /// By how much the clock was set back between two readings of both clocks; `None` if it
    /// wasn't.
    pub fn between(before: Now, now: Now) -> Option<Self> {
        let passed = now.monotonic.saturating_duration_since(before.monotonic);
        let by = (before.wall + passed).duration_since(now.wall).ok()?;
        (by >= LEAST).then_some(Self { by, wall: now.wall })
    }

    /// Moves `start` back if it lies in the future.
    pub fn correct(&self, start: &mut SystemTime) {
        if *start > self.wall {
            let moved = start.checked_sub(self.by).unwrap_or(UNIX_EPOCH);
            *start = moved.min(self.wall);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_in_the_future_stays_as_long_ago_as_it_was_and_any_other_where_it_is() {
        let second = Duration::from_secs;
        let before = Now::read();
        let at = |passed: u64, back: u64| Now {
            monotonic: before.monotonic + second(passed),
            wall: before.wall + second(passed) - second(back),
        };
        assert!(SetBack::between(before, at(15, 0)).is_none());
        let on = Now {
            wall: before.wall + second(9_000),
            ..before
        };
        assert!(SetBack::between(before, on).is_none(), "set on");
        let slewed = Now {
            wall: before.wall + second(15) - Duration::from_millis(10),
            monotonic: before.monotonic + second(15),
        };
        assert!(SetBack::between(before, slewed).is_none());

        let back = SetBack::between(before, at(15, 3_600)).unwrap();
        let corrected = |mut start: SystemTime| {
            back.correct(&mut start);
            start
        };
        let now = before.wall + second(15) - second(3_600);
        let recent = before.wall - second(60);
        assert_eq!(corrected(recent), now - second(75), "75 s ago");
        let old = before.wall - second(7_200);
        assert_eq!(corrected(old), old);
    }
}
