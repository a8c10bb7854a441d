//! Sums that keep what rounding would lose (Kahan's, as improved by Neumaier).

/// Adds to a sum with its compensation, and gives back both.
#[inline]
pub(super) fn add(value: f64, sum: f64, compensation: f64) -> (f64, f64) {
    let total = sum + value;
    let compensation = if total.is_infinite() {
        0.0
    } else if sum.abs() >= value.abs() {
        compensation + ((sum - total) + value)
    } else {
        compensation + ((value - total) + sum)
    };
    (total, compensation)
}

/// The mean of values that are given one by one: of their sum, and once that would
/// overflow, of the means so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunningMean {
    count: f64,
    sum: f64,
    mean: f64,
    compensation: f64,
    incremental: bool,
}

impl RunningMean {
    pub(super) fn new(first: f64) -> Self {
        Self {
            count: 1.0,
            sum: first,
            mean: first,
            compensation: 0.0,
            incremental: false,
        }
    }

    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let (sum, compensation) = add(value, self.sum, self.compensation);
            if !sum.is_infinite() {
                (self.sum, self.compensation) = (sum, compensation);
                return;
            }
            self.incremental = true;
            self.mean = self.sum / (self.count - 1.0);
            self.compensation /= self.count - 1.0;
        }
        let kept = (self.count - 1.0) / self.count;
        (self.mean, self.compensation) = add(
            value / self.count,
            kept * self.mean,
            kept * self.compensation,
        );
    }

    pub(super) fn get(&self) -> f64 {
        if self.incremental {
            self.mean + self.compensation
        } else {
            self.sum / self.count + self.compensation / self.count
        }
    }
}
