//! Statistics of random windows against what a walk in the plainest way comes to.

mod coverage;
mod histograms;

use proptest::prelude::*;

use super::super::{STALE, ValueKind, WindowSettings, Windows};
use super::*;

/// The points of a window, NaN and all, in the plainest form.
type Points = Vec<(i64, f64)>;

fn store(points: &[(i64, f64)]) -> (Windows, super::super::RingId) {
    let mut windows = Windows::new(WindowSettings {
        max_ahead: i64::MAX,
        ..WindowSettings::default()
    });
    let id = windows.register("m", ValueKind::Gauge, &[]).unwrap();
    for (time, value) in points {
        windows.push(id, *time, *value).unwrap();
    }
    (windows, id)
}

/// The statistic by the store and its digests.
fn ours(
    windows: &Windows,
    id: super::super::RingId,
    from: i64,
    to: i64,
    s: &dyn Statistic,
) -> Option<f64> {
    let mut numbers = Numbers::default();
    numbers.begin(from, to);
    numbers.gather(
        windows.snapshot(id, from + 1, to).unwrap().excerpt(),
        s.needs(),
    );
    s.of(&mut numbers)
}

/// The statistic by a walk over all points, in the order of their times.
pub(in crate::window) fn naive(
    name: &str,
    points: &[(i64, f64)],
    from: i64,
    to: i64,
) -> Option<f64> {
    let inside: Points = points
        .iter()
        .copied()
        .filter(|(time, value)| *time > from && *time <= to && value.is_finite())
        .collect();
    let values: Vec<f64> = inside.iter().map(|(_, value)| *value).collect();
    let (first, last) = (*inside.first()?, *inside.last()?);
    let n = values.len() as f64;
    let sum: f64 = values.iter().sum();
    let mut sorted = values.clone();
    sorted.sort_by(f64::total_cmp);
    let linear = |sorted: &[f64], q: f64| {
        let rank = q * (sorted.len() - 1) as f64;
        let (low, high) = (rank.floor() as usize, rank.ceil() as usize);
        sorted[low] + (sorted[high] - sorted[low]) * (rank - rank.floor())
    };
    let extrapolated = |counter: bool| {
        if values.len() < 2 {
            return None;
        }
        let resets: f64 = values
            .windows(2)
            .filter(|w| counter && w[1] < w[0])
            .map(|w| w[0])
            .sum();
        let change = last.1 - first.1 + resets;
        let sampled = (last.0 - first.0) as f64 / 1e3;
        let interval = sampled / (n - 1.0);
        let mut start = (first.0 - from) as f64 / 1e3;
        let mut end = (to - last.0) as f64 / 1e3;
        if start >= interval * 1.1 {
            start = interval / 2.0;
        }
        if end >= interval * 1.1 {
            end = interval / 2.0;
        }
        if counter && change > 0.0 && first.1 >= 0.0 && sampled * (first.1 / change) < start {
            start = sampled * (first.1 / change);
        }
        Some(change * (sampled + start + end) / sampled)
    };
    let mean = sum / n;
    Some(match name {
        "avg" => mean,
        "sum" => sum,
        "count" => n,
        "min" => sorted[0],
        "max" => sorted[sorted.len() - 1],
        "first" => first.1,
        "last" => last.1,
        "stddev" => (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt(),
        "p50" => sorted[((sorted.len() - 1) as f64 * 0.5).ceil() as usize],
        "p90" => sorted[((sorted.len() - 1) * 9).div_ceil(10)],
        "p100" => sorted[sorted.len() - 1],
        "rate" => extrapolated(true)? / ((to - from) as f64 / 1e3),
        "increase" => extrapolated(true)?,
        "delta" => extrapolated(false)?,
        "mad" => {
            let median = linear(&sorted, 0.5);
            let mut distances: Vec<f64> = values.iter().map(|v| (v - median).abs()).collect();
            distances.sort_by(f64::total_cmp);
            linear(&distances, 0.5)
        }
        "ema" => {
            let half = (to - from) as f64 / 2.0;
            let weights = inside.windows(2).fold(vec![1.0], |mut all: Vec<f64>, w| {
                let passed = (w[1].0 - w[0].0) as f64 / half;
                // 1 - kept, where that is close to nothing.
                let new = -(-passed * std::f64::consts::LN_2).exp_m1();
                let kept = 1.0 - new;
                all.iter_mut().for_each(|weight| *weight *= kept);
                all.push(new);
                all
            });
            weights.iter().zip(&values).map(|(w, v)| w * v).sum()
        }
        "deriv" => {
            if values.len() < 2 {
                return None;
            }
            let times: Vec<f64> = inside
                .iter()
                .map(|(t, _)| (*t - first.0) as f64 / 1e3)
                .collect();
            let middle = times.iter().sum::<f64>() / n;
            let up: f64 = times
                .iter()
                .zip(&values)
                .map(|(t, v)| (t - middle) * (v - mean))
                .sum();
            let across: f64 = times.iter().map(|t| (t - middle).powi(2)).sum();
            if inside.iter().all(|(time, _)| *time == first.0) {
                return None;
            }
            up / across
        }
        _ => {
            let percent: f64 = name[1..].parse().unwrap();
            linear(&sorted, percent / 100.0)
        }
    })
}

fn points() -> impl Strategy<Value = Points> {
    let value = prop_oneof![
        6 => (0_i32..1000).prop_map(f64::from),
        3 => -100.0..100.0_f64,
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::from_bits(STALE)]),
    ];
    let gap = prop_oneof![9 => Just(15_000_i64), 1 => 1_i64..200_000];
    prop::collection::vec((gap, value), 1..1500).prop_map(|points| {
        let mut time = 0;
        let place = |(gap, value)| {
            time += gap;
            (time, value)
        };
        points.into_iter().map(place).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn every_statistic_is_what_a_walk_comes_to(
        points in points(),
        from in -100_000_i64..15_000_000,
        length in prop_oneof![1_i64..30_000, 300_000_i64..30_000_000],
    ) {
        let (windows, id) = store(&points);
        let to = from + length;
        let names = [
            "avg", "sum", "count", "min", "max", "first", "last", "stddev", "p50", "p90", "p100",
            "rate", "increase", "delta", "mad", "ema", "deriv",
        ];
        let linear = ["p0", "p37", "p99.9"];
        let methods = names.map(|name| (name, Method::Platform));
        for (name, method) in methods.into_iter().chain(linear.map(|name| (name, Method::Linear))) {
            let statistic = statistic(name, method).unwrap();
            let found = ours(&windows, id, from, to, &*statistic);
            let expected = naive(name, &points, from, to);
            match (found, expected) {
                (Some(found), Some(expected)) => {
                    let scale = expected.abs().max(1e-3);
                    prop_assert!((found - expected).abs() <= 1e-9 * scale.max(1.0), "{}: {} {}", name, found, expected);
                }
                _ => prop_assert_eq!(found, expected, "{}", name),
            }
        }
    }

    /// Windows that follow each other share no point and miss none.
    #[test]
    fn windows_that_follow_each_other_cover_every_point_once(points in points(), cut in 0_i64..20_000_000) {
        let (windows, id) = store(&points);
        let end = points[points.len() - 1].0.max(cut) + 1;
        let counted = |from, to| ours(&windows, id, from, to, &PointCount).unwrap_or(0.0);
        prop_assert_eq!(counted(-1, cut) + counted(cut, end), counted(-1, end));
    }
}

#[test]
fn a_line_needs_two_times() {
    let f = |series: &[&[(i64, f64)]], expected: Option<(f64, f64)>| {
        let mut numbers = Numbers::default();
        numbers.begin(0, 86_400_000);
        for points in series {
            let (windows, id) = store(points);
            let all = windows.snapshot(id, 1, 86_400_000).unwrap();
            numbers.gather(all.excerpt(), Needs::POINTS);
        }
        let ahead = Predict { ahead: 0 };
        let found = Deriv.of(&mut numbers).zip(ahead.of(&mut numbers));
        match (found, expected) {
            (Some((slope, height)), Some((expected, at_end))) => {
                assert!((slope - expected).abs() < 1e-9 * expected.abs(), "{slope}");
                assert!((height - at_end).abs() < 1e-9 * at_end.abs(), "{height}");
            }
            _ => assert_eq!(found, expected, "{series:?}"),
        }
    };
    f(&[&[(1000, 1.0)]], None);
    f(&[&[(1000, 1.0)], &[(1000, 3.0)]], None);
    f(&[&[(1000, 1.0)], &[(1000, 1.0)]], None);
    f(
        &[&[(1000, 1.0)], &[(2000, 3.0)]],
        Some((2.0, 2.0 * 86_399.0 + 1.0)),
    );
    // Seen from the end of the window, these are hardly two.
    f(
        &[&[(1000, 1.0), (1001, 2.0)]],
        Some((1000.0, 1000.0 * 86_399.0 + 1.0)),
    );
}

#[test]
fn the_percentile_of_the_platform_is_one_of_the_values() {
    let f = |values: &[f64], percent: f64, expected: f64| {
        let points: Points = (1..)
            .map(|i| i * 1000)
            .zip(values.iter().copied())
            .collect();
        let (windows, id) = store(&points);
        let found = ours(&windows, id, 0, 1_000_000, &PlatformQuantile { percent });
        assert_eq!(found, Some(expected), "{values:?} {percent}");
    };
    f(&[3.0, 1.0, 2.0], 50.0, 2.0);
    f(&[4.0, 3.0, 1.0, 2.0], 50.0, 3.0);
    f(&[4.0, 3.0, 1.0, 2.0], 0.0, 1.0);
    f(&[4.0, 3.0, 1.0, 2.0], 95.0, 4.0);
    f(&[7.0], 95.0, 7.0);
    // 0.55 * 100 is more than 55 in floating point.
    let hundred: Vec<f64> = (0..101).map(f64::from).collect();
    f(&hundred, 55.0, 55.0);
    f(&hundred, 95.0, 95.0);
    f(&hundred, 99.9, 100.0);
}

#[test]
fn two_series_that_move_together_correlate() {
    let gather = |values: &[f64], offset: i64| {
        let points: Points = (1..)
            .map(|i| i * 1000 + offset)
            .zip(values.iter().copied())
            .collect();
        let (windows, id) = store(&points);
        let mut numbers = Numbers::default();
        numbers.begin(0, 100_000);
        numbers.gather(
            windows.snapshot(id, 1, 100_000).unwrap().excerpt(),
            Needs::POINTS,
        );
        numbers
    };
    let up = gather(&[1.0, 2.0, 3.0, 4.0], 0);
    let also = gather(&[10.0, 20.0, 30.0, 40.0, 5.0], 3);
    let down = gather(&[4.0, 3.0, 2.0, 1.0], 0);
    let still = gather(&[4.0; 4], 0);
    let crooked = gather(&[1.0, 3.0, 2.0, 4.0], 0);
    let close = |found: Option<f64>, expected: f64| {
        assert!(
            (found.unwrap() - expected).abs() < 1e-12,
            "{found:?} {expected}"
        );
    };
    close(correlation(&up, &also, 5), 1.0);
    assert_eq!(correlation(&up, &also, 2), None, "no common times");
    close(correlation(&up, &down, 0), -1.0);
    close(correlation(&up, &crooked, 0), 0.8);
    assert_eq!(correlation(&up, &still, 0), None);
}

#[test]
fn a_trend_goes_on_behind_the_window() {
    let points: Points = (1..=10).map(|i| (i * 1000, 5.0 - i as f64)).collect();
    let (windows, id) = store(&points);
    let found = ours(&windows, id, 0, 12_000, &Predict { ahead: 8_000 }).unwrap();
    assert!((found + 15.0).abs() < 1e-9, "{found}");
}

#[test]
fn statistics_of_a_group_are_over_all_points_of_its_series() {
    let (one, first) = store(&[(1000, 1.0), (2000, 5.0), (3000, 2.0)]);
    let (other, second) = store(&[(500, 10.0), (2500, 20.0)]);
    let mut numbers = Numbers::default();
    numbers.begin(0, 10_000);
    numbers.gather(
        one.snapshot(first, 1, 10_000).unwrap().excerpt(),
        Needs::VALUES.and(Needs::DIGEST),
    );
    numbers.gather(
        other.snapshot(second, 1, 10_000).unwrap().excerpt(),
        Needs::VALUES.and(Needs::DIGEST),
    );
    let mut f = |name: &str, expected: f64| {
        let found = statistic(name, Method::Platform).unwrap().of(&mut numbers);
        assert_eq!(found, Some(expected), "{name}");
    };
    f("sum", 38.0);
    f("count", 5.0);
    f("min", 1.0);
    f("max", 20.0);
    f("first", 10.0);
    f("last", 2.0);
    f("p50", 5.0);
}

#[test]
fn coverage_is_what_is_there_of_what_should_be() {
    let mut both = Coverage::default();
    both.add(25, 20.0);
    both.add(5, 20.0);
    assert_eq!(both.share(), 25.0 / 40.0, "no series makes up for another");
    assert_eq!(Coverage::default().share(), 1.0);
}

#[test]
fn a_name_is_a_statistic_or_an_error_that_lists_them() {
    for name in ["avg", "p95", "p99.9", "p0", "p100", "ema"] {
        assert!(statistic(name, Method::Linear).is_ok(), "{name}");
    }
    for name in [
        "", "p", "p101", "p-1", "pinf", "p1e1", "p9.9.9", "mean", "P95",
    ] {
        let error = statistic(name, Method::Platform).err().unwrap().to_string();
        assert!(
            error.starts_with(&format!("unknown statistic {name:?}: expected avg,")),
            "{error}"
        );
    }
}
