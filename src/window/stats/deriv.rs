//! `deriv`: how fast a gauge changes, by a straight line through its points.

use super::numbers::{Needs, Numbers, Statistic};

/// The slope, by the second, of the line that lies closest to the points (least squares).
#[derive(Debug, Clone, Copy, Default)]
pub struct Deriv;

impl Statistic for Deriv {
    fn needs(&self) -> Needs {
        Needs::POINTS
    }

    fn of(&self, numbers: &mut Numbers) -> Option<f64> {
        let origin = *numbers.times().first()?;
        line(numbers, origin).map(|(slope, _)| slope)
    }
}

/// The slope, by the second, and the height at `origin` of the line through the points. `None`
/// if they don't have two times: those of several series may all be of one.
pub(super) fn line(numbers: &Numbers, origin: i64) -> Option<(f64, f64)> {
    let (times, values) = (numbers.times(), numbers.values());
    let (start, first) = (*times.first()?, *values.first()?);
    if times.iter().all(|time| *time == start) {
        return None;
    }
    // So that what doesn't change has no slope at all.
    if values.iter().all(|value| *value == first) {
        return Some((0.0, first));
    }
    // From a point on and not from the origin, as the squares of long times would leave nothing
    // of the distance of close ones.
    let seconds = |time: &i64| time.saturating_sub(start) as f64 / 1000.0;
    let (mut x, mut y, mut xy, mut xx) = <(Kahan, Kahan, Kahan, Kahan)>::default();
    for (time, value) in times.iter().map(seconds).zip(values) {
        x.add(time);
        y.add(*value);
        xy.add(time * value);
        xx.add(time * time);
    }
    let count = values.len() as f64;
    let (x, y, xy, xx) = (x.sum(), y.sum(), xy.sum(), xx.sum());
    let slope = (xy - x * y / count) / (xx - x * x / count);
    Some((slope, y / count + slope * (seconds(&origin) - x / count)))
}

/// A sum and what rounding took from it.
#[derive(Debug, Default)]
struct Kahan {
    sum: f64,
    lost: f64,
}

impl Kahan {
    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        if self.sum.abs() >= value.abs() {
            self.lost += (self.sum - sum) + value;
        } else {
            self.lost += (value - sum) + self.sum;
        }
        self.sum = sum;
    }

    fn sum(&self) -> f64 {
        self.sum + self.lost
    }
}
