//! What is remembered of one instance from poll to poll, so that its totals don't fall when it or
//! a mixnode restarts, or a mixnode leaves. Pure.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use super::reading::{InstanceReading, Mixnode};
use super::service_path::ServicePath;
use crate::receivers::scrape::SetBack;

/// Upper bounds of the latency histogram, in seconds.
pub(super) const LATENCY_BOUNDS: [f64; 11] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

/// A cumulative value that the Betanet service counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReportedCounter {
    /// When the counting began, as far as is known: when the value was first seen, or, after it
    /// fell, the last time that it was seen before the fall.
    pub(super) start: SystemTime,
    /// The value that is written.
    pub(super) value: u64,
    /// The value that was last reported; lower than `value` while that is held.
    told: u64,
    seen: SystemTime,
}

impl ReportedCounter {
    fn new(value: u64, time: SystemTime) -> Self {
        Self {
            start: time,
            value,
            told: value,
            seen: time,
        }
    }

    /// Sets the value, and returns by how much it has grown. A value that is lower than the last
    /// one is a counter that began anew at 0 in between.
    fn set(&mut self, value: u64, time: SystemTime) -> u64 {
        let held = self.told < self.value;
        let growth = if held && value >= self.told && value < self.value {
            0
        } else {
            let growth = value.checked_sub(self.value).unwrap_or_else(|| {
                self.start = self.seen;
                value
            });
            self.value = value;
            growth
        };
        self.told = value;
        self.seen = time;
        growth
    }

    pub(super) fn clock_set_back(&mut self, by: &SetBack) {
        by.correct(&mut self.start);
        by.correct(&mut self.seen);
    }

    /// Prepares for values reported by another part, which may have counted a little less:
    /// `value` is held until the reported value passes it.
    fn hand_over(&mut self, value: Option<u64>) {
        if let Some(value) = value
            && value < self.value
            && value > self.value / 2
        {
            self.told = value;
        }
    }
}

/// Sets a counter, creating it at its first value, and returns its growth.
pub(super) fn set(
    counter: &mut Option<ReportedCounter>,
    value: Option<u64>,
    time: SystemTime,
) -> u64 {
    match (counter, value) {
        (_, None) => 0,
        (Some(counter), Some(value)) => counter.set(value, time),
        (none, Some(value)) => {
            *none = Some(ReportedCounter::new(value, time));
            value
        }
    }
}

/// The counters of one mixnode.
#[derive(Debug, Clone, Default)]
pub(super) struct MixnodeCounters {
    pub(super) processed: Option<ReportedCounter>,
    pub(super) forwarded: Option<ReportedCounter>,
    pub(super) dropped: Option<ReportedCounter>,
}

/// The mixnodes of one instance: those listed now, and those that left, since one that comes back
/// may go on counting where it was.
#[derive(Debug, Default)]
pub(super) struct Mixnodes {
    present: HashMap<String, MixnodeCounters>,
    /// The counters of those that left, each with the number of its departure.
    left: HashMap<String, (u64, MixnodeCounters)>,
    /// Their ids by number of departure.
    order: BTreeMap<u64, String>,
    departures: u64,
    processed: u64,
    dropped: u64,
}

