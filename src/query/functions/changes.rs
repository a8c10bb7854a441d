//! How often a series changes, and how often it begins anew.

use std::sync::Arc;

use super::super::NativeHistogram;
use super::super::strand::PointValue;
use super::Window;

/// How often a value differs from the one before. NaN doesn't differ from NaN.
pub(super) fn changes(window: &Window<'_>) -> f64 {
    let floats = |a: f64, b: f64| a != b && !(a.is_nan() && b.is_nan());
    count(window, floats, |before, now| !now.same(before))
}

/// How often a value is lower than the one before.
pub(super) fn resets(window: &Window<'_>) -> f64 {
    count(
        window,
        |before, now| now < before,
        |before, now| now.is_reset_from(before),
    )
}

/// Counts neighbours of which something is true; a float beside a histogram counts always.
fn count(
    window: &Window<'_>,
    floats: impl Fn(f64, f64) -> bool,
    histograms: impl Fn(&NativeHistogram, &NativeHistogram) -> bool,
) -> f64 {
    if window.histograms.is_empty() {
        let pairs = window.values.windows(2);
        return pairs.filter(|pair| floats(pair[0], pair[1])).count() as f64;
    }
    let values = window.times.iter().zip(window.values);
    let values = values.map(|(time, value)| (*time, PointValue::Float(*value)));
    let others = window.histograms.iter();
    let others =
        others.map(|(time, histogram)| (*time, PointValue::Histogram(Arc::clone(histogram))));
    let mut points: Vec<(i64, PointValue)> = values.chain(others).collect();
    points.sort_by_key(|(time, _)| *time);
    let counts = points
        .windows(2)
        .filter(|pair| match (&pair[0].1, &pair[1].1) {
            (PointValue::Float(before), PointValue::Float(now)) => floats(*before, *now),
            (PointValue::Histogram(before), PointValue::Histogram(now)) => histograms(before, now),
            _ => true,
        });
    counts.count() as f64
}
