//! A series as a step of the evaluation hands it to the next.

use std::mem;
use std::sync::Arc;

use super::grid::StepGrid;
use super::source::{STALE, is_stale};
use super::{LabelSet, NativeHistogram, SeriesPoints};

/// What stands in a strand's floats where there is none. No evaluated value has these bits:
/// stored ones are marks, and arithmetic makes only quiet NaNs.
pub(super) const ABSENT: f64 = STALE;

/// One value of a series.
#[derive(Clone, Debug)]
pub enum PointValue {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<NativeHistogram>),
}

/// A series that was evaluated at the times of a grid.
#[derive(Clone, Debug, Default)]
pub(super) struct Strand {
    pub(super) labels: LabelSet,
    /// One for each time, [`ABSENT`] where there is none; empty when there is none at all.
    pub(super) floats: Vec<f64>,
    /// The histograms, each with its step, in the order of steps.
    pub(super) histograms: Vec<(u32, Arc<NativeHistogram>)>,
}

impl Strand {
    pub(super) fn new(labels: LabelSet) -> Self {
        Self {
            labels,
            ..Self::default()
        }
    }

    /// Sets the value of a step. Steps come in order.
    pub(super) fn put(&mut self, steps: usize, step: usize, value: PointValue) {
        match value {
            PointValue::Float(value) => self.put_float(steps, step, value),
            PointValue::Histogram(histogram) => {
                self.histograms.push((step as u32, histogram));
            }
        }
    }

    #[inline]
    pub(super) fn put_float(&mut self, steps: usize, step: usize, value: f64) {
        if self.floats.is_empty() {
            self.floats = vec![ABSENT; steps];
        }
        self.floats[step] = value;
    }

    /// Drops the floats where none is left, so that an empty strand is known as one.
    pub(super) fn is_empty(&self) -> bool {
        self.histograms.is_empty() && self.floats.iter().all(|value| is_stale(*value))
    }

    pub(super) fn float(&self, step: usize) -> Option<f64> {
        self.floats
            .get(step)
            .copied()
            .filter(|value| !is_stale(*value))
    }

    pub(super) fn histogram(&self, step: usize) -> Option<&Arc<NativeHistogram>> {
        let found = self
            .histograms
            .binary_search_by_key(&(step as u32), |(at, _)| *at);
        found.ok().map(|at| &self.histograms[at].1)
    }

    pub(super) fn value(&self, step: usize) -> Option<PointValue> {
        match self.float(step) {
            Some(value) => Some(PointValue::Float(value)),
            None => self
                .histogram(step)
                .map(|histogram| PointValue::Histogram(Arc::clone(histogram))),
        }
    }

    pub(super) fn has(&self, step: usize) -> bool {
        self.float(step).is_some() || self.histogram(step).is_some()
    }

    /// How many values it has.
    pub(super) fn samples(&self) -> usize {
        let floats = self.floats.iter().filter(|value| !is_stale(**value));
        let histograms = self.histograms.iter();
        floats.count()
            + histograms
                .map(|(_, histogram)| histogram.samples())
                .sum::<usize>()
    }

    /// How much memory it holds, shared texts and histograms aside.
    pub(super) fn bytes(&self) -> usize {
        let histograms: usize = self.histograms.iter().map(|(_, h)| h.bytes() + 24).sum();
        size_of::<Self>() + self.labels.bytes() + self.floats.capacity() * 8 + histograms
    }

    /// Takes the values of another strand that has none where this one has some. Gives
    /// back false where both have one.
    pub(super) fn merge(&mut self, other: Self) -> bool {
        if self.floats.is_empty() {
            self.floats = other.floats;
        } else {
            for (mine, theirs) in self.floats.iter_mut().zip(&other.floats) {
                if is_stale(*theirs) {
                    continue;
                }
                if !is_stale(*mine) {
                    return false;
                }
                *mine = *theirs;
            }
        }
        self.histograms.extend(other.histograms);
        self.histograms.sort_by_key(|(step, _)| *step);
        let twice = self.histograms.windows(2).any(|two| two[0].0 == two[1].0);
        let mut histograms = self.histograms.iter();
        !twice && !histograms.any(|(step, _)| self.float(*step as usize).is_some())
    }

    /// Its values as the points of a series.
    pub(super) fn into_points(self, grid: &StepGrid, points: &mut SeriesPoints) {
        points.clear();
        for (step, value) in self.floats.iter().enumerate() {
            if !is_stale(*value) {
                points.push(grid.time(step), *value);
            }
        }
        let histograms = self.histograms.into_iter();
        points
            .histograms
            .extend(histograms.map(|(step, histogram)| (grid.time(step as usize), histogram)));
    }

    /// Without what says what the series measures.
    pub(super) fn nameless(mut self) -> Self {
        self.labels = self.labels.without_metadata();
        self
    }

    /// The histograms, taken out.
    pub(super) fn take_histograms(&mut self) -> Vec<(u32, Arc<NativeHistogram>)> {
        mem::take(&mut self.histograms)
    }
}
