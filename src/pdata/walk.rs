//! The one pass over a request when it enters the agent: it counts the items and validates every
//! field, so that later code needn't.
//!
//! It accepts and refuses exactly what decoding with prost would (the tests hold them
//! against each other), at a fraction of the cost, because it allocates nothing. Beyond that it
//! refuses trace and span ids of a wrong length, as the Collector does. A second result is whether
//! the request is *regular*, that is whether views can read it in one pass:
//! every singular field and every oneof occurs at most once in its message, packed numbers
//! stand in one record, and there are no groups. No encoder in use writes anything else;
//! the format allows it though, and prost merges such fields.

use std::fmt;

use crate::steps;

use super::Signal;
use super::plain::{self, Bits};
use super::protocol::{FieldSlot, Message, MessageRole, ONEOF, ReadAs};
use super::wire::{
    FIXED32, FIXED64, GROUP, GROUP_END, LEN, VARINT, fixed32, fixed64, skip_scalar, take, varint,
};

/// How many messages may be nested in a request: prost's limit.
const MAX_DEPTH: u32 = 100;

/// How many more messages must be allowed in the one that has an attribute.
const ATTRIBUTE_DEPTH: u32 = 2;

/// A request that isn't OTLP protobuf. Holds nothing of its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {offset}{}", Within(path))]
pub struct Malformed {
    /// Where the field at fault begins, in bytes from the start of the request.
    pub offset: usize,
    /// The field, behind those in which it stands, outermost first, joined with dots; empty for
    /// the request itself.
    pub path: String,
    /// What is wrong.
    pub reason: MalformedReason,
}

/// What can be wrong with an encoded request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedReason {
    /// A field, or its length, points beyond the end of its message, or a varint is
    /// longer than ten bytes.
    #[error("a truncated or overlong field")]
    Truncated,
    /// A key with the field number 0, an unknown wire type or more than 32 bits.
    #[error("an invalid field key")]
    Key,
    /// A known field with another wire type than its own.
    #[error("a field of the wrong wire type")]
    WireType,
    /// A string that isn't UTF-8.
    #[error("a string that is not UTF-8")]
    Utf8,
    /// Messages nested more than a hundred deep.
    #[error("too many nested messages")]
    Depth,
    /// A trace or span id of another length. The Collector refuses a request for that, so
    /// that a batch with it would take what others sent down with it.
    #[error("an id that is not {0} bytes long")]
    Id(u8),
    /// The end of a group that wasn't begun.
    #[error("an unmatched end of a group")]
    Group,
}

/// What a walk found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Walked {
    /// Data points, spans or log records.
    pub(super) items: u64,
    /// Whether views can read it.
    pub(super) regular: bool,
    /// How often a message or a oneof occurs again where it may occur once: the pieces that a
    /// regular encoding has to merge.
    pub(super) repeats: u64,
    /// Whether it has fields that the protocol doesn't.
    pub(super) unknown: bool,
}

/// Validates an export request.
pub(super) fn request(signal: Signal, bytes: &[u8]) -> Result<Walked, Malformed> {
    let mut walk = Walk(Walked {
        items: 0,
        regular: true,
        repeats: 0,
        unknown: false,
    });
    match walk.message(signal.request(), bytes, MAX_DEPTH) {
        Ok(()) => Ok(walk.0),
        Err(fault) => Err(Malformed {
            offset: fault.at.saturating_sub(bytes.as_ptr().addr()),
            path: dotted(&fault.path),
            reason: fault.reason,
        }),
    }
}

/// What is found out, as far as the walk has come.
struct Walk(Walked);

/// A [`Malformed`] in the making; boxed, to keep the results on the good path small.
struct WalkFault {
    /// Address of the field at fault.
    at: usize,
    /// Innermost first.
    path: Vec<&'static str>,
    reason: MalformedReason,
}

