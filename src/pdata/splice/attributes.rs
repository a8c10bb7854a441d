//! New attributes in the making.

use crate::pdata::view::{Attributes, Encoded, KeyValue, Value};
use crate::pdata::wire::{FIXED64, LEN, VARINT, WireFields, put_varint};
use crate::steps;

/// The attributes that a resource, scope, point, span or log record will have. Until they are
/// begun, it keeps its own.
#[derive(Debug, Default)]
pub struct Replacement {
    begun: bool,
    writer: AttributeWriter,
    /// What a revision writes, until it takes the place of what it was made from.
    revised: AttributeWriter,
}

impl Replacement {
    /// Begins with none: what is to stay is written again with [`AttributeWriter::keep`].
    pub fn begin(&mut self) -> &mut AttributeWriter {
        self.begun = true;
        self.writer.out.clear();
        &mut self.writer
    }

    /// Lets `write` make new attributes of those that there are now: `came`, which are the old
    /// ones, until something is begun. Where it says no, what it wrote counts for nothing. Both
    /// stand here encoded, however many revisions there are.
    pub fn revise(
        &mut self,
        came: Attributes<'_>,
        write: impl FnOnce(Attributes<'_>, &mut AttributeWriter) -> bool,
    ) {
        let now = if self.begun {
            self.writer.written()
        } else {
            came
        };
        self.revised.out.clear();
        self.revised.number = self.writer.number;
        if write(now, &mut self.revised) {
            std::mem::swap(&mut self.writer, &mut self.revised);
            self.begun = true;
        }
    }

    /// The bytes of memory that are taken.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.writer.out.capacity() + self.revised.out.capacity()
    }

    pub(super) fn reset(&mut self, number: u32) {
        self.begun = false;
        self.writer.out.clear();
        self.writer.number = number;
    }

    /// The encoded fields, where they are to replace these.
    pub(super) fn instead_of(&self, attributes: Attributes<'_>) -> Option<&[u8]> {
        let new = self.writer.out.as_slice();
        (self.begun && attributes.raw() != Some(new)).then_some(new)
    }
}

/// Writes encoded attributes, in the order in which they will stand. It doesn't look for
/// keys that occur twice.
#[derive(Debug, Default)]
pub struct AttributeWriter {
    out: Vec<u8>,
    /// The field that holds attributes in the message concerned.
    number: u32,
}

impl AttributeWriter {
    /// Adds an attribute as it stands elsewhere, unknown fields included.
    pub fn keep(&mut self, attribute: &KeyValue<'_>) {
        self.bytes(self.number, attribute.raw());
    }

    /// The same for one that has not been read.
    pub fn keep_encoded(&mut self, attribute: Encoded<'_>) {
        self.bytes(self.number, attribute.raw());
    }

    /// Adds attributes as they stand elsewhere.
    pub fn keep_all(&mut self, attributes: Attributes<'_>) {
        match attributes.raw_as(self.number) {
            Some(fields) => {
                steps::count(fields.len());
                self.out.extend_from_slice(fields);
            }
            None => attributes
                .encoded()
                .for_each(|attribute| self.keep_encoded(attribute)),
        }
    }

    /// Adds an attribute.
    pub fn put(&mut self, key: &str, value: &Value<'_>) {
        self.message(key, value, 0);
    }

    /// Adds an attribute in the place of another: the unknown fields of that one's key-value
    /// stay, behind the key and the value.
    pub fn put_over(&mut self, old: Encoded<'_>, key: &str, value: &Value<'_>) {
        let unknown = || WireFields::new(old.raw()).filter(|field| !matches!(field.number, 1 | 2));
        self.message(key, value, unknown().map(|field| field.raw.len()).sum());
        unknown().for_each(|field| self.out.extend_from_slice(field.raw));
    }

    /// Writes a key-value, up to where this many bytes more are to follow.
    fn message(&mut self, key: &str, value: &Value<'_>, more: usize) {
        let value_length = length_of(value);
        let content = field_length(key.len()) + field_length(value_length) + more;
        self.key(self.number, LEN);
        put_varint(&mut self.out, content as u64);
        self.bytes(1, key.as_bytes());
        self.key(2, LEN);
        put_varint(&mut self.out, value_length as u64);
        match value {
            Value::Empty => {}
            Value::Str(text) => self.bytes(1, text.as_bytes()),
            Value::Bool(value) => {
                self.key(2, VARINT);
                self.out.push(u8::from(*value));
            }
            Value::Int(value) => {
                self.key(3, VARINT);
                put_varint(&mut self.out, value.cast_unsigned());
            }
            Value::Double(value) => {
                self.key(4, FIXED64);
                self.out.extend_from_slice(&value.to_le_bytes());
            }
            Value::Array(array) => self.bytes(5, array.raw()),
            Value::Map(map) => self.bytes(6, map.raw()),
            Value::Bytes(bytes) => self.bytes(7, bytes),
        }
    }

    /// What has been written so far, for edits that build on one another.
    pub fn written(&self) -> Attributes<'_> {
        Attributes::contiguous(&self.out, self.number)
    }

    fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.key(number, LEN);
        put_varint(&mut self.out, bytes.len() as u64);
        steps::count(bytes.len());
        self.out.extend_from_slice(bytes);
    }

    fn key(&mut self, number: u32, wire: u32) {
        put_varint(&mut self.out, u64::from(number << 3 | wire));
    }
}

/// Encoded length of an `AnyValue`, whose field keys take one byte each.
fn length_of(value: &Value<'_>) -> usize {
    match value {
        Value::Empty => 0,
        Value::Str(text) => field_length(text.len()),
        Value::Bool(_) => 2,
        Value::Int(value) => 1 + varint_length(value.cast_unsigned()),
        Value::Double(_) => 9,
        Value::Array(array) => field_length(array.raw().len()),
        Value::Map(map) => field_length(map.raw().len()),
        Value::Bytes(bytes) => field_length(bytes.len()),
    }
}

/// Encoded length of a field of one key byte and this many bytes.
fn field_length(bytes: usize) -> usize {
    1 + varint_length(bytes as u64) + bytes
}

fn varint_length(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}
