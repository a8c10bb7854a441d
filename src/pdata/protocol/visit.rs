//! Reads an encoded message by the table.
//!
//! The fields of a message may stand in any order, and those of one number apart. One look
//! at all of them finds between where and where each number stands; then every field of the
//! table goes through its own stretch. A stretch is read once for each field that has
//! something in it, so that the work is linear in the bytes, and nothing is allocated.

use super::index::Index;
use super::{Field, FieldKind, Message, Presence};
use crate::pdata::wire::{WireFields, WireValue, fixed64, varint};
use crate::pdata::{Part, Signal};

/// What [`visit`] reports to. Fields come in the order of the table, each at most once;
/// a repeated field's values all come between its beginning and its end.
pub trait Visitor {
    /// A message begins: the root, or a value of the field that is open.
    fn begin_message(&mut self, message: &'static Message);
    /// The message that is open ends.
    fn end_message(&mut self, message: &'static Message);
    /// A field of the open message begins.
    fn begin_field(&mut self, field: &'static Field);
    /// The field ends.
    fn end_field(&mut self, field: &'static Field);
    /// A value of the open field, where that is no message.
    fn scalar(&mut self, field: &'static Field, value: Scalar<'_>);
}

/// One value that is no message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'a> {
    /// `bool`.
    Bool(bool),
    /// Any signed number, and enumerations.
    Signed(i64),
    /// Any unsigned number.
    Unsigned(u64),
    /// `double`.
    Double(f64),
    /// `string` and `bytes`; that a string is UTF-8 was checked on entry to the agent.
    Bytes(&'a [u8]),
}

/// Reports every field of a part of a batch of this signal that the table knows; others are
/// skipped. What protobuf merges comes merged, and of a oneof the member that counts: an
/// irregular part is read in its regular encoding.
pub fn visit(signal: Signal, part: &Part, visitor: &mut impl Visitor) {
    message(signal.request(), part.regular_bytes(signal), visitor);
}

/// Where in a message the fields of one number stand: from the first to behind the last.
#[derive(Clone, Copy, Default)]
struct Stretch {
    start: usize,
    end: usize,
}

fn message(message: &'static Message, bytes: &[u8], visitor: &mut impl Visitor) {
    let mut stretches = [Stretch::default(); Index::SLOTS];
    let mut at = 0;
    for found in WireFields::new(bytes) {
        let end = at + found.raw.len();
        if let Some(stretch) = stretches.get_mut(found.number as usize) {
            if stretch.end == 0 {
                stretch.start = at;
            }
            stretch.end = end;
        }
        at = end;
    }
    visitor.begin_message(message);
    for field in message.fields {
        let stretch = stretches
            .get(field.number as usize)
            .copied()
            .unwrap_or_default();
        let Some(bytes) = bytes.get(stretch.start..stretch.end) else {
            continue;
        };
        if bytes.is_empty() {
            continue;
        }
        visitor.begin_field(field);
        for found in WireFields::new(bytes).filter(|found| found.number == field.number) {
            value(field, found.value, visitor);
        }
        visitor.end_field(field);
    }
    visitor.end_message(message);
}

/// Reports one occurrence of a field; of packed numbers there are many in one.
fn value(field: &'static Field, value: WireValue<'_>, visitor: &mut impl Visitor) {
    let is_text = matches!(
        field.kind,
        FieldKind::String | FieldKind::Bytes | FieldKind::Id(_)
    );
    match (field.kind, value) {
        (FieldKind::Message(inner), WireValue::Bytes(content)) => message(inner, content, visitor),
        (_, WireValue::Bytes(packed)) if field.presence == Presence::Repeated && !is_text => {
            let mut rest = packed;
            while !rest.is_empty() {
                let number = match field.kind {
                    FieldKind::Fixed64
                    | FieldKind::Sfixed64
                    | FieldKind::Nanos
                    | FieldKind::Double => fixed64(&mut rest).map(WireValue::Fixed64),
                    _ => varint(&mut rest).map(WireValue::Varint),
                };
                // The walk has seen to it that there is nothing else.
                let Some(number) = number.and_then(|number| scalar(field.kind, number)) else {
                    return;
                };
                visitor.scalar(field, number);
            }
        }
        (kind, value) => {
            if let Some(value) = scalar(kind, value) {
                visitor.scalar(field, value);
            }
        }
    }
}

/// None for a value of another wire type, which the walk refuses.
fn scalar(kind: FieldKind, value: WireValue<'_>) -> Option<Scalar<'_>> {
    Some(match (kind, value) {
        (FieldKind::Bool, WireValue::Varint(n)) => Scalar::Bool(n != 0),
        // Protobuf reads the low half of what is too wide.
        (FieldKind::Int32 | FieldKind::Enum(_), WireValue::Varint(n)) => {
            Scalar::Signed(i64::from(n as i32))
        }
        (FieldKind::Uint32, WireValue::Varint(n)) => Scalar::Unsigned(u64::from(n as u32)),
        (FieldKind::Sint32, WireValue::Varint(n)) => {
            let n = n as u32;
            Scalar::Signed(i64::from((n >> 1).cast_signed() ^ -((n & 1).cast_signed())))
        }
        (FieldKind::Int64, WireValue::Varint(n)) => Scalar::Signed(n.cast_signed()),
        (FieldKind::Uint64, WireValue::Varint(n)) => Scalar::Unsigned(n),
        (FieldKind::Fixed32, WireValue::Fixed32(n)) => Scalar::Unsigned(u64::from(n)),
        (FieldKind::Fixed64 | FieldKind::Nanos, WireValue::Fixed64(n)) => Scalar::Unsigned(n),
        (FieldKind::Sfixed64, WireValue::Fixed64(n)) => Scalar::Signed(n.cast_signed()),
        (FieldKind::Double, WireValue::Fixed64(n)) => Scalar::Double(f64::from_bits(n)),
        (FieldKind::String | FieldKind::Bytes | FieldKind::Id(_), WireValue::Bytes(bytes)) => {
            Scalar::Bytes(bytes)
        }
        _ => return None,
    })
}
