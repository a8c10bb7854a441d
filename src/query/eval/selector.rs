//! What a series' value is at a time: that of its last point, unless that is too long ago,
//! or the mark of its end.

use std::sync::Arc;

use super::super::expression::Selector;
use super::super::grid::StepGrid;
use super::super::meter::SelectionRoom;
use super::super::strand::{PointValue, Strand};
use super::super::{QueryError, SelectedSeries, SeriesPoints, is_stale};
use super::{Evaluation, StrandSink};

impl<'e> Evaluation<'e> {
    /// The series of a selector. With `times`, the values are the times of the points.
    pub(super) fn selector(
        &self,
        selector: &Selector,
        grid: &StepGrid,
        times: bool,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let looked_at = self.looked_at(&selector.shift, grid);
        let offset = selector.shift.offset;
        let from = looked_at.start - offset - self.options.lookback + 1;
        let to = looked_at.end() - offset;
        self.fits(grid)?;
        let selection = SelectionRoom::new(self.meter);
        let matchers = &selector.matchers;
        let found = self.source.select(matchers, from, to, &selection)?;
        let mut points = SeriesPoints::default();
        for mut series in found {
            self.read(&mut *series, (from, to), &mut points)?;
            let held = points.times.len() + points.histograms.len();
            let _held = self.meter.charge(held, bytes(&points))?;
            self.meter.work(grid.steps)?;
            let mut strand = Strand::new(self.meter, series.labels())?;
            self.notes.types_of(strand.labels());
            let mut latest = Latest::new(&points, self.options.lookback);
            for step in 0..looked_at.steps {
                let at = looked_at.time(step) - offset;
                let Some((time, value)) = latest.at(at) else {
                    continue;
                };
                let value = if times {
                    PointValue::Float(time as f64 / 1_000.0)
                } else {
                    value
                };
                strand.put(grid.steps, step, value)?;
            }
            let given = strand.samples() * (grid.steps / looked_at.steps.max(1));
            self.meter.count(given);
            if looked_at.steps < grid.steps {
                strand.repeat(grid.steps)?;
            }
            if !strand.is_empty() {
                sink(strand)?;
            }
        }
        Ok(())
    }

    /// Reads the points of a series from one time to another, both included.
    pub(super) fn read(
        &self,
        series: &mut dyn SelectedSeries,
        (from, to): (i64, i64),
        points: &mut SeriesPoints,
    ) -> Result<(), QueryError> {
        points.clear();
        series.read(from, to, points)?;
        self.meter
            .work(points.times.len() + points.histograms.len())
    }
}

/// What points take.
pub(super) fn bytes(points: &SeriesPoints) -> usize {
    let histograms: usize = points.histograms.iter().map(|(_, h)| h.bytes() + 24).sum();
    points.times.capacity() * 8 + points.values.capacity() * 8 + histograms
}

/// Walks along the points of a series.
struct Latest<'p> {
    points: &'p SeriesPoints,
    lookback: i64,
    /// How many floats are not after the time.
    floats: usize,
    histograms: usize,
}

impl<'p> Latest<'p> {
    fn new(points: &'p SeriesPoints, lookback: i64) -> Self {
        Self {
            points,
            lookback,
            floats: 0,
            histograms: 0,
        }
    }

    /// The last point up to a time. Times come in order.
    fn at(&mut self, time: i64) -> Option<(i64, PointValue)> {
        let SeriesPoints {
            times,
            values,
            histograms,
        } = self.points;
        while times.get(self.floats).is_some_and(|next| *next <= time) {
            self.floats += 1;
        }
        while histograms
            .get(self.histograms)
            .is_some_and(|next| next.0 <= time)
        {
            self.histograms += 1;
        }
        let float = self.floats.checked_sub(1);
        let float = float.map(|at| (times[at], values[at]));
        let histogram = self.histograms.checked_sub(1).map(|at| &histograms[at]);
        let after = time.saturating_sub(self.lookback);
        match (float, histogram) {
            (Some((float_at, value)), other) if other.is_none_or(|(at, _)| *at < float_at) => {
                let shows = float_at > after && !is_stale(value);
                shows.then_some((float_at, PointValue::Float(value)))
            }
            (_, Some((at, histogram))) if *at > after => {
                Some((*at, PointValue::Histogram(Arc::clone(histogram))))
            }
            _ => None,
        }
    }
}
