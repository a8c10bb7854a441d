//! Distributions whose parts come one by one.

use std::collections::HashMap;

use crate::pdata::writer::MetricKind;

use super::families::PointPart;
use super::{PageCounts, ScrapedValue};

/// The distributions of a page: of each OTLP series one for every time that its parts have.
#[derive(Debug, Default)]
pub(super) struct PendingDistributions {
    list: Vec<PendingDistribution>,
    /// Where those are of whose point another time came since, by point and time.
    earlier: HashMap<(usize, i64), usize, foldhash::fast::RandomState>,
}

impl PendingDistributions {
    /// Takes a part. `last` is where the part of the same point before it went, with its page.
    pub(super) fn add(
        &mut self,
        value: &ScrapedValue,
        page: u32,
        last: &mut (u32, usize),
        counts: &mut PageCounts,
    ) {
        let open = self.list.get(last.1).filter(|_| last.0 == page);
        let known = match open {
            Some(open) if open.time == value.time => Some(last.1),
            Some(open) => {
                self.earlier.insert((value.point, open.time), last.1);
                self.earlier.get(&(value.point, value.time)).copied()
            }
            None => None,
        };
        let at = known.unwrap_or(self.list.len());
        if known.is_none() {
            self.list.push(PendingDistribution::new(value));
        }
        *last = (page, at);
        if let Some(pending) = self.list.get_mut(at) {
            pending.add(value, counts);
        }
    }

    /// All of them, in the order in which their first parts came.
    pub(super) fn into_list(self) -> Vec<PendingDistribution> {
        self.list
    }
}

/// A distribution whose parts are collected.
#[derive(Debug)]
pub(super) struct PendingDistribution {
    pub(super) point: usize,
    pub(super) time: i64,
    pub(super) count: Option<f64>,
    pub(super) sum: Option<f64>,
    /// Bounds with what is below them, or quantiles with their values.
    pub(super) parts: Vec<(f64, f64)>,
    /// Milliseconds since the Unix epoch.
    pub(super) created: Option<i64>,
    /// Which exemplars of the page its parts have.
    pub(super) exemplars: Vec<(usize, usize)>,
    pub(super) tracked: bool,
}

impl PendingDistribution {
    fn new(value: &ScrapedValue) -> Self {
        Self {
            point: value.point,
            time: value.time,
            count: None,
            sum: None,
            parts: Vec::new(),
            created: value.created,
            exemplars: Vec::new(),
            tracked: value.tracked,
        }
    }

    fn add(&mut self, value: &ScrapedValue, counts: &mut PageCounts) {
        let number = value.value;
        match value.part {
            PointPart::Whole => {}
            PointPart::Count | PointPart::Sum => {
                let place = match value.part {
                    PointPart::Count => &mut self.count,
                    _ => &mut self.sum,
                };
                if place.is_some() {
                    // Two series of the page have become the same.
                    counts.duplicates += 1;
                    return;
                }
                *place = Some(number);
            }
            PointPart::Bucket(at) | PointPart::Quantile(at) => self.parts.push((at, number)),
            PointPart::Created => self.created = Some((number * 1000.0) as i64),
        }
        if value.exemplars.0 < value.exemplars.1 {
            self.exemplars.push(value.exemplars);
        }
    }

    /// Sorts the parts, and leaves the first of those that are the same. Returns how many others
    /// there were.
    pub(super) fn sort(&mut self) -> u64 {
        if self.parts.is_sorted_by(|a, b| a.0 < b.0) {
            return 0;
        }
        self.parts.sort_by(|a, b| a.0.total_cmp(&b.0));
        let before = self.parts.len();
        self.parts.dedup_by(|b, a| a.0 == b.0);
        (before - self.parts.len()) as u64
    }

    /// How many observations there are: what the infinite bucket says, or else the count. Where
    /// they differ, the page was made while something was observed, and the other buckets are of
    /// the same kind.
    pub(super) fn total(&self) -> Option<f64> {
        let infinite = self
            .parts
            .last()
            .filter(|(bound, _)| *bound == f64::INFINITY);
        infinite.map(|(_, below)| *below).or(self.count)
    }

    /// Whether a histogram says the same: whole counts that never fall, and how many there are.
    pub(super) fn is_histogram(&self) -> bool {
        let Some(total) = self.total().filter(|total| is_count(*total)) else {
            return false;
        };
        let mut below = 0.0;
        self.parts.iter().all(|(bound, count)| {
            let rises = is_count(*count) && *count >= below && *count <= total;
            below = *count;
            rises && *bound > f64::NEG_INFINITY
        })
    }

    /// Whether a summary says the same: it has a whole count and a sum.
    pub(super) fn is_summary(&self) -> bool {
        self.count.is_some_and(is_count) && self.sum.is_some()
    }

    /// The count, the finite bounds, and the observations per bucket.
    pub(super) fn buckets(&self) -> (u64, Vec<f64>, Vec<u64>) {
        let total = self.total().unwrap_or_default() as u64;
        let finite = self.parts.iter().filter(|(bound, _)| bound.is_finite());
        let (mut bounds, mut buckets) = (Vec::new(), Vec::new());
        let mut below = 0;
        for (bound, count) in finite {
            let count = *count as u64;
            bounds.push(*bound);
            buckets.push(count - below);
            below = count;
        }
        buckets.push(total - below);
        (total, bounds, buckets)
    }

    /// The parts that there are.
    pub(super) fn said(&self, kind: MetricKind) -> Vec<PointPart> {
        let mut said = Vec::with_capacity(self.parts.len() + 3);
        said.extend(self.count.map(|_| PointPart::Count));
        said.extend(self.sum.map(|_| PointPart::Sum));
        said.extend(self.created.map(|_| PointPart::Created));
        said.extend(self.parts.iter().map(|(at, _)| match kind {
            MetricKind::Histogram => PointPart::Bucket(*at),
            _ => PointPart::Quantile(*at),
        }));
        said
    }

    /// What a part has.
    pub(super) fn value(&self, part: PointPart) -> Option<f64> {
        match part {
            PointPart::Whole => None,
            PointPart::Count => self.count,
            PointPart::Sum => self.sum,
            PointPart::Created => self.created.map(|millis| millis as f64 / 1000.0),
            PointPart::Bucket(at) | PointPart::Quantile(at) => {
                let found = self
                    .parts
                    .binary_search_by(|(found, _)| found.total_cmp(&at));
                self.parts.get(found.ok()?).map(|(_, value)| *value)
            }
        }
    }
}

/// Whether a number can be a count of observations.
fn is_count(number: f64) -> bool {
    (0.0..18_446_744_073_709_551_616.0).contains(&number) && number.fract() == 0.0
}
