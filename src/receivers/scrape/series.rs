//! The series about the polls of one target.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::target::attributes;
use super::{FailureReason, Scrape, ScrapeCounts, ScrapeSeries, SetBack, UnusableEntry};
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
    rejected: BTreeMap<UnusableEntry, u64>,
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

    pub(super) fn reject(&mut self, entries: &[(UnusableEntry, u64)]) {
        for (reason, count) in entries {
            *self.rejected.entry(*reason).or_default() += count;
        }
    }
}

/// A poll, as the series about it tell.
pub(super) struct PollReport<'a> {
    pub(super) series: ScrapeSeries,
    /// On each point.
    pub(super) labels: &'a [(Arc<str>, Arc<str>)],
    pub(super) time: SystemTime,
    pub(super) took: Duration,
    /// Points that the poll wrote.
    pub(super) samples: u64,
    pub(super) scrape: &'a Scrape,
    pub(super) failures: &'a FailureCounts,
}

impl PollReport<'_> {
    /// Writes the series into the target's resource and scope.
    pub(super) fn write(&self, out: &mut MetricsWriter) {
        match self.series {
            ScrapeSeries::Own => self.write_own(out),
            ScrapeSeries::Prometheus => self.write_as_prometheus(out),
        }
    }

    fn write_own(&self, out: &mut MetricsWriter) {
        self.gauge(
            out,
            "up",
            "whether at least one part of the endpoint gave data",
            PointNumber::Int(i64::from(self.scrape.up())),
        );
        self.gauge(
            out,
            "scrape_duration_seconds",
            "how long the poll took",
            PointNumber::Double(self.took.as_secs_f64()),
        );
        self.gauge(
            out,
            "scrape_samples_scraped",
            "data points that the poll gave",
            PointNumber::count(self.counts().scraped),
        );
        if self.scrape.has_parts {
            self.gauge(
                out,
                "scrape_parts_failed",
                "parts of the endpoint that gave no data",
                PointNumber::count(self.scrape.failing().count() as u64),
            );
        }
        let failures = self.failures;
        let failed = FailureReason::ALL.into_iter().zip(failures.counts);
        let failed = failed.filter(|(_, count)| failures.from_zero || *count > 0);
        self.by_reason(
            out,
            "scrape_failures_total",
            "requests and parts of polls that failed",
            failed.map(|(reason, count)| (reason.as_str(), count)),
        );
        let rejected = failures.rejected.iter();
        self.by_reason(
            out,
            "scrape_entries_rejected_total",
            "entries of lists that could not be used",
            rejected.map(|(reason, count)| (reason.as_str(), *count)),
        );
    }

    fn write_as_prometheus(&self, out: &mut MetricsWriter) {
        let counts = self.counts();
        let up = f64::from(u8::from(self.scrape.up()));
        for (name, description, value) in [
            ("up", "The scraping was successful", up),
            (
                "scrape_duration_seconds",
                "Duration of the scrape",
                self.took.as_secs_f64(),
            ),
            (
                "scrape_samples_scraped",
                "The number of samples the target exposed",
                counts.scraped as f64,
            ),
            (
                "scrape_samples_post_metric_relabeling",
                "The number of samples remaining after metric relabeling was applied",
                counts.kept as f64,
            ),
            (
                "scrape_series_added",
                "The approximate number of new series in this scrape",
                counts.added as f64,
            ),
        ] {
            self.gauge(out, name, description, PointNumber::Double(value));
        }
    }

    fn counts(&self) -> ScrapeCounts {
        self.scrape.counts.unwrap_or(ScrapeCounts {
            scraped: self.samples,
            kept: self.samples,
            added: 0,
        })
    }

    fn gauge(&self, out: &mut MetricsWriter, name: &str, description: &str, value: PointNumber) {
        let descriptor = MetricDescriptor {
            name,
            unit: "",
            description,
        };
        out.metric(MetricKind::Gauge, descriptor);
        out.number(NumberPointData {
            attributes: &attributes(self.labels).collect::<Vec<_>>(),
            start: None,
            time: self.time,
            value: Some(value),
        });
    }

    /// Writes a counter with a series for each reason; nothing if there is no reason.
    fn by_reason(
        &self,
        out: &mut MetricsWriter,
        name: &str,
        description: &str,
        counts: impl Iterator<Item = (&'static str, u64)>,
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
            let reason: Attribute<'_> = ("reason", reason.into());
            let attributes: Vec<_> = attributes(self.labels).chain([reason]).collect();
            out.number(NumberPointData {
                attributes: &attributes,
                start: Some(self.failures.start),
                time: self.time,
                value: Some(PointNumber::count(count)),
            });
        }
    }
}
