//! Aggregations that pick some of the series at each time: topk, bottomk, limitk and
//! limit_ratio.

use std::cmp::Ordering;
use std::hash::BuildHasher;

use super::super::eval::{Evaluation, Scalars, StrandSink};
use super::super::expression::{Aggregation, Aggregator, Expression};
use super::super::functions::{larger, smaller};
use super::super::grid::StepGrid;
use super::super::meter::Meter;
use super::super::strand::Strand;
use super::super::text::general;
use super::super::{LabelSet, QueryError};
use super::groups::Groups;

impl<'e> Evaluation<'e> {
    pub(super) fn pick(
        &self,
        aggregation: &Aggregation,
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let by = aggregation.by;
        let parameter = aggregation.parameter.as_ref();
        let parameter = self.scalars(parameter.unwrap_or(&Expression::Number(0.0)), grid)?;
        let matrix = self.collect(&aggregation.of, grid)?;
        if matrix.strands.is_empty() && !matches!(by, Aggregator::LimitRatio) {
            // Nothing to pick from; the parameter is looked at all the same.
            self.wants_any(by, &parameter, grid)?;
            return Ok(());
        }
        if !self.wants_any(by, &parameter, grid)? {
            return Ok(());
        }
        let mut groups = Groups::new(self.meter, &aggregation.grouping);
        let mut members: Vec<Vec<usize>> = Vec::new();
        for (at, strand) in matrix.strands.iter().enumerate() {
            let (place, labels) = groups.place(strand.labels())?;
            members.extend(labels.map(|_| Vec::new()));
            members[place].push(at);
        }
        // At most every value is picked, and each is noted by its step.
        let values: usize = matrix.strands.iter().map(Strand::samples).sum();
        let lists = matrix
            .strands
            .len()
            .saturating_mul(size_of::<Vec<usize>>() * 4);
        let places = values.saturating_mul(2 * size_of::<usize>());
        let _room = self.meter.charge(0, places.saturating_add(lists))?;
        let shares = match by {
            Aggregator::LimitRatio => self.shares(&matrix.strands)?,
            _ => Vec::new(),
        };
        let mut picker = Picker {
            strands: &matrix.strands,
            shares,
            picked: vec![Vec::new(); matrix.strands.len()],
            order: Vec::new(),
        };
        for step in 0..grid.steps {
            self.meter.work(matrix.strands.len())?;
            for group in &members {
                match by {
                    Aggregator::LimitRatio => picker.share(group, step, parameter.at(step)),
                    Aggregator::LimitK => picker.first(group, step, parameter.at(step)),
                    _ => {
                        let largest = by == Aggregator::TopK;
                        if picker.extreme(group, step, parameter.at(step), largest) {
                            self.notes.ignored_in_aggregation(by.as_str());
                        }
                    }
                }
            }
        }
        picker.finish(self.meter, grid, sink)
    }

    /// Where each series lies between 0 and 1.
    fn shares(&self, strands: &[Strand<'_>]) -> Result<Vec<f64>, QueryError> {
        let share = |strand: &Strand<'_>| {
            self.meter.work(strand.labels().work())?;
            Ok(share_of(strand.labels()))
        };
        strands.iter().map(share).collect()
    }

    /// Checks the parameter, and says whether anything is to be picked at all.
    fn wants_any(
        &self,
        by: Aggregator,
        parameter: &Scalars,
        grid: &StepGrid,
    ) -> Result<bool, QueryError> {
        let (mut least, mut most, mut any_nan) = (f64::MAX, -f64::MAX, false);
        for value in parameter.each(grid.steps) {
            least = smaller(least, value);
            most = larger(most, value);
            any_nan |= value.is_nan();
        }
        if by == Aggregator::LimitRatio {
            return self.wants_share(least, most, any_nan);
        }
        if most < 1.0 {
            return Ok(false);
        }
        let refused = |why: String| Err(QueryError::execution(why));
        if any_nan {
            return refused("Parameter value is NaN".to_owned());
        }
        if least <= i64::MIN as f64 {
            return refused(format!("Scalar value {} underflows int64", general(least)));
        }
        if most >= i64::MAX as f64 {
            return refused(format!("Scalar value {} overflows int64", general(most)));
        }
        Ok(true)
    }

    fn wants_share(&self, least: f64, most: f64, any_nan: bool) -> Result<bool, QueryError> {
        if most == 0.0 && least == 0.0 {
            return Ok(false);
        }
        if any_nan {
            return Err(QueryError::execution("Ratio value is NaN"));
        }
        for (outside, ratio, end) in [(most > 1.0, most, 1), (least < -1.0, least, -1)] {
            if outside {
                let ratio = general(ratio);
                self.notes.warn(format_args!(
                    "ratio value should be between -1 and 1, got {ratio}, capping to {end}"
                ));
            }
        }
        Ok(true)
    }
}