impl Walk {
    /// `depth` is how many more messages may be nested in this one.
    fn message(
        &mut self,
        message: &'static Message,
        mut buf: &[u8],
        depth: u32,
    ) -> Result<(), Box<WalkFault>> {
        let index = &message.index;
        let mut seen = 0;
        let items_before = self.0.items;
        if index.role == MessageRole::NumberPoint && depth >= ATTRIBUTE_DEPTH {
            (seen, buf) = number_point(buf);
        }
        while !buf.is_empty() {
            let start = buf;
            let (number, wire) = key(&mut buf).map_err(|reason| fault(start, reason))?;
            let slot = index.slot(number);
            if seen & slot.once != 0 {
                self.0.regular = false;
                self.0.repeats += u64::from(matches!(slot.read, ReadAs::Message(_)));
                // Of a oneof the last member counts, with what came before it of the same.
                if slot.once & ONEOF != 0 && seen & slot.once == ONEOF {
                    self.0.items = items_before;
                    seen &= !index.oneof;
                }
            }
            seen |= slot.once;
            if let ReadAs::Message(inner) = slot.read {
                if wire != LEN {
                    return Err(within(fault(start, MalformedReason::WireType), slot));
                }
                let content = length_delimited(&mut buf)
                    .ok_or_else(|| within(fault(start, MalformedReason::Truncated), slot))?;
                if depth == 0 {
                    return Err(within(fault(start, MalformedReason::Depth), slot));
                }
                if inner.index.role == MessageRole::Attribute
                    && depth >= ATTRIBUTE_DEPTH
                    && plain::is_attribute(content)
                {
                    continue;
                }
                self.0.items += u64::from(inner.is_item());
                self.message(inner, content, depth - 1)
                    .map_err(|fault| within(fault, slot))?;
            } else {
                self.value(slot, number, wire, &mut buf, depth)
                    .map_err(|reason| within(fault(start, reason), slot))?;
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn value(
        &mut self,
        slot: &FieldSlot,
        number: u32,
        wire: u32,
        buf: &mut &[u8],
        depth: u32,
    ) -> Result<(), MalformedReason> {
        let expected = match slot.read {
            ReadAs::Varint => VARINT,
            ReadAs::Fixed64 => FIXED64,
            ReadAs::Fixed32 => FIXED32,
            ReadAs::Bytes | ReadAs::Id(_) | ReadAs::Str | ReadAs::Message(_) => LEN,
            ReadAs::PackedFixed64 if wire == FIXED64 => {
                self.0.regular = false;
                FIXED64
            }
            ReadAs::PackedVarint if wire == VARINT => {
                self.0.regular = false;
                VARINT
            }
            ReadAs::PackedFixed64 | ReadAs::PackedVarint => LEN,
            ReadAs::Unknown => return self.skip(number, wire, buf, depth),
        };
        if wire != expected {
            return Err(MalformedReason::WireType);
        }
        let valid = match wire {
            VARINT => varint(buf).is_some(),
            FIXED64 => fixed64(buf).is_some(),
            FIXED32 => fixed32(buf).is_some(),
            _ => match (length_delimited(buf), slot.read) {
                (Some(text), ReadAs::Str) => {
                    if !is_utf8(text) {
                        return Err(MalformedReason::Utf8);
                    }
                    true
                }
                (Some(id), ReadAs::Id(length)) => {
                    if !id.is_empty() && id.len() != usize::from(length) {
                        return Err(MalformedReason::Id(length));
                    }
                    true
                }
                (Some(packed), ReadAs::PackedFixed64) => packed.len() % 8 == 0,
                (Some(packed), ReadAs::PackedVarint) => are_varints(packed),
                (content, _) => content.is_some(),
            },
        };
        if valid {
            Ok(())
        } else {
            Err(MalformedReason::Truncated)
        }
    }

    /// Skips a field that isn't in the table.
    #[cold]
    fn skip(
        &mut self,
        number: u32,
        wire: u32,
        buf: &mut &[u8],
        depth: u32,
    ) -> Result<(), MalformedReason> {
        self.0.unknown = true;
        // prost looks at the depth before it skips as well.
        if depth == 0 {
            return Err(MalformedReason::Depth);
        }
        let skipped = match wire {
            LEN => length_delimited(buf).map(|_| ()),
            GROUP => {
                self.0.regular = false;
                loop {
                    if buf.is_empty() {
                        return Err(MalformedReason::Truncated);
                    }
                    match key(buf)? {
                        (ended, GROUP_END) if ended == number => return Ok(()),
                        (_, GROUP_END) => return Err(MalformedReason::Group),
                        (inner, wire) => self.skip(inner, wire, buf, depth - 1)?,
                    }
                }
            }
            GROUP_END => return Err(MalformedReason::Group),
            _ => skip_scalar(wire, buf),
        };
        skipped.ok_or(MalformedReason::Truncated)
    }
}

/// Takes off the front of a point what is plain. Returns the bits of the fields that it saw
/// and the rest of the point.
#[inline(always)]
fn number_point(point: &[u8]) -> (u32, &[u8]) {
    let mut front = plain::Front::of(point);
    let value = match front.value {
        None => 0,
        Some(Bits::Double(_)) => ONEOF | 1 << 4,
        Some(Bits::Int(_)) => ONEOF | 1 << 6,
    };
    let times = u32::from(front.start.is_some()) << 2 | u32::from(front.time.is_some()) << 3;
    front.attributes(plain::is_attribute);
    (value | times, front.rest)
}

/// Reads a field's number and wire type.
#[inline(always)]
fn key(buf: &mut &[u8]) -> Result<(u32, u32), MalformedReason> {
    let key = varint(buf).ok_or(MalformedReason::Truncated)?;
    let key = u32::try_from(key).map_err(|_| MalformedReason::Key)?;
    let (number, wire) = (key >> 3, key & 7);
    if number == 0 || wire > FIXED32 {
        return Err(MalformedReason::Key);
    }
    Ok((number, wire))
}

#[inline(always)]
fn length_delimited<'a>(buf: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = varint(buf)?;
    take(buf, length)
}

fn are_varints(mut packed: &[u8]) -> bool {
    while !packed.is_empty() {
        if varint(&mut packed).is_none() {
            return false;
        }
    }
    true
}

/// Attribute keys and values are short and ASCII nearly always, and the standard library's
/// check is made for long texts.
#[inline(always)]
fn is_utf8(text: &[u8]) -> bool {
    steps::count(text.len());
    let (chunks, rest) = text.as_chunks::<8>();
    let mut bits = 0;
    for chunk in chunks {
        bits |= u64::from_le_bytes(*chunk);
    }
    let mut tail = 0;
    for byte in rest {
        tail |= byte;
    }
    (bits & 0x8080_8080_8080_8080) | u64::from(tail & 0x80) == 0
        || std::str::from_utf8(text).is_ok()
}

#[cold]
fn fault(at: &[u8], reason: MalformedReason) -> Box<WalkFault> {
    Box::new(WalkFault {
        at: at.as_ptr().addr(),
        path: Vec::new(),
        reason,
    })
}

/// A fault in a field of this message, if it has such a field.
#[cold]
fn within(mut fault: Box<WalkFault>, slot: &FieldSlot) -> Box<WalkFault> {
    if !slot.name.is_empty() {
        fault.path.push(slot.name);
    }
    fault
}

/// The path in the protocol's own names; the table has those of JSON.
fn dotted(path: &[&str]) -> String {
    let mut dotted = String::new();
    for name in path.iter().rev() {
        if !dotted.is_empty() {
            dotted.push('.');
        }
        for letter in name.chars() {
            if letter.is_ascii_uppercase() {
                dotted.push('_');
            }
            dotted.push(letter.to_ascii_lowercase());
        }
    }
    dotted
}

/// The part of [`Malformed`]'s text that an empty path leaves out.
struct Within<'a>(&'a str);

impl fmt::Display for Within<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, ", in {}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_the_protocol_has_not_are_noticed_wherever_they_stand() {
        let f = |bytes: &[u8], unknown: bool| {
            let walked = request(Signal::Metrics, bytes).unwrap();
            assert_eq!(walked.unknown, unknown, "{bytes:02x?}");
        };
        f(&[], false);
        // A resource without anything, its schema, an empty scope.
        f(&[0x0a, 0x00], false);
        f(&[0x0a, 0x03, 0x1a, 0x01, b's'], false);
        f(&[0x0a, 0x02, 0x12, 0x00], false);
        // Field 15 as bytes, a number, four and eight bytes, a group.
        f(&[0x7a, 0x01, b'x'], true);
        f(&[0x78, 0x01], true);
        f(&[0x7d, 1, 2, 3, 4], true);
        f(&[0x79, 1, 2, 3, 4, 5, 6, 7, 8], true);
        f(&[0x7b, 0x7c], true);
        // Beside known fields, below them, and of the number 1000.
        f(&[0x0a, 0x00, 0x78, 0x01], true);
        f(&[0x0a, 0x02, 0x78, 0x01], true);
        f(&[0x0a, 0x03, 0xc2, 0x3e, 0x00], true);
    }
}
