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

/// Points that are there for each that there should be, at most 1: `present` in a window of
/// that many milliseconds, where one comes every `interval`.
#[must_use]
pub fn coverage(present: usize, window: i64, interval: i64) -> f64 {
    if interval <= 0 || window <= 0 {
        return 1.0;
    }
    let expected = (window as f64 / interval as f64).round().max(1.0);
    (present as f64 / expected).min(1.0)
}
