//! Columns and chunks: packed and unpacked, and damaged.

use proptest::prelude::*;

use super::super::bits::ByteReader;
use super::super::charge::Bill;
use super::super::chunk::{Chunk, Plain, Unsealed};
use super::super::codec::{MAX_VALUES, Scratch, decode, encode};
use super::super::layout::{Layout, SharedLayout};
use super::super::times::Times;
use super::*;

/// Values as series have them, and such as none should have.
fn column() -> impl Strategy<Value = Vec<u64>> {
    let decimals = (0_i32..14, prop::collection::vec(-1000_i64..1000, 1..300))
        .prop_map(|(places, steps)| walk(steps, |v| v as f64 / 10_f64.powi(places)));
    let multiples = (
        1_i64..1 << 40,
        prop::collection::vec(-1000_i64..1000, 1..300),
    )
        .prop_map(|(unit, steps)| walk(steps, |v| (v * unit) as f64));
    let floats = prop::collection::vec(any::<f64>().prop_map(f64::to_bits), 1..300);
    let bits = prop::collection::vec(any::<u64>(), 1..300);
    let close = prop::collection::vec(0_u64..1 << 30, 1..300)
        .prop_map(|low| low.into_iter().map(|low| 1.5_f64.to_bits() + low).collect());
    let odd = prop::sample::select(vec![
        f64::NAN.to_bits(),
        STALE,
        f64::INFINITY.to_bits(),
        f64::NEG_INFINITY.to_bits(),
        (-0.0_f64).to_bits(),
        f64::MAX.to_bits(),
        f64::MIN_POSITIVE.to_bits(),
        1,
        9_007_199_254_740_993_f64.to_bits(),
        4.7e18_f64.to_bits(),
        (-9.3e18_f64).to_bits(),
    ]);
    (
        prop_oneof![decimals, multiples, floats, bits, close],
        prop::collection::vec((any::<prop::sample::Index>(), odd), 0..6),
    )
        .prop_map(|(mut column, odds)| {
            for (index, odd) in odds {
                let at = index.index(column.len());
                column[at] = odd;
            }
            column
        })
}

fn walk(steps: Vec<i64>, f: impl Fn(i64) -> f64) -> Vec<u64> {
    let mut value = 0;
    let next = |step| {
        value += step;
        f(value).to_bits()
    };
    steps.into_iter().map(next).collect()
}

fn times() -> impl Strategy<Value = Vec<i64>> {
    let step = prop_oneof![20 => Just(15_000_i64), 2 => 14_000_i64..16_000, 1 => 1_i64..1 << 40];
    (-(1_i64 << 50)..1 << 50, prop::collection::vec(step, 0..300)).prop_map(|(first, steps)| {
        let mut times = vec![first];
        times.extend(steps.into_iter().scan(first, |time, step| {
            *time += step;
            Some(*time)
        }));
        times
    })
}

