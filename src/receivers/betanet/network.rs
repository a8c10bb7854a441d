//! The sums over all instances of one receiver. They don't fall when an instance restarts or
//! can't be reached. Pure.

use std::time::SystemTime;

use super::reading::InstanceReading;
use super::state::{Instance, ReportedCounter, set};
use crate::receivers::scrape::SetBack;

/// One counter summed over the instances.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// When an instance first reported a value; `None` before that.
    pub(super) start: Option<SystemTime>,
    pub(super) total: u64,
}

/// What is remembered of one instance for the sums.
#[derive(Debug, Default)]
struct Member {
    seen: [Option<ReportedCounter>; 4],
    /// Whether its last poll gave data.
    fresh: bool,
    peers: Option<u64>,
    active: Option<u64>,
}

/// The instances of one receiver.
#[derive(Debug)]
pub(super) struct InstanceSums {
    members: Vec<Member>,
    /// Messages, packets dropped, bytes transmitted and bytes received.
    pub(super) sums: [Sum; 4],
    /// Whether nodes, and active nodes, have been shown and haven't ended.
    pub(super) shown: [bool; 2],
}

impl InstanceSums {
    pub(super) fn new(instances: usize) -> Self {
        Self {
            members: std::iter::repeat_with(Member::default)
                .take(instances)
                .collect(),
            sums: Default::default(),
            shown: [false; 2],
        }
    }

    /// Takes the result of an instance's poll; `None` if the poll gave no data.
    pub(super) fn update(
        &mut self,
        member: usize,
        poll: Option<(&Instance, &InstanceReading)>,
        time: SystemTime,
    ) {
        let Some(member) = self.members.get_mut(member) else {
            return;
        };
        member.fresh = poll.is_some();
        let Some((instance, reading)) = poll else {
            return;
        };
        (member.peers, member.active) = (reading.peers, reading.active);
        let counters = [
            instance.messages,
            instance.dropped,
            instance.transmitted,
            instance.received,
        ];
        for ((sum, seen), counter) in self.sums.iter_mut().zip(&mut member.seen).zip(counters) {
            let Some(counter) = counter else { continue };
            sum.start.get_or_insert(time);
            let growth = set(seen, Some(counter.value), time);
            sum.total = sum.total.saturating_add(growth);
        }
    }

    /// Every instance's scraper calls this, so the sums see it several times: a start that was
    /// moved no longer lies in the future and isn't moved again.
    pub(super) fn clock_set_back(&mut self, member: usize, by: &SetBack) {
        let seen = self.members.get_mut(member).map(|member| &mut member.seen);
        for counter in seen.into_iter().flatten().flatten() {
            counter.clock_set_back(by);
        }
        for start in self.sums.iter_mut().filter_map(|sum| sum.start.as_mut()) {
            by.correct(start);
        }
    }

    pub(super) fn expected(&self) -> u64 {
        self.members.len() as u64
    }

    pub(super) fn fresh(&self) -> u64 {
        self.members.iter().filter(|member| member.fresh).count() as u64
    }

    /// The sum over the fresh instances; `None` if none of them reports it.
    pub(super) fn peers(&self) -> Option<u64> {
        self.over_fresh(|member| member.peers)
    }

    /// The sum over the fresh instances; `None` if none of them reports it.
    pub(super) fn active(&self) -> Option<u64> {
        self.over_fresh(|member| member.active)
    }

    fn over_fresh(&self, value: impl Fn(&Member) -> Option<u64>) -> Option<u64> {
        self.members
            .iter()
            .filter(|member| member.fresh)
            .filter_map(value)
            .reduce(u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_that_cannot_be_reached_keeps_its_share_and_is_not_fresh() {
        let time = SystemTime::UNIX_EPOCH;
        let mut network = InstanceSums::new(2);
        let mut instances = [Instance::default(), Instance::default()];
        let mut poll = |member: usize, processed: Option<u64>| {
            let reading = InstanceReading {
                processed,
                peers: Some(3),
                ..InstanceReading::default()
            };
            instances[member].update(&reading, time, 10);
            let poll = processed.map(|_| (&instances[member], &reading));
            network.update(member, poll, time);
            (network.sums[0].total, network.fresh(), network.peers())
        };
        assert_eq!(poll(0, Some(100)), (100, 1, Some(3)));
        assert_eq!(poll(1, Some(50)), (150, 2, Some(6)));
        assert_eq!(poll(0, None), (150, 1, Some(3)));
        assert_eq!(poll(1, Some(60)), (160, 1, Some(3)));
        assert_eq!(poll(0, Some(5)), (165, 2, Some(6)), "it restarted");
        assert_eq!(poll(0, None), (165, 1, Some(3)));
        assert_eq!(poll(1, None), (165, 0, None));
    }
}
