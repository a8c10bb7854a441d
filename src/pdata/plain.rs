//! Recognises by their shape the messages that encoders nearly always write.
//!
//! Most messages of a request are attributes with an ASCII key and a text or a number, and
//! the points that carry them; going through them field by field is most of a walk. Here
//! they are told by their shape: fields in the order of their numbers, lengths of one byte.
//! A message with such a shape is valid and regular. A message without one may be valid as well:
//! it is read field by field.

use super::wire::varint;
use crate::steps;

/// Keys of one byte: a field number, and a wire type in the lowest three bits.
mod key {
    /// Of `KeyValue`.
    pub(super) const KEY: u8 = 1 << 3 | 2;
    pub(super) const VALUE: u8 = 2 << 3 | 2;

    /// Of `AnyValue`.
    pub(super) const STRING: u8 = 1 << 3 | 2;
    pub(super) const BOOL: u8 = 2 << 3;
    pub(super) const INT: u8 = 3 << 3;
    pub(super) const DOUBLE: u8 = 4 << 3 | 1;

    /// Of `NumberDataPoint`.
    pub(super) const START: u8 = 2 << 3 | 1;
    pub(super) const TIME: u8 = 3 << 3 | 1;
    pub(super) const AS_DOUBLE: u8 = 4 << 3 | 1;
    pub(super) const AS_INT: u8 = 6 << 3 | 1;
    pub(super) const ATTRIBUTES: u8 = 7 << 3 | 2;
}

/// The fields with which a `NumberDataPoint` begins, as far as they stand in this order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Front<'a> {
    pub(super) start: Option<u64>,
    pub(super) time: Option<u64>,
    pub(super) value: Option<Bits>,
    /// What stands behind them.
    pub(super) rest: &'a [u8],
}

/// One of the two values that a point may have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bits {
    Double(u64),
    Int(u64),
}

impl<'a> Front<'a> {
    #[inline(always)]
    pub(super) fn of(point: &'a [u8]) -> Self {
        let mut rest = point;
        Self {
            start: take(&mut rest, key::START),
            time: take(&mut rest, key::TIME),
            value: match take(&mut rest, key::AS_DOUBLE) {
                Some(bits) => Some(Bits::Double(bits)),
                None => take(&mut rest, key::AS_INT).map(Bits::Int),
            },
            rest,
        }
    }

    /// Takes the attributes that stand next, as long as `is_wanted` says so of their content.
    #[inline(always)]
    pub(super) fn attributes(&mut self, is_wanted: impl Fn(&[u8]) -> bool) -> &'a [u8] {
        let before = self.rest;
        while let [key::ATTRIBUTES, length @ ..0x80, rest @ ..] = self.rest {
            match rest.split_at_checked(usize::from(*length)) {
                Some((content, rest)) if is_wanted(content) => self.rest = rest,
                _ => break,
            }
        }
        before
            .get(..before.len() - self.rest.len())
            .unwrap_or_default()
    }
}

/// The key of an attribute, where it stands in front.
#[inline(always)]
pub(super) fn key_of(attribute: &[u8]) -> Option<&[u8]> {
    match attribute {
        [key::KEY, length @ ..0x80, rest @ ..] => rest.get(..usize::from(*length)),
        _ => None,
    }
}

/// Whether this is the content of a plain `KeyValue`.
#[inline]
pub(super) fn is_attribute(content: &[u8]) -> bool {
    steps::count(1);
    let [key::KEY, key_length, rest @ ..] = content else {
        return false;
    };
    let Some((key, rest)) = rest.split_at_checked(usize::from(*key_length)) else {
        return false;
    };
    let [key::VALUE, length, value @ ..] = rest else {
        return false;
    };
    if usize::from(*length) != value.len() {
        return false;
    }
    match value {
        // One look at everything: where all of it is ASCII, so is each length, which is
        // therefore one of one byte.
        [key::STRING, length, text @ ..] => usize::from(*length) == text.len() && is_ascii(content),
        [key::INT | key::BOOL, number @ ..] => is_varint(number) && is_short(*key_length, key),
        [key::DOUBLE, number @ ..] => number.len() == 8 && is_short(*key_length, key),
        _ => false,
    }
}

#[inline(always)]
fn take(rest: &mut &[u8], key: u8) -> Option<u64> {
    match rest.split_first_chunk::<9>() {
        Some(([own, bits @ ..], after)) if *own == key => {
            *rest = after;
            Some(u64::from_le_bytes(*bits))
        }
        _ => None,
    }
}

/// Whether a key is ASCII behind a length of one byte.
#[inline]
fn is_short(length: u8, key: &[u8]) -> bool {
    length < 0x80 && is_ascii(key)
}

/// Whether this is one varint and nothing else.
#[inline]
fn is_varint(mut number: &[u8]) -> bool {
    varint(&mut number).is_some() && number.is_empty()
}

/// The standard library's check is made for long texts, and takes half as long again here.
#[inline]
fn is_ascii(text: &[u8]) -> bool {
    let (chunks, short) = text.as_chunks::<8>();
    let mut bits = 0;
    for chunk in chunks {
        bits |= u64::from_le_bytes(*chunk);
    }
    match text.last_chunk::<8>() {
        // Some of them once more, which is cheaper than the rest one by one.
        Some(last) => bits |= u64::from_le_bytes(*last),
        None => short.iter().for_each(|byte| bits |= u64::from(*byte)),
    }
    bits & 0x8080_8080_8080_8080 == 0
}
