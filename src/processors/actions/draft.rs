//! Attributes while actions change them.

use aws_lc_rs::digest::{SHA256, digest};

use crate::pdata::Replacement;
use crate::pdata::view::{Attributes, KeyValue, Value};

/// The attributes of one resource, point, span or log record.
///
/// Of a key that occurs twice the first value counts, so it is the one that is read and
/// replaced. `delete` and `hash` take all of them: otherwise the second value would show.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    entries: Vec<DraftEntry<'a>>,
    changed: bool,
}

#[derive(Debug)]
struct DraftEntry<'a> {
    key: &'a str,
    value: HeldValue<'a>,
    /// As it came, where it did.
    came: Option<KeyValue<'a>>,
    changed: bool,
}

/// A value that came with the data or the configuration, or a text made here.
#[derive(Debug, Clone)]
pub(super) enum HeldValue<'a> {
    As(Value<'a>),
    Text(String),
}

impl HeldValue<'_> {
    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Self::As(value) => *value,
            Self::Text(text) => Value::Str(text),
        }
    }
}

impl<'a> Draft<'a> {
    pub(super) fn new(attributes: Attributes<'a>) -> Self {
        let entry = |attribute: KeyValue<'a>| DraftEntry {
            key: attribute.key,
            value: HeldValue::As(attribute.value),
            came: Some(attribute),
            changed: false,
        };
        Self {
            entries: attributes.iter().map(entry).collect(),
            changed: false,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&HeldValue<'a>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(&entry.value)
    }

    pub(super) fn put(&mut self, key: &'a str, value: HeldValue<'a>) {
        self.changed = true;
        match self.entries.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => entry.set(value),
            None => self.entries.push(DraftEntry {
                key,
                value,
                came: None,
                changed: true,
            }),
        }
    }

    pub(super) fn remove(&mut self, is: impl Fn(&str) -> bool) {
        let before = self.entries.len();
        self.entries.retain(|entry| !is(entry.key));
        self.changed |= self.entries.len() < before;
    }

    pub(super) fn hash(&mut self, is: impl Fn(&str) -> bool) {
        for entry in self.entries.iter_mut().filter(|entry| is(entry.key)) {
            let hash = hash(&entry.value.value());
            entry.set(HeldValue::Text(hash));
            self.changed = true;
        }
    }

    /// Writes the outcome, where it differs.
    pub(super) fn write(self, new: &mut Replacement) {
        if !self.changed {
            return;
        }
        let new = new.begin();
        for entry in &self.entries {
            match &entry.came {
                Some(attribute) if !entry.changed => new.keep(attribute),
                Some(attribute) => {
                    new.put_over(attribute.encoded(), entry.key, &entry.value.value());
                }
                None => new.put(entry.key, &entry.value.value()),
            }
        }
    }
}

impl<'a> DraftEntry<'a> {
    fn set(&mut self, value: HeldValue<'a>) {
        self.value = value;
        self.changed = true;
    }
}

/// SHA-256 in hexadecimal, of the bytes that the Collector takes: a text's own, one for a
/// boolean, eight in little-endian order for a number. Of anything else nothing is left.
fn hash(value: &Value<'_>) -> String {
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
