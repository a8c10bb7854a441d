//! Random pushes against a map that does what the store promises in the plainest way.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const LATE: i64 = 15_000;

/// One series as it should be.
#[derive(Debug, Default)]
struct Model {
    points: BTreeMap<i64, (i64, Vec<u64>)>,
}

impl Model {
    fn push(
        &mut self,
        capacity: usize,
        time: i64,
        start: i64,
        row: Vec<u64>,
    ) -> Result<Placed, StoreRefusal> {
        let mut placed = Placed::Newest;
        if let Some((newest, _)) = self.points.last_key_value()
            && time <= *newest
        {
            if newest - time > LATE {
                return Err(StoreRefusal::TooOld);
            }
            let oldest = *self.points.first_key_value().unwrap().0;
            if time < oldest && self.points.len() == capacity {
                return Err(StoreRefusal::TooOld);
            }
            placed = Placed::Late;
        }
        if self.points.insert(time, (start, row)).is_some() {
            placed = Placed::Replaced;
        }
        if self.points.len() > capacity {
            self.points.pop_first();
        }
        Ok(placed)
    }
}

#[derive(Debug, Clone)]
struct Event {
    series: usize,
    step: i64,
    start: i64,
    value: f64,
    times: usize,
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => Just(1.0),
        2 => (-50_i32..50).prop_map(|v| f64::from(v) / 10.0),
        1 => any::<u64>().prop_map(f64::from_bits),
        1 => Just(f64::from_bits(STALE)),
        1 => Just(-0.0),
    ]
}

/// Mostly the next scrape; now and then a gap, a duplicate, or something late.
fn event() -> impl Strategy<Value = Event> {
    let step = prop_oneof![
        12 => Just(5_000_i64),
        2 => 1_i64..20_000,
        2 => -20_000_i64..=0,
        1 => Just(0_i64),
        1 => Just(100_000_000_i64),
    ];
    let start = prop_oneof![9 => Just(0_i64), 1 => -2_i64..3];
    (0_usize..3, step, start, value(), 1_usize..30).prop_map(
        |(series, step, start, value, times)| Event {
            series,
            step,
            start,
            value,
            times,
        },
    )
}

/// The points that one value stands for: a number, or a histogram whose layout now and
/// then differs.
fn row_of(kind: ValueKind, value: f64, time: i64) -> (Vec<f64>, Vec<f64>) {
    match kind {
        ValueKind::Histogram => {
            let bounds = if time % 7 == 0 {
                vec![1.0]
            } else {
                vec![1.0, 2.0]
            };
            let buckets = (0..=bounds.len()).map(|i| value + i as f64).collect();
            (bounds, buckets)
        }
        _ => (Vec::new(), Vec::new()),
    }
}

fn push(
    windows: &mut Windows,
    id: RingId,
    kind: ValueKind,
    time: i64,
    start: i64,
    value: f64,
) -> (Result<Placed, StoreRefusal>, Vec<u64>) {
    if kind.is_number() {
        return (
            windows.push_since(id, start, time, value),
            vec![value.to_bits()],
        );
    }
    let (bounds, buckets) = row_of(kind, value, time);
    let point = StoredPoint::Histogram(StoredHistogram {
        count: value,
        sum: Some(2.0),
        bounds: &bounds,
        buckets: &buckets,
    });
    let row = bits_of(&point);
    (windows.push_point(id, start, time, &point), row)
}

fn bits_of(point: &StoredPoint<'_>) -> Vec<u64> {
    let bits = |values: &[f64]| {
        values
            .iter()
            .map(|value| value.to_bits())
            .collect::<Vec<_>>()
    };
    match point {
        StoredPoint::Number(value) => bits(&[*value]),
        StoredPoint::Histogram(histogram) => [
            bits(&[histogram.count, histogram.sum.unwrap()]),
            bits(histogram.bounds),
            bits(histogram.buckets),
        ]
        .concat(),
        StoredPoint::Exponential(_) | StoredPoint::Summary(_) => unreachable!(),
    }
}

/// A point as it is compared: time, start, bits.
type Plain = (i64, i64, Vec<u64>);

