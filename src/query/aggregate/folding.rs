//! Aggregations that look at one value after the other, so that no series is held: sum,
//! avg, min, max, count, group, stddev and stdvar.

use std::sync::Arc;

use super::super::eval::{Evaluation, StrandSink};
use super::super::expression::{Aggregation, Aggregator};
use super::super::grid::StepGrid;
use super::super::histogram::{HistogramMean, HistogramSum};
use super::super::kahan::{self, RunningMean};
use super::super::meter::{Charge, Meter};
use super::super::notes::Notes;
use super::super::strand::{PointValue, Strand};
use super::super::{LabelSet, NativeHistogram, QueryError, is_stale};
use super::groups::Groups;

impl<'e> Evaluation<'e> {
    pub(super) fn fold(
        &self,
        aggregation: &Aggregation,
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let by = aggregation.by;
        let mut groups = Groups::new(self.meter, &aggregation.grouping);
        let mut folds: Vec<Fold<'e>> = Vec::new();
        self.vector(&aggregation.of, grid, &mut |strand| {
            let (place, labels) = groups.place(strand.labels())?;
            if let Some(labels) = labels {
                folds.push(Fold::new(self.meter, labels, grid.steps)?);
            }
            self.meter.work(grid.steps)?;
            folds[place].add(by, &strand, &self.notes)
        })?;
        for fold in folds {
            let strand = fold.finish(by, &self.notes)?;
            if !strand.is_empty() {
                sink(strand)?;
            }
        }
        Ok(())
    }
}

/// What is known of a group at one step.
#[derive(Clone, Default)]
enum Cell {
    #[default]
    Empty,
    /// A sum with what rounding took.
    Sum(f64, f64),
    Mean(Box<RunningMean>),
    Extreme(f64),
    Count(f64),
    /// How many, their mean, and the sum of the squares of the distances from it.
    Spread(f64, f64, f64),
    HistogramSum(Box<HistogramSum>),
    HistogramMean(Box<HistogramMean>),
    /// Floats and histograms, which have no sum.
    Mixed,
}

/// What a mean takes, and what the allocator adds.
const MEAN_BYTES: usize = size_of::<RunningMean>() + 16;

/// A group that is being aggregated, counted with all that its cells hold.
struct Fold<'m> {
    labels: LabelSet,
    cells: Vec<Cell>,
    held: Charge<'m>,
}

impl<'m> Fold<'m> {
    fn new(meter: &'m Meter<'m>, labels: LabelSet, steps: usize) -> Result<Self, QueryError> {
        // The vector of groups may have grown to twice what it holds.
        let bytes = steps.saturating_mul(size_of::<Cell>()) + 2 * size_of::<Self>();
        let held = meter.charge(steps, bytes)?;
        Ok(Self {
            labels,
            cells: vec![Cell::Empty; steps],
            held,
        })
    }

    fn add(
        &mut self,
        by: Aggregator,
        strand: &Strand<'_>,
        notes: &Notes,
    ) -> Result<(), QueryError> {
        for (cell, value) in self.cells.iter_mut().zip(strand.floats()) {
            if is_stale(*value) {
                continue;
            }
            // Of floats means alone hold more than their cell.
            if by == Aggregator::Avg && matches!(cell, Cell::Empty) {
                self.held.grow(0, MEAN_BYTES)?;
            }
            cell.add_float(by, *value);
        }
        for (step, histogram) in strand.histograms() {
            let Some(cell) = self.cells.get_mut(*step as usize) else {
                continue;
            };
            self.held.meter().work(histogram.samples())?;
            let before = cell.bytes();
            cell.add_histogram(by, histogram, notes);
            self.held.replace(before, cell.bytes())?;
        }
        Ok(())
    }

    fn finish(self, by: Aggregator, notes: &Notes) -> Result<Strand<'m>, QueryError> {
        let Self {
            labels,
            cells,
            mut held,
        } = self;
        let steps = cells.len();
        let mut strand = Strand::new(held.meter(), labels)?;
        for (step, cell) in cells.into_iter().enumerate() {
            let bytes = cell.bytes();
            if let Some(value) = cell.finish(by, notes) {
                strand.put(steps, step, value)?;
            }
            held.shrink(bytes);
        }
        Ok(strand)
    }
}

