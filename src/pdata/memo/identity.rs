//! What makes two series the same: a canonical encoding, and its hash.

use std::hash::{BuildHasherDefault, Hasher};

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;

use crate::pdata::view::{Attributes, Data, KeyValue, Temporality, Value};
use crate::pdata::wire::put_varint;

/// 128 bits by two hashers with secret seeds of their own. That isn't a cryptographic hash,
/// and need not be one: a sender can neither see the seeds nor any hash, and an accident is
/// as likely as 1 in 10^26 with a million series.
#[derive(Debug, Clone)]
pub(super) struct Hash([SharedSeed; 2]);

impl Hash {
    pub(super) fn new(seeds: [u64; 2]) -> Self {
        Self(seeds.map(SharedSeed::from_u64))
    }

    /// The hash of these pieces, which differ from any others that join to the same bytes.
    pub(super) fn of(&self, pieces: &[&[u8]]) -> u128 {
        let [high, low] = self.0.each_ref().map(|seed| {
            let mut hasher = FoldHasher::with_seed(0, seed);
            for piece in pieces {
                hasher.write_usize(piece.len());
                hasher.write(piece);
            }
            hasher.finish()
        });
        u128::from(high) << 64 | u128::from(low)
    }
}

/// A map whose keys are hashes already.
pub(super) type ByHash<V> = std::collections::HashMap<u128, V, BuildHasherDefault<Low64>>;

/// Hashes a hash: its low half will do.
#[derive(Debug, Default)]
pub(super) struct Low64(u64);

impl Hasher for Low64 {
    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }

    /// Not called: the keys are all of one type.
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A metric's kind in one byte, as far as it tells series apart.
pub(super) fn kind(data: &Data<'_>) -> u8 {
    let with = |kind: u8, temporality: &Temporality| match temporality {
        Temporality::Unspecified => kind,
        Temporality::Delta => kind + 1,
        Temporality::Cumulative => kind + 2,
    };
    match data {
        Data::Empty => 0,
        Data::Gauge { .. } => 1,
        Data::Summary { .. } => 2,
        Data::Sum {
            temporality,
            monotonic,
            ..
        } => with(if *monotonic { 3 } else { 6 }, temporality),
        Data::Histogram { temporality, .. } => with(9, temporality),
        Data::ExponentialHistogram { temporality, .. } => with(12, temporality),
    }
}

/// Appends attributes by key, each key once and with its first value, so that equal sets
/// are equal bytes, and different sets different ones.
pub(super) fn put_attributes(out: &mut Vec<u8>, attributes: Attributes<'_>) {
    put_entries(out, attributes.sorted());
}

fn put_entries<'a>(out: &mut Vec<u8>, entries: impl ExactSizeIterator<Item = KeyValue<'a>>) {
    put_varint(out, entries.len() as u64);
    for entry in entries {
        put_bytes(out, entry.key.as_bytes());
        put_value(out, &entry.value);
    }
}

fn put_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Empty => out.push(0),
        Value::Str(text) => {
            out.push(1);
            put_bytes(out, text.as_bytes());
        }
        Value::Bool(value) => out.extend([2, u8::from(*value)]),
        Value::Int(value) => {
            out.push(3);
            out.extend(value.to_le_bytes());
        }
        Value::Double(value) => {
            out.push(4);
            out.extend(value.to_bits().to_le_bytes());
        }
        Value::Bytes(bytes) => {
            out.push(5);
            put_bytes(out, bytes);
        }
        Value::Array(array) => {
            out.push(6);
            put_varint(out, array.iter().count() as u64);
            for value in array.iter() {
                put_value(out, &value);
            }
        }
        Value::Map(map) => {
            out.push(7);
            put_entries(out, map.sorted());
        }
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
