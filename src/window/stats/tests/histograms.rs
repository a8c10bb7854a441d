//! What histograms counted in a window.

use super::super::super::{
    RingId, StoredExponential, StoredHistogram, StoredPoint, StoredSummary, ValueKind,
    WindowSettings, Windows,
};
use super::*;

fn windows() -> Windows {
    Windows::new(WindowSettings {
        max_ahead: i64::MAX,
        ..WindowSettings::default()
    })
}

fn explicit(windows: &mut Windows, name: &str, bounds: &[f64], rows: &[&[f64]]) -> RingId {
    let id = windows.register(name, ValueKind::Histogram, &[]).unwrap();
    for (time, buckets) in (1..).zip(rows) {
        let point = StoredPoint::Histogram(StoredHistogram {
            count: buckets.iter().sum(),
            sum: Some(buckets.iter().sum::<f64>() * 2.0),
            bounds,
            buckets,
        });
        windows.push_point(id, 0, time * 1000, &point).unwrap();
    }
    id
}

fn increase(windows: &Windows, ids: &[RingId]) -> HistogramIncrease {
    let mut increase = HistogramIncrease::default();
    for id in ids {
        increase.gather(windows.snapshot(*id, 1, 1_000_000).unwrap().excerpt());
    }
    increase
}

#[test]
fn buckets_count_what_came_within_the_window_resets_made_up_for() {
    let mut windows = windows();
    let bounds = [1.0, 2.0, 4.0];
    let rows: &[&[f64]] = &[
        &[5.0, 5.0, 5.0, 5.0],
        &[5.0, 15.0, 5.0, 5.0],
        // Starts anew, and counts ten at once.
        &[0.0, 0.0, 10.0, 0.0],
        &[0.0, 0.0, 10.0, 20.0],
    ];
    let id = explicit(&mut windows, "h", &bounds, rows);
    let found = increase(&windows, &[id]);
    assert_eq!((found.count(), found.sum()), (40.0, Some(80.0)));
    let f = |quantile: f64, expected: f64| {
        let value = found.quantile(quantile).unwrap();
        assert!(
            (value - expected).abs() < 1e-12,
            "{quantile}: {value} {expected}"
        );
    };
    // Ten between 1 and 2, ten between 2 and 4, twenty above.
    f(0.125, 1.5);
    f(0.25, 2.0);
    f(0.375, 3.0);
    f(0.9, 4.0);
    assert_eq!(found.quantile(-0.1), Some(f64::NEG_INFINITY));
    assert_eq!(found.quantile(1.1), Some(f64::INFINITY));
}

#[test]
fn histograms_of_other_bounds_are_left_out_and_said_to_be() {
    let mut windows = windows();
    let one = explicit(&mut windows, "a", &[1.0], &[&[0.0, 0.0], &[4.0, 0.0]]);
    let same = explicit(&mut windows, "b", &[1.0], &[&[0.0, 0.0], &[0.0, 4.0]]);
    let other = explicit(&mut windows, "c", &[2.0], &[&[0.0, 0.0], &[4.0, 0.0]]);
    let both = increase(&windows, &[one, same]);
    assert_eq!((both.count(), both.is_mixed()), (8.0, false));
    assert_eq!(both.quantile(0.25), Some(0.5));
    let all = increase(&windows, &[one, same, other]);
    assert_eq!((all.count(), all.is_mixed()), (8.0, true));
}

#[test]
fn one_point_or_none_says_nothing() {
    let mut windows = windows();
    let id = explicit(&mut windows, "h", &[1.0], &[&[4.0, 0.0]]);
    assert_eq!(increase(&windows, &[id]).quantile(0.5), None);
    assert_eq!(increase(&windows, &[]).quantile(0.5), None);
}

/// The quantile of exponential histograms of different scales lies within a bucket of that of
/// the observations.
#[test]
fn exponential_histograms_of_any_scale_find_the_observations() {
    let values: Vec<f64> = (1..=1000).map(|i| f64::from(i) / 10.0).collect();
    for (first_scale, second_scale) in [(3, 3), (3, 2), (0, 4)] {
        let mut windows = windows();
        let id = windows
            .register("h", ValueKind::ExponentialHistogram, &[])
            .unwrap();
        let zero = StoredExponential {
            count: 0.0,
            sum: Some(0.0),
            scale: first_scale,
            zero_count: 0.0,
            zero_threshold: 0.0,
            positive: (0, &[]),
            negative: (0, &[]),
        };
        windows
            .push_point(id, 0, 1000, &StoredPoint::Exponential(zero))
            .unwrap();
        let mut seen = 0;
        for (time, scale) in [(2000, first_scale), (3000, second_scale)] {
            seen += values.len() / 2;
            // Every other value, so that both halves look alike.
            let sample: Vec<f64> = values
                .iter()
                .copied()
                .cycle()
                .step_by(2)
                .take(seen)
                .collect();
            let index = |value: f64| (value.log2() * f64::from(scale).exp2()).ceil() as i32 - 1;
            let (low, high) = (index(0.1), index(100.0));
            let mut counts = vec![0.0; (high - low + 1) as usize];
            for value in &sample {
                counts[(index(*value) - low) as usize] += 1.0;
            }
            let point = StoredExponential {
                count: seen as f64,
                positive: (low, &counts),
                scale,
                ..zero
            };
            windows
                .push_point(id, 0, time, &StoredPoint::Exponential(point))
                .unwrap();
        }
        let found = increase(&windows, &[id]);
        assert_eq!(found.count(), 1000.0);
        let width = (-f64::from(first_scale.min(second_scale))).exp2().exp2();
        for percent in [5, 25, 50, 75, 95] {
            let quantile = f64::from(percent) / 100.0;
            let (value, exact) = (found.quantile(quantile).unwrap(), quantile * 100.0);
            assert!(
                value <= exact * width && value >= exact / width,
                "{percent}: {value} {exact}"
            );
        }
    }
}

