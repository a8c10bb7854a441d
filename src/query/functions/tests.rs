use super::super::NativeHistogram;
use super::super::notes::Notes;
use super::*;

/// Ten observations: one around zero, three from 1 to 2, six from 2 to 4.
fn native() -> NativeHistogram {
    NativeHistogram {
        schema: 0,
        zero_threshold: 0.001,
        zero_count: 1.0,
        count: 10.0,
        sum: 20.0,
        positive: vec![(1, 3.0), (2, 6.0)],
        negative: Vec::new(),
        gauge: false,
    }
}

#[test]
fn quantiles_interpolate_between_neighbours() {
    let f = |q: f64, values: &[f64], expected: f64| {
        let value = quantile(q, values.iter().copied(), &mut Vec::new());
        assert!(
            value == expected || (value.is_nan() && expected.is_nan()),
            "{q} of {values:?} is {value}"
        );
    };
    f(0.5, &[3.0, 1.0, 2.0], 2.0);
    f(0.5, &[4.0, 1.0, 2.0, 3.0], 2.5);
    f(0.75, &[1.0, 2.0], 1.75);
    f(0.0, &[2.0, 1.0], 1.0);
    f(1.0, &[2.0, 1.0], 2.0);
    f(-0.1, &[1.0], f64::NEG_INFINITY);
    f(1.1, &[1.0], f64::INFINITY);
    f(f64::NAN, &[1.0], f64::NAN);
    f(0.5, &[], f64::NAN);
    // NaN is below all others.
    f(1.0, &[2.0, f64::NAN, 1.0], 2.0);
    f(0.0, &[2.0, f64::NAN, 1.0], f64::NAN);
    f(0.5, &[2.0, f64::NAN, 1.0], 1.0);
}

#[test]
fn quantiles_of_native_histograms_interpolate_exponentially() {
    let notes = Notes::default();
    let f = |q: f64, expected: f64| {
        let value = histogram_quantile(q, &native(), "", &notes);
        assert!((value - expected).abs() < 1e-12, "{q}: {value}");
    };
    f(0.05, 0.0005);
    f(0.1, 0.001);
    // Half of the bucket from 1 to 2.
    f(0.25, 2_f64.sqrt());
    f(0.7, 2.0 * 2_f64.sqrt());
    f(1.0, 4.0);
    assert_eq!(
        histogram_quantile(2.0, &native(), "", &notes),
        f64::INFINITY
    );
    assert!(histogram_quantile(f64::NAN, &native(), "", &notes).is_nan());
}

#[test]
fn observations_of_nan_are_noted() {
    let notes = Notes::default();
    let mut with_nan = native();
    (with_nan.count, with_nan.sum) = (20.0, f64::NAN);
    assert!(histogram_quantile(0.9, &with_nan, "x", &notes).is_nan());
    assert_eq!(histogram_quantile(0.5, &with_nan, "x", &notes), 4.0);
    assert_eq!(histogram_fraction((1.0, 2.0), &with_nan, "x", &notes), 0.15);
    let (_, infos) = notes.finish();
    assert_eq!(infos.len(), 3, "{infos:?}");
}

#[test]
fn fractions_of_native_histograms() {
    let notes = Notes::default();
    let f = |lower: f64, upper: f64, expected: f64| {
        let value = histogram_fraction((lower, upper), &native(), "", &notes);
        assert!((value - expected).abs() < 1e-12, "{lower} {upper}: {value}");
    };
    f(1.0, 2.0, 0.3);
    f(2_f64.sqrt(), 2.0, 0.15);
    f(f64::NEG_INFINITY, f64::INFINITY, 1.0);
    f(0.0, 0.0005, 0.05);
    f(2.0, 1.0, 0.0);
}

#[test]
fn buckets_are_made_monotonic() {
    let bucket = |upper: f64, count: f64| ClassicBucket { upper, count };
    let infinite = f64::INFINITY;
    let lagging = vec![bucket(1.0, 5.0), bucket(2.0, 4.0), bucket(infinite, 10.0)];
    assert_eq!(bucket_quantile(0.5, lagging), (1.0, true));
    let rounded = vec![
        bucket(1.0, 5.0),
        bucket(2.0, 5.0 - 1e-15),
        bucket(infinite, 5.0),
    ];
    assert_eq!(bucket_quantile(0.5, rounded), (0.5, false));
    let twice = vec![bucket(1.0, 2.0), bucket(infinite, 8.0), bucket(1.0, 2.0)];
    assert_eq!(bucket_quantile(0.25, twice), (0.5, false));
}

#[test]
fn statistics_of_native_histograms() {
    let f = |function: HistogramFunction, expected: f64| {
        let value = function.apply(&native());
        assert!((value - expected).abs() < 1e-12, "{function:?}: {value}");
    };
    f(HistogramFunction::Count, 10.0);
    f(HistogramFunction::Sum, 20.0);
    f(HistogramFunction::Avg, 2.0);
    // As if at 0, the roots of 2 and of 8.
    let squares = 4.0 + 3.0 * (2_f64.sqrt() - 2.0).powi(2) + 6.0 * (8_f64.sqrt() - 2.0).powi(2);
    f(HistogramFunction::Stdvar, squares / 10.0);
    f(HistogramFunction::Stddev, (squares / 10.0).sqrt());
}

#[test]
fn rounding_is_up_at_halves() {
    let f = |value: f64, nearest: f64, expected: f64| {
        assert_eq!(round_to(value, nearest), expected, "{value} to {nearest}");
    };
    f(2.5, 1.0, 3.0);
    f(-2.5, 1.0, -2.0);
    f(7.0, 5.0, 5.0);
    f(0.77, 0.1, 0.8);
}

#[test]
fn bounds_keep_the_sign_of_zero() {
    assert!(smaller(0.0, -0.0).is_sign_negative());
    assert!(larger(-0.0, 0.0).is_sign_positive());
    assert_eq!(smaller(f64::NAN, f64::NEG_INFINITY), f64::NEG_INFINITY);
    assert!(larger(f64::NAN, 1.0).is_nan());
}

#[test]
fn dates_exist_for_every_number() {
    let f = |part: DatePart, seconds: f64, expected: f64| {
        assert_eq!(part.of(seconds), expected, "{part:?} of {seconds}");
    };
    f(DatePart::Year, 0.0, 1970.0);
    f(DatePart::DayOfWeek, 0.0, 4.0);
    f(DatePart::Year, -1.0, 1969.0);
    f(DatePart::Month, -1.0, 12.0);
    f(DatePart::DayOfMonth, -1.0, 31.0);
    f(DatePart::Hour, -1.0, 23.0);
    f(DatePart::DayOfYear, 1_709_164_800.0, 60.0);
    f(DatePart::DaysInMonth, 4_107_542_399.0, 28.0);
    // Go's calendar ends here, and begins anew.
    f(DatePart::Year, f64::NAN, 292_277_026_596.0);
    f(DatePart::Year, f64::INFINITY, 292_277_026_596.0);
}
