use super::bounds::{coarser, upper};
use super::*;

fn histogram(
    schema: i32,
    zero_threshold: f64,
    zero: f64,
    buckets: &[(i32, f64)],
) -> NativeHistogram {
    let counts = buckets.iter().map(|(_, count)| count);
    NativeHistogram {
        schema,
        zero_threshold,
        zero_count: zero,
        count: counts.sum::<f64>() + zero,
        sum: 10.0,
        positive: buckets.to_vec(),
        negative: Vec::new(),
        gauge: false,
    }
}

#[test]
fn bounds_divide_powers_of_two() {
    let f = |index: i32, schema: i32, expected: f64| assert_eq!(upper(index, schema), expected);
    f(0, 0, 1.0);
    f(1, 0, 2.0);
    f(-1, 0, 0.5);
    f(1, -1, 4.0);
    f(-2, -2, 2_f64.powi(-8));
    f(1, 1, std::f64::consts::SQRT_2 - f64::EPSILON);
    f(8, 3, 2.0);
    f(1_024, 0, f64::MAX);
    f(1_025, 0, f64::INFINITY);
    f(512, -1, f64::MAX);
    f(262_144, 8, f64::MAX);
    f(-1_074, 0, 5e-324);
    f(i32::MAX, 0, f64::INFINITY);
    f(i32::MIN, -4, 0.0);
}

#[test]
fn two_buckets_become_one_of_a_coarser_schema() {
    let f = |index: i32, expected: i32| assert_eq!(coarser(index, 1, 0), expected, "{index}");
    f(1, 1);
    f(2, 1);
    f(3, 2);
    f(0, 0);
    f(-1, 0);
    f(-2, -1);
}

#[test]
fn a_sum_takes_the_coarser_schema() {
    let mut sum = histogram(1, 1e-128, 1.0, &[(1, 2.0), (2, 3.0), (3, 1.0)]);
    sum.add(&histogram(0, 1e-128, 2.0, &[(1, 1.0), (5, 4.0)]));
    assert_eq!(sum.schema, 0);
    assert_eq!(sum.positive, [(1, 6.0), (2, 1.0), (5, 4.0)]);
    assert_eq!((sum.zero_count, sum.count), (3.0, 14.0));
}

#[test]
fn a_sum_takes_the_wider_zero_bucket() {
    // Half of the bucket up to 1 lies below 0.75, so the zero bucket has to reach to 1.
    let mut sum = histogram(0, 0.25, 1.0, &[(-1, 2.0), (0, 3.0), (1, 4.0)]);
    sum.add(&histogram(0, 0.75, 5.0, &[(2, 1.0)]));
    assert_eq!((sum.zero_threshold, sum.zero_count), (1.0, 11.0));
    assert_eq!(sum.positive, [(1, 4.0), (2, 1.0)]);
}

#[test]
fn what_is_subtracted_away_leaves_no_bucket() {
    let mut left = histogram(0, 1e-128, 1.0, &[(1, 2.0), (2, 3.0)]);
    left.subtract(&histogram(0, 1e-128, 1.0, &[(1, 2.0), (3, 1.0)]));
    let left = left.compacted();
    assert_eq!(left.positive, [(2, 3.0), (3, -1.0)]);
    assert_eq!(left.zero_count, 0.0);
}

#[test]
fn whatever_falls_is_a_reset() {
    let before = histogram(1, 0.001, 2.0, &[(1, 2.0), (2, 3.0)]);
    let f = |now: NativeHistogram, expected: bool| {
        assert_eq!(now.is_reset_from(&before), expected, "{now}");
    };
    f(before.clone(), false);
    f(
        histogram(1, 0.001, 2.0, &[(1, 2.0), (2, 3.0), (9, 1.0)]),
        false,
    );
    f(histogram(1, 0.001, 2.0, &[(1, 2.0), (3, 9.0)]), true);
    f(histogram(1, 0.001, 1.0, &[(1, 5.0), (2, 3.0)]), true);
    f(histogram(1, 0.001, 2.0, &[(1, 1.0)]), true);
    // A coarser schema is a reset of nothing, a finer one is.
    f(histogram(0, 0.001, 2.0, &[(1, 5.0)]), false);
    f(histogram(2, 0.001, 2.0, &[(1, 5.0)]), true);
    f(histogram(1, 0.0001, 2.0, &[(1, 2.0), (2, 3.0)]), true);
    f(histogram(1, 0.01, 2.0, &[(1, 2.0), (2, 3.0)]), false);
}

#[test]
fn sums_and_means_of_many_lose_nothing() {
    let one = histogram(0, 1e-128, 0.0, &[(1, 1.0), (2, 3.0)]);
    let mut large = one.clone();
    large.scale(1e17);
    let mut negative = one.clone();
    negative.scale(-1e17);
    let mut sum = HistogramSum::new(&large);
    sum.add(&one);
    sum.add(&negative);
    assert_eq!(sum.total().positive, one.positive);
    let mut mean = HistogramMean::new(&one);
    mean.add(&histogram(0, 1e-128, 2.0, &[(1, 3.0)]));
    assert_eq!(mean.get().positive, [(1, 2.0), (2, 1.5)]);
    assert_eq!(mean.get().zero_count, 1.0);
    let mut huge = one.clone();
    huge.scale(f64::MAX / 4.0);
    let mut mean = HistogramMean::new(&huge);
    for _ in 0..9 {
        mean.add(&huge);
    }
    let share = mean.get().positive[0].1 / huge.positive[0].1;
    assert!((share - 1.0).abs() < 1e-12, "{share}");
}

#[test]
fn a_histogram_is_named_by_its_buckets() {
    let mut named = histogram(0, 0.5, 2.0, &[(1, 3.0)]);
    named.negative = vec![(1, 1.0), (2, 4.0)];
    assert_eq!(
        named.to_string(),
        "{count:5, sum:10, [-4,-2):4, [-2,-1):1, [-0.5,0.5]:2, (1,2]:3}"
    );
}
