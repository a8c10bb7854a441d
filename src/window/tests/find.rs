//! Series by their labels.

use super::*;
use MatchOperator::{Equal, NotEqual, NotRegex, Regex};

/// Series with a label `a` of 0 to 9, every third without it, and a label `b`.
fn store() -> (Windows, Vec<RingId>) {
    let mut windows = small(|_| ());
    let ids = (0..30)
        .map(|index: i32| {
            let [a, b, i] = [index % 10, index / 10, index].map(|number| number.to_string());
            let name = if index % 2 == 0 { "even" } else { "odd" };
            let labels: &[(&str, &str)] = if index % 3 == 0 {
                &[("b", &b)]
            } else {
                &[("a", &a), ("b", &b)]
            };
            let labels = [labels, &[("i", i.as_str())]].concat();
            windows.register(name, ValueKind::Gauge, &labels).unwrap()
        })
        .collect();
    (windows, ids)
}

/// The series' numbers that a plain filter finds, and those that the index finds.
fn found(windows: &Windows, matchers: &[Matcher]) -> (Vec<RingId>, Vec<RingId>) {
    let fulfils = |info: &RingInfo| {
        matchers.iter().all(|matcher| {
            let label = info
                .labels
                .iter()
                .find(|(name, _)| **name == *matcher.name());
            let value = match label {
                Some((_, value)) => value,
                None if matcher.name() == "__name__" => &info.name,
                None => "",
            };
            matcher.matches(value)
        })
    };
    let plain = windows
        .rings()
        .filter(fulfils)
        .map(|info| info.id)
        .collect();
    (plain, windows.find(matchers))
}

#[test]
fn the_index_finds_what_a_look_at_every_series_finds() {
    let (windows, ids) = store();
    let conditions = [
        (Equal, "__name__", "even"),
        (NotEqual, "__name__", "even"),
        (Regex, "__name__", "e.*"),
        (Equal, "a", "4"),
        (Equal, "a", ""),
        (NotEqual, "a", "4"),
        (NotEqual, "a", ""),
        (Regex, "a", "4|7"),
        (Regex, "a", "[1-5]"),
        (Regex, "a", ".*"),
        (Regex, "a", "|1"),
        (NotRegex, "a", "4|7"),
        (NotRegex, "a", ".+"),
        (NotRegex, "a", "[1-5]?"),
        (Equal, "b", "1"),
        (Regex, "b", "0|2"),
        (NotRegex, "b", "0"),
        (Equal, "none", ""),
        (NotEqual, "none", ""),
        (Regex, "none", ".*"),
        (Equal, "b", "none"),
    ];
    let matcher = |&(operator, name, value)| Matcher::new(operator, name, value).unwrap();
    let mut sizes = 0;
    for first in &conditions {
        for second in &conditions {
            let matchers = [matcher(first), matcher(second)];
            let (plain, indexed) = found(&windows, &matchers);
            assert_eq!(indexed, plain, "{first:?} {second:?}");
            sizes += plain.len();
        }
    }
    assert!(sizes > 1000, "{sizes}");
    assert_eq!(windows.find(&[]), ids);
}

#[test]
fn one_key_is_one_series_and_another_kind_another() {
    let mut windows = small(|_| ());
    let labels = [("a", "1"), ("b", "2")];
    let first = windows.register("m", ValueKind::Gauge, &labels).unwrap();
    assert_eq!(windows.register("m", ValueKind::Gauge, &labels), Ok(first));
    // However they are ordered; of two of one name the first counts.
    let mixed = [("b", "2"), ("a", "1"), ("b", "3")];
    assert_eq!(windows.register("m", ValueKind::Gauge, &mixed), Ok(first));
    let other = windows.register("m", ValueKind::Counter, &labels).unwrap();
    assert_ne!(first, other);
    assert_eq!(windows.totals().series, 2);
    assert_eq!(
        windows.find(&[Matcher::new(Equal, "a", "1").unwrap()]),
        [first, other]
    );
    let kinds: Vec<_> = windows
        .metrics()
        .map(|(name, info)| (name.to_string(), info.series))
        .collect();
    assert_eq!(kinds, [("m".to_owned(), 1), ("m".to_owned(), 1)]);
}

#[test]
fn names_and_values_of_labels_are_those_of_stored_series() {
    let (mut windows, ids) = store();
    let texts = |mut list: Vec<std::sync::Arc<str>>| {
        list.sort_unstable();
        list.iter().map(|t| t.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(texts(windows.label_names()), ["__name__", "a", "b", "i"]);
    assert_eq!(texts(windows.label_values("b")), ["0", "1", "2"]);
    assert_eq!(texts(windows.label_values("__name__")), ["even", "odd"]);
    assert_eq!(texts(windows.label_values("none")), [""; 0]);
    windows.advance(3_600_000, 3_600_000);
    windows.push(ids[1], 0, 1.0).unwrap();
    assert_eq!(windows.expire(), 29);
    assert_eq!(texts(windows.label_names()), ["__name__", "a", "b", "i"]);
    assert_eq!(texts(windows.label_values("i")), ["1"]);
    assert_eq!(windows.find(&[]), [ids[1]]);
}

#[test]
fn a_metric_that_was_described_is_known_without_series() {
    let mut windows = small(|_| ());
    windows
        .describe("m", ValueKind::Gauge, "By", "Bytes.")
        .unwrap();
    windows.register("other", ValueKind::Gauge, &[]).unwrap();
    windows
        .describe("other", ValueKind::Gauge, "s", "Seconds.")
        .unwrap();
    windows.advance(i64::MAX / 2, i64::MAX / 2);
    windows.expire();
    let metrics: Vec<_> = windows.metrics().collect();
    assert_eq!(metrics.len(), 1);
    assert_eq!((&**metrics[0].0, &*metrics[0].1.unit), ("m", "By"));
}

#[test]
fn counts_and_times_are_those_of_all_series() {
    let mut windows = small(|_| ());
    assert_eq!(windows.extent(), None);
    for (name, series, from) in [("a", "1", 50), ("a", "2", 20), ("b", "1", 90)] {
        let id = windows
            .register(name, ValueKind::Gauge, &[("s", series)])
            .unwrap();
        for time in from..100 {
            windows.push(id, time, f64::NAN).unwrap();
        }
    }
    assert_eq!(windows.extent(), Some((20, 99)));
    let points = windows.points_by_name();
    let points: Vec<_> = points
        .iter()
        .map(|(name, points)| (&**name, *points))
        .collect();
    assert_eq!(points, [("a", 130), ("b", 10)]);
}
