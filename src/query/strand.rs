//! A series as a step of the evaluation hands it to the next.

use std::sync::Arc;

use super::grid::StepGrid;
use super::meter::{Charge, Meter};
use super::source::{STALE, is_stale};
use super::{LabelSet, NativeHistogram, QueryError, SeriesPoints};

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

/// The histograms of a strand, each with its step, in the order of steps.
type StepHistograms = Vec<(u32, Arc<NativeHistogram>)>;

/// A series that was evaluated at the times of a grid. What it holds is counted from before
/// it is there until the strand is gone, whoever has it meanwhile.
pub(super) struct Strand<'m> {
    labels: LabelSet,
    /// One for each time, [`ABSENT`] where there is none; empty when there is none at all.
    floats: Vec<f64>,
    histograms: StepHistograms,
    held: Charge<'m>,
}

impl<'m> Strand<'m> {
    pub(super) fn new(meter: &'m Meter<'m>, labels: LabelSet) -> Result<Self, QueryError> {
        Ok(Self {
            held: meter.charge(0, size_of::<Self>() + labels.bytes())?,
            labels,
            floats: Vec::new(),
            histograms: Vec::new(),
        })
    }

    /// A strand of a number at each of so many steps.
    pub(super) fn of_floats(
        meter: &'m Meter<'m>,
        labels: LabelSet,
        steps: usize,
        value: impl Fn(usize) -> f64,
    ) -> Result<Self, QueryError> {
        let mut strand = Self::new(meter, labels)?;
        strand.make_floats(steps)?;
        for (step, float) in strand.floats.iter_mut().enumerate() {
            *float = value(step);
        }
        Ok(strand)
    }

    pub(super) fn labels(&self) -> &LabelSet {
        &self.labels
    }

    /// Gives it other labels.
    pub(super) fn relabelled(mut self, labels: LabelSet) -> Result<Self, QueryError> {
        self.held.grow(0, labels.bytes())?;
        self.held.shrink(self.labels.bytes());
        self.labels = labels;
        Ok(self)
    }

    /// Without what says what the series measures.
    pub(super) fn nameless(self) -> Result<Self, QueryError> {
        let labels = self.labels.without_metadata();
        self.relabelled(labels)
    }

    /// Sets the value of a step. Steps come in order.
    pub(super) fn put(
        &mut self,
        steps: usize,
        step: usize,
        value: PointValue,
    ) -> Result<(), QueryError> {
        match value {
            PointValue::Float(value) => self.put_float(steps, step, value),
            PointValue::Histogram(histogram) => self.put_histogram(step, histogram),
        }
    }

    #[inline]
    pub(super) fn put_float(
        &mut self,
        steps: usize,
        step: usize,
        value: f64,
    ) -> Result<(), QueryError> {
        if self.floats.is_empty() {
            self.make_floats(steps)?;
        }
        self.floats[step] = value;
        Ok(())
    }

    fn make_floats(&mut self, steps: usize) -> Result<(), QueryError> {
        self.held.grow(0, steps.saturating_mul(8))?;
        self.floats = vec![ABSENT; steps];
        Ok(())
    }

    fn put_histogram(
        &mut self,
        step: usize,
        histogram: Arc<NativeHistogram>,
    ) -> Result<(), QueryError> {
        let before = self.histograms.last().map(|(_, before)| before);
        let bytes = entry_bytes(before, &histogram);
        self.held.grow(0, bytes)?;
        self.held.meter().work(bytes / 16)?;
        self.histograms.push((step as u32, histogram));
        Ok(())
    }

    /// Whether it has no value at all.
    pub(super) fn is_empty(&self) -> bool {
        self.histograms.is_empty() && !self.has_floats()
    }

    /// Whether it has a float at some step.
    pub(super) fn has_floats(&self) -> bool {
        !self.floats.iter().all(|value| is_stale(*value))
    }