impl Mixnodes {
    /// Takes the new list. At most `limit` mixnodes that left are remembered, or as many as are
    /// there. One that was forgotten and comes back counts as new: all that it has counted is added
    /// again.
    fn update<'a>(
        &mut self,
        list: impl Iterator<Item = &'a Mixnode>,
        time: SystemTime,
        limit: usize,
    ) {
        let mut before = std::mem::take(&mut self.present);
        for entry in list {
            let known = before.remove(&entry.id);
            let mut node = known.or_else(|| self.recall(&entry.id)).unwrap_or_default();
            let processed = set(&mut node.processed, entry.processed, time);
            let dropped = set(&mut node.dropped, entry.dropped, time);
            set(&mut node.forwarded, entry.forwarded, time);
            self.processed = self.processed.saturating_add(processed);
            self.dropped = self.dropped.saturating_add(dropped);
            self.present.insert(entry.id.clone(), node);
        }
        for (id, node) in before {
            self.departures += 1;
            self.order.insert(self.departures, id.clone());
            self.left.insert(id, (self.departures, node));
        }
        let limit = limit.max(self.present.len());
        while self.left.len() > limit
            && let Some((_, id)) = self.order.pop_first()
        {
            self.left.remove(&id);
        }
    }

    fn recall(&mut self, id: &str) -> Option<MixnodeCounters> {
        let (departure, node) = self.left.remove(id)?;
        self.order.remove(&departure);
        Some(node)
    }

    /// The counters of a mixnode that is listed now or is remembered.
    pub(super) fn node(&self, id: &str) -> Option<&MixnodeCounters> {
        let left = || self.left.get(id).map(|(_, node)| node);
        self.present.get(id).or_else(left)
    }
}

/// A histogram of the latencies that the instance reported.
#[derive(Debug, Default)]
pub(super) struct LatencyHistogram {
    /// When the first latency was observed; `None` before that.
    pub(super) start: Option<SystemTime>,
    pub(super) buckets: [u64; LATENCY_BOUNDS.len() + 1],
    pub(super) sum: f64,
}

impl LatencyHistogram {
    fn observe(&mut self, seconds: f64, time: SystemTime) {
        self.start.get_or_insert(time);
        let bucket = LATENCY_BOUNDS.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
        }
        self.sum += seconds;
    }
}

/// The counters of one instance.
#[derive(Debug, Default)]
pub(super) struct Instance {
    pub(super) messages: Option<ReportedCounter>,
    pub(super) dropped: Option<ReportedCounter>,
    pub(super) transmitted: Option<ReportedCounter>,
    pub(super) received: Option<ReportedCounter>,
    /// Which part last reported the packets.
    packets_by: Option<ServicePath>,
    pub(super) mixnodes: Mixnodes,
    pub(super) latency: LatencyHistogram,
}

impl Instance {
    pub(super) fn clock_set_back(&mut self, by: &SetBack) {
        let own = [
            &mut self.messages,
            &mut self.dropped,
            &mut self.transmitted,
            &mut self.received,
        ];
        let Mixnodes { present, left, .. } = &mut self.mixnodes;
        let left = left.values_mut().map(|(_, node)| node);
        let nodes = present
            .values_mut()
            .chain(left)
            .flat_map(|node| [&mut node.processed, &mut node.forwarded, &mut node.dropped]);
        for counter in own.into_iter().chain(nodes).flatten() {
            counter.clock_set_back(by);
        }
        if let Some(start) = &mut self.latency.start {
            by.correct(start);
        }
    }

    /// Takes the values of one poll.
    pub(super) fn update(
        &mut self,
        reading: &InstanceReading,
        time: SystemTime,
        max_mixnodes: usize,
    ) {
        let (mut processed, mut dropped) = (reading.processed, reading.dropped);
        if let Some(list) = &reading.mixnodes {
            let all = list
                .iter()
                .chain(reading.others.iter().flat_map(|others| &**others));
            self.mixnodes.update(all, time, max_mixnodes);
            // The plain sums of the list would fall when a mixnode leaves.
            processed = processed.map(|_| self.mixnodes.processed);
            dropped = dropped.map(|_| self.mixnodes.dropped);
        }
        let by = reading.packets_by.or(self.packets_by);
        if by != std::mem::replace(&mut self.packets_by, by) {
            for (counter, value) in [
                (&mut self.messages, processed),
                (&mut self.dropped, dropped),
            ] {
                if let Some(counter) = counter {
                    counter.hand_over(value);
                }
            }
        }
        set(&mut self.messages, processed, time);
        set(&mut self.dropped, dropped, time);
        set(&mut self.transmitted, reading.transmitted, time);
        set(&mut self.received, reading.received, time);
        if let Some(latency) = reading.latency_ms {
            self.latency.observe(latency / 1000.0, time);
        }
    }
}

#[cfg(test)]
mod tests;
