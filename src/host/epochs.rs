//! When each of the host's counters began, and which value is written for it.
//!
//! The host's counters begin when it starts. Some of them fall a little and go on: a processor's
//! idle time, and the counters that a driver sums over queues that come and go. When a counter
//! falls by less than half, its last value is written until it passes that. When it falls further
//! (an interface was replaced), it began anew: it gets a new start time, so that no consumer
//! computes a rate across the fall. When the host itself restarts, all of its counters begin
//! anew.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// By how many seconds a host's uptime may have grown less than the time between two readings
/// without being taken for a restart: readings come late, and clocks drift.
const SLACK: f64 = 60.0;

/// The start times of groups of `N` counters, by their owner (a processor, a disk, an interface).
#[derive(Debug)]
pub(crate) struct Epochs<K, const N: usize> {
    groups: BTreeMap<K, CounterGroup<N>>,
}

/// The values and start times that are written for a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted<const N: usize> {
    pub(crate) values: [u64; N],
    pub(crate) starts: [SystemTime; N],
}

#[derive(Debug)]
struct CounterGroup<const N: usize> {
    counted: Counted<N>,
    /// Whether the current reading has the group.
    seen: bool,
}

impl<K, const N: usize> Default for Epochs<K, N> {
    fn default() -> Self {
        Self {
            groups: BTreeMap::new(),
        }
    }
}

impl<K: Ord, const N: usize> Epochs<K, N> {
    /// Takes the counters of a group as read. A counter that is new or began anew gets the start
    /// `since`: the host's start at the first reading, the time of the last reading later.
    pub(crate) fn take(&mut self, owner: K, read: [u64; N], since: SystemTime) -> Counted<N> {
        let group = self.groups.entry(owner).or_insert_with(|| CounterGroup {
            counted: Counted {
                values: read,
                starts: [since; N],
            },
            seen: true,
        });
        group.seen = true;
        let Counted { values, starts } = &mut group.counted;
        for ((value, start), read) in values.iter_mut().zip(starts).zip(read) {
            let stepped_back = read < *value && *value - read < read;
            if stepped_back {
                continue;
            }
            if read < *value {
                *start = since;
            }
            *value = read;
        }
        group.counted
    }

    /// Hands every start time to `correct`: the wall clock was set back.
    pub(crate) fn correct_starts(&mut self, correct: impl Fn(&mut SystemTime)) {
        for group in self.groups.values_mut() {
            group.counted.starts.iter_mut().for_each(&correct);
        }
    }

    /// Resets every counter to 0, starting at `since`: the host restarted.
    pub(crate) fn restart(&mut self, since: SystemTime) {
        for group in self.groups.values_mut() {
            group.counted = Counted {
                values: [0; N],
                starts: [since; N],
            };
        }
    }

    /// Takes out the groups that the current reading didn't have, with their start times, so that
    /// their series can end. A group that comes back later is a new one.
    pub(crate) fn take_gone(&mut self) -> Vec<(K, [SystemTime; N])> {
        self.groups
            .extract_if(.., |_, group| !std::mem::take(&mut group.seen))
            .map(|(owner, group)| (owner, group.counted.starts))
            .collect()
    }
}

/// What a host reports about its own start.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Boot {
    /// The boot time in seconds since the Unix epoch, by the host's clock, which may be set.
    pub(crate) time: Option<f64>,
    /// The uptime in seconds.
    pub(crate) uptime: Option<f64>,
}

impl Boot {
    /// Whether the host restarted between two readings. A changed boot time alone is no proof: it
    /// also moves when the clock is set.
    pub(crate) fn is_after(&self, last: &Self, between: Duration) -> bool {
        match (last.uptime, self.uptime) {
            (Some(last), Some(now)) if now > last => now + SLACK < last + between.as_secs_f64(),
            (Some(last), Some(now)) if now < last => true,
            // Boot times are rounded to seconds, sometimes up and sometimes down.
            _ => matches!((last.time, self.time), (Some(last), Some(now)) if now > last + 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_counter_that_steps_back_is_held_and_one_that_falls_by_half_begins_anew_alone() {
        let mut epochs = Epochs::<_, 2>::default();
        let mut f = |read: [u64; 2], since: u64, values: [u64; 2], starts: [u64; 2]| {
            let counted = epochs.take("eth0", read, at(since));
            let starts = starts.map(at);
            assert_eq!(counted, Counted { values, starts }, "{read:?}");
        };
        f([1000, 10], 1, [1000, 10], [1, 1]);
        f([1001, 10], 20, [1001, 10], [1, 1]);
        f([1000, 12], 30, [1001, 12], [1, 1]);
        f([600, 12], 40, [1001, 12], [1, 1]);
        f([601, 12], 50, [1001, 12], [1, 1]);
        f([1002, 12], 60, [1002, 12], [1, 1]);
        f([501, 7], 70, [501, 12], [70, 1]);
        f([502, 6], 80, [502, 6], [70, 80]);
        f([0, 0], 90, [0, 0], [90, 90]);
        f([u64::MAX, 1], 100, [u64::MAX, 1], [90, 90]);
        // A 32-bit counter that overflowed.
        f(
            [u64::from(u32::MAX), 1],
            110,
            [u64::from(u32::MAX), 1],
            [110, 90],
        );
        f([9, 1], 120, [9, 1], [120, 90]);
    }

    #[test]
    fn every_counter_of_a_host_that_started_anew_does_so_too() {
        let mut epochs = Epochs::<_, 2>::default();
        epochs.take("eth0", [1000, 10], at(1));
        epochs.restart(at(20));
        let expected = Counted {
            values: [999, 11],
            starts: [at(20); 2],
        };
        assert_eq!(epochs.take("eth0", [999, 11], at(20)), expected);
    }

    #[test]
    fn a_host_started_anew_when_it_is_up_for_less_than_before() {
        let boot = |time: Option<f64>, uptime: Option<f64>| Boot { time, uptime };
        let f = |last: Boot, now: Boot, between: u64, expected: bool| {
            let between = Duration::from_secs(between);
            assert_eq!(now.is_after(&last, between), expected, "{last:?}, {now:?}");
        };
        let up = |uptime: f64| boot(Some(1000.0), Some(uptime));
        f(up(600.0), up(615.0), 15, false);
        f(up(600.0), up(30.0), 15, true);
        // The clock was set.
        f(up(600.0), boot(Some(4600.0), Some(615.0)), 15, false);
        // The host was down for a while, and its uptime is longer than before.
        f(up(10.0), boot(Some(3000.0), Some(1500.0)), 3600, true);
        f(
            boot(Some(1000.0), None),
            boot(Some(1001.0), None),
            15,
            false,
        );
        f(boot(Some(1000.0), None), boot(Some(1600.0), None), 15, true);
        f(boot(Some(1000.0), None), boot(Some(400.0), None), 15, false);
        f(up(600.0), boot(None, None), 15, false);
        f(Boot::default(), up(600.0), 15, false);
    }

    #[test]
    fn what_is_gone_is_told_once_and_forgotten() {
        let mut epochs = Epochs::<_, 1>::default();
        epochs.take("a", [1], at(1));
        epochs.take("b", [1], at(1));
        assert_eq!(epochs.take_gone(), []);
        epochs.take("b", [1], at(2));
        assert_eq!(epochs.take_gone(), [("a", [at(1)])]);
        epochs.take("b", [1], at(2));
        assert_eq!(epochs.take_gone(), []);
        assert_eq!(epochs.take("a", [5], at(3)).starts, [at(3)]);
        assert_eq!(epochs.take("b", [5], at(3)).starts, [at(1)]);
    }
}
