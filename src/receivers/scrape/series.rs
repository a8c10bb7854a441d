//! The series about the polls of one endpoint.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::{FailureReason, Scrape, SetBack};
use crate::pdata::writer::{
    Attribute, MetricDescriptor, MetricKind, MetricsWriter, NumberPointData, PointNumber,
};

/// The failures of an endpoint since the start, by reason.
#[derive(Debug)]
pub(super) struct FailureCounts {
    counts: [u64; FailureReason::ALL.len()],
    start: SystemTime,
    /// Whether reasons that haven't occurred are written as 0, so that the first failure shows as
    /// an increase. Not for this host, where most reasons can't occur.
    from_zero: bool,
    /// Entries left out of lists; empty until a scrape names a reason.
    rejected: BTreeMap<FailureReason, u64>,
}

impl FailureCounts {
    pub(super) fn new(start: SystemTime, from_zero: bool) -> Self {
        Self {
            counts: [0; FailureReason::ALL.len()],
            start,
            from_zero,
            rejected: BTreeMap::new(),
        }
    }

    pub(super) fn clock_set_back(&mut self, by: &SetBack) {
        by.correct(&mut self.start);
    }

    pub(super) fn count(&mut self, reason: FailureReason) {
        // The index is the reason's position in `FailureReason::ALL`, which lists them as
        // declared.
        if let Some(count) = self.counts.get_mut(reason as usize) {
            *count += 1;
        }
    }

    pub(super) fn reject(&mut self, entries: &[(FailureReason, u64)]) {
        for (reason, count) in entries {
            *self.rejected.entry(*reason).or_default() += count;
        }
    }
}

/// Writes the scrape series of a poll at `time`, into the endpoint's resource and scope.
pub(super) fn write(
    out: &mut MetricsWriter,
    time: SystemTime,
    scrape: &Scrape,
    took: Duration,
    samples: u64,
    failures: &FailureCounts,
) {
    let gauges = [
        (
            "up",
            "whether at least one part of the endpoint gave data",
            Some(PointNumber::Int(i64::from(scrape.up()))),
        ),
        (
            "scrape_duration_seconds",
            "how long the poll took",
            Some(PointNumber::Double(took.as_secs_f64())),
        ),
        (
            "scrape_samples_scraped",
            "data points that the poll gave",
            Some(int(samples)),
        ),
        (
            "scrape_parts_failed",
            "parts of the endpoint that gave no data",
            scrape
                .has_parts
                .then(|| int(scrape.failing().count() as u64)),
        ),
    ];
    for (name, description, value) in gauges {
        if value.is_none() {
            continue;
        }
        let descriptor = MetricDescriptor {
            name,
            unit: "",
            description,
        };
        out.metric(MetricKind::Gauge, descriptor);
        out.number(NumberPointData {
            attributes: &[],
            start: None,
            time,
            value,
        });
    }
    let failed = FailureReason::ALL.into_iter().zip(failures.counts);
    let failed = failed.filter(|(_, count)| failures.from_zero || *count > 0);
    by_reason(
        out,
        "scrape_failures_total",
        "requests and parts of polls that failed",
        (failures.start, time),
        failed,
    );
    by_reason(
        out,
        "scrape_entries_rejected_total",
        "entries of lists that could not be used",
        (failures.start, time),
        failures
            .rejected
            .iter()
            .map(|(reason, count)| (*reason, *count)),
    );
}

/// Writes a counter with a series for each reason; nothing if there is no reason.
fn by_reason(
    out: &mut MetricsWriter,
    name: &str,
    description: &str,
    (start, time): (SystemTime, SystemTime),
    counts: impl Iterator<Item = (FailureReason, u64)>,
) {
    let mut begun = false;
    for (reason, count) in counts {
        if !begun {
            let descriptor = MetricDescriptor {
                name,
                unit: "",
                description,
            };
            out.metric(MetricKind::Counter, descriptor);
            begun = true;
        }
        let attributes: [Attribute<'_>; 1] = [("reason", reason.as_str().into())];
        out.number(NumberPointData {
            attributes: &attributes,
            start: Some(start),
            time,
            value: Some(int(count)),
        });
    }
}

/// As an integer; above 2^63 - 1, which OTLP's integers don't reach, as the nearest double.
fn int(count: u64) -> PointNumber {
    i64::try_from(count).map_or(PointNumber::Double(count as f64), PointNumber::Int)
}