#[test]
fn observations_below_and_around_zero_have_their_places() {
    let mut windows = windows();
    let id = windows
        .register("h", ValueKind::ExponentialHistogram, &[])
        .unwrap();
    for (time, count) in [(1000, 0.0), (2000, 10.0)] {
        let point = StoredExponential {
            count: count * 3.0,
            sum: None,
            scale: 0,
            zero_count: count,
            zero_threshold: 0.5,
            // (1, 2] and [-4, -2).
            positive: (0, &[count]),
            negative: (1, &[count]),
        };
        windows
            .push_point(id, 0, time, &StoredPoint::Exponential(point))
            .unwrap();
    }
    let found = increase(&windows, &[id]);
    let f = |quantile: f64, expected: f64| {
        let value = found.quantile(quantile).unwrap();
        assert!(
            (value - expected).abs() < 1e-9,
            "{quantile}: {value} {expected}"
        );
    };
    f(0.0, -4.0);
    f(1.0 / 6.0, -8.0_f64.sqrt());
    f(0.5, 0.0);
    f(5.0 / 6.0, 2.0_f64.sqrt());
    f(1.0, 2.0);
}

#[test]
fn what_came_before_the_window_moves_no_bound_of_the_zero_bucket() {
    let mut windows = windows();
    let id = windows
        .register("h", ValueKind::ExponentialHistogram, &[])
        .unwrap();
    let mut push = |time: i64, zero: f64, positive: f64, negative: f64| {
        let point = StoredExponential {
            count: zero + positive + negative,
            sum: None,
            scale: 0,
            zero_count: zero,
            zero_threshold: 1.0,
            // (1, 2] and [-2, -1).
            positive: (0, &[positive]),
            negative: (0, &[negative]),
        };
        windows
            .push_point(id, 0, time, &StoredPoint::Exponential(point))
            .unwrap();
    };
    push(1000, 0.0, 0.0, 5.0);
    push(2000, 10.0, 10.0, 5.0);
    // Half of what came within lies between 0 and 1, and the rest above.
    assert_eq!(increase(&windows, &[id]).quantile(0.25), Some(0.5));
}

#[test]
fn observations_without_a_finite_sum_are_left_out_of_sum_and_mean() {
    let mut windows = windows();
    let mut f = |name: &str, sums: [Option<f64>; 2], reset: bool| {
        let id = windows.register(name, ValueKind::Histogram, &[]).unwrap();
        let counts = if reset { [9.0, 4.0] } else { [0.0, 4.0] };
        for (time, (sum, count)) in (1..).zip(sums.into_iter().zip(counts)) {
            let point = StoredPoint::Histogram(StoredHistogram {
                count,
                sum,
                bounds: &[1.0],
                buckets: &[count, 0.0],
            });
            windows.push_point(id, 0, time * 1000, &point).unwrap();
        }
        id
    };
    let unknown = f("unknown", [None, None], false);
    let nan = f("nan", [Some(0.0), Some(f64::NAN)], false);
    let known = f("known", [Some(0.0), Some(2.0)], false);
    let again = f("again", [Some(f64::INFINITY), Some(2.0)], true);
    for one in [unknown, nan] {
        let found = increase(&windows, &[one]);
        let sums = (found.sum(), found.mean());
        assert_eq!((found.count(), sums), (4.0, (None, None)));
        assert_eq!(found.quantile(0.5), Some(0.5));
    }
    let found = increase(&windows, &[unknown, nan, known, again]);
    assert_eq!(found.count(), 16.0);
    assert_eq!((found.sum(), found.mean()), (Some(4.0), Some(0.5)));
}

#[test]
fn summaries_count_also_where_their_sum_is_not_finite() {
    let mut windows = windows();
    let id = windows.register("s", ValueKind::Summary, &[]).unwrap();
    let points = [
        (2.0, 1.0),
        (4.0, 2.0),
        (6.0, f64::NAN),
        // Starts anew.
        (1.0, 3.0),
    ];
    for (time, (count, sum)) in (1..).zip(points) {
        let point = StoredPoint::Summary(StoredSummary {
            count,
            sum,
            quantiles: &[],
            values: &[],
        });
        windows.push_point(id, 0, time * 1000, &point).unwrap();
    }
    let mut found = SummaryIncrease::default();
    found.gather(windows.snapshot(id, 1, 1_000_000).unwrap().excerpt());
    assert_eq!((found.points(), found.count()), (4, 5.0));
    assert_eq!((found.sum(), found.mean()), (Some(4.0), Some(4.0 / 3.0)));
}
