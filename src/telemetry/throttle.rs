//! Keeps what happens all the time from filling the log.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often a line may come.
const EVERY: Duration = Duration::from_secs(60);

/// Lets one line a minute through, and adds up what the lines in between would have told.
///
/// The line that is let through tells the sum of everything since the line before, however long ago
/// that was. What comes after the last line is told by the owner, with [`Throttle::rest`]: as soon
/// as the owner knows that the trouble is over, and at the latest when the owner ends.
#[derive(Debug, Default)]
pub struct Throttle {
    // Std: the section adds a number.
    state: Mutex<ThrottleState>,
}

#[derive(Debug, Default)]
struct ThrottleState {
    last: Option<Instant>,
    untold: u64,
}

impl Throttle {
    /// Counts `count`. If a line may be written at `now`, returns what it has to tell: the count
    /// of everything since the last line.
    pub fn pass(&self, count: u64, now: Instant) -> Option<u64> {
        let mut state = self.lock();
        state.untold += count;
        if state.last.is_some_and(|last| is_recent(last, now)) {
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.untold))
    }

    /// What no line has told yet, if there is any. The next one passes at once.
    pub fn rest(&self) -> Option<u64> {
        let untold = std::mem::take(&mut *self.lock()).untold;
        (untold > 0).then_some(untold)
    }

    /// Whether a line was written within the last minute.
    pub fn is_holding(&self, now: Instant) -> bool {
        self.lock().last.is_some_and(|last| is_recent(last, now))
    }

    /// Every store leaves the state whole, so a panic elsewhere spoils nothing.
    fn lock(&self) -> MutexGuard<'_, ThrottleState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_recent(last: Instant, now: Instant) -> bool {
    now.saturating_duration_since(last) < EVERY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute_tells_all_and_the_rest_is_never_lost() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(throttle.rest(), None);
        assert_eq!(throttle.pass(3, at(0)), Some(3));
        assert_eq!(throttle.pass(4, at(1)), None);
        assert_eq!(throttle.pass(5, at(59)), None);
        assert!(throttle.is_holding(at(59)) && !throttle.is_holding(at(60)));
        assert_eq!(throttle.pass(6, at(60)), Some(15));
        assert_eq!(throttle.pass(7, at(61)), None);
        assert_eq!(throttle.rest(), Some(7));
        assert_eq!(throttle.rest(), None);
        assert_eq!(throttle.pass(1, at(62)), Some(1), "after the rest, at once");
    }
}
