//! The points of what is found.

use std::cell::Cell;

use super::*;

/// Populated buckets by index.
type Buckets<'a> = &'a [(i32, f64)];

#[test]
fn buckets_are_cumulated_as_prometheus_has_them() {
    let rig = Rig::of_all_kinds();
    assert_eq!(
        rig.ask(r#"{__name__=~"wait_.*"}[10m]"#, 5),
        [
            r#"{__name__="wait_bucket", a="x", le="+Inf", z="1"} 0:6 1:7"#,
            r#"{__name__="wait_bucket", a="x", le="0.5", z="1"} 0:1 1:2"#,
            r#"{__name__="wait_bucket", a="x", le="1.0", z="1"} 0:3 1:4"#,
            // The bound 1e6 came with the second minute.
            r#"{__name__="wait_bucket", a="y", le="+Inf", z="1"} 0:1 1:3"#,
            r#"{__name__="wait_bucket", a="y", le="0.5", z="1"} 0:1 1:1"#,
            r#"{__name__="wait_bucket", a="y", le="1.0", z="1"} 0:1 1:2"#,
            r#"{__name__="wait_bucket", a="y", le="1e+06", z="1"} 1:2"#,
            r#"{__name__="wait_count", a="x", z="1"} 0:6 1:7"#,
            r#"{__name__="wait_count", a="y", z="1"} 0:1 1:3"#,
            r#"{__name__="wait_sum", a="x", z="1"} 0:4.5 1:5"#,
        ]
    );
    assert_eq!(
        rig.ask("histogram_quantile(0.5, wait_bucket{a='x'})", 0),
        [r#"{a="x", z="1"} 1"#]
    );
}

#[test]
fn some_buckets_have_the_values_that_they_have_among_all() {
    let rig = Rig::of_all_kinds();
    assert_eq!(
        rig.ask(r#"wait_bucket{le=~"1.0|.Inf"}"#, 1),
        [
            r#"{__name__="wait_bucket", a="x", le="1.0", z="1"} 4"#,
            r#"{__name__="wait_bucket", a="x", le="+Inf", z="1"} 7"#,
            r#"{__name__="wait_bucket", a="y", le="1.0", z="1"} 2"#,
            r#"{__name__="wait_bucket", a="y", le="+Inf", z="1"} 3"#,
        ]
    );
}

#[test]
fn summaries_have_their_quantiles() {
    let rig = Rig::of_all_kinds();
    assert_eq!(
        rig.ask(r#"{__name__=~"size.*"}"#, 0),
        [
            r#"{__name__="size", a="x", quantile="0.5"} 1"#,
            r#"{__name__="size", a="x", quantile="0.99"} 2"#,
            r#"{__name__="size_count", a="x"} 7"#,
            r#"{__name__="size_sum", a="x"} 8"#,
        ]
    );
}

#[test]
fn exponential_histograms_are_native_ones_of_eight_at_most() {
    let f = |scale: i32, expected: (i32, Buckets<'_>, Buckets<'_>)| {
        let rig = Rig::default();
        let lag = ("lag", ValueKind::ExponentialHistogram);
        rig.store("window", lag, &[], 0, &[exponential(scale), STALE_POINT]);
        let source = rig.source();
        let mut found = source
            .select(&matchers("lag"), 0, MINUTE, &Unbounded)
            .unwrap();
        let mut points = SeriesPoints::default();
        found[0].read(0, MINUTE, &mut points).unwrap();
        let [(0, histogram)] = &points.histograms[..] else {
            panic!("{points:?}");
        };
        let buckets = (
            histogram.schema,
            &histogram.positive[..],
            &histogram.negative[..],
        );
        assert_eq!(buckets, expected);
        assert_eq!((histogram.count, histogram.sum), (10.0, 9.5));
        assert_eq!(
            (histogram.zero_count, histogram.zero_threshold),
            (1.0, 1e-128)
        );
        assert_eq!(points.times, [MINUTE]);
        assert!(crate::query::is_stale(points.values[0]));
    };
    // OTLP's bucket i lies between base^i and base^(i + 1), and Prometheus's ends at base^i.
    f(3, (3, &[(-1, 2.0), (1, 3.0), (2, 1.0)], &[(3, 3.0)]));
    f(8, (8, &[(-1, 2.0), (1, 3.0), (2, 1.0)], &[(3, 3.0)]));
    f(9, (8, &[(0, 2.0), (1, 4.0)], &[(2, 3.0)]));
    f(20, (8, &[(0, 2.0), (1, 4.0)], &[(1, 3.0)]));
    f(-4, (-4, &[(-1, 2.0), (1, 3.0), (2, 1.0)], &[(3, 3.0)]));
}

#[test]
fn the_end_of_a_histogram_is_the_end_of_all_its_series() {
    let rig = Rig::default();
    let points = [
        histogram(&[1.0], &[1.0, 0.0], Some(1.0)),
        histogram(&[2.0], &[1.0, 1.0], Some(1.0)),
        STALE_POINT,
        histogram(&[2.0], &[0.0, 1.0], Some(1.0)),
    ];
    rig.store("window", ("h", ValueKind::Histogram), &[], 0, &points);
    assert_eq!(rig.ask("h_bucket", 2), [] as [String; 0]);
    assert_eq!(
        rig.ask("h_bucket", 3),
        [
            r#"{__name__="h_bucket", le="2.0"} 0"#,
            r#"{__name__="h_bucket", le="+Inf"} 1"#,
        ]
    );
    let source = rig.source();
    let found = source.select(&matchers("{le='1.0'}"), 0, 9 * MINUTE, &Unbounded);
    let mut points = SeriesPoints::default();
    found.unwrap()[0].read(0, 9 * MINUTE, &mut points).unwrap();
    assert_eq!(shown(&points), "0:1 1:stale 2:stale");
}

#[test]
fn a_bucket_that_is_no_longer_there_has_ended() {
    let rig = Rig::default();
    let points = [
        histogram(&[0.5, 1.5], &[1.0, 1.0, 0.0], Some(1.0)),
        histogram(&[0.5, 1.5], &[2.0, 1.0, 0.0], Some(1.0)),
        histogram(&[1.5], &[4.0, 0.0], None),
        histogram(&[1.5], &[5.0, 0.0], None),
        histogram(&[0.5, 1.5], &[6.0, 1.0, 0.0], Some(3.0)),
    ];
    rig.store("window", ("h", ValueKind::Histogram), &[], 0, &points);
    for minute in [2, 3] {
        assert_eq!(
            rig.ask("h_bucket{le='0.5'} or h_sum", minute),
            [] as [String; 0]
        );
    }
    assert_eq!(
        rig.ask("h_bucket{le!='+Inf'}[9m]", 4),
        [
            r#"{__name__="h_bucket", le="0.5"} 0:1 1:2 4:6"#,
            r#"{__name__="h_bucket", le="1.5"} 0:2 1:3 2:4 3:5 4:7"#,
        ]
    );
    let source = rig.source();
    let read = |part: &str| {
        let found = source.select(&matchers(part), 0, 9 * MINUTE, &Unbounded);
        let mut points = SeriesPoints::default();
        found.unwrap()[0].read(0, 9 * MINUTE, &mut points).unwrap();
        shown(&points)
    };
    assert_eq!(read("{le='0.5'}"), "0:1 1:2 2:stale 4:6");
    assert_eq!(read("h_sum"), "0:1 1:1 2:stale 4:3");
}

/// Counts what is held, and refuses more.
struct CountedRoom {
    held: Cell<usize>,
    most: Cell<usize>,
    work: Cell<usize>,
    limit: usize,
}

impl CountedRoom {
    fn new(limit: usize) -> Self {
        Self {
            held: Cell::new(0),
            most: Cell::new(0),
            work: Cell::new(0),
            limit,
        }
    }
}

impl SourceRoom for CountedRoom {
    fn work(&self, points: usize) -> Result<(), QueryError> {
        self.work.set(self.work.get() + points);
        Ok(())
    }

    fn hold(&self, bytes: usize) -> Result<(), QueryError> {
        let held = self.held.get() + bytes;
        self.held.set(held);
        self.most.set(self.most.get().max(held));
        match held > self.limit {
            true => Err(QueryError::execution("too much")),
            false => Ok(()),
        }
    }

    fn release(&self, bytes: usize) {
        self.held.set(self.held.get().checked_sub(bytes).unwrap());
    }
}

/// Twenty histograms of so many buckets with a hundred points each.
fn wide(buckets: usize) -> Rig {
    let rig = Rig::default();
    let bounds: Vec<f64> = (1..buckets).map(|bound| bound as f64).collect();
    let counts = vec![1.0; buckets];
    let points = vec![histogram(&bounds, &counts, Some(1.0)); 100];
    for a in 0..20 {
        let a = a.to_string();
        let labels = [("a", a.as_str())];
        rig.store("window", ("h", ValueKind::Histogram), &labels, 0, &points);
    }
    rig
}

#[test]
fn a_histogram_is_read_once_for_all_its_buckets_and_then_forgotten() {
    let f = |buckets: usize| {
        let rig = wide(buckets);
        let source = rig.source();
        let room = CountedRoom::new(usize::MAX);
        let found = source.select(&matchers("h_bucket"), 0, 200 * MINUTE, &room);
        let found = found.unwrap();
        let listed = room.held.get();
        let mut read = 0;
        let mut points = SeriesPoints::default();
        for mut series in found {
            points.clear();
            series.read(0, 200 * MINUTE, &mut points).unwrap();
            read += points.times.len();
        }
        assert_eq!(read, 20 * buckets * 100);
        assert_eq!(room.held.get(), listed, "tables are given back");
        // One histogram at a time.
        let table = room.most.get() - listed;
        assert!(table < buckets * 100 * 20, "{table}");
        room.work.get()
    };
    let (few, many) = (f(50), f(500));
    assert!(many < few * 11, "{few} {many}");
}

#[test]
fn reading_and_listing_end_where_there_is_no_room() {
    let rig = wide(100);
    let source = rig.source();
    let room = CountedRoom::new(1_000);
    let refused = source.select(&matchers("h_bucket"), 0, 200 * MINUTE, &room);
    assert!(refused.is_err());
    let listed = CountedRoom::new(usize::MAX);
    drop(source.select(&matchers("h_bucket"), 0, 200 * MINUTE, &listed));
    let room = CountedRoom::new(listed.held.get() + 50_000);
    let mut found = source
        .select(&matchers("h_bucket"), 0, 200 * MINUTE, &room)
        .unwrap();
    let mut points = SeriesPoints::default();
    let refused = found[0].read(0, 200 * MINUTE, &mut points);
    assert_eq!(refused.unwrap_err().message, "too much");
}
