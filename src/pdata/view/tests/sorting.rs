//! What it takes to put attributes in order.

use super::*;
use crate::pdata::view::value::{Encoded, sorted};
use crate::pdata::wire::put_varint;
use crate::steps;

/// Encoded attributes, each a field 7, with these keys. The values tell their places.
fn attributes(keys: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let field = |number: u8, content: &[u8]| {
        let mut out = vec![number << 3 | 2];
        put_varint(&mut out, content.len() as u64);
        [out.as_slice(), content].concat()
    };
    let one = |(at, key): (usize, Vec<u8>)| {
        let mut place = vec![3 << 3];
        put_varint(&mut place, at as u64);
        field(7, &[field(1, &key), field(2, &place)].concat())
    };
    keys.enumerate().flat_map(one).collect()
}

#[test]
fn sorting_takes_a_small_multiple_of_the_bytes() {
    let f = |kind: &str, make: &dyn Fn(usize) -> Vec<u8>| {
        let mut before = 0;
        for size in [1 << 14, 1 << 15, 1 << 16, 1 << 17] {
            let encoded = make(size);
            steps::take();
            let held = sorted(Attributes::contiguous(&encoded, 7).encoded());
            let done = steps::take();
            let taken = held.capacity() * size_of::<Encoded<'_>>();
            assert!(
                taken <= 4 * encoded.len(),
                "{kind}: {taken} of {}",
                encoded.len()
            );
            if size > 1 << 14 {
                assert!(done <= 2 * before + 4096, "{kind}: {done} after {before}");
            }
            before = done;
        }
    };
    f("empty", &|size| [7 << 3 | 2, 0].repeat(size / 2));
    f("one key", &|size| {
        attributes(std::iter::repeat_n(b"k".to_vec(), size / 9))
    });
    let own = |at: usize| format!("{at:04x}").into_bytes();
    f("own keys", &|size| attributes((0..size / 12).map(own)));
    f("falling keys", &|size| {
        attributes((0..size / 12).rev().map(own))
    });
    // Half of the keys come again and again.
    f("both", &|size| {
        attributes((0..size / 12).map(|at| own(if at % 2 == 0 { at } else { at % 64 })))
    });
}

proptest! {
    #[test]
    fn each_key_is_there_once_with_its_first_value(
        keys in prop::collection::vec("[a-c]{0,4}", 0..600),
    ) {
        let encoded = attributes(keys.iter().map(|key| key.clone().into_bytes()));
        let mut expected = std::collections::BTreeMap::new();
        for (at, key) in keys.iter().enumerate() {
            expected.entry(key.as_str()).or_insert(at as i64);
        }
        let sorted = Attributes::contiguous(&encoded, 7).sorted();
        prop_assert_eq!(sorted.len(), expected.len());
        let found: Vec<_> = sorted
            .map(|entry| match entry.value {
                Value::Int(at) => (entry.key, at),
                other => panic!("{other:?}"),
            })
            .collect();
        prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    }
}