fn chunk(times: &[i64], starts: &[i64], layout: Option<&SharedLayout>, rows: &[u64]) -> Chunk {
    let mut scratch = Scratch::default();
    let draft = Unsealed {
        first: times[0],
        last: times[times.len() - 1],
        times: Times::of(times, &mut scratch, &Bill::default()),
        starts,
        layout,
        rows,
        digest: None,
    };
    Chunk::seal(draft, &mut scratch)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_column_comes_back_bit_for_bit(column in column()) {
        let mut bytes = Vec::new();
        encode(&column, &mut Scratch::default(), &mut bytes);
        // Packing never makes much of nothing.
        prop_assert!(bytes.len() <= column.len() * 8 + column.len() / 16 + 40, "{}", bytes.len());
        let mut back = Vec::new();
        let mut reader = ByteReader::new(&bytes);
        let all = 0..column.len();
        decode(&mut reader, column.len(), all, &mut Scratch::default(), &mut back).unwrap();
        prop_assert!(reader.is_at_end());
        prop_assert_eq!(back.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), column);
    }

    #[test]
    fn a_part_of_a_column_is_what_all_of_it_has_there(
        column in column(),
        from in any::<prop::sample::Index>(),
        len in any::<prop::sample::Index>(),
    ) {
        let mut bytes = Vec::new();
        encode(&column, &mut Scratch::default(), &mut bytes);
        let from = from.index(column.len());
        let range = from..from + 1 + len.index(column.len() - from);
        let mut back = vec![0.5];
        let mut reader = ByteReader::new(&bytes);
        let part = range.clone();
        decode(&mut reader, column.len(), part, &mut Scratch::default(), &mut back).unwrap();
        prop_assert!(reader.is_at_end());
        let back: Vec<u64> = back[1..].iter().map(|v| v.to_bits()).collect();
        prop_assert_eq!(&back, &column[range]);
    }

    #[test]
    fn a_chunk_comes_back_from_its_bytes(
        times in times(),
        starts in prop_oneof![Just(vec![5]), prop::collection::vec(0_i64..3, 301)],
        columns in 1_usize..5,
        seed in column(),
    ) {
        let count = times.len();
        let rows: Vec<u64> = seed.iter().copied().cycle().take(count * columns).collect();
        let starts = if starts.len() == 1 { &starts[..] } else { &starts[..count] };
        let layout = (columns > 1).then(|| Layout::Summary {
            quantiles: vec![0.5; columns.max(2) - 2].into(),
        }.share(&Bill::default()));
        let sealed = chunk(&times, starts, layout.as_ref(), &rows);
        let mut bytes = Vec::new();
        sealed.write(&mut bytes);
        let read = Chunk::read(&bytes, &Bill::default()).unwrap();
        for chunk in [&sealed, &read] {
            let mut plain = Plain::default();
            chunk.unpack(&mut Scratch::default(), &mut plain).unwrap();
            prop_assert_eq!(&plain.times, &times);
            for (index, time) in times.iter().enumerate() {
                prop_assert_eq!(chunk.time(index), Ok(*time));
            }
            let bits: Vec<u64> = plain.rows.iter().map(|v| v.to_bits()).collect();
            prop_assert_eq!(&bits, &rows);
            for index in 0..count {
                let start = |starts: &[i64]| if starts.len() == 1 { starts[0] } else { starts[index] };
                prop_assert_eq!(start(plain.starts()), start(starts));
            }
        }
        // What rounding took from a sum out of range is no number.
        prop_assert_eq!(format!("{:?}", sealed.digest()), format!("{:?}", read.digest()));
    }

    /// Damage gives an error, or other points; never a panic, and never more than a chunk.
    #[test]
    fn a_damaged_chunk_is_an_error_or_another_chunk(
        times in times(),
        column in column(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let rows: Vec<u64> = column.iter().copied().cycle().take(times.len()).collect();
        let mut bytes = Vec::new();
        chunk(&times, &[0], None, &rows).write(&mut bytes);
        prop_assert!(unpacked(&bytes[..cut.index(bytes.len())]).is_err());
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(points) = unpacked(&bytes) {
            prop_assert!(points <= MAX_VALUES);
        }
    }

    #[test]
    fn bytes_of_no_chunk_are_no_chunk(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(points) = unpacked(&bytes) {
            prop_assert!(points <= MAX_VALUES);
        }
    }
}

fn unpacked(bytes: &[u8]) -> Result<usize, Corrupt> {
    decode_chunk(bytes)
}

#[test]
fn times_of_about_one_interval_say_so_without_being_unpacked() {
    let f = |times: &[i64], expected: Option<i64>| {
        let (mut scratch, bill) = (Scratch::default(), Bill::default());
        let (first, last) = (times[0], times[times.len() - 1]);
        let sealed = Times::of(times, &mut scratch, &bill);
        let mut bytes = Vec::new();
        sealed.write(&mut bytes);
        let read = Times::read(&mut ByteReader::new(&bytes), &bill).unwrap();
        for times in [sealed, read] {
            assert_eq!(times.interval(first, last, 240), expected);
        }
    };
    let every = |jitter: i64| (0..240).map(move |at| at * 15_000 + at * at % 7 * jitter);
    let times = |jitter: i64| every(jitter).collect::<Vec<i64>>();
    f(&times(0), Some(15_000));
    f(&times(3), Some(15_000));
    f(&times(300), Some(15_001));
    f(&times(1_000), None);
    let outage = every(3).map(|time| time + i64::from(time > 1_000_000) * 15_000);
    f(&outage.collect::<Vec<i64>>(), None);
    // Runs of one interval each.
    let slower = every(0).map(|time| time + (time - 1_500_000).max(0) / 15_000);
    f(&slower.collect::<Vec<i64>>(), Some(15_000));
}
