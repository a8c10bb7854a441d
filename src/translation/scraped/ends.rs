//! Ends what isn't shown any more, with tombstones.

use std::collections::HashSet;

use crate::pdata::writer::{MetricKind, MetricsWriter, PointHead};

use super::opener::Opener;
use super::pending::PendingDistribution;
use super::{ScrapedTarget, ScrapedValue, nanos};

impl ScrapedTarget {
    /// Ends the points that a page has left without a value. Returns how many were live.
    pub(super) fn write_ends(
        &mut self,
        values: &[ScrapedValue],
        distributions: &[PendingDistribution],
        at: i64,
        opener: &mut Opener,
        out: &mut MetricsWriter,
    ) -> u64 {
        let mut ended = 0;
        for distribution in distributions {
            let point = self.points.get(distribution.point);
            // Its parts have come apart; at every time, if there are several.
            if distribution.apart.is_some() && point.is_some_and(|point| point.page != self.page) {
                ended += self.write_end(distribution.point, at, opener, out);
            }
        }
        let mut later = Vec::new();
        loop {
            let orphans = self.points.take_orphans();
            if orphans.is_empty() {
                break;
            }
            // If the page itself says something else of a family later on, a point has lost its
            // series and has a value. It ends with the next page.
            let all: HashSet<usize> = orphans.iter().copied().collect();
            let parts = distributions
                .iter()
                .filter_map(|distribution| distribution.apart.as_ref());
            let parts = parts.flatten().map(|(point, _)| *point);
            let shown: HashSet<usize> = values
                .iter()
                .map(|value| value.point)
                .chain(parts)
                .filter(|point| all.contains(point))
                .collect();
            let (kept, mut gone): (Vec<_>, Vec<_>) =
                orphans.into_iter().partition(|id| shown.contains(id));
            later.extend(kept);
            gone.sort_by_key(|id| self.points.get(*id).map(|point| point.metric));
            for id in gone {
                ended += self.write_end(id, at, opener, out);
                // The points of its parts may be orphans now.
                self.points.remove(id);
            }
        }
        self.points.put_orphans(later);
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
        // What nobody held any more had waited for its end.
        self.points.drop_unborn();
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