    pub(super) fn has_histograms(&self) -> bool {
        !self.histograms.is_empty()
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

    /// The floats, [`ABSENT`] where there is none.
    pub(super) fn floats(&self) -> &[f64] {
        &self.floats
    }

    /// The histograms with their steps.
    pub(super) fn histograms(&self) -> &[(u32, Arc<NativeHistogram>)] {
        &self.histograms
    }

    /// How many floats it has.
    pub(super) fn float_samples(&self) -> usize {
        let floats = self.floats.iter().filter(|value| !is_stale(**value));
        floats.count()
    }

    /// How many values it has; histograms count as many.
    pub(super) fn samples(&self) -> usize {
        let histograms = self.histograms.iter();
        let histograms = histograms.map(|(_, histogram)| histogram.samples());
        self.float_samples() + histograms.sum::<usize>()
    }

    /// Changes each float, by its step.
    pub(super) fn each_float(&mut self, change: impl Fn(usize, f64) -> f64) {
        for (step, value) in self.floats.iter_mut().enumerate() {
            if !is_stale(*value) {
                *value = change(step, *value);
            }
        }
    }

    /// Puts something else in the place of each histogram, or nothing. Each is let go before
    /// the next is looked at.
    pub(super) fn each_histogram(
        &mut self,
        steps: usize,
        mut change: impl FnMut(usize, &Arc<NativeHistogram>) -> Option<PointValue>,
    ) -> Result<(), QueryError> {
        let mut before = None;
        for (step, histogram) in std::mem::take(&mut self.histograms) {
            self.held.meter().work(histogram.samples())?;
            if let Some(value) = change(step as usize, &histogram) {
                self.put(steps, step as usize, value)?;
            }
            self.held.shrink(entry_bytes(before.as_ref(), &histogram));
            before = Some(histogram);
        }
        Ok(())
    }

    pub(super) fn drop_floats(&mut self) {
        self.held.shrink(self.floats.len() * 8);
        self.floats = Vec::new();
    }

    pub(super) fn drop_histograms(&mut self) {
        let mut before = None;
        let mut bytes = 0;
        for (_, histogram) in &self.histograms {
            bytes += entry_bytes(before, histogram);
            before = Some(histogram);
        }
        self.histograms = Vec::new();
        self.held.shrink(bytes);
    }

    /// The value of the first step, at every one of so many.
    pub(super) fn repeat(&mut self, steps: usize) -> Result<(), QueryError> {
        let Some(value) = self.value(0) else {
            return Ok(());
        };
        self.drop_histograms();
        self.drop_floats();
        match value {
            PointValue::Float(value) => {
                self.make_floats(steps)?;
                self.floats.fill(value);
                Ok(())
            }
            PointValue::Histogram(histogram) => {
                let mut all = 0..steps;
                all.try_for_each(|step| self.put_histogram(step, Arc::clone(&histogram)))
            }
        }
    }

    /// A strand of the same values at the steps that are wanted.
    pub(super) fn at_steps(&self, wanted: impl Fn(usize) -> bool) -> Result<Self, QueryError> {
        let mut kept = Self::new(self.held.meter(), self.labels.clone())?;
        for (step, value) in self.floats.iter().enumerate() {
            if !is_stale(*value) && wanted(step) {
                kept.put_float(self.floats.len(), step, *value)?;
            }
        }
        for (step, histogram) in &self.histograms {
            if wanted(*step as usize) {
                kept.put_histogram(*step as usize, Arc::clone(histogram))?;
            }
        }
        Ok(kept)
    }

    /// Takes the values of another strand that has none where this one has some. Gives
    /// back false where both have one.
    pub(super) fn merge(&mut self, mut other: Self) -> Result<bool, QueryError> {
        let meter = self.held.meter();
        meter.work(self.floats.len() + self.histograms.len() + other.histograms.len())?;
        let mut let_go = size_of::<Self>() + other.labels.bytes();
        if self.floats.is_empty() {
            self.floats = std::mem::take(&mut other.floats);
        } else {
            for (mine, theirs) in self.floats.iter_mut().zip(&other.floats) {
                if is_stale(*theirs) {
                    continue;
                }
                if !is_stale(*mine) {
                    return Ok(false);
                }
                *mine = *theirs;
            }
            let_go += other.floats.len() * 8;
        }
        self.histograms.append(&mut other.histograms);
        self.held.absorb(other.held);
        self.held.shrink(let_go);
        self.histograms.sort_by_key(|(step, _)| *step);
        let twice = self.histograms.windows(2).any(|two| two[0].0 == two[1].0);
        let mut histograms = self.histograms.iter();
        Ok(!twice && !histograms.any(|(step, _)| self.float(*step as usize).is_some()))
    }

    /// Its values as the points of a series. They are held by `room` from then on.
    pub(super) fn into_points(
        mut self,
        grid: &StepGrid,
        room: &mut Charge<'m>,
    ) -> Result<SeriesPoints, QueryError> {
        let floats = self.float_samples();
        room.grow(0, floats * 16 + self.histograms.len() * ENTRY)?;
        let mut points = SeriesPoints::default();
        points.times.reserve_exact(floats);
        points.values.reserve_exact(floats);
        for (step, value) in self.floats.iter().enumerate() {
            if !is_stale(*value) {
                points.push(grid.time(step), *value);
            }
        }
        self.drop_floats();
        points.histograms.reserve_exact(self.histograms.len());
        let histograms = self.histograms.into_iter();
        let histograms = histograms.map(|(step, histogram)| (grid.time(step as usize), histogram));
        points.histograms.extend(histograms);
        room.absorb(self.held);
        Ok(points)
    }
}

/// A place in a vector that has grown to twice what it holds.
const ENTRY: usize = 2 * size_of::<(u32, Arc<NativeHistogram>)>();

/// What a histogram takes behind another: its place alone, where it is the same one again,
/// as a point is until the next one comes.
fn entry_bytes(before: Option<&Arc<NativeHistogram>>, histogram: &Arc<NativeHistogram>) -> usize {
    if before.is_some_and(|before| Arc::ptr_eq(before, histogram)) {
        ENTRY
    } else {
        ENTRY + histogram.bytes()
    }
}
