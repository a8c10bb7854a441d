//! Writes what a page has shown, once all of it was read.

use std::rc::Rc;

use crate::exposition::read::PageExemplar;
use crate::pdata::view::Value;
use crate::pdata::writer::{
    EncodedAttributes, HistogramData, MetricKind, MetricsWriter, PointHead, SummaryData,
};

use super::exemplars::taken;
use super::families::{PointPart, SeriesMeaning};
use super::opener::Opener;
use super::pending::{PendingDistribution, PendingDistributions};
use super::{PageCounts, ScrapedTarget, ScrapedValue, nanos, release, start};

/// A part as a series of its own, with its value.
type PartSeries = (Rc<SeriesMeaning<'static>>, EncodedAttributes, f64);

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
        let points = &mut self.points;
        self.cache.turn(self.page, |home| release(points, home));
        let distributions = self.distributions(&values, counts);
        let mut opener = Opener::default();
        counts.ended = self.write_ends(&values, &distributions, at, &mut opener, out);
        for value in &values {
            if value.part == PointPart::Whole {
                self.write_value(value, exemplars, &mut opener, counts, out);
            }
        }
        for distribution in &distributions {
            match &distribution.apart {
                Some(parts) => {
                    for (point, value) in parts {
                        let value = ScrapedValue {
                            point: *point,
                            part: PointPart::Whole,
                            value: *value,
                            time: distribution.time,
                            created: None,
                            exemplars: (0, 0),
                            native: None,
                            tracked: distribution.tracked,
                        };
                        self.write_value(&value, exemplars, &mut opener, counts, out);
                    }
                }
                None => self.write_distribution(distribution, exemplars, &mut opener, out),
            }
        }
        self.families.forget(self.page);
        values.clear();
        self.values = values;
    }

    /// Puts together what belongs together, and notes the start times. Parts that together are
    /// nothing that OTLP has become points of their own.
    fn distributions(
        &mut self,
        values: &[ScrapedValue],
        counts: &mut PageCounts,
    ) -> Vec<PendingDistribution> {
        let mut pending = PendingDistributions::default();
        // They hold for what other series say, and may stand before those.
        let mut starts = Vec::new();
        for value in values {
            match value.part {
                PointPart::Whole => {}
                PointPart::Created => starts.push(value),
                _ => {
                    if let Some(point) = self.points.get_mut(value.point) {
                        let last = &mut point.parts_mut().pending;
                        pending.add(value, self.page, last, counts);
                    }
                }
            }
        }
        for value in starts {
            let kind = self.points.kind(value.point);
            let Some(point) = self.points.get_mut(value.point) else {
                continue;
            };
            let parts = point.parts_mut();
            if parts.created.0 == self.page {
                counts.duplicates += 1;
                continue;
            }
            parts.created = (self.page, (value.value * 1000.0) as i64);
            // Of a counter nothing else may be there.
            if kind != Some(MetricKind::Counter) {
                pending.add(value, self.page, &mut parts.pending, counts);
            }
        }
        let mut distributions = pending.into_list();
        for distribution in &mut distributions {
            counts.duplicates += distribution.sort();
            self.set_apart(distribution);
        }
        distributions
    }

    /// Makes points of the parts, if the distribution is none that OTLP has.
    fn set_apart(&mut self, distribution: &mut PendingDistribution) {
        let id = distribution.point;
        let Some(kind) = self.points.kind(id) else {
            return;
        };
        if distribution.is_whole(kind) {
            if let Some(point) = self.points.get_mut(id) {
                point.page = self.page;
            }
            self.points.set_apart(id, Vec::new());
            return;
        }
        let mut parts = Vec::new();
        if let Some((resource, series)) = self.series_of(distribution, kind) {
            for (meaning, attributes, value) in series {
                let part = self
                    .points
                    .point_of(resource, &meaning, attributes.as_bytes());
                parts.push((part, value));
            }
        }
        let points = parts.iter().map(|(point, _)| *point).collect();
        self.points.set_apart(id, points);
        distribution.apart = Some(parts);
    }

    /// The parts of a distribution as series of its resource.
    fn series_of(
        &self,
        distribution: &PendingDistribution,
        kind: MetricKind,
    ) -> Option<(usize, Vec<PartSeries>)> {
        let point = self.points.get(distribution.point)?;
        let metric = self.points.metric(point.metric)?;
        let own = point.attributes.read(kind);
        let own = own.iter().filter_map(|attribute| match attribute.value {
            Value::Str(text) => Some((attribute.key, text)),
            _ => None,
        });
        let own: Vec<(&str, &str)> = own.collect();
        let mut named: Option<(&str, Rc<SeriesMeaning<'static>>)> = None;
        let series = distribution.series(kind).into_iter();
        let series = series.map(|(suffix, label, value)| {
            let label = label.as_ref().map(|(name, text)| (*name, text.as_str()));
            // In its place, as it is in a series that never was a part.
            let before = label.map_or(0, |(name, _)| own.partition_point(|own| own.0 < name));
            let (before, after) = own.split_at(before);
            let attributes = before
                .iter()
                .copied()
                .chain(label)
                .chain(after.iter().copied());
            let attributes = EncodedAttributes::new(MetricKind::Gauge, attributes);
            let meaning = match named.take() {
                Some((known, meaning)) if known == suffix => meaning,
                _ => Rc::new(SeriesMeaning::alone(format!("{}{suffix}", metric.name))),
            };
            named = Some((suffix, Rc::clone(&meaning)));
            (meaning, attributes, value)
        });
        Some((metric.resource, series.collect()))
    }

    /// Writes a point of one value.
    #[inline]
    fn write_value(
        &mut self,
        value: &ScrapedValue,
        exemplars: &[PageExemplar<'_>],
        opener: &mut Opener,
        counts: &mut PageCounts,
        out: &mut MetricsWriter,
    ) {
        let page = self.page;
        let Some(point) = self.points.get_mut(value.point) else {
            return;
        };
        if point.page == page && value.tracked {
            // Two series of the page have become the same.
            counts.duplicates += 1;
            return;
        }
        (point.page, point.live) = (page, value.tracked);
        let metric = point.metric;
        opener.metric(self, metric, out);
        let Some(point) = self.points.get(value.point) else {
            return;
        };
        let measured = taken(exemplars, value.exemplars, value.time);
        let head = PointHead {
            attributes: &point.attributes,
            start: start(value.created.or(point.created_on(page))),
            time: nanos(value.time),
            exemplars: &measured,
        };
        match &value.native {
            Some(native) => out.encoded_exponential(head, Some(native.data())),
            None => out.encoded_number(head, Some(value.value)),
        }
    }

    fn write_distribution(
        &mut self,
        distribution: &PendingDistribution,
        exemplars: &[PageExemplar<'_>],
        opener: &mut Opener,
        out: &mut MetricsWriter,
    ) {
        let Some(point) = self.points.get_mut(distribution.point) else {
            return;
        };
        point.live = distribution.tracked;
        let metric = point.metric;
        let kind = opener.metric(self, metric, out);
        let Some(point) = self.points.get(distribution.point) else {
            return;
        };
        let ranges = distribution.exemplars.iter();
        let measured = ranges.flat_map(|range| taken(exemplars, *range, distribution.time));
        let measured: Vec<_> = measured.collect();
        let head = PointHead {
            attributes: &point.attributes,
            start: start(distribution.start.or(point.created_on(self.page))),
            time: nanos(distribution.time),
            exemplars: &measured,
        };
        if kind == Some(MetricKind::Histogram) {
            let (count, bounds, buckets) = distribution.buckets();
            let data = HistogramData {
                count,
                sum: distribution.sum,
                bounds: &bounds,
                buckets: &buckets,
            };
            out.encoded_histogram(head, Some(data));
        } else {
            let data = SummaryData {
                count: distribution.count.unwrap_or_default() as u64,
                sum: distribution.sum.unwrap_or_default(),
                quantiles: &distribution.parts,
            };
            out.encoded_summary(head, Some(data));
        }
    }
}