fn read(snapshot: &Snapshot) -> Vec<Plain> {
    let mut points = Vec::new();
    let mut cursor = snapshot.cursor();
    while let Some(piece) = cursor.next_piece() {
        for (index, time) in piece.times().iter().enumerate() {
            points.push((*time, piece.start(index), bits_of(&piece.point(index))));
        }
    }
    points
}

fn read_one_by_one(snapshot: &Snapshot) -> Vec<(i64, Vec<u64>)> {
    let mut points = Vec::new();
    let mut cursor = snapshot.cursor();
    while let Some((time, point)) = cursor.next() {
        points.push((time, bits_of(&point)));
    }
    points
}

fn expected(model: &Model, from: i64, to: i64) -> Vec<Plain> {
    let range = model.points.range(from..=to);
    range
        .map(|(time, (start, row))| (*time, *start, row.clone()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// After any pushes the series hold exactly what they should, in order, bit for bit, and
    /// the books are right.
    #[test]
    fn the_store_is_a_map_of_the_newest_points(
        events in prop::collection::vec(event(), 1..60),
        capacity in prop_oneof![1_usize..40, 200_usize..3000],
        shared in any::<bool>(),
    ) {
        let kinds = [ValueKind::Gauge, ValueKind::Counter, ValueKind::Histogram];
        let mut windows = small(|settings| settings.capacity = capacity);
        let ids = kinds.map(|kind| windows.register("m", kind, &[]).unwrap());
        let mut models: [Model; 3] = std::array::from_fn(|_| Model::default());
        let mut clocks = [1_000_000_i64; 3];
        for event in &events {
            for _ in 0..event.times {
                // Series of one scrape, or one series alone.
                let members = if shared && event.step > 0 { 0..3 } else { event.series..event.series + 1 };
                for series in members {
                    let time = clocks[series] + event.step;
                    let (placed, row) = push(
                        &mut windows, ids[series], kinds[series], time, event.start, event.value,
                    );
                    let expected = models[series].push(capacity, time, event.start, row);
                    prop_assert_eq!(placed, expected, "{} at {}", series, time);
                    clocks[series] = clocks[series].max(time);
                }
            }
        }
        check_books(&windows);
        for series in 0..3 {
            let all = windows.snapshot(ids[series], i64::MIN, i64::MAX).unwrap();
            prop_assert_eq!(read(&all), expected(&models[series], i64::MIN, i64::MAX));
            let (from, to) = (clocks[series] - 400_000, clocks[series] - 20_000);
            let some = windows.snapshot(ids[series], from, to).unwrap();
            let some_expected = expected(&models[series], from, to);
            prop_assert!(some.points() >= some_expected.len());
            let stripped: Vec<_> = some_expected.iter().map(|(t, _, row)| (*t, row.clone())).collect();
            prop_assert_eq!(read_one_by_one(&some), stripped);
            prop_assert_eq!(read(&some), some_expected);
            let info = windows.ring(ids[series]).unwrap();
            prop_assert_eq!(info.oldest, models[series].points.keys().next().copied());
            prop_assert_eq!(info.newest, models[series].points.keys().last().copied());
            prop_assert_eq!(info.points, models[series].points.len());
        }
    }

    /// What chunks say without being unpacked is what their points say.
    #[test]
    fn digests_are_what_a_walk_over_the_points_finds(
        runs in prop::collection::vec((value(), 1_usize..200), 1..20),
        skip in 0_i64..4000,
    ) {
        let mut windows = small(|_| ());
        let id = windows.register("m", ValueKind::Gauge, &[]).unwrap();
        let mut values = Vec::new();
        for (value, times) in runs {
            // Sums of numbers of any size can't be compared.
            let value = if value.abs() > 1e9 { 1e9 } else { value };
            values.extend((0..times).map(|index| value + (index % 3) as f64));
        }
        for (time, value) in (0..).zip(&values) {
            windows.push(id, time * 15_000, *value).unwrap();
        }
        let from = skip * 15_000;
        let snapshot = windows.snapshot(id, from, i64::MAX).unwrap();
        let mut cursor = snapshot.cursor();
        let mut found = Digest::default();
        let mut times = Vec::new();
        loop {
            if let Some((digest, first, last)) = cursor.peek_digest() {
                cursor.skip_chunk();
                found.merge(&digest);
                times.extend([first, last]);
            } else if let Some(piece) = cursor.next_piece() {
                found.merge(&Digest::of(piece.values().iter().copied()));
                times.extend_from_slice(piece.times());
            } else {
                break;
            }
        }
        let walked = Digest::of(values.iter().copied().skip(skip as usize));
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-12 * a.abs().max(b.abs()).max(1.0);
        prop_assert!(close(found.total(), walked.total()), "{} {}", found.total(), walked.total());
        prop_assert!(close(found.lost, walked.lost));
        let exact = |digest: Digest| Digest { sum: 0.0, compensation: 0.0, lost: 0.0, ..digest };
        prop_assert_eq!(exact(found), exact(walked));
        prop_assert!(times.is_sorted());
    }
}

/// A day of scrapes is merged into large chunks, and all of it is there.
#[test]
fn a_day_is_kept_in_a_few_large_chunks() {
    let mut windows = small(|_| ());
    let id = windows.register("m", ValueKind::Gauge, &[]).unwrap();
    let points: Vec<_> = (0..5760_i64)
        .map(|i| (i * 15_000, 0, ((i % 77) as f64 / 10.0).to_bits()))
        .collect();
    for (time, _, bits) in &points {
        windows.push(id, *time, f64::from_bits(*bits)).unwrap();
    }
    assert_eq!(numbers(&windows, id, i64::MIN, i64::MAX), points);
    let snapshot = windows.snapshot(id, i64::MIN, i64::MAX).unwrap();
    let mut cursor = snapshot.cursor();
    let chunks = std::iter::from_fn(|| cursor.next_piece().map(|_| ())).count();
    assert!(chunks <= 13, "{chunks}");
    // Five minutes touch one or two of them.
    let newest = 5759 * 15_000;
    let snapshot = windows.snapshot(id, newest - 300_000, newest).unwrap();
    assert!(snapshot.points() <= 2 * 240, "{}", snapshot.points());
}

/// Every kind of point comes back as it was, from the head and from chunks, and so does the
/// end of its series.
#[test]
fn points_of_every_kind_come_back() {
    let values: Vec<f64> = (0..8).map(|v| f64::from(v) * 0.7).collect();
    let histogram = |i: usize| {
        StoredPoint::Histogram(StoredHistogram {
            count: i as f64,
            sum: (i % 50 > 5).then_some(1.5),
            bounds: &values[..3],
            buckets: &values[4..8],
        })
    };
    let exponential = |i: usize| {
        StoredPoint::Exponential(StoredExponential {
            count: i as f64,
            sum: Some(-1.5),
            scale: 3,
            zero_count: 2.0,
            zero_threshold: 1e-9,
            // Buckets that appear while it is fed.
            positive: (-4, &values[..2 + i / 40]),
            negative: (7, &values[..i / 90]),
        })
    };
    let summary = |i: usize| {
        StoredPoint::Summary(StoredSummary {
            count: i as f64,
            sum: 2.0,
            quantiles: &values[..2],
            values: &values[1 + i % 2..3 + i % 2],
        })
    };
    let kinds = [
        ValueKind::Histogram,
        ValueKind::ExponentialHistogram,
        ValueKind::Summary,
    ];
    for kind in kinds {
        let point = |i| match kind {
            ValueKind::Histogram => histogram(i),
            ValueKind::Summary => summary(i),
            _ => exponential(i),
        };
        let mut windows = small(|_| ());
        let id = windows.register("m", kind, &[]).unwrap();
        windows.push_stale(id, -1).unwrap();
        for i in 0..200 {
            windows
                .push_point(id, 9, i as i64 * 15_000, &point(i))
                .unwrap();
        }
        windows.push_stale(id, 200 * 15_000).unwrap();
        let snapshot = windows.snapshot(id, 0, i64::MAX).unwrap();
        let mut cursor = snapshot.cursor();
        for i in 0..200 {
            assert_eq!(
                cursor.next(),
                Some((i as i64 * 15_000, point(i))),
                "{kind:?}"
            );
        }
        let (time, end) = cursor.next().unwrap();
        assert_eq!(time, 200 * 15_000);
        assert!(end.is_stale());
        assert_eq!(cursor.next(), None);
        check_books(&windows);
    }
}
