//! Statistics of a window.

use std::sync::Arc;

use super::super::kahan;
use super::super::notes::Notes;
use super::super::strand::PointValue;
use super::Window;

pub(super) fn first(window: &Window<'_>) -> Option<PointValue> {
    let histogram = window.histograms.first();
    match (window.times.first(), histogram) {
        (Some(time), Some((other, _))) if time < other => {}
        (_, Some((_, histogram))) => return Some(PointValue::Histogram(Arc::clone(histogram))),
        _ => {}
    }
    window.values.first().copied().map(PointValue::Float)
}

pub(super) fn last(window: &Window<'_>) -> Option<PointValue> {
    let histogram = window.histograms.last();
    match (window.times.last(), histogram) {
        (Some(time), Some((other, _))) if time > other => {}
        (_, Some((_, histogram))) => return Some(PointValue::Histogram(Arc::clone(histogram))),
        _ => {}
    }
    window.values.last().copied().map(PointValue::Float)
}

/// The largest; NaN only where there is nothing else.
pub(super) fn max(window: &Window<'_>, notes: &Notes) -> Option<f64> {
    extreme(window, notes, |value, best| value > best)
}

/// The smallest; NaN only where there is nothing else.
pub(super) fn min(window: &Window<'_>, notes: &Notes) -> Option<f64> {
    extreme(window, notes, |value, best| value < best)
}

fn extreme(window: &Window<'_>, notes: &Notes, better: impl Fn(f64, f64) -> bool) -> Option<f64> {
    let first = window.values.first()?;
    window.note_ignored(notes);
    let numbers = window.values.iter().position(|value| !value.is_nan());
    let Some(numbers) = numbers else {
        return Some(*first);
    };
    let mut best = window.values[numbers];
    // NaN is never better.
    for value in &window.values[numbers..] {
        best = if better(*value, best) { *value } else { best };
    }
    Some(best)
}

pub(super) fn quantile(
    window: &Window<'_>,
    q: f64,
    room: &mut Vec<i64>,
    notes: &Notes,
) -> Option<f64> {
    if window.values.is_empty() {
        return None;
    }
    if !(0.0..=1.0).contains(&q) {
        notes.bad_quantile(q);
    }
    window.note_ignored(notes);
    Some(super::quantile(q, window.values.iter().copied(), room))
}

/// The variance of the whole, not of a sample of it.
pub(super) fn variance(window: &Window<'_>, notes: &Notes) -> Option<f64> {
    if window.values.is_empty() {
        return None;
    }
    window.note_ignored(notes);
    let mut count = 0.0;
    let (mut mean, mut mean_lost) = (0.0, 0.0);
    let (mut sum, mut lost) = (0.0, 0.0);
    for value in window.values {
        count += 1.0;
        let delta = value - (mean + mean_lost);
        (mean, mean_lost) = kahan::add(delta / count, mean, mean_lost);
        (sum, lost) = kahan::add(delta * (value - (mean + mean_lost)), sum, lost);
    }
    Some((sum + lost) / count)
}
