//! Aggregations that look at one value after the other, so that no series is held: sum,
//! avg, min, max, count, group, stddev and stdvar.

use std::sync::Arc;

use super::super::eval::{Evaluation, StrandSink};
use super::super::expression::{Aggregation, Aggregator};
use super::super::grid::StepGrid;
use super::super::histogram::{HistogramMean, HistogramSum};
use super::super::kahan::{self, RunningMean};
use super::super::meter::Charge;
use super::super::notes::Notes;
use super::super::strand::{PointValue, Strand};
use super::super::{LabelSet, NativeHistogram, QueryError, is_stale};
use super::groups::Groups;

impl Evaluation<'_> {
    pub(super) fn fold(
        &self,
        aggregation: &Aggregation,
        grid: &StepGrid,
        sink: StrandSink<'_>,
    ) -> Result<(), QueryError> {
        let by = aggregation.by;
        let mut groups = Groups::new(&aggregation.grouping);
        let mut folds: Vec<Fold> = Vec::new();
        let mut charge = self.meter.charge(0, 0)?;
        self.vector(&aggregation.of, grid, &mut |strand| {
            let (place, labels) = groups.place(&strand.labels);
            if let Some(labels) = labels {
                self.charge_for_group(&mut charge, &labels, grid)?;
                folds.push(Fold::new(labels, grid.steps));
            }
            self.meter.work(grid.steps)?;
            folds[place].add(by, &strand, &self.notes);
            Ok(())
        })?;
        for fold in folds {
            let strand = fold.finish(by, &self.notes);
            if !strand.is_empty() {
                sink(strand)?;
            }
        }
        Ok(())
    }

    pub(super) fn charge_for_group(
        &self,
        charge: &mut Charge<'_>,
        labels: &LabelSet,
        grid: &StepGrid,
    ) -> Result<(), QueryError> {
        let bytes = grid.steps.saturating_mul(size_of::<Cell>());
        let bytes = bytes.saturating_add(labels.bytes() + 64);
        self.meter.grow(charge, grid.steps, bytes)
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

/// A group that is being aggregated.
struct Fold {
    labels: LabelSet,
    cells: Vec<Cell>,
}

impl Fold {
    fn new(labels: LabelSet, steps: usize) -> Self {
        Self {
            labels,
            cells: vec![Cell::Empty; steps],
        }
    }

    fn add(&mut self, by: Aggregator, strand: &Strand, notes: &Notes) {
        for (cell, value) in self.cells.iter_mut().zip(&strand.floats) {
            if !is_stale(*value) {
                cell.add_float(by, *value);
            }
        }
        for (step, histogram) in &strand.histograms {
            if let Some(cell) = self.cells.get_mut(*step as usize) {
                cell.add_histogram(by, histogram, notes);
            }
        }
    }

    fn finish(self, by: Aggregator, notes: &Notes) -> Strand {
        let steps = self.cells.len();
        let mut strand = Strand::new(self.labels);
        for (step, cell) in self.cells.into_iter().enumerate() {
            if let Some(value) = cell.finish(by, notes) {
                strand.put(steps, step, value);
            }
        }
        strand
    }
}

impl Cell {
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
