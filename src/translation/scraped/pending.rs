//! Distributions whose parts come one by one.

use std::collections::HashMap;

use crate::exposition::canonical;
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
            // A start holds for every time; mostly none is said with it.
            Some(open) if open.time == value.time || value.part == PointPart::Created => {
                Some(last.1)
            }
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
    /// The series that says when the counting began, in seconds since the Unix epoch.
    created: Option<f64>,
    /// When the counting began, in milliseconds since the Unix epoch, if its parts say it.
    pub(super) start: Option<i64>,
    /// Which exemplars of the page its parts have.
    pub(super) exemplars: Vec<(usize, usize)>,
    pub(super) tracked: bool,
    /// The points of its parts with their values, if they are no distribution together.
    pub(super) apart: Option<Vec<(usize, f64)>>,
}

impl PendingDistribution {
    fn new(value: &ScrapedValue) -> Self {
        Self {
            point: value.point,
            time: value.time,
            count: None,
            sum: None,
            parts: Vec::new(),
            created: None,
            start: value.created,
            exemplars: Vec::new(),
            tracked: value.tracked,
            apart: None,
        }
    }

    fn add(&mut self, value: &ScrapedValue, counts: &mut PageCounts) {
        let place = match value.part {
            PointPart::Whole => return,
            PointPart::Count => Some(&mut self.count),
            PointPart::Sum => Some(&mut self.sum),
            PointPart::Created => Some(&mut self.created),
            PointPart::Bucket(at) | PointPart::Quantile(at) => {
                self.parts.push((at, value.value));
                None
            }
        };
        if let Some(place) = place {
            if place.is_some() {
                // Two series of the page have become the same.
                counts.duplicates += 1;
                return;
            }
            *place = Some(value.value);
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

    /// Whether OTLP has such a distribution, once the parts are sorted.
    pub(super) fn is_whole(&self, kind: MetricKind) -> bool {
        match kind {
            MetricKind::Histogram => self.is_histogram(),
            _ => self.is_summary(),
        }
    }

    /// How many observations there are: what the infinite bucket says, or else the count. Where
    /// they differ, the page was made while something was observed, and the other buckets are of
    /// the same kind.
    fn total(&self) -> Option<f64> {
        let infinite = self
            .parts
            .last()
            .filter(|(bound, _)| *bound == f64::INFINITY);
        infinite.map(|(_, below)| *below).or(self.count)
    }

    /// Whether a histogram says the same: whole counts that never fall, and how many there are.
    fn is_histogram(&self) -> bool {
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
    fn is_summary(&self) -> bool {
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

    /// Its parts as series of their own: what each name has behind that of the metric, the label
    /// that tells it from others of this name, and its value.
    pub(super) fn series(&self, kind: MetricKind) -> Vec<SeriesOfPart> {
        let alone = |suffix, value: Option<f64>| Some((suffix, None, value?));
        let counts = [
            alone("_count", self.count),
            alone("_sum", self.sum),
            alone("_created", self.created),
        ];
        let (suffix, name) = match kind {
            MetricKind::Histogram => ("_bucket", "le"),
            _ => ("", "quantile"),
        };
        let parts = self.parts.iter();
        let parts = parts.map(|(at, value)| (suffix, Some((name, canonical(*at))), *value));
        counts.into_iter().flatten().chain(parts).collect()
    }
}

/// Suffix, label and value.
type SeriesOfPart = (&'static str, Option<(&'static str, String)>, f64);

/// Whether a number can be a count of observations.
fn is_count(number: f64) -> bool {
    (0.0..18_446_744_073_709_551_616.0).contains(&number) && number.fract() == 0.0
}