impl Cell {
    /// What it holds beside itself.
    fn bytes(&self) -> usize {
        match self {
            Self::Mean(_) => MEAN_BYTES,
            Self::HistogramSum(sum) => sum.bytes(),
            Self::HistogramMean(mean) => mean.bytes(),
            _ => 0,
        }
    }

    fn add_float(&mut self, by: Aggregator, value: f64) {
        match (by, &mut *self) {
            (_, Self::Mixed) => {}
            (Aggregator::Sum, Self::Sum(sum, lost)) => {
                (*sum, *lost) = kahan::add(value, *sum, *lost);
            }
            (Aggregator::Sum, Self::Empty) => *self = Self::Sum(value, 0.0),
            (Aggregator::Avg, Self::Mean(mean)) => mean.add(value),
            (Aggregator::Avg, Self::Empty) => {
                *self = Self::Mean(Box::new(RunningMean::new(value)));
            }
            (Aggregator::Sum | Aggregator::Avg, _) => *self = Self::Mixed,
            (Aggregator::Max, Self::Extreme(most)) => {
                if *most < value || most.is_nan() {
                    *most = value;
                }
            }
            (Aggregator::Min, Self::Extreme(least)) => {
                if *least > value || least.is_nan() {
                    *least = value;
                }
            }
            (Aggregator::Max | Aggregator::Min, _) => *self = Self::Extreme(value),
            (Aggregator::Stddev | Aggregator::Stdvar, cell) => cell.spread(value),
            (_, cell) => cell.count(),
        }
    }

    fn add_histogram(&mut self, by: Aggregator, histogram: &NativeHistogram, notes: &Notes) {
        match (by, &mut *self) {
            (_, Self::Mixed) => {}
            (Aggregator::Sum, Self::HistogramSum(sum)) => sum.add(histogram),
            (Aggregator::Sum, Self::Empty) => {
                *self = Self::HistogramSum(Box::new(HistogramSum::new(histogram)));
            }
            (Aggregator::Avg, Self::HistogramMean(mean)) => mean.add(histogram),
            (Aggregator::Avg, Self::Empty) => {
                *self = Self::HistogramMean(Box::new(HistogramMean::new(histogram)));
            }
            (Aggregator::Sum | Aggregator::Avg, _) => *self = Self::Mixed,
            (Aggregator::Max | Aggregator::Min | Aggregator::Stddev | Aggregator::Stdvar, _) => {
                notes.ignored_in_aggregation(by.as_str())
            }
            (_, cell) => cell.count(),
        }
    }

    fn count(&mut self) {
        match self {
            Self::Count(count) => *count += 1.0,
            cell => *cell = Self::Count(1.0),
        }
    }

    /// One more value of a variance, by Welford.
    fn spread(&mut self, value: f64) {
        match self {
            Self::Spread(count, mean, squares) => {
                *count += 1.0;
                let delta = value - *mean;
                *mean += delta / *count;
                *squares += delta * (value - *mean);
            }
            cell => {
                let squares = if value.is_finite() { 0.0 } else { f64::NAN };
                *cell = Self::Spread(1.0, value, squares);
            }
        }
    }

    fn finish(self, by: Aggregator, notes: &Notes) -> Option<PointValue> {
        let value = match self {
            Self::Empty => return None,
            Self::Mixed => {
                notes.mixed_group();
                return None;
            }
            Self::HistogramSum(sum) => return Some(PointValue::Histogram(Arc::new(sum.total()))),
            Self::HistogramMean(mean) => return Some(PointValue::Histogram(Arc::new(mean.get()))),
            Self::Sum(sum, lost) => sum + lost,
            Self::Mean(mean) => mean.get(),
            Self::Extreme(value) => value,
            Self::Count(count) if by == Aggregator::Count => count,
            Self::Count(_) => 1.0,
            Self::Spread(count, _, squares) if by == Aggregator::Stdvar => squares / count,
            Self::Spread(count, _, squares) => (squares / count).sqrt(),
        };
        Some(PointValue::Float(value))
    }
}
