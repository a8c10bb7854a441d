//! Writes what a page has shown, once all of it was read.

use std::collections::HashSet;

use crate::exposition::canonical;
use crate::exposition::read::PageExemplar;
use crate::pdata::view::Value;
use crate::pdata::writer::{
    EncodedAttributes, HistogramData, MetricKind, MetricsWriter, PointHead, SummaryData,
};

use super::exemplars::taken;
use super::families::PointPart;
use super::opener::Opener;
use super::pending::{PendingDistribution, PendingDistributions};
use super::{PageCounts, ScrapedTarget, ScrapedValue, nanos, release, start};

impl ScrapedTarget {
    /// Writes the ends of what the page doesn't have any more, and its values. The ends come
    /// first: a name may be that of another kind of metric now.
    pub(super) fn write(
        &mut self,
        exemplars: &[PageExemplar<'_>],
        at: i64,
        counts: &mut PageCounts,
        out: &mut MetricsWriter,
    ) {
        let mut values = std::mem::take(&mut self.values);
        if self.points.resources() > 1 {
            let points = &self.points;
            values.sort_by_key(|value| {
                let metric = points.get(value.point).map(|point| point.metric);
                metric
                    .and_then(|id| points.metric(id))
                    .map(|metric| metric.resource)
            });
        }
        self.note_created(&values);
        let page = self.page;
        let mut opener = Opener::default();
        let points = &mut self.points;
        self.cache.turn(page, |home| release(points, home));
        counts.ended = self.end_orphans(&values, at, &mut opener, out);
        let mut distributions = PendingDistributions::default();
        for value in &values {
            let Some(point) = self.points.get_mut(value.point) else {
                continue;
            };
            if value.part != PointPart::Whole {
                distributions.add(value, page, &mut point.pending, counts);
                continue;
            }
            if point.page == page && value.tracked {
                // Two series of the page have become the same.
                counts.duplicates += 1;
                continue;
            }
            (point.page, point.live) = (page, value.tracked);
            let of_series = point.created;
            let created = value
                .created
                .or_else(|| (of_series.0 == page).then_some(of_series.1));
            let metric = point.metric;
            opener.metric(self, metric, out);
            let Some(point) = self.points.get(value.point) else {
                continue;
            };
            let measured = taken(exemplars, value.exemplars, value.time);
            let head = PointHead {
                attributes: &point.attributes,
                start: start(created),
                time: nanos(value.time),
                exemplars: &measured,
            };
            match &value.native {
                Some(native) => out.encoded_exponential(head, Some(native.data())),
                None => out.encoded_number(head, Some(value.value)),
            }
        }
        for distribution in distributions.into_list() {
            self.write_distribution(distribution, exemplars, &mut opener, counts, out);
        }
        self.families.forget(page);
        values.clear();
        self.values = values;
    }

    /// The start times of counters, which are series of their own behind them.
    fn note_created(&mut self, values: &[ScrapedValue]) {
        for value in values {
            if value.part == PointPart::Created
                && let Some(point) = self.points.get_mut(value.point)
            {
                point.created = (self.page, (value.value * 1000.0) as i64);
            }
        }
    }

    fn write_distribution(
        &mut self,
        mut pending: PendingDistribution,
        exemplars: &[PageExemplar<'_>],
        opener: &mut Opener,
        counts: &mut PageCounts,
        out: &mut MetricsWriter,
    ) {
        let Some(point) = self.points.get(pending.point) else {
            return;
        };
        let metric = point.metric;
        let Some(kind) = self.points.metric(metric).map(|metric| metric.kind) else {
            return;
        };
        if kind == MetricKind::Counter {
            // Nothing but the start time.
            return;
        }
        counts.duplicates += pending.sort();
        let together = match kind {
            MetricKind::Histogram => pending.is_histogram(),
            _ => pending.is_summary(),
        };
        // What the last page had in the other form ends, and so do parts that aren't there again.
        if point.live && point.apart.is_empty() && !together {
            counts.ended += self.write_end(pending.point, pending.time, opener, out);
        } else if point.live {
            let gone = |part: &PointPart| together || pending.value(*part).is_none();
            let gone: Vec<PointPart> = point.apart.iter().copied().filter(gone).collect();
            self.write_parts(pending.point, &gone, None, pending.time, opener, out);
            counts.ended += gone.len() as u64;
        }
        let mut measured = Vec::new();
        for range in &pending.exemplars {
            measured.extend(taken(exemplars, *range, pending.time));
        }
        if together {
            opener.metric(self, metric, out);
        }
        let page = self.page;
        let Some(point) = self.points.get_mut(pending.point) else {
            return;
        };
        (point.page, point.live) = (page, pending.tracked);
        point.apart.clear();
        if !together {
            let parts = pending.said(kind);
            let (id, time) = (pending.point, pending.time);
            self.write_parts(id, &parts, Some(&pending), time, opener, out);
            if let Some(point) = self.points.get_mut(id) {
                point.apart = parts;
            }
            return;
        }
        let head = PointHead {
            attributes: &point.attributes,
            start: start(pending.created),
            time: nanos(pending.time),
            exemplars: &measured,
        };
        if kind == MetricKind::Histogram {
            let (count, bounds, buckets) = pending.buckets();
            let data = HistogramData {
                count,
                sum: pending.sum,
                bounds: &bounds,
                buckets: &buckets,
            };
            out.encoded_histogram(head, Some(data));
        } else {
            let data = SummaryData {
                count: pending.count.unwrap_or_default() as u64,
                sum: pending.sum.unwrap_or_default(),
                quantiles: &pending.parts,
            };
            out.encoded_summary(head, Some(data));
        }
    }

    /// Writes parts of a point as gauges, or ends them.
    fn write_parts(
        &self,
        point: usize,
        parts: &[PointPart],
        pending: Option<&PendingDistribution>,
        time: i64,
        opener: &mut Opener,
        out: &mut MetricsWriter,
    ) {
        let Some(point) = self.points.get(point) else {
            return;
        };
        let Some(metric) = self.points.metric(point.metric) else {
            return;
        };
        let own: Vec<(&str, &str)> = point
            .attributes
            .read(metric.kind)
            .iter()
            .filter_map(|attribute| match attribute.value {
                Value::Str(text) => Some((attribute.key, text)),
                _ => None,
            })
            .collect();
        for part in parts {
            let (suffix, label) = match part {
                PointPart::Whole => ("", None),
                PointPart::Count => ("_count", None),
                PointPart::Sum => ("_sum", None),
                PointPart::Created => ("_created", None),
                PointPart::Bucket(bound) => ("_bucket", Some(("le", canonical(*bound)))),
                PointPart::Quantile(at) => ("", Some(("quantile", canonical(*at)))),
            };
            let label = label.as_ref().map(|(name, text)| (*name, text.as_str()));
            let attributes =
                EncodedAttributes::new(MetricKind::Gauge, own.iter().copied().chain(label));
            opener.lone(
                self,
                metric.resource,
                format!("{}{suffix}", metric.name),
                out,
            );
            let head = PointHead {
                attributes: &attributes,
                start: 0,
                time: nanos(time),
                exemplars: &[],
            };
            out.encoded_number(head, pending.and_then(|pending| pending.value(*part)));
        }
    }

    /// Ends the points that have no series any more. Returns how many were live.
    fn end_orphans(
        &mut self,
        values: &[ScrapedValue],
        at: i64,
        opener: &mut Opener,
        out: &mut MetricsWriter,
    ) -> u64 {
        let orphans = self.points.take_orphans();
        if orphans.is_empty() {
            return 0;
        }
        // If the page itself says something else of a family later on, a point has lost its series
        // and has a value. It ends with the next page.
        let shown: HashSet<usize> = values.iter().map(|value| value.point).collect();
        let (later, mut orphans): (Vec<_>, Vec<_>) =
            orphans.into_iter().partition(|id| shown.contains(id));
        self.points.put_orphans(later);
        orphans.sort_by_key(|id| self.points.get(*id).map(|point| point.metric));
        let mut ended = 0;
        for id in orphans {
            ended += self.write_end(id, at, opener, out);
            self.points.remove(id);
        }
        ended
    }

    /// Ends every live point. Returns how many there were.
    pub(super) fn end_all(&mut self, at: i64, out: &mut MetricsWriter) -> u64 {
        let live = self.points.iter_mut().filter(|(_, point)| point.live);
        let mut live: Vec<(usize, usize)> = live.map(|(id, point)| (point.metric, id)).collect();
        live.sort_unstable();
        let mut opener = Opener::default();
        let mut ended = 0;
        for (_, id) in live {
            ended += self.write_end(id, at, &mut opener, out);
        }
        // What had no series any more had waited for its end.
        for id in self.points.take_orphans() {
            self.points.remove(id);
        }
        ended
    }

    fn write_end(
        &mut self,
        id: usize,
        at: i64,
        opener: &mut Opener,
        out: &mut MetricsWriter,
    ) -> u64 {
        let Some(point) = self.points.get_mut(id).filter(|point| point.live) else {
            return 0;
        };
        point.live = false;
        if !point.apart.is_empty() {
            let parts = std::mem::take(&mut point.apart);
            self.write_parts(id, &parts, None, at, opener, out);
            return parts.len() as u64;
        }
        let metric = point.metric;
        let Some(kind) = opener.metric(self, metric, out) else {
            return 0;
        };
        let Some(point) = self.points.get(id) else {
            return 0;
        };
        let head = PointHead {
            attributes: &point.attributes,
            start: 0,
            time: nanos(at),
            exemplars: &[],
        };
        match kind {
            MetricKind::Gauge | MetricKind::Counter | MetricKind::UpDownCounter => {
                out.encoded_number(head, None);
            }
            MetricKind::Histogram => out.encoded_histogram(head, None),
            MetricKind::ExponentialHistogram => out.encoded_exponential(head, None),
            MetricKind::Summary => out.encoded_summary(head, None),
        }
        1
    }
}
