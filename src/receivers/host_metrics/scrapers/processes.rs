//! `processes`: how many processes there are in each state.

use std::collections::{BTreeMap, BTreeSet};

use super::super::page::{HostPoint, MetricPage};
use super::super::spec::MetricSpec;
use crate::host::{CountedReading, HostReading, KernelCounter};
use crate::pdata::writer::MetricKind::{Counter, UpDownCounter};
use crate::pdata::writer::PointNumber;

pub(in super::super) const METRICS: &[MetricSpec] = &[
    MetricSpec::new(
        UpDownCounter,
        "system.processes.count",
        "{processes}",
        &["status"],
        "Total number of processes in each state.",
    ),
    MetricSpec::new(
        Counter,
        "system.processes.created",
        "{processes}",
        &[],
        "Total number of created processes. Supported on Linux and OpenBSD.",
    ),
];

/// The states that have series.
#[derive(Debug, Default)]
pub(in super::super) struct ProcessesState {
    shown: BTreeSet<&'static str>,
}

impl ProcessesState {
    pub(in super::super) fn write(
        &mut self,
        reading: &HostReading,
        counted: &CountedReading,
        page: &mut MetricPage<'_>,
    ) {
        let created = counted.kernel.get(&KernelCounter::Forks);
        page.metric(
            "system.processes.created",
            created.map(|(value, start)| HostPoint {
                attributes: Vec::new(),
                start: Some(*start),
                value: Some(PointNumber::count(*value)),
            }),
        );
        let Some(counts) = counts(reading) else {
            return;
        };
        let now: BTreeSet<&'static str> = counts.keys().copied().collect();
        let ended = std::mem::replace(&mut self.shown, now);
        let ended = ended
            .into_iter()
            .filter(|state| !counts.contains_key(state));
        let points = counts.iter().map(|(state, count)| (*state, Some(*count)));
        let points = points.chain(ended.map(|state| (state, None)));
        page.metric(
            "system.processes.count",
            points.map(|(state, count)| HostPoint {
                attributes: vec![("status", state)],
                start: Some(counted.booted),
                value: count.map(PointNumber::count),
            }),
        );
    }
}

/// Counts the processes by state. For the states that the kernel counts itself its own counts are
/// taken, which are of threads, and of one moment.
fn counts(reading: &HostReading) -> Option<BTreeMap<&'static str, u64>> {
    let pids = reading.processes.pids.as_ref()?;
    let cpus = reading.cpus.as_ref()?;
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (letter, count) in &reading.processes.states {
        *counts.entry(status(*letter)).or_default() += count;
    }
    counts.insert("blocked", cpus.blocked?);
    counts.insert("running", cpus.running?);
    let known: u64 = counts
        .values()
        .fold(0, |sum, count| sum.saturating_add(*count));
    if let Some(more) = (pids.len() as u64)
        .checked_sub(known)
        .filter(|more| *more > 0)
    {
        counts.insert("unknown", more);
    }
    Some(counts)
}

/// The Collector's word for a state's letter.
fn status(letter: char) -> &'static str {
    match letter {
        'D' | 'U' => "blocked",
        'I' => "idle",
        'R' => "running",
        'S' => "sleeping",
        'T' | 't' => "stopped",
        'W' => "paging",
        'Z' => "zombies",
        _ => "unknown",
    }
}
