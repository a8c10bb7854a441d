//! Writes attributes again with what one action changes.
//!
//! Every function reads encoded attributes and writes encoded ones, one after the other: so a
//! million empty attributes take what their bytes take, and not a hundred bytes each.
//!
//! Of a key that occurs twice the first value counts, so it is the one that is replaced.
//! `delete` and `hash` take all of them: otherwise the second value would show.

use aws_lc_rs::digest::{SHA256, digest};

use crate::pdata::AttributeWriter;
use crate::pdata::view::{Attributes, Encoded, Value};

/// A value for a key.
pub(super) struct NewValue<'a> {
    key: &'a str,
    value: Value<'a>,
    placed: bool,
}

impl<'a> NewValue<'a> {
    pub(super) fn new(key: &'a str, value: Value<'a>) -> Self {
        Self {
            key,
            value,
            placed: false,
        }
    }
}

/// Puts each value over the first attribute with its key, or behind all where there is none.
/// No key may occur twice among the values.
pub(super) fn put(values: &mut [NewValue<'_>], old: Attributes<'_>, new: &mut AttributeWriter) {
    let is_there = |value: &NewValue<'_>| old.encoded().any(|own| own.has_key(value.key));
    if values.iter().any(is_there) {
        for attribute in old.encoded() {
            let is_next = |value: &&mut NewValue<'_>| !value.placed && attribute.has_key(value.key);
            match values.iter_mut().find(is_next) {
                Some(value) => {
                    value.placed = true;
                    new.put_over(attribute, value.key, &value.value);
                }
                None => new.keep_encoded(attribute),
            }
        }
    } else {
        new.keep_all(old);
    }
    for value in values.iter().filter(|value| !value.placed) {
        new.put(value.key, &value.value);
    }
}

/// Leaves some attributes out; false where there are none of these.
pub(super) fn remove(
    old: Attributes<'_>,
    new: &mut AttributeWriter,
    is: impl Fn(Encoded<'_>) -> bool,
) -> bool {
    rewrite(old, new, is, |_, _| {})
}

/// Hashes the value of each attribute so many times; false where nothing is hashed.
pub(super) fn hash(
    old: Attributes<'_>,
    new: &mut AttributeWriter,
    times: impl Fn(Encoded<'_>) -> u32,
) -> bool {
    let is = |attribute: Encoded<'_>| times(attribute) > 0;
    rewrite(old, new, is, |new, attribute| {
        let read = attribute.read();
        let mut hash = hash_of(&read.value);
        for _ in 1..times(attribute) {
            hash = hash_of(&Value::Str(&hash));
        }
        new.put_over(attribute, read.key, &Value::Str(&hash));
    })
}

/// Writes some attributes by `write`, and keeps the others; false where there are none of these.
fn rewrite(
    old: Attributes<'_>,
    new: &mut AttributeWriter,
    is: impl Fn(Encoded<'_>) -> bool,
    write: impl Fn(&mut AttributeWriter, Encoded<'_>),
) -> bool {
    let Some(first) = old.encoded().position(&is) else {
        return false;
    };
    for (at, attribute) in old.encoded().enumerate() {
        if at == first || (at > first && is(attribute)) {
            write(new, attribute);
        } else {
            new.keep_encoded(attribute);
        }
    }
    true
}

/// SHA-256 in hexadecimal, of the bytes that the Collector takes: a text's own, one for a
/// boolean, eight in little-endian order for a number. Of anything else nothing is left.
fn hash_of(value: &Value<'_>) -> String {
    let of = |bytes: &[u8]| hexadecimal(digest(&SHA256, bytes).as_ref());
    match value {
        Value::Str(text) => of(text.as_bytes()),
        Value::Bool(value) => of(&[u8::from(*value)]),
        Value::Int(value) => of(&value.to_le_bytes()),
        Value::Double(value) => of(&value.to_le_bytes()),
        Value::Empty | Value::Bytes(_) | Value::Array(_) | Value::Map(_) => String::new(),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)])
        .collect()
}
