//! Whether two series go up and down together.

use super::numbers::Numbers;

/// Pearson's correlation of the numbers of two series at the times that both have, between -1
/// and 1. Times that differ by up to `tolerance` milliseconds are the same. `None` if there
/// are less than two such times or one of the series doesn't change. Both were gathered with
/// [`Needs::POINTS`](super::Needs::POINTS).
#[must_use]
pub fn correlation(one: &Numbers, other: &Numbers, tolerance: i64) -> Option<f64> {
    let (mut count, mut x_mean, mut y_mean) = (0.0, 0.0, 0.0);
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    let mut others = other.times().iter().zip(other.values()).peekable();
    for (time, x) in one.times().iter().zip(one.values()) {
        while others
            .next_if(|(t, _)| time.saturating_sub(**t) > tolerance)
            .is_some()
        {}
        let Some((_, y)) = others.next_if(|(t, _)| t.saturating_sub(*time) <= tolerance) else {
            continue;
        };
        count += 1.0;
        let (dx, dy) = (x - x_mean, y - y_mean);
        x_mean += dx / count;
        y_mean += dy / count;
        xx += dx * (x - x_mean);
        yy += dy * (y - y_mean);
        xy += dx * (y - y_mean);
    }
    let scale = xx.sqrt() * yy.sqrt();
    (count >= 2.0 && scale > 0.0).then(|| (xy / scale).clamp(-1.0, 1.0))
}
