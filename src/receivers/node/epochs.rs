//! When the counting of each counter began.
//!
//! The host's counters begin when it starts. One that goes backwards (an interface that
//! was replaced, a processor that was unplugged) has begun anew, and says so by its start
//! time, so that nobody sees a rate in the fall.

use std::collections::BTreeMap;
use std::time::SystemTime;

/// The starts of groups of `N` counters, by what they belong to.
#[derive(Debug)]
pub(super) struct Epochs<K, const N: usize> {
    groups: BTreeMap<K, Group<N>>,
}

#[derive(Debug)]
struct Group<const N: usize> {
    last: [u64; N],
    starts: [SystemTime; N],
    /// Whether this reading has it.
    seen: bool,
}

impl<K: Ord, const N: usize> Epochs<K, N> {
    pub(super) fn new() -> Self {
        Self {
            groups: BTreeMap::new(),
        }
    }

    /// The start times of a group's counters. Those that are new or went backwards began
    /// at `since`: the start of the host at the first reading, and at later ones the time
    /// of the last.
    pub(super) fn starts(
        &mut self,
        owner: K,
        values: [u64; N],
        since: SystemTime,
    ) -> [SystemTime; N] {
        let group = self.groups.entry(owner).or_insert_with(|| Group {
            last: values,
            starts: [since; N],
            seen: true,
        });
        group.seen = true;
        for ((last, start), value) in group.last.iter_mut().zip(&mut group.starts).zip(values) {
            if value < *last {
                *start = since;
            }
            *last = value;
        }
        group.starts
    }

    /// Takes out the groups that this reading didn't have, with their start times, so that
    /// their series can end: what comes back under the name is something new.
    pub(super) fn take_gone(&mut self) -> Vec<(K, [SystemTime; N])> {
        self.groups
            .extract_if(.., |_, group| !std::mem::take(&mut group.seen))
            .map(|(owner, group)| (owner, group.starts))
            .collect()
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
    fn a_counter_that_goes_backwards_begins_a_new_epoch_alone() {
        let mut epochs = Epochs::<_, 2>::new();
        let mut f = |values: [u64; 2], since: u64, expected: [u64; 2]| {
            let starts = epochs.starts("eth0", values, at(since));
            assert_eq!(starts, expected.map(at), "{values:?}");
        };
        f([10, 10], 1, [1, 1]);
        f([11, 10], 20, [1, 1]);
        f([3, 12], 30, [30, 1]);
        f([4, 12], 40, [30, 1]);
        f([0, 0], 50, [50, 50]);
    }

    #[test]
    fn what_is_gone_is_told_once_and_forgotten() {
        let mut epochs = Epochs::<_, 1>::new();
        epochs.starts("a", [1], at(1));
        epochs.starts("b", [1], at(1));
        assert_eq!(epochs.take_gone(), []);
        epochs.starts("b", [1], at(2));
        assert_eq!(epochs.take_gone(), [("a", [at(1)])]);
        epochs.starts("b", [1], at(2));
        assert_eq!(epochs.take_gone(), []);
        assert_eq!(epochs.starts("a", [5], at(3)), [at(3)]);
        assert_eq!(epochs.starts("b", [5], at(3)), [at(1)]);
    }
}
