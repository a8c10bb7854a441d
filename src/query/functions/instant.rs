//! The rise between the last two points of a window.

use std::sync::Arc;

use super::super::NativeHistogram;
use super::super::notes::Notes;
use super::super::strand::PointValue;
use super::Window;

/// The rise in a second, of a counter.
pub(super) fn irate(window: &Window<'_>, notes: &Notes) -> Option<PointValue> {
    last_rise(window, true, notes)
}

/// The difference, of a gauge.
pub(super) fn idelta(window: &Window<'_>, notes: &Notes) -> Option<PointValue> {
    last_rise(window, false, notes)
}

fn last_rise(window: &Window<'_>, is_rate: bool, notes: &Notes) -> Option<PointValue> {
    let [(from, before), (to, now)] = last_two(window)?;
    let seconds = (to - from) as f64 / 1_000.0;
    match (before, now) {
        (PointValue::Float(before), PointValue::Float(now)) => {
            let was_reset = is_rate && now < before;
            let rise = if was_reset { now } else { now - before };
            let rise = if is_rate { rise / seconds } else { rise };
            Some(PointValue::Float(rise))
        }
        (PointValue::Histogram(before), PointValue::Histogram(now)) => {
            let mut rise = rise_of(&before, &now, is_rate, window.metric, notes);
            if is_rate {
                rise.divide(seconds);
            }
            Some(PointValue::Histogram(Arc::new(rise)))
        }
        _ => {
            notes.mixed_range(window.metric);
            None
        }
    }
}

fn rise_of(
    before: &NativeHistogram,
    now: &NativeHistogram,
    is_rate: bool,
    metric: &str,
    notes: &Notes,
) -> NativeHistogram {
    if is_rate && (before.gauge || now.gauge) {
        notes.not_counter(metric);
    }
    let both_are_gauges = before.gauge && now.gauge;
    if !is_rate && !both_are_gauges {
        notes.not_gauge(metric);
    }
    let mut rise = now.clone();
    if !is_rate || !now.is_reset_from(before) {
        rise.subtract(before);
    }
    rise.gauge = true;
    rise.compacted()
}

/// The last two points, with their times.
fn last_two(window: &Window<'_>) -> Option<[(i64, PointValue); 2]> {
    let floats = window.times.iter().zip(window.values).rev().take(2);
    let mut points: Vec<(i64, PointValue)> = floats
        .map(|(time, value)| (*time, PointValue::Float(*value)))
        .collect();
    let histograms = window.histograms.iter().rev().take(2);
    points.extend(
        histograms.map(|(time, histogram)| (*time, PointValue::Histogram(Arc::clone(histogram)))),
    );
    points.sort_by_key(|(time, _)| *time);
    let last = points.pop()?;
    let before = points.pop()?;
    Some([before, last])
}