struct Picker<'s> {
    strands: &'s [Strand<'s>],
    /// For each series where it lies between 0 and 1, if that is asked for.
    shares: Vec<f64>,
    /// For each series the steps at which it was picked.
    picked: Vec<Vec<usize>>,
    /// The series in the order in which they were picked.
    order: Vec<usize>,
}

impl Picker<'_> {
    fn take(&mut self, at: usize, step: usize) {
        if self.picked[at].is_empty() {
            self.order.push(at);
        }
        self.picked[at].push(step);
    }

    /// The first k that have a value.
    fn first(&mut self, group: &[usize], step: usize, k: f64) {
        let present = group.iter().filter(|at| self.strands[**at].has(step));
        let some: Vec<usize> = present.take(how_many(k)).copied().collect();
        for at in some {
            self.take(at, step);
        }
    }

    /// The series whose share of the hashes is below the ratio, or above what a negative
    /// one leaves.
    fn share(&mut self, group: &[usize], step: usize, ratio: f64) {
        for at in group {
            let share = self.shares[*at];
            let wanted = if ratio >= 0.0 {
                share < ratio
            } else {
                share >= 1.0 + ratio.max(-1.0)
            };
            if wanted && self.strands[*at].has(step) {
                self.take(*at, step);
            }
        }
    }

    /// The k largest or smallest floats, NaN after all others. Gives back whether there
    /// were histograms, which have no size.
    fn extreme(&mut self, group: &[usize], step: usize, k: f64, largest: bool) -> bool {
        let k = how_many(k);
        let mut heap = Heap::new(largest);
        let mut histograms = false;
        for at in group {
            let strand = &self.strands[*at];
            match strand.float(step) {
                Some(value) if k > 0 => heap.offer(value, *at, k),
                Some(_) => {}
                None => histograms |= k > 0 && strand.histogram(step).is_some(),
            }
        }
        for at in heap.into_sorted() {
            self.take(at, step);
        }
        histograms
    }

    fn finish<'e>(
        self,
        meter: &'e Meter<'e>,
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        for at in self.order {
            let strand = &self.strands[at];
            let mut result = Strand::new(meter, strand.labels().clone())?;
            for step in &self.picked[at] {
                if let Some(value) = strand.value(*step) {
                    result.put(grid.steps, *step, value)?;
                }
            }
            sink(result)?;
        }
        Ok(())
    }
}

/// As many as a number says, its fraction cut off.
fn how_many(k: f64) -> usize {
    k.max(0.0) as usize
}

/// Where a series lies between 0 and 1. Stable: it depends on the labels alone.
fn share_of(labels: &LabelSet) -> f64 {
    const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
    let hasher = foldhash::quality::FixedState::with_seed(SEED);
    let hash = hasher.hash_one(labels);
    // The 53 bits that a float holds exactly.
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

/// A heap with the worst of the picked at its root. Which of two equal ones leaves it
/// first is the order of Go's `container/heap`, so that ties are broken as in Prometheus.
struct Heap {
    items: Vec<(f64, usize)>,
    largest: bool,
}

impl Heap {
    fn new(largest: bool) -> Self {
        Self {
            items: Vec::new(),
            largest,
        }
    }

    fn worse(&self, a: f64, b: f64) -> bool {
        a.is_nan() || if self.largest { a < b } else { a > b }
    }

    fn offer(&mut self, value: f64, at: usize, k: usize) {
        // Go's topk begins a bottomk's heap as one of topk, which is the same of one.
        if self.items.len() < k {
            self.items.push((value, at));
            self.up(self.items.len() - 1);
            return;
        }
        let root = self.items[0].0;
        let better = if self.largest {
            root < value
        } else {
            root > value
        };
        if better || (root.is_nan() && !value.is_nan()) {
            self.items[0] = (value, at);
            self.down();
        }
    }

    fn up(&mut self, mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / 2;
            if !self.worse(self.items[at].0, self.items[parent].0) {
                break;
            }
            self.items.swap(at, parent);
            at = parent;
        }
    }

    fn down(&mut self) {
        let mut at = 0;
        loop {
            let left = 2 * at + 1;
            if left >= self.items.len() {
                break;
            }
            let right = left + 1;
            let right_is_worse = self
                .items
                .get(right)
                .is_some_and(|item| self.worse(item.0, self.items[left].0));
            let child = if right_is_worse { right } else { left };
            if !self.worse(self.items[child].0, self.items[at].0) {
                break;
            }
            self.items.swap(at, child);
            at = child;
        }
    }

    /// The picked, the best first.
    fn into_sorted(self) -> impl Iterator<Item = usize> {
        let largest = self.largest;
        let mut items = self.items;
        items.sort_by(|(a, _), (b, _)| match (a.is_nan(), b.is_nan()) {
            (false, false) if largest => b.partial_cmp(a).unwrap_or(Ordering::Equal),
            (false, false) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (a, b) => a.cmp(&b),
        });
        items.into_iter().map(|(_, at)| at)
    }
}
