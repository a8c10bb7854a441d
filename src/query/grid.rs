//! The times at which an expression is evaluated.

/// Evenly spaced times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StepGrid {
    pub(super) start: i64,
    pub(super) step: i64,
    /// How many times there are; none is an empty grid.
    pub(super) steps: usize,
    /// Whether it is of one time because one was asked for, not because the step is long.
    pub(super) is_instant: bool,
}

impl StepGrid {
    /// From one time to another, both included, every `step` (at least 1) milliseconds.
    pub(super) fn new(start: i64, end: i64, step: i64) -> Self {
        let span = i128::from(end) - i128::from(start);
        let steps = match usize::try_from(span) {
            Ok(span) => span / usize::try_from(step.max(1)).unwrap_or(1) + 1,
            Err(_) => 0,
        };
        Self {
            start,
            step: step.max(1),
            steps,
            is_instant: span == 0,
        }
    }

    /// One time alone.
    pub(super) fn at(time: i64) -> Self {
        Self {
            start: time,
            step: 1,
            steps: 1,
            is_instant: true,
        }
    }

    pub(super) fn time(&self, step: usize) -> i64 {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        self.start.saturating_add(self.step.saturating_mul(step))
    }

    pub(super) fn end(&self) -> i64 {
        self.time(self.steps.saturating_sub(1))
    }

    /// The multiples of `step` in the windows of `range` that end at each of these times
    /// moved back by `offset`.
    pub(super) fn inner(&self, range: i64, offset: i64, step: i64) -> Self {
        let end = self.end().saturating_sub(offset);
        let before = self.start.saturating_sub(offset).saturating_sub(range);
        let first = before
            .div_euclid(step)
            .saturating_add(1)
            .saturating_mul(step);
        Self::new(first, end, step)
    }
}
