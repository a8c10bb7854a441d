//! The straight line through the points of a window.

use super::super::kahan;
use super::super::notes::Notes;
use super::Window;

/// How much the line rises in a second.
pub(super) fn deriv(window: &Window<'_>, notes: &Notes) -> Option<f64> {
    // Near the times in use, so that their squares stay small.
    let origin = *window.times.first()?;
    let (slope, _) = line(window, origin, notes)?;
    Some(slope)
}

/// Where the line will be in so many seconds.
pub(super) fn predict(window: &Window<'_>, seconds: f64, notes: &Notes) -> Option<f64> {
    let (slope, now) = line(window, window.now, notes)?;
    Some(slope * seconds + now)
}

/// The line of least squares: its slope, and its value at a time. None of fewer than two
/// points.
fn line(window: &Window<'_>, origin: i64, notes: &Notes) -> Option<(f64, f64)> {
    let first = *window.values.first()?;
    window.note_ignored(notes);
    if window.values.len() < 2 {
        return None;
    }
    if window.values.iter().all(|value| *value == first) {
        let level = if first.is_infinite() { f64::NAN } else { first };
        let slope = if first.is_infinite() { f64::NAN } else { 0.0 };
        return Some((slope, level));
    }
    let count = window.values.len() as f64;
    let mut sums = [(0.0, 0.0); 4];
    for (time, y) in window.times.iter().zip(window.values) {
        let x = (time - origin) as f64 / 1e3;
        for (sum, value) in sums.iter_mut().zip([x, *y, x * y, x * x]) {
            *sum = kahan::add(value, sum.0, sum.1);
        }
    }
    let [x, y, xy, xx] = sums.map(|(sum, lost)| sum + lost);
    let slope = (xy - x * y / count) / (xx - x * x / count);
    Some((slope, y / count - slope * x / count))
}
