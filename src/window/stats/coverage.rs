//! How much of a window there are points for.

/// The interval at which points come, in milliseconds: the median of the distances between
/// these times. `None` if there are less than two.
#[must_use]
pub fn interval(times: &[i64]) -> Option<i64> {
    let mut gaps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let middle = gaps.len().checked_sub(1)? / 2;
    let (_, gap, _) = gaps.select_nth_unstable(middle);
    Some(*gap)
}

/// Points that are there, and points that there should be, of one or several series.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Coverage {
    present: f64,
    expected: f64,
}

impl Coverage {
    /// Adds a series: it has `present` points in a window of that many milliseconds, and one
    /// comes every `interval`. Where no interval is known, what is there is what there should be.
    pub fn add(&mut self, present: usize, window: i64, interval: Option<i64>) {
        let present = present as f64;
        let expected = match interval {
            Some(interval) if interval > 0 && window > 0 => {
                (window as f64 / interval as f64).round().max(1.0)
            }
            _ => present,
        };
        self.expected += expected;
        // One series that sends more often than usual makes up for none that is missing.
        self.present += present.min(expected);
    }

    /// Points that are there for each that there should be, between 0 and 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.expected > 0.0 {
            self.present / self.expected
        } else {
            1.0
        }
    }
}
